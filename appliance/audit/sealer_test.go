package audit

import (
	"context"
	"log/slog"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// TestPurgedTenantsDoNotStopSealing has a tenant go between the record and its
// sealing: the others go on, and nothing is called broken.
func TestPurgedTenantsDoNotStopSealing(t *testing.T) {
	t.Parallel()
	d, history := dbtest.Open(t, Migrations)
	s := New(Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }})
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	purged, kept := id.New(), id.New()
	for _, tenant := range []id.ID{purged, kept} {
		if err := d.AddTenant(ctx, tenant, history); err != nil {
			t.Fatal(err)
		}
		if err := s.RecordAlone(ctx, tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.DropTenant(ctx, purged); err != nil {
		t.Fatal(err)
	}
	s.sealer.round(ctx)
	if err := s.Ready(ctx); err != nil || len(s.sealer.dirty) != 0 {
		t.Errorf("%v, %d chains are still marked", err, len(s.sealer.dirty))
	}
	v, err := s.verify(ctx, kept)
	if err != nil || v.Checked != 1 || !v.OK() {
		t.Errorf("%+v %v", v, err)
	}
	broken, cancel := context.WithCancel(ctx)
	cancel()
	s.sealer.wake(kept)
	s.sealer.round(broken)
	if s.Ready(ctx) == nil {
		t.Error("a failure of a tenant that is there is not told")
	}
}
