package cmd

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
)

// TestReferenceNamesEveryCommand holds the page of commands to the commands.
func TestReferenceNamesEveryCommand(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/README.md")
	if err != nil {
		t.Fatal(err)
	}
	says := func(pattern string, c *cobra.Command) {
		if !regexp.MustCompile(pattern).Match(page) {
			t.Errorf("docs/reference/README.md does not name %s", c.CommandPath())
		}
	}
	for _, c := range Root().Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		says("`nimbus "+c.Name()+`\b`, c)
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				says("`nimbus "+c.Name()+" [^`\n]*\\b"+sub.Name()+`\b`, sub)
			}
		}
	}
}
