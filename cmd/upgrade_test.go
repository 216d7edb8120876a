package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance"
	"nimbus/appliance/db"
	"nimbus/embedded/postgres"
)

// TestRobustness46DowngradeIsRefused starts this program on data that a later release
// made. It says so, exits with a code of its own, and changes nothing.
func TestRobustness46DowngradeIsRefused(t *testing.T) {
	dir, err := os.MkdirTemp("", "nimbus-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	makeNewer(t, dir)
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"upgrade"}, {"upgrade", "--check"}} {
		root := Root()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(args, "--data-dir", dir))
		err := root.ExecuteContext(t.Context())
		if err == nil || exitCode(err) != exitRelease || !strings.Contains(explain(err), "made by a newer Nimbus (1 unknown migrations)") {
			t.Errorf("%v: %v (exit code %d)", args, err, exitCode(err))
		}
	}
	server := postgres.New(postgres.Config{Dir: filepath.Join(dir, "postgres"), Unsafe: true})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	applied, err := db.ReadAppliedAt(t.Context(), server.AdminDSN(db.Database))
	last := applied[db.CoreSchema][len(applied[db.CoreSchema])-1]
	if err != nil || last.Version != "29990101T000000" {
		t.Errorf("the data was changed: %v %v", last, err)
	}
}

// makeNewer leaves an appliance that is set up and has a migration of the future.
func makeNewer(t *testing.T, dir string) {
	t.Helper()
	a := appliance.New(appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Unsafe: true})
	ctx := t.Context()
	if err := a.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Change(ctx, func(s *appliance.Settings) { s.Complete = true }); err != nil {
		t.Fatal(err)
	}
	first := map[string]any{}
	if err := a.Front().Update(ctx, "firstrun", &first, func() error { first["complete"] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.StartDatabase(ctx, func(string, int) {}); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	server := postgres.New(postgres.Config{Dir: filepath.Join(dir, "postgres"), Unsafe: true})
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	conn, err := pgx.Connect(ctx, server.AdminDSN(db.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "insert into core.schema_migration (scope, version, name, sum) values ('core', '29990101T000000', 'future', 'x')"); err != nil {
		t.Fatal(err)
	}
}
