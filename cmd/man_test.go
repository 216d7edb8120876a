package cmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run runs the command line and returns what it printed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	root := Root()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		t.Fatalf("nimbus %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

// TestManPages: each command that help shows has its page, and mandoc, where it is
// installed, finds nothing wrong with any.
func TestManPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := t.TempDir()
	run(t, "man", dir)
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		text, err := os.ReadFile(filepath.Join(dir, pageName(c)+".1"))
		if err != nil {
			t.Errorf("%s has no page: %v", c.CommandPath(), err)
		}
		if !strings.Contains(string(text), `"2023-11-14"`) {
			t.Errorf("%s is not dated by the source", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(Root())
	lintPages(t, dir)
}

func lintPages(t *testing.T, dir string) {
	pages, err := filepath.Glob(filepath.Join(dir, "*.[157]"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		return
	}
	out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExampleConfig: the installed file changes nothing, and with its settings
// uncommented it is a valid file of defaults.
func TestExampleConfig(t *testing.T) {
	example := run(t, "config", "example")
	set := filepath.Join(t.TempDir(), "set.yaml")
	comment := filepath.Join(t.TempDir(), "comment.yaml")
	var lines []string
	for line := range strings.Lines(example) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			lines = append(lines, line[1:])
		}
	}
	if len(lines) != len(known) {
		t.Errorf("%d settings in the file, %d known", len(lines), len(known))
	}
	for path, text := range map[string]string{set: strings.Join(lines, ""), comment: example} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "--config", path, "config", "check")
		if got, want := run(t, "--config", path, "config", "print"), run(t, "config", "print"); got != want {
			t.Errorf("%s\n%s\nis not\n%s", path, got, want)
		}
	}
}
