package audit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// years is a shelf with records spread over days, and a way to refuse permissions.
type years struct {
	*Service
	ctx    context.Context
	tenant id.ID
	other  context.Context
	sql    func(sql string, args ...any)
	denied atomic.Pointer[string]
	all    []Sealed // newest first
}

func newYears(t *testing.T, zone *time.Location) *years {
	t.Helper()
	d, history, dsn := dbtest.OpenDSN(t, Migrations)
	y := &years{tenant: id.New()}
	y.Service = New(Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false },
		TimeZone: func(context.Context, id.ID) *time.Location { return zone },
		Check: func(_ context.Context, p string) error {
			if no := y.denied.Load(); no != nil && *no == p {
				return fault.New(fault.Forbidden, "You may not.")
			}
			return nil
		}})
	foreign := id.New()
	for _, tenant := range []id.ID{y.tenant, foreign} {
		if err := d.AddTenant(t.Context(), tenant, history); err != nil {
			t.Fatal(err)
		}
	}
	y.ctx, y.other = actor.AsSystem(t.Context(), "test", y.tenant), actor.AsSystem(t.Context(), "test", foreign)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	y.sql = func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	scatter(t, y.Service, y.ctx, 400)
	y.sql("set search_path = " + db.TenantSchema(y.tenant) + ", public")
	y.sql("update audit_entry set sealed_at = date_trunc('second', now()) - (400 - sequence) * interval '17 minutes', time = date_trunc('second', now()) - (400 - sequence) * interval '17 minutes'")
	y.all = pages(t, y.Service, y.ctx, Filter{}, 200)
	return y
}

// TestTimeline counts at random in hours and days, as a naive count does.
func TestTimeline(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Australia/Adelaide") // half an hour off
	if err != nil {
		t.Fatal(err)
	}
	y := newYears(t, zone)
	r := rand.New(rand.NewPCG(3, 4))
	counted := int64(0)
	for range 60 {
		f := Filter{From: time.Now().Add(-time.Duration(r.IntN(130)) * time.Hour), To: time.Now().Add(-time.Duration(r.IntN(20)-3) * time.Hour)}
		switch r.IntN(5) {
		case 0:
			f.Outcome = Denied
		case 1:
			f.Events = []string{"cmdb", "identity.user"}
		case 2:
			f.Text = "alpha"
		case 3:
			f.Priority = Warning
		}
		bucket := []string{"hour", "day"}[r.IntN(2)]
		got, err := y.Timeline(y.ctx, f, bucket)
		if f.To.Before(f.From) || f.To.Equal(f.From) {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%+v: %v", f, err)
			}
			continue
		}
		if err != nil || !got.Complete {
			t.Fatalf("%+v: %+v (%v)", f, got, err)
		}
		for i, b := range got.Buckets {
			local, end := b.From.In(zone), b.From.Add(time.Hour)
			if bucket == "day" {
				end = local.AddDate(0, 0, 1)
			}
			if local.Minute() != 0 || bucket == "day" && local.Hour() != 0 || i > 0 && !got.Buckets[i-1].From.Before(b.From) {
				t.Fatalf("a bucket begins at %v", local)
			}
			want := Bucket{From: b.From}
			matching := f
			matching.From, matching.To = time.Time{}, time.Time{}
			for _, one := range y.all {
				if one.SealedAt.Before(b.From) || !one.SealedAt.Before(end) || !matching.matches(one) {
					continue
				}
				want.add(one)
			}
			if b != want {
				t.Fatalf("%+v %s: %+v, want %+v", f, bucket, b, want)
			}
			counted += b.Count
		}
	}
	if counted < 1000 {
		t.Errorf("only %d counted: the timelines say little", counted)
	}
	if _, err := y.Timeline(y.ctx, Filter{From: time.Now().AddDate(-5, 0, 0)}, "hour"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("five years of hours: %v", err)
	}
}

func (b *Bucket) add(one Sealed) {
	b.Count++
	if one.Outcome == Denied {
		b.Denied++
	}
	if one.Outcome == Failure {
		b.Failed++
	}
	if one.Priority == Critical {
		b.Critical++
	}
}

// TestFacets counts the values of all records and of those of a filter.
func TestFacets(t *testing.T) {
	t.Parallel()
	y := newYears(t, time.UTC)
	for _, f := range []Filter{{}, {Outcome: Denied}, {Events: []string{"cmdb"}, Actor: "ann"}, {Text: "gamma"}} {
		got, err := y.Facets(y.ctx, f)
		events, actors := map[string]int64{}, map[string]int64{}
		n := int64(0)
		for _, one := range y.all {
			if f.matches(one) {
				n++
				events[one.Event]++
				actors[one.Actor.Name]++
			}
		}
		if err != nil || got.Counted != n || n == 0 || !got.Complete || !counts(got.Events, events) || !counts(got.Actors, actors) {
			t.Errorf("%+v: %+v, want %d, %v, %v (%v)", f, got, n, events, actors, err)
		}
	}
}

func counts(got []Value, want map[string]int64) bool {
	for i, v := range got {
		if want[v.Value] != v.Count || i > 0 && got[i-1].Count < v.Count {
			return false
		}
	}
	return len(got) == len(want)
}

// TestActivity is what one actor did or had done, in their tenant's hours.
func TestActivity(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("test", 5*3600)
	y := newYears(t, zone)
	who := y.all[slices.IndexFunc(y.all, func(s Sealed) bool { return s.Actor.Name == "Bob" })].Actor.ID
	var mine []Sealed
	var hours [24]int64
	addresses := map[string]int64{}
	for _, one := range y.all {
		if one.Actor.ID == who || one.Actor.OnBehalfOf.ID == who {
			mine = append(mine, one)
			hours[one.SealedAt.In(zone).Hour()]++
			addresses[one.Actor.Address]++
		}
	}
	got, err := y.Activity(y.ctx, who, Filter{Limit: 10})
	if err != nil || got.Name != "Bob" || got.Hours != hours || len(got.Items) != 10 || got.Items[0].Sequence != mine[0].Sequence || !got.Complete {
		t.Fatalf("%+v (%v), want hours %v", got, err, hours)
	}
	if !got.LastSeen.Equal(mine[0].SealedAt) || !got.FirstSeen.Equal(mine[len(mine)-1].SealedAt) || len(got.Addresses) != len(addresses) {
		t.Errorf("seen %v to %v, from %v", got.FirstSeen, got.LastSeen, got.Addresses)
	}
	for _, a := range got.Addresses {
		if addresses[a.Address] != a.Count || a.Last.After(*got.LastSeen) {
			t.Errorf("%+v, want %d", a, addresses[a.Address])
		}
	}
	next, err := y.Activity(y.ctx, who, Filter{Limit: 10, Before: got.Items[9].Sequence})
	if err != nil || next.Items[0].Sequence != mine[10].Sequence || next.Hours != hours {
		t.Errorf("the page after: %+v (%v)", next, err)
	}
	foreign, err := y.Activity(y.other, who, Filter{Limit: 10})
	nobody, err2 := y.Activity(y.ctx, id.New(), Filter{Limit: 10})
	if err != nil || err2 != nil || fmt.Sprint(foreign) != fmt.Sprint(nobody) || len(foreign.Items) != 0 {
		t.Errorf("from another tenant %+v (%v), of nobody %+v (%v)", foreign, err, nobody, err2)
	}
}

// TestHistory reads all pages about a resource, oldest first.
func TestHistory(t *testing.T) {
	t.Parallel()
	y := newYears(t, time.UTC)
	var want, got []int64
	for _, one := range slices.Backward(y.all) {
		if one.Target.Kind == "vm" && one.Target.ID == "vm-100" {
			want = append(want, one.Sequence)
		}
	}
	for after := int64(0); ; after = got[len(got)-1] {
		page, err := y.History(y.ctx, "vm", "vm-100", after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page {
			if one.After == nil {
				t.Errorf("record %d has no change", one.Sequence)
			}
			got = append(got, one.Sequence)
		}
		if len(page) < 7 {
			break
		}
	}
	if !slices.Equal(got, want) || len(want) < 20 {
		t.Errorf("%v, want %v", got, want)
	}
	if foreign, err := y.History(y.other, "vm", "vm-100", 0, 7); err != nil || len(foreign) != 0 {
		t.Errorf("from another tenant %v (%v)", foreign, err)
	}
}

// TestPrunedRecord reads what is left when a record is gone from a full tile,
// and what never was.
func TestPrunedRecord(t *testing.T) {
	t.Parallel()
	y := newYears(t, time.UTC)
	before, err := y.Get(y.ctx, 17)
	if err != nil || before.Pruned || len(before.Body) == 0 {
		t.Fatalf("%+v (%v)", before, err)
	}
	var tile []byte
	for _, one := range slices.Backward(y.all) {
		if one.Sequence <= 256 {
			tile = append(tile, one.Leaf...)
		}
	}
	y.sql("insert into audit_tile (level, number, hashes) values (0, 0, $1) on conflict do nothing", tile)
	y.sql("delete from audit_record where id = (select record_id from audit_entry where sequence = 17)")
	y.sql("delete from audit_entry where sequence = 17")
	after, err := y.Get(y.ctx, 17)
	if err != nil || !after.Pruned || after.Body != nil || !slices.Equal(after.Leaf, before.Leaf) {
		t.Errorf("%+v (%v)", after, err)
	}
	for _, n := range []int64{0, -1, 401} {
		if _, err := y.Get(y.ctx, n); fault.KindOf(err) != fault.NotFound {
			t.Errorf("record %d: %v", n, err)
		}
	}
	if _, err := y.Get(y.other, 17); fault.KindOf(err) != fault.NotFound {
		t.Errorf("from another tenant: %v", err)
	}
}

// TestViewsNeedThePermission takes the right to read away.
func TestViewsNeedThePermission(t *testing.T) {
	t.Parallel()
	y := newYears(t, time.UTC)
	read := ReadPermission
	y.denied.Store(&read)
	for name, ask := range map[string]func() error{
		"timeline": func() error { _, err := y.Timeline(y.ctx, Filter{}, "day"); return err },
		"facets":   func() error { _, err := y.Facets(y.ctx, Filter{}); return err },
		"activity": func() error { _, err := y.Activity(y.ctx, id.New(), Filter{}); return err },
		"history":  func() error { _, err := y.History(y.ctx, "vm", "x", 0, 1); return err },
		"queries":  func() error { _, err := y.Queries(y.ctx); return err },
		"save":     func() error { _, err := y.SaveQuery(y.ctx, Query{Name: "x"}); return err },
		"change":   func() error { _, err := y.ChangeQuery(y.ctx, id.New(), QueryChange{}); return err },
		"delete":   func() error { return y.DeleteQuery(y.ctx, id.New()) },
	} {
		if err := ask(); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestQueries saves, shares, changes and deletes, by the owner, by others and
// from another tenant.
func TestQueries(t *testing.T) {
	t.Parallel()
	y := newYears(t, time.UTC)
	person := func(ctx context.Context, name string) context.Context {
		a, _ := actor.From(ctx)
		return actor.With(ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: name, TenantID: a.TenantID})
	}
	ann, bob, eve := person(y.ctx, "Ann"), person(y.ctx, "Bob"), person(y.other, "Eve")
	filter := map[string]any{"event": []any{"cmdb"}, "q": "alpha"}
	own, err := y.SaveQuery(ann, Query{Name: "mine", Filter: filter})
	shared, err2 := y.SaveQuery(ann, Query{Name: "ours", Shared: true})
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for ctx, want := range map[context.Context]int{ann: 2, bob: 1, eve: 0} {
		if all, err := y.Queries(ctx); err != nil || len(all) != want {
			t.Errorf("%v sees %+v, want %d (%v)", ctx, all, want, err)
		}
	}
	if all, _ := y.Queries(ann); fmt.Sprint(all[0].Filter) != fmt.Sprint(filter) || all[0].Owner.Name != "Ann" {
		t.Errorf("saved %+v", all[0])
	}
	name := "renamed"
	for _, ask := range []struct {
		ctx   context.Context
		query id.ID
		want  fault.Kind
	}{{bob, own.ID, fault.NotFound}, {eve, own.ID, fault.NotFound}, {eve, shared.ID, fault.NotFound}} {
		_, err := y.ChangeQuery(ask.ctx, ask.query, QueryChange{Name: &name})
		if fault.KindOf(err) != ask.want || fault.KindOf(y.DeleteQuery(ask.ctx, ask.query)) != ask.want {
			t.Errorf("changing a query that is not seen: %v", err)
		}
	}
	if q, err := y.ChangeQuery(bob, shared.ID, QueryChange{Name: &name}); err != nil || q.Name != name || q.Owner.Name != "Ann" || !q.Shared {
		t.Errorf("changed %+v (%v)", q, err)
	}
	share, yes := ShareQueryPermission, true
	y.denied.Store(&share)
	_, err = y.SaveQuery(bob, Query{Name: "x", Shared: true})
	_, err2 = y.ChangeQuery(ann, own.ID, QueryChange{Shared: &yes})
	if fault.KindOf(err) != fault.Forbidden || fault.KindOf(err2) != fault.Forbidden || fault.KindOf(y.DeleteQuery(bob, shared.ID)) != fault.Forbidden {
		t.Errorf("without the permission to share: %v, %v", err, err2)
	}
	if err := y.DeleteQuery(ann, shared.ID); err != nil {
		t.Error(err)
	}
	for _, bad := range []Query{{Name: " "}, {Name: "x", Filter: map[string]any{"sql": "1"}}, {Name: "x", Filter: map[string]any{"q": 1.0}}} {
		if _, err := y.SaveQuery(ann, bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := y.seal(y.ctx, y.tenant); err != nil {
		t.Fatal(err)
	}
	recorded := pages(t, y.Service, y.ctx, Filter{Events: []string{"audit.query"}}, 50)
	if len(recorded) != 4 {
		t.Errorf("recorded %d changes", len(recorded))
	}
}
