package audit

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
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

// TestMovedRowsAreNotReadAgain: after rows were moved from a cluster with higher
// transaction ids, what was not sealed there is, once, and sealing does not read
// all of them for each new record.
func TestMovedRowsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 600)
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		return c.Record(ctx, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	const moved = "(xid::text::bigint + 1000000000)::text::xid8"
	c.superuser(t, "update audit_record set xid = "+moved, "update audit_entry set horizon = (horizon::text::bigint + 1000000000)::text::xid8")
	c.record(t, 1)
	if v := c.verified(t, VerifyOptions{}); !v.OK() || v.Checked != 602 {
		t.Fatalf("%d checked, %+v", v.Checked, v.Breaks)
	}
	err = c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		_, _, horizon, err := c.store.head(ctx)
		if err != nil {
			return err
		}
		read := func() (n int64) {
			err = errors.Join(err, db.Tx(ctx).QueryRow(ctx, `select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where relid = 'audit_record'::regclass`).Scan(&n))
			return n
		}
		before := read()
		found, failed := c.store.unlinked(ctx, horizon, batchSize)
		if n := read() - before; n > 100 || len(found) > 0 {
			t.Errorf("%d records are read to find %d", n, len(found))
		}
		err = errors.Join(err, failed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
