package audit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestFollow reads as records are sealed, reads slowly, and loses the right.
func TestFollow(t *testing.T) {
	t.Parallel()
	d, history := dbtest.Open(t, Migrations)
	var denied atomic.Bool
	s := New(Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false },
		Check: func(context.Context, string) error {
			if denied.Load() {
				return fault.New(fault.Forbidden, "You may not.")
			}
			return nil
		}})
	tenant, other := id.New(), id.New()
	ctx := actor.AsSystem(t.Context(), "test", tenant)
	for _, add := range []id.ID{tenant, other} {
		if err := d.AddTenant(ctx, add, history); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	record := func(tenant id.ID, event string, n int) {
		t.Helper()
		for range n {
			if err := s.RecordAlone(ctx, tenant, Entry{Event: event, Target: Target{Kind: "thing"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	record(tenant, "test.thing.before", 1)
	if err := s.seal(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	batches, err := s.Follow(ctx, Filter{Events: []string{"test.thing"}})
	if err != nil {
		t.Fatal(err)
	}
	record(other, "test.thing.foreign", 1)
	record(tenant, "other.thing.done", 1)
	record(tenant, "test.thing.done", 1)
	first := receive(t, batches)
	if len(first.Records) != 1 || first.Records[0].Event != "test.thing.done" || first.Lost != 0 {
		t.Fatalf("first %+v", first)
	}

	const many = 100
	record(tenant, "test.thing.many", many)
	if err := s.seal(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	var seen, lost int64
	last := first.Records[0].Sequence
	for deadline := time.Now().Add(20 * time.Second); seen+lost < many && time.Now().Before(deadline); {
		b := receive(t, batches)
		seen, lost = seen+int64(len(b.Records)), lost+b.Lost
		for _, r := range b.Records {
			if r.Sequence <= last {
				t.Errorf("record %d after %d", r.Sequence, last)
			}
			last = r.Sequence
		}
	}
	if seen+lost != many || lost == 0 {
		t.Errorf("%d seen and %d lost of %d", seen, lost, many)
	}

	denied.Store(true)
	record(tenant, "test.thing.secret", 1)
	if b, open := <-batches; open {
		t.Errorf("without the right it goes on: %+v", b)
	}
}

func receive(t *testing.T, from <-chan Batch) Batch {
	t.Helper()
	select {
	case b, open := <-from:
		if !open {
			t.Fatal("the channel was closed")
		}
		return b
	case <-time.After(15 * time.Second):
		t.Fatal("nothing came")
	}
	return Batch{}
}

// TestFollowOutlivesTheDatabase: a feed goes on when the database could not be
// read for a moment, and loses nothing by it. It does not pretend to look for words.
func TestFollowOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	if _, err := c.Follow(c.user(), Filter{Text: "thing"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("words: %v", err)
	}
	batches, err := c.Follow(c.user(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	c.record(t, 1)
	receive(t, batches)
	c.superuser(t, "alter table audit_entry rename to audit_away")
	c.Events.Deliver(event.Event{Type: SealedEvent, Tenant: c.tenant, Data: []byte(`{"first":1,"last":1}`)})
	time.Sleep(3 * followEvery)
	c.superuser(t, "alter table audit_away rename to audit_entry")
	c.record(t, 1)
	if b := receive(t, batches); len(b.Records) != 1 || b.Records[0].Sequence != 2 {
		t.Errorf("%+v", b)
	}
}
