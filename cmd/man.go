package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual pages of the package: one per command, from what
// --help says, and one about the settings.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIRECTORY", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			root.InitDefaultHelpCmd()
			root.InitDefaultCompletionCmd()
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			if err := writePage(args[0], "nimbus.yaml.5", settingsPage()); err != nil {
				return err
			}
			return writePages(root, args[0])
		},
	}
}

func writePages(c *cobra.Command, dir string) error {
	if c.Hidden || c.Name() == "help" {
		return nil
	}
	if err := writePage(dir, pageName(c)+".1", commandPage(c)); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

func writePage(dir, name, text string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is a manual page in the making, in the language of man(7).
type page struct{ strings.Builder }

func newPage(name, section, purpose string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s %s %s %s %s\n", quoted(strings.ToUpper(name)), section, strconv.Quote(sourceDate()), quoted("Nimbus "+Version), quoted("Nimbus"))
	p.section("Name")
	fmt.Fprintf(p, "%s \\- %s\n", escaped(name), escaped(strings.ToLower(purpose[:1])+purpose[1:]))
	return p
}

func (p *page) section(title string) { fmt.Fprintf(p, ".SH %s\n", quoted(strings.ToUpper(title))) }

// text writes paragraphs; lines that are indented stay as they are.
func (p *page) text(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		verbatim := false
		for _, line := range strings.Split(paragraph, "\n") {
			line = strings.ReplaceAll(line, "\t", "    ")
			if indented := strings.HasPrefix(line, "  "); indented != verbatim {
				p.WriteString(map[bool]string{true: ".EX\n", false: ".EE\n"}[indented])
				verbatim = indented
			}
			p.WriteString(escaped(line) + "\n")
		}
		if verbatim {
			p.WriteString(".EE\n")
		}
	}
}

func (p *page) item(term, text string) {
	fmt.Fprintf(p, ".TP\n.B %s\n%s\n", escaped(term), escaped(text))
}

func (p *page) flags(title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p.section(title)
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			p.item(flagTerm(f), flagText(f))
		}
	})
}

func flagTerm(f *pflag.Flag) string {
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	if name, _ := pflag.UnquoteUsage(f); name != "" {
		term += " " + strings.ToUpper(name)
	}
	return term
}

func flagText(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	if f.DefValue == "" || f.DefValue == "false" || f.DefValue == "[]" || f.DefValue == "0" {
		return usage
	}
	return usage + " (" + f.DefValue + ")"
}

func commandPage(c *cobra.Command) string {
	p := newPage(pageName(c), "1", c.Short)
	p.section("Synopsis")
	fmt.Fprintf(p, ".B %s\n", escaped(synopsis(c)))
	p.section("Description")
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	p.text(long)
	p.subcommands(c)
	p.flags("Options", c.NonInheritedFlags())
	p.flags("Settings of every command", c.InheritedFlags())
	if c.Example != "" {
		p.section("Examples")
		p.text(c.Example)
	}
	p.ending(c)
	return p.String()
}

func synopsis(c *cobra.Command) string {
	if c.HasAvailableSubCommands() && !c.Runnable() {
		return c.CommandPath() + " COMMAND [OPTIONS]"
	}
	return c.UseLine()
}

func (p *page) subcommands(c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	p.section("Commands")
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			p.item(pageName(sub)+"(1)", sub.Short+".")
		}
	}
}

// exits are the codes that scripts may rely on.
var exits = []struct {
	code int
	text string
}{
	{0, "It worked."},
	{exitFailure, "It did not work; the message says what to do."},
	{exitUsage, "The command line, a setting or the input is wrong."},
	{exitInUse, "Another appliance runs on the data directory."},
	{exitDenied, "It is not allowed."},
	{exitBroken, "A verification found breaks."},
}

func (p *page) ending(c *cobra.Command) {
	p.section("Exit status")
	for _, e := range exits {
		p.item(strconv.Itoa(e.code), e.text)
	}
	p.section("See also")
	others := []string{"nimbus.yaml(5)", "nimbus-service(7)"}
	if c.HasParent() {
		others = append([]string{pageName(c.Parent()) + "(1)"}, others...)
	}
	p.WriteString(escaped(strings.Join(others, ", ")) + "\n")
}

func settingsPage() string {
	p := newPage("nimbus.yaml", "5", "Settings of the Nimbus appliance")
	p.section("Synopsis")
	fmt.Fprintf(p, ".B %s\n", escaped(defaultConfig))
	p.section("Description")
	p.text("A YAML file of settings, one per line. A flag of the same name counts more than the environment variable (" +
		envPrefix + " and the name in capitals with _), which counts more than this file, which counts more than the default." +
		" `nimbus config check` finds mistakes, `nimbus config print` shows what is in force.\n\n" +
		"Most of what an administrator decides is not here but in the browser.")
	p.section("Settings")
	for _, k := range known {
		p.item(k.name, k.help+" (default: "+strconv.Quote(k.value)+").")
	}
	p.section("See also")
	p.WriteString("nimbus(1), nimbus\\-service(7)\n")
	return p.String()
}

// sourceDate is the day of the source, so that the same source gives the same
// pages; without one it is left out.
func sourceDate() string {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly)
}

var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "“", `\(lq`, "”", `\(rq`, "•", `\(bu`)

// escaped is text that man(7) shows as it is.
func escaped(text string) string {
	text = roff.Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}

func quoted(text string) string { return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"` }
