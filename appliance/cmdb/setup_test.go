package cmdb

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/embedded/postgres/postgrestest"
)

// bench is a service over a database of its own with one tenant.
type bench struct {
	*Service
	t      *testing.T
	db     *db.DB
	tenant id.ID
	ctx    context.Context // in which the collector acts
	events []event.Event
}

// roles are those of the server; tests that share it log in as its superuser
// and take them, so that no test changes the password that another one uses.
const roles = `select pg_advisory_xact_lock(7017280452245743464);
do $$ begin
  if not exists (select from pg_roles where rolname = 'nimbus_core') then create role nimbus_core nologin; end if;
  if not exists (select from pg_roles where rolname = 'nimbus_app') then create role nimbus_app login noinherit nobypassrls; end if;
end $$`

func newBench(t *testing.T) *bench {
	t.Helper()
	dsn := postgrestest.DSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	_, err = conn.Exec(t.Context(), roles, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	must(t, conn.Close(t.Context()))
	d, err := db.Open(t.Context(), db.Config{AppDSN: dsn, OwnerDSN: dsn, MaxConns: 4})
	must(t, err)
	history, err := db.ReadMigrations(audit.Migrations, Migrations)
	must(t, err)
	must(t, d.Migrate(t.Context(), history))
	b := &bench{t: t, db: d, tenant: id.New()}
	must(t, d.AddTenant(t.Context(), b.tenant, history))
	t.Cleanup(func() {
		must(t, d.DropTenant(context.Background(), b.tenant))
		d.Close()
	})
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) { b.events = append(b.events, e) })
	records := audit.New(audit.Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }})
	b.Service = New(Config{DB: d, Audit: records, Events: bus, Check: func(ctx context.Context, _ string) error {
		if a, _ := actor.From(ctx); a.Name == "nobody" {
			return fault.New(fault.Forbidden, "You may not.")
		}
		return nil
	}})
	b.ctx = actor.AsSystem(t.Context(), "collector", b.tenant)
	return b
}

// count runs a query for one number in the tenant's scope.
func (b *bench) count(query string, args ...any) int {
	b.t.Helper()
	var n int
	must(b.t, b.db.Tenant(b.ctx, b.tenant, func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, query, args...).Scan(&n)
	}))
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
