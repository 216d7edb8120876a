package appliance_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"nimbus/appliance/audit"
)

var updateEvents = flag.Bool("update-events", false, "write docs/reference/audit-events.md")

const eventsPage = "../docs/reference/audit-events.md"

const eventsIntro = `# Audit events

Codes of what is recorded. A code never changes its meaning. A record has the actor and for whom it acted, the target, time, request id, trace id, outcome and, where they say something, before and after.
The priority is the usual one; a failure may have a higher one.

A change inside a tenant is recorded in its own chain. What is done to a tenant, other than its settings, domains and description, is recorded in the provider's chain too, so that it outlives the tenant.
Refused sign-ins, second factors and links are in the provider's chain; a refusal of a tenant's own sign-in provider is in the tenant's.

This page is made from the code: ` + "`go test ./appliance -run EventsPage -update-events`" + `.
`

// TestEventsPage compares the published catalogue with the declared one.
func TestEventsPage(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(eventsIntro)
	category := ""
	for _, e := range audit.Catalogue() {
		if e.Category != category {
			category = e.Category
			fmt.Fprintf(&page, "\n## %s\n\n| code | priority | when |\n|---|---|---|\n", category)
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", e.Code, e.Priority, e.Description)
	}
	if *updateEvents {
		if err := os.WriteFile(eventsPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(eventsPage)
	if err != nil || string(published) != page.String() {
		t.Errorf("%s does not say what the code declares: run go test ./appliance -run EventsPage -update-events (%v)", eventsPage, err)
	}
}

// told are codes of the event bus and of messages, which nobody records.
var told = map[string]bool{"audit.signer.updated": true, "audit.checkpoint.published": true}

var eventCode = regexp.MustCompile(`^[a-z]+\.[a-z][a-z_-]*\.([a-z_-]*)$`)

// TestEventsAreDeclared finds the event codes in the code: each is declared,
// and each that is declared is there, whole or as the beginning up to the
// last dot to which a verb is added.
func TestEventsAreDeclared(t *testing.T) {
	t.Parallel()
	declared, used, domains := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range audit.Catalogue() {
		declared[e.Code], domains[e.Category] = true, true
		if e.Description == "" {
			t.Errorf("%s has no description", e.Code)
		}
	}
	for code, where := range eventLiterals(t) {
		domain, _, _ := strings.Cut(code, ".")
		if !domains[domain] || told[code] {
			continue
		}
		used[code] = true
		if !strings.HasSuffix(code, ".") && !declared[code] {
			t.Errorf("%s: %s is not declared; add it to events.go", where, code)
		}
	}
	for code := range declared {
		if !used[code] && !used[code[:strings.LastIndex(code, ".")+1]] {
			t.Errorf("%s is declared and never recorded", code)
		}
	}
}

// eventLiterals are the texts of the program that look like event codes, with
// where one of them is.
func eventLiterals(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	for _, root := range []string{".", "../cmd", "../firstrun"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || d.Name() == "events.go" {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if s, err := strconv.Unquote(l.Value); err == nil && eventCode.MatchString(s) {
						found[s] = path
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
