package pulumi

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveProjectTakesOneProjectOnly(t *testing.T) {
	t.Parallel()
	e := New(Config{Dir: t.TempDir()})
	place := func(project string) (all []string) {
		for _, kind := range []string{"stacks", "backups", "history", filepath.Join("locks", "organization")} {
			all = append(all, filepath.Join(e.stateRoot(), kind, project))
		}
		run := &Run{Project: project, Stack: "stack"}
		o := &operation{Engine: e, run: run}
		return append(all, filepath.Dir(e.workDir(run)), filepath.Dir(filepath.Dir(o.planPath("x"))), filepath.Dir(e.journalPath(run)))
	}
	for _, dir := range append(place("tenant-a"), place("tenant-ab")...) {
		if err := os.MkdirAll(filepath.Join(dir, "stack"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := e.RemoveProject("tenant-a"); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range place("tenant-a") {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there", dir)
		}
	}
	for _, dir := range place("tenant-ab") {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "..", "a/b", "../stacks", "tenant-*"} {
		if err := e.RemoveProject(bad); err == nil {
			t.Errorf("%q was taken for a project", bad)
		}
	}
}
