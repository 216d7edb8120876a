package cmdb

import (
	"context"
	"log/slog"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
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

func newBench(t *testing.T) *bench {
	t.Helper()
	d, history := dbtest.Open(t, audit.Migrations, Migrations)
	b := &bench{t: t, db: d, tenant: id.New()}
	must(t, d.AddTenant(t.Context(), b.tenant, history))
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
