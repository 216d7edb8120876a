package tenancy_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/deployment"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/tenancy"
)

// bench is the service over a database of its own, with the root tenant and a
// tenant below it.
type bench struct {
	*tenancy.Service
	t    *testing.T
	db   *db.DB
	conn *pgx.Conn // past the application
	root tenancy.Tenant
	home tenancy.Tenant
	// rita runs the appliance, hal administers the tenant below it.
	rita, hal context.Context

	mu     sync.Mutex
	events []event.Event
}

func newBench(t *testing.T, change ...func(*tenancy.Config)) *bench {
	t.Helper()
	b := &bench{t: t}
	var history []db.Migration
	var dsn string
	b.db, history, dsn = dbtest.OpenDSN(t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations, breakglass.Migrations,
		cmdb.Migrations, provider.Migrations, deployment.Migrations)
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	b.conn = conn
	quiet := slog.New(slog.DiscardHandler)
	bus := event.NewBus(quiet)
	bus.Subscribe(func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
	cfg := tenancy.Config{
		DB: b.db, History: history, Events: bus, Logger: quiet,
		Audit: audit.New(audit.Config{DB: b.db, Logger: quiet, IsRoot: func(tenant id.ID) bool { return b.IsRoot(tenant) }}),
		Check: func(ctx context.Context, _ string) error { _, err := actor.Require(ctx); return err },
		Seed:  func(context.Context, id.ID) error { return nil },
	}
	for _, c := range change {
		c(&cfg)
	}
	b.Service = tenancy.New(cfg)
	setup := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	b.root, err = b.CreateRoot(setup)
	must(t, err)
	b.rita = person(t, "Rita", b.root.ID)
	b.home = b.create("Home", b.root)
	b.hal = person(t, "Hal", b.home.ID)
	return b
}

func person(t *testing.T, name string, tenant id.ID) context.Context {
	return actor.With(t.Context(), actor.Actor{Kind: actor.User, ID: id.New(), Name: name, TenantID: tenant, AuthenticatedAt: time.Now()})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants insists on a kind of fault.
func wants(t testing.TB, err error, kind fault.Kind, what string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v instead of %s", what, err, kind)
	}
}

func (b *bench) create(name string, parent tenancy.Tenant) tenancy.Tenant {
	b.t.Helper()
	made, err := b.Create(b.rita, tenancy.Tenant{Name: name, ParentID: parent.ID})
	must(b.t, err)
	return made
}

func (b *bench) status(tenant tenancy.Tenant) tenancy.Status {
	b.t.Helper()
	now, err := b.Get(b.rita, tenant.ID)
	must(b.t, err)
	return now.Status
}

// exec does something past the application.
func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.conn.Exec(b.t.Context(), sql, args...)
	must(b.t, err)
}

func (b *bench) count(sql string, args ...any) (n int) {
	b.t.Helper()
	must(b.t, b.conn.QueryRow(b.t.Context(), sql, args...).Scan(&n))
	return n
}

// recorded counts records of an event in a chain: core or a tenant's schema.
func (b *bench) recorded(schema, event string) int {
	b.t.Helper()
	return b.count(`select count(*) from `+schema+`.audit_record where event = $1`, event)
}

func (b *bench) told(kind string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.events, func(e event.Event) bool { return e.Type == kind })
}

// fieldOf is the location of the first wrong input.
func fieldOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Fields) > 0 {
		return f.Fields[0].Location
	}
	return ""
}
