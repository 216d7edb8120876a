package audit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// shelf is a service over a database with one tenant, and its actor.
func shelf(t testing.TB) (*Service, context.Context) {
	t.Helper()
	d, history := dbtest.Open(t, Migrations)
	s := New(Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false },
		Check: func(context.Context, string) error { return nil }})
	tenant := id.New()
	if err := d.AddTenant(t.Context(), tenant, history); err != nil {
		t.Fatal(err)
	}
	return s, actor.AsSystem(t.Context(), "test", tenant)
}

// index gives all sealed records their words.
func (s *Service) indexAll(ctx context.Context, tenant id.ID) {
	(&indexer{Service: s}).chain(ctx, tenant)
}

var (
	someEvents = []string{"identity.user.created", "identity.user.deleted", "identity.group.created", "cmdb.ci.created", "cmdb.citadel.opened"}
	someNames  = []string{"Ann Ant", "Bob", "Annabel", "collector"}
	someWords  = []string{"alpha", "beta", "gamma", "delta-five", "Straße", "x'y\"z", "100%"}
)

// scatter records at random and returns the sealed records, newest first.
func scatter(t *testing.T, s *Service, ctx context.Context, n int) []Sealed {
	t.Helper()
	a, _ := actor.From(ctx)
	r := rand.New(rand.NewPCG(1, 2))
	actors, targets := []id.ID{id.New(), id.New(), id.New(), {}}, []string{id.New().String(), "", "vm-100"}
	for range n {
		k := r.IntN(len(someNames))
		one := actor.Actor{Kind: actor.User, ID: actors[k], Name: someNames[k], TenantID: a.TenantID,
			Address: fmt.Sprintf("10.0.0.%d", r.IntN(3)), RequestID: fmt.Sprint(r.IntN(20))}
		if r.IntN(3) == 0 {
			one = one.Through([]string{"ant hill", "worker"}[r.IntN(2)])
		}
		who := actor.With(ctx, one)
		e := Entry{
			Event: someEvents[r.IntN(len(someEvents))], Target: Target{Kind: []string{"user", "vm"}[r.IntN(2)], ID: targets[r.IntN(3)]},
			Outcome: []Outcome{Success, Failure, Denied}[r.IntN(3)], Priority: priorities[r.IntN(6)],
			After: map[string]any{"note": someWords[r.IntN(len(someWords))] + " " + someWords[r.IntN(len(someWords))]},
		}
		if err := s.RecordAlone(who, a.TenantID, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.seal(ctx, a.TenantID); err != nil {
		t.Fatal(err)
	}
	s.indexAll(ctx, a.TenantID)
	return pages(t, s, ctx, Filter{}, 200)
}

// pages reads all pages of a filter.
func pages(t *testing.T, s *Service, ctx context.Context, f Filter, size int) []Sealed {
	t.Helper()
	var all []Sealed
	for f.Limit = size; ; {
		found, err := s.List(ctx, f)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		all = append(all, found...)
		if len(found) < size {
			return all
		}
		f.Before = found[len(found)-1].Sequence
	}
}

// matches is the filter as plainly as it can be said.
func (f Filter) matches(r Sealed) bool {
	covered := len(f.Events) == 0 || slices.ContainsFunc(f.Events, func(e string) bool { return r.Event == e || strings.HasPrefix(r.Event, e+".") })
	return covered && (f.Category == "" || Category(r.Event) == f.Category) &&
		(f.Priority == "" || slices.Index(priorities, r.Priority) >= slices.Index(priorities, f.Priority)) &&
		(f.Outcome == "" || r.Outcome == f.Outcome) &&
		(f.Actor == "" || r.Actor.ID.String() == f.Actor || strings.Contains(strings.ToLower(r.Actor.Name), strings.ToLower(f.Actor)) || f.forWhom(f.Actor, r)) &&
		(f.OnBehalfOf == "" || f.forWhom(f.OnBehalfOf, r)) &&
		(f.Target == "" || r.Target.ID == f.Target) && (f.TargetKind == "" || r.Target.Kind == f.TargetKind) &&
		(f.Address == "" || r.Actor.Address == f.Address) && (f.RequestID == "" || r.Actor.RequestID == f.RequestID) &&
		(f.From.IsZero() || !r.Time.Before(f.From)) && (f.To.IsZero() || r.Time.Before(f.To)) &&
		(f.Text == "" || strings.Contains(string(r.Body), f.Text)) &&
		(f.After == 0 || r.Sequence > f.After)
}

func (Filter) forWhom(asked string, r Sealed) bool {
	other := r.Actor.OnBehalfOf
	return other.ID.String() == asked || strings.Contains(strings.ToLower(other.Name), strings.ToLower(asked))
}

// TestSearchAgainstReference compares random filters with the plain reading of them.
func TestSearchAgainstReference(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	all := scatter(t, s, ctx, 400)
	if len(all) != 400 || all[0].Sequence != 400 {
		t.Fatalf("%d records", len(all))
	}
	r := rand.New(rand.NewPCG(3, 4))
	maybe := func(values ...string) string {
		if r.IntN(3) > 0 {
			return ""
		}
		return values[r.IntN(len(values))]
	}
	hits := 0
	for range 400 {
		some := all[r.IntN(len(all))]
		f := Filter{
			Category: maybe("identity", "cmdb", "nothing"), Priority: Priority(maybe("debug", "notice", "error", "critical")),
			Outcome: Outcome(maybe("success", "failure", "denied")), Actor: maybe("ann", "BOB", "ant", some.Actor.ID.String(), some.Actor.OnBehalfOf.ID.String(), "nobody"),
			OnBehalfOf: maybe("", "", "ann", "bob", some.Actor.OnBehalfOf.ID.String()),
			Target:     maybe(some.Target.ID), TargetKind: maybe("user", "vm"), Address: maybe(some.Actor.Address), RequestID: maybe(some.Actor.RequestID),
			Text: maybe("alpha", "beta", "gamma"), After: int64(r.IntN(2) * r.IntN(200)),
		}
		if one := maybe("identity.user", "cmdb.ci", "identity", some.Event); one != "" {
			f.Events = []string{one, "cmdb.ci.created"}[:1+r.IntN(2)]
		}
		if r.IntN(4) == 0 {
			f.From, f.To = some.Time.Add(-50*time.Millisecond), some.Time.Add(50*time.Millisecond)
		}
		var want []int64
		for _, one := range all {
			if f.matches(one) {
				want = append(want, one.Sequence)
			}
		}
		var got []int64
		for _, one := range pages(t, s, ctx, f, 1+r.IntN(50)) {
			got = append(got, one.Sequence)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: found %v, want %v", f, got, want)
		}
		if n := counted(t, s, ctx, f); n != int64(len(want)) {
			t.Fatalf("%+v: %d counted, want %d", f, n, len(want))
		}
		hits += len(want)
		for _, one := range all {
			if match := f.matcher(); f.Text == "" && f.After == 0 && match(one.Record, one.Body) != slices.Contains(want, one.Sequence) {
				t.Fatalf("%+v: record %d is another thing outside the database", f, one.Sequence)
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d hits: the filters say little", hits)
	}
}

func counted(t *testing.T, s *Service, ctx context.Context, f Filter) (n int64) {
	t.Helper()
	a, _ := actor.From(ctx)
	err := s.in(ctx, a.TenantID, func(ctx context.Context) (err error) {
		n, err = s.store.count(ctx, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	a, _ := actor.From(ctx)
	for _, note := range []string{"the quick brown fox", "a brown quick dog", "Straße nach Köln", "10.1.2.3 answered"} {
		if err := s.RecordAlone(ctx, a.TenantID, Entry{Event: "test.thing.noted", Target: Target{Kind: "thing"}, Details: map[string]any{"note": note}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.seal(ctx, a.TenantID); err != nil {
		t.Fatal(err)
	}
	s.indexAll(ctx, a.TenantID)
	for q, want := range map[string]int{
		"brown": 2, "BROWN quick": 2, `"quick brown"`: 1, "brown -fox": 1, "fox or dog": 2, "straße": 1, "köln": 1, "10.1.2.3": 1, "noted": 4,
		"bro": 0, "'; drop table audit_word; --": 0, `"`: 0, "((": 0, "🦊": 0,
	} {
		found, err := s.List(ctx, Filter{Text: q, Limit: 50})
		if err != nil || len(found) != want {
			t.Errorf("%q: %d found, want %d (%v)", q, len(found), want, err)
		}
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	now := time.Now()
	for _, f := range []Filter{
		{Priority: "loud"}, {Outcome: "ok' or true --"}, {Text: strings.Repeat("x", 501)}, {Events: make([]string, 51)}, {From: now, To: now.Add(-time.Hour)},
	} {
		if _, err := s.List(ctx, f); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
