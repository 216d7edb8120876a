package transfer_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
	"nimbus/embedded/postgres"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t testing.TB) *postgres.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "nimbus-test-")
	must(t, errors.Join(err, os.Chmod(dir, 0o755)))
	server := postgres.New(postgres.Config{Dir: dir, Unsafe: true})
	must(t, server.Start(t.Context()))
	t.Cleanup(func() { _ = server.Stop(context.Background()); _ = os.RemoveAll(dir) })
	return server
}

func run(t testing.TB, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	must(t, err)
}

var passwords = db.Passwords{App: "app", Owner: "owner"}

// build makes the application's database with two tenants, and returns its owner's address.
func build(t testing.TB, admin string, tenants ...id.ID) string {
	t.Helper()
	history, err := db.ReadMigrations(audit.Migrations, tenancy.Migrations)
	must(t, err)
	cfg, err := db.Bootstrap(t.Context(), admin, passwords)
	must(t, err)
	d, err := db.Open(t.Context(), cfg)
	must(t, err)
	defer d.Close()
	must(t, d.Migrate(t.Context(), history))
	for _, tenant := range tenants {
		must(t, d.AddTenant(t.Context(), tenant, history))
	}
	return cfg.OwnerDSN
}

// TestCopyToAServerOfOthers copies a database to a server on which the login is no
// superuser, goes on after an interruption, and sees every difference.
func TestCopyToAServerOfOthers(t *testing.T) {
	t.Parallel()
	here, there := start(t), start(t)
	one, two := id.New(), id.New()
	build(t, here.AdminDSN("postgres"), one, two)
	source := here.AdminDSN(db.Database)
	for _, tenant := range []id.ID{one, two} {
		run(t, source, `insert into `+db.TenantSchema(tenant)+`.audit_record (tenant_id, id, event, body, xid)
			select '`+tenant.String()+`', gen_random_uuid(), 'a.b.c', convert_to('line ' || n, 'UTF8'), pg_current_xact_id() from generate_series(1, 50) n`)
	}
	run(t, there.AdminDSN("postgres"), `create role cloud login createrole createdb password 'sky'`)
	u, err := url.Parse(there.AdminDSN("postgres"))
	must(t, err)
	u.User = url.UserPassword("cloud", "sky")
	owner := build(t, u.String(), one, two)

	report, err := db.ExamineTarget(t.Context(), u.String(), db.Needs{Databases: []string{db.Database}, Move: "m"})
	if err != nil || report.OK || !strings.Contains(report.Message, "not empty") {
		t.Errorf("without a mark: %+v %v", report, err)
	}
	must(t, db.MarkTarget(t.Context(), u.String(), "m"))
	report, err = db.ExamineTarget(t.Context(), u.String(), db.Needs{Databases: []string{db.Database}, Move: "m", Extensions: []string{"btree_gin"}})
	if err != nil || !report.OK {
		t.Errorf("with its mark: %+v %v", report, err)
	}
	must(t, db.UnmarkTarget(t.Context(), u.String()))

	copied := 0
	count := func(int, int, transfer.Table) { copied++ }
	interrupted, cancel := context.WithCancel(t.Context())
	err = transfer.CopyDatabase(interrupted, source, owner, true, func(_, _ int, at transfer.Table) {
		if at.Schema == db.TenantSchema(two) {
			cancel()
		}
	})
	if err == nil {
		t.Error("it was not interrupted")
	}
	must(t, transfer.CopyDatabase(t.Context(), source, owner, true, count))
	from, to := transfer.Place{DSN: source, Admin: "postgres"}, transfer.Place{DSN: owner, Admin: "cloud"}
	same, err := transfer.Compare(t.Context(), from, to, func(int, int, transfer.Table) {})
	must(t, err)
	if copied != len(same) || len(same) < 20 {
		t.Errorf("%d tables were copied, %d compared", copied, len(same))
	}
	for change, says := range map[string]string{
		`update ` + db.TenantSchema(one) + `.audit_record set body = 'x' where id = (select min(id::text)::uuid from ` + db.TenantSchema(one) + `.audit_record)`: "audit_record has other rows",
		`delete from ` + db.TenantSchema(one) + `.audit_record`:                             "audit_record has 0 rows instead of 50",
		`create table core.stray (n int); alter table core.stray owner to nimbus_owner`:     "core.stray should not be there",
		`alter table ` + db.TenantSchema(one) + `.audit_record no force row level security`: "forced=f",
	} {
		undone(t, there.AdminDSN(db.Database), change, func() {
			if _, err := transfer.Compare(t.Context(), from, to, func(int, int, transfer.Table) {}); !errors.Is(err, transfer.ErrDifferent) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", change, err)
			}
		})
	}
}

// undone makes a change past all guards, runs fn, and copies nothing back: the
// database is put back from a copy of itself.
func undone(t testing.TB, dsn, change string, fn func()) {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	name := u.Path[1:]
	u.Path = "/postgres"
	run(t, u.String(), `create database kept template `+name+` strategy file_copy`)
	run(t, dsn, `set session_replication_role = replica; `+change)
	fn()
	run(t, u.String(), `drop database `+name+` with (force)`)
	run(t, u.String(), `alter database kept rename to `+name)
}
