package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/appliancetest"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

func TestMain(m *testing.M) { appliancetest.Main(m) }

// console runs commands as a person on the machine does.
type console struct {
	t   *testing.T
	dir string
}

func (c console) try(args ...string) (string, error) {
	var out bytes.Buffer
	root := Root()
	root.SetArgs(append([]string{"--data-dir", c.dir, "--log-level", "error"}, args...))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(c.t.Context())
	return out.String(), err
}

func (c console) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// says demands parts of an answer.
func (c console) says(out string, parts ...string) {
	c.t.Helper()
	for _, p := range parts {
		if !strings.Contains(out, p) {
			c.t.Errorf("%q is missing in:\n%s", p, out)
		}
	}
}

// TestAuditOnTheConsole walks through what a person does with the trail in a
// shell, beside the running appliance and on its data directory when it is stopped.
func TestAuditOnTheConsole(t *testing.T) {
	a := appliancetest.Start(t)
	a.SignIn(t, "ada@example.com", a.Tenant).Do(http.MethodPost, "/v1/groups", map[string]string{"name": "Operators", "description": ""}, http.StatusCreated, nil)
	c := console{t, a.DataDir()}
	flip(t, a)
	c.broken()
	flip(t, a)
	c.walk("while it runs")
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.walk("when it is stopped")
}

func (c console) walk(when string) {
	c.t.Helper()
	notes, keys := filepath.Join(c.t.TempDir(), "notes"), filepath.Join(c.t.TempDir(), "keys")
	text := c.run("audit", "checkpoint")
	c.says(text, "nimbus/", "/provider\n", "\n— nimbus/")
	c.keep(notes, text)
	text = c.run("audit", "key")
	c.says(text, "# ed25519, file", "/provider+")
	c.keep(keys, text)
	c.says(c.run("audit", "key", "--pem"), "BEGIN PUBLIC KEY")
	text = c.run("audit", "verify", "--checkpoints", notes, "--key", keys)
	c.says(text, "provider: holds\n", "tenant Acme: holds\n", "records      ", " 0 do not fit")
	c.says(c.run("audit", "verify"), "--checkpoints FILE")
	c.programs()
	c.reports(when)
}

func (c console) keep(path, text string) {
	c.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// programs read JSON.
func (c console) programs() {
	c.t.Helper()
	var chains []struct {
		Chain, Name, Root string
		OK                bool
		Records           int64
		Breaks            []any
	}
	c.decode(&chains, "audit", "verify", "-o", "json")
	if len(chains) != 2 || chains[0].Chain != "provider" || !chains[0].OK || chains[1].Name != "tenant Acme" || chains[1].Records == 0 || len(chains[1].Root) != 64 || chains[1].Breaks == nil {
		c.t.Errorf("%+v", chains)
	}
	var keys []struct{ Origin, VKey, PEM string }
	c.decode(&keys, "audit", "key", "-o", "json")
	if len(keys) != 2 || !strings.HasPrefix(keys[0].VKey, keys[0].Origin+"+") {
		c.t.Errorf("%+v", keys)
	}
	var notes []struct {
		Chain, Note, Root string
		Size              int64
	}
	c.decode(&notes, "audit", "checkpoint", "-o", "json")
	if len(notes) != 2 || notes[1].Size == 0 || len(notes[1].Root) != 64 || !strings.HasPrefix(notes[1].Note, notes[1].Chain+"\n") {
		c.t.Errorf("%+v", notes)
	}
	if _, err := c.try("audit", "verify", "-o", "yaml"); exitCode(err) != exitUsage {
		c.t.Errorf("a format that is none: %v", err)
	}
}

func (c console) decode(to any, args ...string) {
	c.t.Helper()
	if out := c.run(args...); json.Unmarshal([]byte(out), to) != nil {
		c.t.Fatalf("%v is not JSON: %s", args, out)
	}
}

func (c console) reports(when string) {
	c.t.Helper()
	c.t.Chdir(c.t.TempDir())
	out := c.run("audit", "report", "privileged-access", "--tenant", "acme")
	c.says(out, "The report is in privileged-access_", ".html.")
	written, err := filepath.Glob("*")
	if err != nil || len(written) != 1 {
		c.t.Fatalf("%s: %v %v", when, written, err)
	}
	page, err := os.ReadFile(written[0])
	if err != nil {
		c.t.Fatal(err)
	}
	c.says(string(page), "<!doctype html>", "Privileged access", "Acme", "Ada Admin", "</html>")
	if _, err := c.try("audit", "report", "privileged-access", "--tenant", "acme"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "--force") {
		c.t.Errorf("a report was written over: %v", err)
	}
	c.run("audit", "report", "privileged-access", "--tenant", "Acme", "--force")
	table := c.run("audit", "report", "proof-coverage", "--format", "csv", "--from", "2026-01-31", "--file", "-")
	c.says(table, "Coverage of the proof", "Records,", "End of the report: ")
	for _, wrong := range [][]string{{"gossip"}, {"break-glass", "--tenant", "nobody"}, {"break-glass", "--from", "yesterday"}, {"break-glass", "--format", "pdf"}, {"break-glass", "--from", "2026-02-01", "--to", "2026-01-01"}} {
		if out, err := c.try(append([]string{"audit", "report"}, wrong...)...); err == nil {
			c.t.Errorf("%v: %s", wrong, out)
		}
	}
}

// flip changes a bit of a record past the application; again, it is as before.
func flip(t *testing.T, a *appliancetest.Appliance) {
	t.Helper()
	appliancetest.Exec(t, a.Connect(t, "nimbus_owner"), "set search_path = "+db.TenantSchema(a.Tenant)+"; update audit_record set body = set_byte(body, 40, get_byte(body, 40) # 1)"+
		" where id = (select record_id from audit_entry where sequence = 2)", pgx.QueryExecModeSimpleProtocol)
}

func (c console) broken() {
	c.t.Helper()
	out, err := c.try("audit", "verify")
	if !errors.Is(err, errBroken) || exitCode(err) != exitBroken {
		c.t.Fatalf("%v\n%s", err, out)
	}
	c.says(out, "provider: holds", "tenant Acme: IS BROKEN", "record 2: hash: ")
	c.says(err.Error(), "1 of 2 chains do not hold")
	if out, err = c.try("audit", "verify", "-o", "json"); !errors.Is(err, errBroken) || !strings.Contains(out, `"ok": false`) {
		c.t.Errorf("%v\n%s", err, out)
	}
}
