package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// watch is a service over a provider and two tenants, with a clock for records.
type watch struct {
	*Service
	t            *testing.T
	root, alpha  id.ID
	beta         id.ID
	people       map[id.ID][]id.ID
	denied       map[string]bool
	events       []event.Event
	now          time.Time
	zone         *time.Location
	alice, chief actor.Actor
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	d, history := dbtest.Open(t, Migrations)
	w := &watch{t: t, root: id.New(), alpha: id.New(), beta: id.New(), people: map[id.ID][]id.ID{}, denied: map[string]bool{},
		now: time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour), zone: time.UTC}
	for _, tenant := range []id.ID{w.root, w.alpha, w.beta} {
		must(t, d.AddTenant(t.Context(), tenant, history))
	}
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) {
		if e.Type == AnomalyFound {
			w.events = append(w.events, e)
		}
	})
	w.Service = New(Config{
		DB: d, Logger: slog.New(slog.DiscardHandler), Events: bus, IsRoot: func(tenant id.ID) bool { return tenant == w.root },
		Check: func(_ context.Context, p string) error {
			if w.denied[p] {
				return fault.New(fault.Forbidden, "You may not do this.")
			}
			return nil
		},
		TimeZone: func(context.Context, id.ID) *time.Location { return w.zone },
		Insight: Insight{
			ChiefRoles: []string{"Tenant Administrator"}, Version: "1.2.3",
			People: func(_ context.Context, tenant id.ID) ([]id.ID, error) { return w.people[tenant], nil },
		},
	})
	w.alice = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Alice", TenantID: w.alpha, Address: "192.0.2.7"}
	w.chief = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Chief", TenantID: w.alpha, Address: "192.0.2.8"}
	w.people[w.alpha] = []id.ID{w.alice.ID, w.chief.ID}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// at records something as it happened at a time.
func (w *watch) at(when time.Time, a actor.Actor, tenant id.ID, e Entry) {
	w.t.Helper()
	r, err := build(a, tenant, e, nil)
	must(w.t, err)
	r.Time = when.UTC()
	body, err := json.Marshal(r)
	must(w.t, err)
	must(w.t, w.in(w.t.Context(), tenant, func(ctx context.Context) error { return w.store.insert(ctx, []line{{r.ID, r.Event, body}}, nil) }))
}

func (w *watch) signIn(when time.Time, a actor.Actor) {
	w.t.Helper()
	w.at(when, a, id.ID{}, Entry{Event: signIn, Target: Target{Kind: "user", ID: a.ID.String(), Name: a.Name}})
}

func (w *watch) refuse(when time.Time, account id.ID, name, address string) {
	w.t.Helper()
	a := actor.Actor{Kind: actor.User, ID: account, Name: name, Address: address}
	w.at(when, a, id.ID{}, Entry{Event: "identity.session.refused", Outcome: Denied, Priority: Warning, Target: Target{Kind: "user", ID: account.String(), Name: name}})
}

// detect seals and looks at the tenants.
func (w *watch) look() {
	w.t.Helper()
	for _, tenant := range []id.ID{{}, w.alpha, w.beta} {
		must(w.t, w.seal(w.t.Context(), tenant))
	}
	for _, tenant := range []id.ID{w.root, w.alpha, w.beta} {
		must(w.t, w.Detect(w.t.Context(), tenant, func() {}))
	}
}

func (w *watch) as(tenant id.ID) context.Context {
	a := w.chief
	a.TenantID = tenant
	return actor.With(w.t.Context(), a)
}

func (w *watch) found(tenant id.ID, kind AnomalyKind) []Anomaly {
	w.t.Helper()
	all, err := w.Anomalies(w.as(tenant), AnomalyFilter{Kind: kind, Limit: 200})
	must(w.t, err)
	return all
}

// want is the number of findings of each kind in a tenant.
func (w *watch) want(tenant id.ID, kind AnomalyKind, n int) []Anomaly {
	w.t.Helper()
	all := w.found(tenant, kind)
	if len(all) != n {
		w.t.Fatalf("%d findings of %s, not %d: %+v", len(all), kind, n, all)
	}
	return all
}

func TestBruteForce(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	for i := range 9 { // one below the limit
		w.refuse(w.now.Add(time.Duration(i)*time.Second), w.alice.ID, "alice@example.com", fmt.Sprintf("198.51.%d.1", i))
	}
	w.look()
	w.want(w.alpha, BruteForce, 0)
	w.refuse(w.now.Add(11*time.Minute), w.alice.ID, "alice@example.com", "198.51.100.1") // the others left the window
	w.look()
	w.want(w.alpha, BruteForce, 0)
	for i := range 9 { // the window reaches over two runs
		w.refuse(w.now.Add(12*time.Minute+time.Duration(i)*time.Second), w.alice.ID, "alice@example.com", fmt.Sprintf("198.51.%d.1", i))
	}
	w.look()
	f := w.want(w.alpha, BruteForce, 1)[0]
	if f.Count != 10 || len(f.Evidence) != 10 || !f.Provider || f.Severity != Medium || f.Subject.ID != w.alice.ID.String() {
		t.Errorf("%+v", f)
	}
	w.want(w.root, BruteForce, 1)
	w.want(w.beta, BruteForce, 0)
	w.look()
	w.refuse(w.now.Add(13*time.Minute), w.alice.ID, "alice@example.com", "198.51.100.1")
	w.look()
	if f := w.want(w.alpha, BruteForce, 1)[0]; f.Count != 11 {
		t.Errorf("the finding counts %d", f.Count)
	}
	w.signIn(w.now.Add(14*time.Minute), w.alice)
	w.look()
	if f := w.want(w.alpha, BruteForce, 2)[0]; f.Severity != Severe {
		t.Errorf("a sign-in after the failures is %s", f.Severity)
	}
}

// TestBruteForceOfUnknownPeople has one address try accounts that do not exist:
// the provider sees it, no tenant does.
func TestBruteForceOfUnknownPeople(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	for i := range 25 {
		w.refuse(w.now.Add(time.Duration(i)*time.Second), id.ID{}, fmt.Sprintf("nobody%d@example.com", i), "203.0.113.9")
	}
	w.look()
	if f := w.want(w.root, BruteForce, 1)[0]; f.Subject.Kind != "address" || f.Subject.ID != "203.0.113.9" || f.Severity != High || f.Count != 25 {
		t.Errorf("%+v", f)
	}
	w.want(w.alpha, BruteForce, 0)
}

// usual signs Alice in every day at an hour of the tenant's clock.
func (w *watch) usual(days, hour int) {
	w.t.Helper()
	for i := days; i > 0; i-- {
		at := w.now.In(w.zone).AddDate(0, 0, -i)
		w.signIn(time.Date(at.Year(), at.Month(), at.Day(), hour, 30, 0, 0, w.zone), w.alice)
	}
}

func TestUnusualTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		zone       string
		days, hour int
		at, want   int
	}{
		{"at night", "UTC", 20, 9, 3, 1},
		{"the next hour", "UTC", 20, 9, 10, 0},
		{"two hours later", "UTC", 20, 9, 11, 1},
		{"around midnight", "UTC", 20, 23, 0, 0},
		{"while learning", "UTC", 13, 9, 3, 0},
		{"in the tenant's time zone", "Asia/Kolkata", 20, 9, 9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWatch(t)
			zone, err := time.LoadLocation(c.zone)
			must(t, err)
			w.zone = zone
			w.usual(c.days, c.hour)
			at := w.now.In(zone)
			w.signIn(time.Date(at.Year(), at.Month(), at.Day(), c.at, 10, 0, 0, zone), w.alice)
			w.look()
			w.want(w.alpha, UnusualTime, c.want)
			w.want(w.root, UnusualTime, 0)
		})
	}
}

// TestHabitsFollowDaylightSaving has somebody come at nine by the clock on the
// wall, before and after the clocks change.
func TestHabitsFollowDaylightSaving(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Vienna")
	must(t, err)
	rules := standardRules()
	d := detector{rules: rules, zone: zone, memory: newMemory()}
	var records []seen
	person := id.New()
	for day := range 40 { // the clocks change on 25 October
		records = append(records, seen{Sequence: int64(day + 1), Time: time.Date(2026, 10, 1+day, 9, 30, 0, 0, zone).UTC(), Event: signIn, ActorID: person})
	}
	d.look(nil, records)
	if h := d.memory.habits[person.String()]; h.Hours[9] != 40 || h.SignIns != 40 {
		t.Errorf("learned %v", h.Hours)
	}
	late := seen{Sequence: 41, Time: time.Date(2026, 11, 10, 7, 30, 0, 0, time.UTC), Event: signIn, ActorID: person} // 8:30 on the wall
	if found := d.look(nil, []seen{late}); len(found) != 0 {
		t.Errorf("found %+v", found[0])
	}
	late.Sequence, late.Time = 42, time.Date(2026, 11, 11, 6, 30, 0, 0, time.UTC) // 7:30, would be 8:30 in summer
	if found := d.look(nil, []seen{late}); len(found) != 1 || found[0].Kind != UnusualTime {
		t.Errorf("found %+v", found)
	}
}

func TestNewAddress(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	w.usual(10, 9)
	same, other := w.alice, w.alice
	same.Address, other.Address = "192.0.2.200", "2001:db8:1:2::5"
	w.signIn(w.now, same)
	w.look()
	w.want(w.alpha, NewAddress, 0)
	w.signIn(w.now.Add(time.Hour), other)
	w.look()
	if f := w.want(w.alpha, NewAddress, 1)[0]; f.Subject.ID != w.alice.ID.String() || f.Count != 1 {
		t.Errorf("%+v", f)
	}
	other.Address = "2001:db8:1:2:ffff::1"
	w.signIn(w.now.Add(2*time.Hour), other)
	w.look()
	w.want(w.alpha, NewAddress, 1)
}

func role(event, grant string, target id.ID, details map[string]any) Entry {
	e := Entry{Event: "permission." + event, Priority: Notice, Target: Target{Kind: "user", ID: target.String()}, Details: details}
	if grant != "" {
		e.Target = Target{Kind: "role", ID: target.String(), Name: "Helpers"}
		e.After = map[string]any{"grants": []map[string]string{{"permission": grant, "effect": "allow"}}}
	}
	return e
}

func TestPrivilegeEscalation(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	old := w.now.AddDate(0, 0, -20)
	admin := map[string]any{"role_id": id.New(), "role": "Tenant Administrator"}
	w.at(old, w.chief, w.alpha, role("role.assigned", "", w.alice.ID, admin)) // while the tenant is set up
	w.look()
	w.want(w.alpha, PrivilegeEscalation, 0)
	bob, helpers := id.New(), id.New()
	w.at(w.now, w.chief, w.alpha, role("role.assigned", "", bob, map[string]any{"role_id": helpers, "role": "Helpers"}))
	w.at(w.now, w.chief, w.alpha, role("role.created", "cmdb:*:read", helpers, nil))
	w.look()
	w.want(w.alpha, PrivilegeEscalation, 0)
	w.at(w.now.Add(time.Minute), w.chief, w.alpha, role("role.updated", "identity:*:*", helpers, nil))
	w.at(w.now.Add(2*time.Minute), w.chief, w.alpha, role("role.assigned", "", bob, map[string]any{"role_id": helpers, "role": "Helpers"}))
	w.at(w.now.Add(3*time.Minute), w.chief, w.alpha, role("role.assigned", "", w.chief.ID, map[string]any{"role_id": id.New(), "role": "Reader"}))
	w.at(w.now.Add(4*time.Minute), w.alice, w.alpha, role("grant.created", "", w.alice.ID, map[string]any{"grant": map[string]string{"permission": "*:*:*", "effect": "allow"}}))
	w.at(w.now.Add(5*time.Minute), w.alice, w.alpha, role("grant.created", "", w.alice.ID, map[string]any{"grant": map[string]string{"permission": "*:*:*", "effect": "deny"}}))
	w.at(w.now.Add(6*time.Minute), w.chief, w.alpha, Entry{Event: "breakglass.session.opened", Priority: Critical, Target: Target{Kind: "breakglass", ID: id.New().String(), Name: "Chief"}})
	w.look()
	var got []string
	for _, f := range w.want(w.alpha, PrivilegeEscalation, 5) {
		got = append(got, string(f.Severity)+" "+f.Subject.Kind)
	}
	slices.Sort(got)
	if want := []string{"critical user", "critical user", "high role", "high user", "high user"}; !slices.Equal(got, want) {
		t.Errorf("found %v", got)
	}
}

func TestBulkRead(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	must2(w.SetAnomalyRules(w.as(w.alpha), []AnomalyRule{{Kind: BulkRead, Enabled: true, Parameters: map[string]int{"reads": 6, "exports": 2}}}))
	for i := range 5 {
		w.at(w.now.Add(time.Duration(i)*time.Minute), w.alice, w.alpha, Entry{Event: "deployment.stack.read", Target: Target{Kind: "stack"}})
	}
	w.at(w.now.Add(6*time.Minute), w.chief, w.alpha, Entry{Event: "deployment.stack.read", Target: Target{Kind: "stack"}})
	w.at(w.now.Add(7*time.Minute), w.alice, w.alpha, Entry{Event: "tenancy.tenant.exported", Target: Target{Kind: "tenant"}})
	w.look()
	w.want(w.alpha, BulkRead, 0)
	w.at(w.now.Add(8*time.Minute), w.alice, w.alpha, Entry{Event: "deployment.stack.read", Target: Target{Kind: "stack"}})
	w.at(w.now.Add(9*time.Minute), w.alice, w.alpha, Entry{Event: "tenancy.tenant.exported", Target: Target{Kind: "tenant"}})
	w.look()
	all := w.want(w.alpha, BulkRead, 2)
	if counts := []int64{all[0].Count, all[1].Count}; !slices.Contains(counts, 6) || !slices.Contains(counts, 2) {
		t.Errorf("%+v", all)
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFailureSpike(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	fail := Entry{Event: "provider.task.finished", Outcome: Failure, Target: Target{Kind: "task"}}
	w.at(w.now.Add(-200*time.Hour), w.alice, w.alpha, fail)
	for i := range 100 { // six an hour are usual
		for range 6 {
			w.at(w.now.Add(-time.Duration(i+1)*time.Hour), w.alice, w.alpha, fail)
		}
	}
	for range 19 { // four times the mean of three, but fewer than twenty
		w.at(w.now, w.alice, w.alpha, fail)
	}
	w.look()
	w.want(w.alpha, FailureSpike, 0)
	w.at(w.now, w.alice, w.alpha, fail)
	w.look()
	w.want(w.alpha, FailureSpike, 1)
	for range 20 { // in a tenant that is new
		w.at(w.now, w.alice, w.beta, fail)
	}
	w.look()
	w.want(w.beta, FailureSpike, 0)
}

// TestFindingsOnce runs the detection twice over the same records, and twice at
// once: there is one finding, and its record and event come once.
func TestFindingsOnce(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	for i := range 12 {
		w.refuse(w.now.Add(time.Duration(i)*time.Second), w.alice.ID, "alice@example.com", "198.51.100.1")
	}
	must(t, w.seal(t.Context(), id.ID{}))
	done := make(chan error)
	for range 3 {
		go func() { done <- w.Detect(t.Context(), w.alpha, func() {}) }()
	}
	for range 3 {
		must(t, <-done)
	}
	if f := w.want(w.alpha, BruteForce, 1)[0]; f.Count != 12 {
		t.Errorf("%+v", f)
	}
	w.look()
	found, err := w.List(w.as(w.alpha), Filter{Events: []string{"audit.anomaly.found"}, Limit: 10})
	if err != nil || len(found) != 1 {
		t.Errorf("%d records of one finding, %v", len(found), err)
	}
}

func TestDecideAnomaly(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	again := func(at time.Duration) {
		w.refuse(w.now.Add(at), w.alice.ID, "alice@example.com", "198.51.100.1")
		w.look()
	}
	for i := range 10 {
		w.refuse(w.now.Add(time.Duration(i)*time.Second), w.alice.ID, "alice@example.com", "198.51.100.1")
	}
	w.look()
	f := w.want(w.alpha, BruteForce, 1)[0]
	ctx := w.as(w.alpha)
	if _, err := w.DecideAnomaly(w.as(w.beta), f.ID, AnomalyAcknowledged, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant decides: %v", err)
	}
	if _, err := w.Anomaly(w.as(w.beta), f.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant reads: %v", err)
	}
	if one := must2(w.Anomaly(ctx, f.ID)); one.ID != f.ID || one.Count != 10 || len(one.Evidence) != 10 {
		t.Errorf("%+v", one)
	}
	f = must2(w.DecideAnomaly(ctx, f.ID, AnomalyFalsePositive, "the scanner"))
	if f.Decider != "Chief" || f.Note != "the scanner" || f.DecidedAt.IsZero() {
		t.Errorf("%+v", f)
	}
	again(20 * time.Second)
	if f := w.want(w.alpha, BruteForce, 1)[0]; f.State != AnomalyFalsePositive || f.Suppressed != 1 || f.Count != 10 {
		t.Errorf("%+v", f)
	}
	if _, err := w.DecideAnomaly(ctx, f.ID, AnomalyFalsePositive, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("deciding the same twice: %v", err)
	}
	must2(w.DecideAnomaly(ctx, f.ID, AnomalyOpen, ""))
	again(30 * time.Second)
	if f := w.want(w.alpha, BruteForce, 1)[0]; f.State != AnomalyOpen || f.Count != 11 {
		t.Errorf("%+v", f)
	}
	must2(w.DecideAnomaly(ctx, f.ID, AnomalyAcknowledged, ""))
	again(40 * time.Second)
	if all := w.want(w.alpha, BruteForce, 2); all[0].State != AnomalyOpen || all[0].Count != 1 {
		t.Errorf("%+v", all)
	}
	if _, err := w.DecideAnomaly(ctx, f.ID, AnomalyOpen, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("two open findings of a pattern: %v", err)
	}
	must(t, w.seal(t.Context(), w.alpha))
	for _, code := range []string{"audit.anomaly.dismissed", "audit.anomaly.reopened", "audit.anomaly.acknowledged"} {
		if all, err := w.List(ctx, Filter{Events: []string{code}, Limit: 5}); err != nil || len(all) != 1 || all[0].Actor.Name != "Chief" {
			t.Errorf("%s: %d %v", code, len(all), err)
		}
	}
	for _, p := range []string{ReadAnomalies, UpdateAnomalies} {
		w.denied[p] = true
	}
	_, list := w.Anomalies(ctx, AnomalyFilter{})
	_, one := w.Anomaly(ctx, f.ID)
	_, rules := w.AnomalyRules(ctx)
	_, set := w.SetAnomalyRules(ctx, nil)
	_, decide := w.DecideAnomaly(ctx, f.ID, AnomalyOpen, "")
	for _, err := range []error{list, one, rules, set, decide, w.RunAnomalies(ctx)} {
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("without the permission: %v", err)
		}
	}
}

func TestAnomalyRules(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	ctx := w.as(w.alpha)
	for name, r := range map[string]AnomalyRule{
		"an unknown rule":      {Kind: "sunspots"},
		"an unknown parameter": {Kind: BruteForce, Parameters: map[string]int{"sunspots": 1}},
		"out of bounds":        {Kind: BruteForce, Parameters: map[string]int{"window_minutes": 0}},
	} {
		if _, err := w.SetAnomalyRules(ctx, []AnomalyRule{r}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must2(w.SetAnomalyRules(ctx, []AnomalyRule{{Kind: BruteForce, Enabled: false}}))
	for i := range 30 {
		w.refuse(w.now.Add(time.Duration(i)*time.Second), w.alice.ID, "alice@example.com", "198.51.100.1")
	}
	w.look()
	w.want(w.alpha, BruteForce, 0)
	w.want(w.root, BruteForce, 2)
	all := must2(w.AnomalyRules(w.as(w.beta)))
	if len(all) != len(AnomalyKinds) || !all[0].Enabled || all[0].Parameters["account_failures"] != 10 {
		t.Errorf("%+v", all)
	}
}
