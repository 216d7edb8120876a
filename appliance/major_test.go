package appliance_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// TestRobustness46PostgresSeventeenBecomesEighteen brings an appliance whose
// cluster is of Postgres 17 to 18 with nothing but the two servers: every row of
// every database, roles, privileges and policies, and a workflow that waits.
func TestRobustness46PostgresSeventeenBecomesEighteen(t *testing.T) {
	t.Parallel()
	programs := seventeen(t)
	r := readReleases(t)[0]
	before := map[string][]transfer.Table{}
	dir := r.restoreOn(t, func(cfg postgres.Config) *postgres.Server {
		bin := filepath.Join(cfg.Dir, "bin")
		command(t, "mkdir", "-p", bin)
		command(t, "cp", "-a", programs, bin)
		server, err := postgres.NewOf(filepath.Join(bin, filepath.Base(programs)), cfg)
		must(t, err)
		return server
	}, func(server *postgres.Server) {
		leaveWorkflow(t, server)
		for _, name := range []string{db.Database, temporal.MainDatabase, temporal.VisibilityDatabase} {
			before[name] = count(t, server.AdminDSN(name))
		}
	})
	cfg := appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Unsafe: true}
	refused := appliance.New(cfg)
	if err := refused.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := refused.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "nimbus upgrade") {
		t.Errorf("a start on the old cluster: %v", err)
	}
	if red := ready(t, refused); !strings.Contains(red, "Postgres 17") {
		t.Errorf("health says %s", red)
	}
	must(t, refused.Stop(context.Background()))

	a := appliance.New(cfg)
	u, err := a.Upgrade(t.Context(), func(stage string, percent int) {
		if percent < 0 || percent > 100 {
			t.Errorf("%s at %d percent", stage, percent)
		}
	})
	must(t, a.Stop(context.Background()))
	if err != nil || u.Database.From != "17" || u.Database.To != "18" {
		t.Fatalf("%+v %v", u, err)
	}
	server := postgres.New(postgres.Config{Dir: filepath.Join(dir, "postgres"), Unsafe: true})
	must(t, server.Start(t.Context()))
	for name, tables := range before {
		compare(t, name, tables, count(t, server.AdminDSN(name)))
	}
	findWorkflow(t, server)
	must(t, server.Stop(t.Context()))

	p := appliancetest.Spawn(t, appliancetest.Child{Dir: dir})
	s := &story{Appliance: p.Appliance, t: t}
	s.verifyChain()
	s.SignIn(t, "dora@example.com", s.Tenant)
}

// seventeen fetches and unpacks Postgres 17.
func seventeen(t testing.TB) string {
	t.Helper()
	at := filepath.Join("..", "embedded", "postgres")
	fetch := exec.CommandContext(t.Context(), "go", "run", "./bundle/fetch", "-dir", filepath.Join("testdata", "17"))
	fetch.Dir = at
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Fatalf("fetch Postgres 17: %v %s", err, out)
	}
	programs, err := postgres.InstallArchive(appliancetest.Dir(t), filepath.Join(at, "testdata", "17", "postgres-linux-"+runtime.GOARCH+".tar.zst"))
	must(t, err)
	return programs
}

// leaveWorkflow starts one that nobody picks up.
func leaveWorkflow(t testing.TB, server *postgres.Server) {
	t.Helper()
	flows := temporal.New(temporal.Config{DSN: server.AdminDSN})
	must(t, flows.Start(t.Context()))
	client, err := flows.Client(t.Context(), temporal.Options{})
	must(t, err)
	_, err = client.ExecuteWorkflow(t.Context(), sdk.StartWorkflowOptions{ID: "left", TaskQueue: "nobody"}, "Waits", "for the upgrade")
	must(t, err)
	client.Close()
	must(t, flows.Stop(t.Context()))
}

func findWorkflow(t testing.TB, server *postgres.Server) {
	t.Helper()
	flows := temporal.New(temporal.Config{DSN: server.AdminDSN})
	must(t, flows.Start(t.Context()))
	client, err := flows.Client(t.Context(), temporal.Options{})
	must(t, err)
	found, err := client.DescribeWorkflowExecution(t.Context(), "left", "")
	must(t, err)
	if status := found.WorkflowExecutionInfo.Status.String(); status != "Running" {
		t.Errorf("the workflow that waited is %s", status)
	}
	client.Close()
	must(t, flows.Stop(t.Context()))
}

func count(t testing.TB, dsn string) []transfer.Table {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	all, err := transfer.Count(t.Context(), conn)
	must(t, err)
	return all
}

// compare insists that every table of before is there with the same rows. The
// tables of later migrations come on top, and so do the names of those.
func compare(t testing.TB, database string, before, after []transfer.Table) {
	t.Helper()
	for _, b := range before {
		grows := b.Name == "schema_migration" || b.Name == "role" || b.Name == "role_permission" ||
			b.Schema == db.CoreSchema && b.Name == "audit_record" // what became of the backup before
		i := slices.IndexFunc(after, func(a transfer.Table) bool { return a.Schema == b.Schema && a.Name == b.Name })
		if i < 0 {
			t.Errorf("%s: %s.%s is gone", database, b.Schema, b.Name)
		} else if after[i].Rows < b.Rows || !grows && after[i].Rows != b.Rows {
			t.Errorf("%s: %s.%s has %d rows instead of %d", database, b.Schema, b.Name, after[i].Rows, b.Rows)
		}
	}
	if len(before) == 0 {
		t.Errorf("%s had no table", database)
	}
}
