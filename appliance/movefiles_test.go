package appliance

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// filler is a move of the files of one folder to another one; began is the folder
// that a run before filled.
func filler(t *testing.T, from, to, began string) *mover {
	t.Helper()
	m := &mover{Appliance: New(Config{DataDir: from}), to: Outside{SharedDir: to}, progress: func(string, int) {}}
	m.report.To = "db:5432"
	m.settings.Store(&Settings{Move: &Move{ID: "m", Target: "db:5432", Files: began}})
	return m
}

func putFile(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fits(m *mover) bool {
	m.report.Checks = nil
	m.examineFiles()
	return m.report.Checks[0].OK
}

// TestAMoveLeavesFilesOfOthers goes on with a move into another folder than the one
// that it began to fill, which somebody else uses.
func TestAMoveLeavesFilesOfOthers(t *testing.T) {
	t.Parallel()
	from, began, theirs := t.TempDir(), t.TempDir(), t.TempDir()
	putFile(t, from, "pulumi", "state", "mine.json")
	putFile(t, theirs, "pulumi", "state", "theirs.json")
	putFile(t, began, "pulumi", "state", "gone.json")
	if fits(filler(t, from, theirs, began)) {
		t.Error("the folder of somebody else would be emptied")
	}
	if !fits(filler(t, from, began, began)) {
		t.Error("it does not go on with its own folder")
	}
}

// TestAMoveIntoItsOwnFolderDeletesNothing names the present folder by another name,
// and interrupts a copy.
func TestAMoveIntoItsOwnFolderDeletesNothing(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	kept := putFile(t, from, "pulumi", "state", "stack.json")
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(from, alias); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	m := filler(t, from, alias, alias)
	if err := m.copyFiles(over); err != nil || !m.filesStay() {
		t.Errorf("the same folder: %v", err)
	}
	to := t.TempDir()
	arrived := putFile(t, to, "pulumi", "state", "stack.json")
	if err := filler(t, from, to, to).copyFiles(over); err == nil {
		t.Error("it was not interrupted")
	}
	for _, path := range []string{kept, arrived} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestDatabasesOfAnAddress replaces the database of an address, however it names one.
func TestDatabasesOfAnAddress(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u:p%20%27@h:1/x?sslmode=disable":      "postgres://u:p%20%27@h:1/nimbus?sslmode=disable",
		"postgres://u@h/?dbname=x&sslmode=disable":        "postgres://u@h/nimbus?sslmode=disable",
		"postgres://u@h?database=x":                       "postgres://u@h/nimbus",
		"host=h user=u password='a b' dbname=x port=5432": "host=h user=u password='a b' dbname=x port=5432 dbname=nimbus",
	} {
		if got := externalDSN(dsn)("nimbus"); got != want {
			t.Errorf("%s becomes %s", dsn, got)
		}
	}
}
