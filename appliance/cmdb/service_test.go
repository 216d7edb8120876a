package cmdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func snapshot(connection id.ID, at time.Time, items ...Observed) Snapshot {
	return Snapshot{ConnectionID: connection, TakenAt: at, Items: append([]Observed{online}, items...)}
}

func (b *bench) merge(s Snapshot) Changes {
	b.t.Helper()
	c, err := b.Merge(b.ctx, b.tenant, s)
	must(b.t, err)
	return c
}

func TestMergeRecordsAndTellsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection, now := id.New(), time.Now()
	first := b.merge(snapshot(connection, now, seen("uuid=a")))
	if len(first.Appeared) != 2 || len(b.events) != 1 || b.events[0].Type != "inventory.updated" {
		t.Fatalf("changes %+v, events %+v", first, b.events)
	}
	b.merge(snapshot(connection, now.Add(time.Second), seen()))
	if n := b.count(`select count(*) from audit_record`); n != 1 {
		t.Errorf("%d audit records after a collection that changed nothing, want 1", n)
	}
	last := b.merge(snapshot(connection, now.Add(2*time.Second)))
	if len(last.Gone) != 1 || b.count(`select count(*) from audit_record`) != 2 {
		t.Errorf("a guest went and the trail does not say so: %+v", last)
	}
	if _, err := b.Get(b.ctx, last.Gone[0]); !fault.Is(err, fault.Gone) {
		t.Errorf("reading what is gone: %v", err)
	}
}

func TestMergeDropsAnOutdatedCollection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection, now := id.New(), time.Now()
	b.merge(snapshot(connection, now, seen()))
	if c := b.merge(snapshot(connection, now.Add(-time.Second))); !c.Outdated || len(c.Gone) != 0 {
		t.Errorf("an older collection was written over a newer one: %+v", c)
	}
}

func TestMergeKeepsWhatASilentNodeLastSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection, now := id.New(), time.Now()
	vm := seen("uuid=a")
	vm.Properties = map[string]any{"cores": float64(4)}
	b.merge(snapshot(connection, now, vm))
	silent := Observed{Kind: VM, Key: "qemu/100", Node: "pve1", Status: StatusUnknown, Silent: true}
	b.merge(snapshot(connection, now.Add(time.Second), silent))
	page, err := b.List(b.ctx, Filter{Kind: VM})
	must(t, err)
	got := page.Items[0]
	if got.Name != "web" || got.Properties["cores"] != float64(4) || got.Status != StatusUnknown || !got.Stale {
		t.Errorf("got %+v", got)
	}
	if !got.LastSeenAt.Before(got.CollectedAt) {
		t.Errorf("it was last seen at %v, collected at %v", got.LastSeenAt, got.CollectedAt)
	}
}

func TestListPagesInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection := id.New()
	var items []Observed
	for i := range 7 {
		items = append(items, Observed{Kind: VM, Key: fmt.Sprintf("qemu/%d", 100+i), Name: fmt.Sprintf("vm%d", 7-i/2), Node: "pve1", Status: "running"})
	}
	b.merge(snapshot(connection, time.Now(), items...))
	var names []string
	f := Filter{Kind: VM, ConnectionID: connection, Limit: 3}
	for {
		page, err := b.List(b.ctx, f)
		must(t, err)
		for _, i := range page.Items {
			names = append(names, i.Name)
		}
		if page.Next == nil {
			break
		}
		f.Cursor = *page.Next
	}
	if diff := cmp.Diff([]string{"vm4", "vm5", "vm5", "vm6", "vm6", "vm7", "vm7"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection := id.New()
	percent := Observed{Kind: VM, Key: "qemu/101", Name: "100%_done", Node: "pve2", Status: "stopped"}
	b.merge(snapshot(connection, time.Now(), seen(), percent))
	for _, c := range []struct {
		filter Filter
		want   int
	}{
		{Filter{}, 3}, {Filter{Kind: VM}, 2}, {Filter{Kind: Pool}, 0}, {Filter{Status: "stopped"}, 1}, {Filter{Node: "pve2"}, 1},
		{Filter{Text: "%_"}, 1}, {Filter{Text: "WEB"}, 1}, {Filter{Text: "qemu/10"}, 2}, {Filter{ConnectionID: id.New()}, 0},
	} {
		page, err := b.List(b.ctx, c.filter)
		must(t, err)
		if len(page.Items) != c.want {
			t.Errorf("%+v: %d items, want %d", c.filter, len(page.Items), c.want)
		}
	}
	if _, err := b.List(b.ctx, Filter{Cursor: "bm9uc2Vuc2U"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a forged cursor: %v", err)
	}
}

func TestRobustness47StaleIsSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection := id.New()
	page, err := b.List(b.ctx, Filter{})
	must(t, err)
	if !page.Stale || !page.CollectedAt.IsZero() || page.Items == nil {
		t.Errorf("before the first collection: %+v", page)
	}
	b.merge(snapshot(connection, time.Now(), seen()))
	must(t, b.db.Tenant(b.ctx, b.tenant, func(ctx context.Context) error { return b.MarkStale(ctx, b.tenant, connection) }))
	page, err = b.List(b.ctx, Filter{})
	must(t, err)
	if !page.Stale || len(page.Items) != 2 || !page.Items[0].Stale {
		t.Errorf("after the cluster went away: %+v", page)
	}
	b.merge(snapshot(connection, time.Now(), seen()))
	if page, err = b.List(b.ctx, Filter{}); err != nil || page.Stale {
		t.Errorf("after it came back: %+v, %v", page, err)
	}
}

func TestOldCollectionIsStale(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.merge(snapshot(id.New(), time.Now().Add(-StaleAfter-time.Second), seen()))
	page, err := b.List(b.ctx, Filter{})
	must(t, err)
	if !page.Stale || !page.Items[0].Stale {
		t.Errorf("a collection older than %v is not called stale", StaleAfter)
	}
}

func TestReadingNeedsThePermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "nobody", TenantID: b.tenant})
	if _, err := b.List(ctx, Filter{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("List: %v", err)
	}
	if _, err := b.Get(ctx, id.New()); !fault.Is(err, fault.Forbidden) {
		t.Errorf("Get: %v", err)
	}
	if _, err := b.Get(b.ctx, id.New()); !fault.Is(err, fault.NotFound) {
		t.Errorf("Get of an unknown id: %v", err)
	}
}

func TestRobustness40HostileNamesAreData(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name := "-rf; $(reboot) `id`\n' or 1=1 --\x00\""
	vm := seen("uuid='; drop table ci; --")
	vm.Name, vm.Properties = name, map[string]any{"tags": name}
	b.merge(snapshot(id.New(), time.Now(), vm))
	page, err := b.List(b.ctx, Filter{Text: "$(reboot) `id`"})
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].Name != clean(name) || page.Items[0].Properties["tags"] != clean(name) {
		t.Errorf("got %+v", page.Items)
	}
}

func TestRobustness47ThousandGuestsMergeQuickly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection, now := id.New(), time.Now()
	items := make([]Observed, 1000)
	for i := range items {
		items[i] = Observed{
			Kind: VM, Key: fmt.Sprintf("qemu/%d", 100+i), Name: fmt.Sprintf("vm-%04d", i), Node: "pve1", Status: "running",
			Properties: map[string]any{"vmid": 100 + i, "cores": 4, "memory_bytes": 8 << 30, "uptime_seconds": i}, Marks: []string{fmt.Sprintf("uuid=%d", i)},
		}
	}
	b.merge(snapshot(connection, now, items...))
	start := time.Now()
	if c := b.merge(snapshot(connection, now.Add(time.Second), items...)); c.Updated != 1001 {
		t.Fatalf("updated %d items", c.Updated)
	}
	took := time.Since(start)
	t.Logf("a second collection of 1,000 guests was written in %v", took)
	if took > time.Second {
		t.Errorf("writing 1,000 guests took %v, want less than a second", took)
	}
}

func TestForgetEndsAConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	connection := id.New()
	b.merge(snapshot(connection, time.Now(), seen("uuid=a")))
	must(t, b.db.Tenant(b.ctx, b.tenant, func(ctx context.Context) error {
		known, err := b.Known(ctx, connection)
		if err == nil && known["qemu/100"].Marks[0] != "uuid=a" {
			t.Errorf("known: %+v", known)
		}
		return err
	}))
	must(t, b.db.Tenant(b.ctx, b.tenant, func(ctx context.Context) error {
		n, err := b.Forget(ctx, b.tenant, connection, "The connection was deleted.")
		if err == nil && n != 2 {
			t.Errorf("forgot %d items, want 2", n)
		}
		return err
	}))
	if n := b.count(`select count(*) from ci where deleted_at is null`); n != 0 {
		t.Errorf("%d items are left", n)
	}
}

func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	b, other := newBench(t), newBench(t)
	b.merge(snapshot(id.New(), time.Now(), seen()))
	page, err := other.List(other.ctx, Filter{})
	must(t, err)
	if len(page.Items) != 0 {
		t.Errorf("another tenant sees %+v", page.Items)
	}
	err = b.db.Tenant(b.ctx, b.tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `insert into ci_collection (connection_id, tenant_id, taken_at, stale) values ($1, $2, now(), false)`, id.New(), other.tenant)
		return err
	})
	if err == nil {
		t.Error("a row of another tenant was accepted")
	}
}
