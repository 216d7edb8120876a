package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/appliance/fault"
)

// TestTargetOfAMove reads where to go from a file and the environment, and refuses
// what is no service outside and what everybody may read.
func TestTargetOfAMove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outside.yaml")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("database-url: postgres://a:b@db/postgres\nvalkey-url: redis://cache\ntemporal-tls: true\ntemporal-namespace: lab\n", 0o640)
	t.Setenv("NIMBUS_TO_DATABASE_URL", "postgres://c:d@db/postgres")
	t.Setenv("NIMBUS_TO_SHARED_DIR", "/srv/nimbus")
	to, err := readTarget(path)
	want := appliance.Outside{DatabaseURL: "postgres://c:d@db/postgres", ValkeyURL: "redis://cache", SharedDir: "/srv/nimbus", Temporal: appliance.TemporalAccess{TLS: true, Namespace: "lab"}}
	if err != nil || to != want {
		t.Errorf("%+v %v", to, err)
	}
	for text, says := range map[string]string{
		"listen: :8443\n":           `"listen" is no setting`,
		"temporal-adress: host:1\n": `there is no setting "temporal-adress"`,
		"database-url: [":           "cannot be read",
	} {
		write(text, 0o600)
		if _, err := readTarget(path); !fault.Is(err, fault.Invalid) || !strings.Contains(explain(err), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
	write("database-url: postgres://a:b@db/postgres\n", 0o644)
	if _, err := readTarget(path); !fault.Is(err, fault.Invalid) || !strings.Contains(explain(err), "chmod o-rwx") {
		t.Errorf("a file that everybody may read: %v", err)
	}
	if _, err := readTarget(filepath.Join(t.TempDir(), "none")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestReportOfAMove says what is in the way, and what was proved.
func TestReportOfAMove(t *testing.T) {
	var out bytes.Buffer
	r := appliance.MoveReport{From: "/var/lib/nimbus", To: "db:5432", Problem: "x", Checks: []db.ProbeCheck{{Name: "empty", Message: "The server is not empty."}}}
	describeMove(&out, r)
	if text := out.String(); !strings.Contains(text, "NO  empty        The server is not empty.") || strings.Contains(text, "both sides") {
		t.Errorf("in the way: %s", text)
	}
	r.Moved, r.Records = true, 7
	r.Databases = []appliance.MovedDatabase{{Name: "nimbus", Rows: 3, Tables: []transfer.Table{{Schema: "core", Name: "tenant", Rows: 3, Sum: strings.Repeat("ab", 32)}}}}
	describeMove(&out, r)
	for _, says := range []string{"core.tenant  3     abababababababab", "nimbus: 1 tables, 3 rows", "7 audit records verified there", "--rollback"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("%q is not in %s", says, out.String())
		}
	}
}
