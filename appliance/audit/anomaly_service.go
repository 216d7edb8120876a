package audit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// AnomalyFound is the event for browsers: a finding is new, grew or was decided.
const AnomalyFound = "audit.anomaly"

const (
	// lookAt is how many records are looked at in one transaction.
	lookAt = 5000
	// learnFrom is how far back the first look at a chain goes.
	learnFrom = 30 * 24 * time.Hour
	// tellFrom is how old a record can be of which a finding tells.
	tellFrom = 7 * 24 * time.Hour
	// longestNote is the most bytes of a note.
	longestNote = 2000
)

// AnomalyFilter narrows a list of findings. Zero members do not narrow.
type AnomalyFilter struct {
	State  AnomalyState
	Kind   AnomalyKind
	Before id.ID // findings older than this one
	Limit  int
}

// AnomalyRules returns the rules of the actor's tenant. It returns
// fault.Forbidden without audit:anomaly:read.
func (s *Service) AnomalyRules(ctx context.Context) ([]AnomalyRule, error) {
	a, err := s.authorise(ctx, ReadAnomalies)
	if err != nil {
		return nil, err
	}
	var all []AnomalyRule
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		rules, err := insightStore{}.rules(ctx)
		all = inOrder(rules)
		return err
	})
	return all, err
}

func inOrder(rules map[AnomalyKind]AnomalyRule) []AnomalyRule {
	all := make([]AnomalyRule, len(AnomalyKinds))
	for i, kind := range AnomalyKinds {
		all[i] = rules[kind]
	}
	return all
}

// SetAnomalyRules changes the rules that are given and leaves the others. It
// returns fault.Forbidden without audit:anomaly:update and fault.Invalid for
// unknown rules and parameters out of bounds.
func (s *Service) SetAnomalyRules(ctx context.Context, given []AnomalyRule) ([]AnomalyRule, error) {
	a, err := s.authorise(ctx, UpdateAnomalies)
	if err != nil {
		return nil, err
	}
	for _, r := range given {
		if err := r.validate(); err != nil {
			return nil, err
		}
	}
	var all []AnomalyRule
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := insightStore{}.rules(ctx)
		if err != nil {
			return err
		}
		after := maps.Clone(before)
		for _, r := range given {
			after[r.Kind] = r.filled()
			if err := (insightStore{}).saveRule(ctx, after[r.Kind]); err != nil {
				return err
			}
		}
		all = inOrder(after)
		return s.Record(ctx, Entry{Event: "audit.anomaly.rules-updated", Priority: Warning, Target: Target{Kind: "anomaly-rules"}, Before: inOrder(before), After: all})
	})
	return all, err
}

// Anomalies lists the findings of the actor's tenant, newest first. It returns
// fault.Forbidden without audit:anomaly:read.
func (s *Service) Anomalies(ctx context.Context, f AnomalyFilter) ([]Anomaly, error) {
	a, err := s.authorise(ctx, ReadAnomalies)
	if err != nil {
		return nil, err
	}
	f.Limit = min(max(f.Limit, 1), 200)
	var all []Anomaly
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = insightStore{}.anomalies(ctx, f)
		return err
	})
	return all, err
}

// Anomaly returns one finding of the actor's tenant. It returns fault.Forbidden
// without audit:anomaly:read, and fault.NotFound.
func (s *Service) Anomaly(ctx context.Context, anomaly id.ID) (Anomaly, error) {
	a, err := s.authorise(ctx, ReadAnomalies)
	if err != nil {
		return Anomaly{}, err
	}
	var found Anomaly
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		found, err = insightStore{}.anomaly(ctx, anomaly)
		return db.Fault(err)
	})
	return found, err
}

// DecideAnomaly acknowledges a finding, calls it a false positive, which also
// keeps its pattern from making new ones, or opens it again. It returns
// fault.Forbidden without audit:anomaly:update, fault.NotFound, and
// fault.Conflict when it is in that state already or another finding of the
// pattern is.
func (s *Service) DecideAnomaly(ctx context.Context, anomaly id.ID, to AnomalyState, note string) (Anomaly, error) {
	a, err := s.authorise(ctx, UpdateAnomalies)
	if err != nil {
		return Anomaly{}, err
	}
	if len(note) > longestNote {
		return Anomaly{}, fault.BadField("body.note", "A note has at most %d bytes.", longestNote)
	}
	var found Anomaly
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if found, err = (insightStore{}).lockedAnomaly(ctx, anomaly); err != nil {
			return db.Fault(err)
		}
		if found.State == to {
			return fault.New(fault.Conflict, "This finding is %s already. Load it again.", to)
		}
		before := found.State
		found.State, found.Note = to, note
		found.DecidedBy, found.Decider, found.DecidedAt = a.ID, a.Name, time.Now().UTC().Truncate(time.Microsecond)
		if err := (insightStore{}).decide(ctx, found); err != nil {
			return conflicting(err)
		}
		if err := s.Record(ctx, decidedAnomaly(found, before)); err != nil {
			return err
		}
		return s.announceAnomaly(ctx, a.TenantID, found)
	})
	return found, err
}

// conflicting says what a second finding in the same state means.
func conflicting(err error) error {
	if fault.Is(db.Fault(err), fault.Conflict) {
		return fault.New(fault.Conflict, "Another finding of the same pattern is in that state already. Decide about that one.")
	}
	return db.Fault(err)
}

func decidedAnomaly(a Anomaly, before AnomalyState) Entry {
	what := map[AnomalyState]string{AnomalyOpen: "reopened", AnomalyAcknowledged: "acknowledged", AnomalyFalsePositive: "dismissed"}[a.State]
	return Entry{
		Event: "audit.anomaly." + what, Priority: Notice, Target: anomalyTarget(a), Reason: a.Note,
		Before: map[string]any{"state": before}, After: map[string]any{"state": a.State},
	}
}

func anomalyTarget(a Anomaly) Target {
	return Target{Kind: "anomaly", ID: a.ID.String(), Name: string(a.Kind)}
}

func (s *Service) announceAnomaly(ctx context.Context, tenant id.ID, a Anomaly) error {
	return s.Events.Publish(ctx, event.Event{Type: AnomalyFound, ID: a.ID, Tenant: tenant, Permission: ReadAnomalies}, map[string]any{
		"id": a.ID, "kind": a.Kind, "severity": a.Severity, "state": a.State, "summary": a.Summary, "count": a.Count,
	})
}

// Detect looks at what was sealed since it last did, in the tenant's chain and
// at its people's sign-ins in the provider's. Doing it again, or twice at once,
// finds nothing twice: what was found, what was learned and how far it got
// commit together.
func (s *Service) Detect(ctx context.Context, tenant id.ID, beat func()) error {
	ctx = actor.AsSystem(ctx, "anomaly detection", tenant)
	sources := []string{"own"}
	if !tenant.IsZero() && !s.IsRoot(tenant) {
		sources = append(sources, "provider")
	}
	for _, source := range sources {
		for {
			n, err := s.detect(ctx, tenant, source)
			if err != nil {
				return err
			}
			beat()
			if n < lookAt {
				break
			}
		}
	}
	return nil
}

// detect looks at one batch and returns how many records it had.
func (s *Service) detect(ctx context.Context, tenant id.ID, source string) (n int, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		at, err := (insightStore{}).lockScan(ctx, source)
		if err != nil {
			return err
		}
		if at.Began.IsZero() && at.Sequence == 0 {
			if at.Sequence, err = s.startOf(ctx, source); err != nil {
				return err
			}
		}
		before, records, err := s.batch(ctx, tenant, source, at.Sequence)
		if err != nil || len(records) == 0 {
			return err
		}
		n = len(records)
		last := records[n-1].Sequence
		mine, err := s.concerning(ctx, tenant, source, records)
		if err != nil {
			return err
		}
		if before, err = s.concerning(ctx, tenant, source, before); err != nil {
			return err
		}
		began, err := s.judge(ctx, tenant, source, at.Began, before, mine)
		if err != nil {
			return err
		}
		return insightStore{}.saveScan(ctx, source, scan{last, began})
	})
	return n, err
}

// readSource runs fn where a source's records are.
func (s *Service) readSource(ctx context.Context, source string, fn func(ctx context.Context) error) error {
	if source == "own" {
		return fn(ctx)
	}
	return s.DB.Core(ctx, fn)
}

func (s *Service) startOf(ctx context.Context, source string) (n int64, err error) {
	err = s.readSource(ctx, source, func(ctx context.Context) error {
		n, err = insightStore{}.sealedBefore(ctx, time.Now().Add(-learnFrom))
		return err
	})
	return n, err
}

// batch reads the next records and those that may lie in a window with them.
func (s *Service) batch(ctx context.Context, tenant id.ID, source string, after int64) (before, records []seen, err error) {
	rules, err := insightStore{}.rules(ctx)
	if err != nil {
		return nil, nil, err
	}
	window := max(rules[BruteForce].minutes("window_minutes"), rules[BulkRead].minutes("window_minutes"))
	var only []string
	if source != "own" {
		only = append([]string{signIn}, refusals...)
	}
	err = s.readSource(ctx, source, func(ctx context.Context) error {
		if records, err = (insightStore{}).after(ctx, after, only, lookAt); err != nil || len(records) == 0 {
			return err
		}
		before, err = insightStore{}.before(ctx, after, records[0].Time.Add(-window))
		return err
	})
	return before, records, err
}

// concerning keeps what a tenant may know of: sign-ins to it, and refusals of
// its people. In the root tenant everything counts, but the habits of others'
// people are their tenants' matter.
func (s *Service) concerning(ctx context.Context, tenant id.ID, source string, records []seen) ([]seen, error) {
	var people map[id.ID]bool
	if source != "own" && s.Insight.People != nil {
		all, err := s.Insight.People(ctx, tenant)
		if err != nil {
			return nil, err
		}
		people = map[id.ID]bool{}
		for _, p := range all {
			people[p] = true
		}
	}
	return slices.DeleteFunc(records, func(r seen) bool {
		switch {
		case r.Event == signIn:
			in := tenantOf(r.Body)
			return in != tenant && (source != "own" || !in.IsZero())
		case source != "own":
			return !people[r.ActorID]
		}
		return false
	}), nil
}

// tenantOf is the tenant that somebody signed in to.
func tenantOf(body []byte) id.ID {
	var r struct {
		Actor struct {
			Tenant id.ID `json:"tenant_id"`
		} `json:"actor"`
	}
	if json.Unmarshal(body, &r) != nil {
		return id.ID{}
	}
	return r.Actor.Tenant
}

// judge applies the rules and keeps what they found and learned.
func (s *Service) judge(ctx context.Context, tenant id.ID, source string, began time.Time, before, records []seen) (time.Time, error) {
	rules, err := insightStore{}.rules(ctx)
	if err != nil || len(records) == 0 {
		return began, err
	}
	m := newMemory()
	m.began = began
	if err := recall(ctx, m, records); err != nil {
		return began, err
	}
	d := detector{rules: rules, zone: s.zone(ctx, tenant), memory: m, own: source == "own", since: time.Now().Add(-tellFrom), chief: s.Insight.ChiefRoles}
	for _, found := range d.look(before, records) {
		if err := s.keepSighting(ctx, tenant, found); err != nil {
			return began, err
		}
	}
	return m.began, insightStore{}.saveMemory(ctx, m)
}

// recall loads what was learned of those who are in the records.
func recall(ctx context.Context, m *memory, records []seen) error {
	people := map[string]bool{}
	for _, r := range records {
		if r.Event == signIn {
			people[r.ActorID.String()] = true
		}
	}
	subjects := slices.Collect(maps.Keys(people))
	st := insightStore{}
	return errors.Join(st.loadHabits(ctx, m, subjects), st.loadNetworks(ctx, m, subjects), st.loadRoles(ctx, m),
		st.loadHours(ctx, m, records[0].Time.Add(-usualDays-time.Hour)))
}

// zone is the tenant's time zone.
func (s *Service) zone(ctx context.Context, tenant id.ID) *time.Location {
	if s.TimeZone != nil {
		if zone := s.TimeZone(ctx, tenant); zone != nil {
			return zone
		}
	}
	return time.UTC
}

// keepSighting adds a sighting to the finding that stands for its pattern, or makes one.
func (s *Service) keepSighting(ctx context.Context, tenant id.ID, found *sighting) error {
	st := insightStore{}
	a, last, standing, err := st.standing(ctx, found.pattern)
	if err == nil && !standing {
		last, err = st.counted(ctx, found.pattern)
	}
	if err != nil {
		return err
	}
	found.drop(last)
	if len(found.records) == 0 {
		return nil
	}
	newest := slices.Max(slices.Collect(maps.Keys(found.records)))
	if !standing {
		return s.openAnomaly(ctx, tenant, found, newest)
	}
	if a.State == AnomalyFalsePositive {
		a.Suppressed += int64(len(found.records))
		a.LastAt = found.records[newest]
		return st.updateAnomaly(ctx, a, newest)
	}
	a.Severity, a.Summary = worse(a.Severity, found.Severity), found.Summary
	a.Evidence, a.Count, a.LastAt = evidence(a.Evidence, found.records), a.Count+int64(len(found.records)), found.records[newest]
	if err := st.updateAnomaly(ctx, a, newest); err != nil {
		return err
	}
	return s.announceAnomaly(ctx, tenant, a)
}

// drop forgets the records that a finding counted already.
func (s *sighting) drop(last int64) {
	maps.DeleteFunc(s.records, func(sequence int64, _ time.Time) bool { return sequence <= last })
}

func evidence(old []int64, records map[int64]time.Time) []int64 {
	all := append(slices.Clone(old), slices.Collect(maps.Keys(records))...)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[max(len(all)-mostEvidence, 0):]
}

// openAnomaly makes a new finding, with its record.
func (s *Service) openAnomaly(ctx context.Context, tenant id.ID, found *sighting, newest int64) error {
	a := found.Anomaly
	a.ID, a.State, a.Count, a.Evidence = id.New(), AnomalyOpen, int64(len(found.records)), evidence(nil, found.records)
	times := slices.SortedFunc(maps.Values(found.records), time.Time.Compare)
	a.FirstAt, a.LastAt = times[0], times[len(times)-1]
	if err := (insightStore{}).insertAnomaly(ctx, found.pattern, a, newest); err != nil {
		return err
	}
	err := s.Record(ctx, Entry{
		Event: "audit.anomaly.found", Priority: priorityOf(a.Severity), Target: anomalyTarget(a), Reason: a.Summary,
		Details: map[string]any{"severity": a.Severity, "subject": a.Subject, "evidence": a.Evidence, "chain": map[bool]string{true: "provider", false: "own"}[a.Provider]},
	})
	if err != nil {
		return err
	}
	return s.announceAnomaly(ctx, tenant, a)
}

func priorityOf(s Severity) Priority {
	return map[Severity]Priority{Low: Notice, Medium: Warning, High: Error, Severe: Critical}[s]
}
