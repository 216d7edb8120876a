package audit

import (
	"context"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	// viewMost is how many records a timeline with a filter, an activity or
	// facets are counted from at most: the newest. What was left out is said.
	viewMost   = 20_000
	bucketMost = 1000
	valuesMost = 20
)

// Bucket is an hour or a day of a timeline.
type Bucket struct {
	From     time.Time `json:"from"`
	Count    int64     `json:"count"`
	Denied   int64     `json:"denied"`
	Failed   int64     `json:"failed"`
	Critical int64     `json:"critical"`
}

// Timeline is how much happened when.
type Timeline struct {
	Buckets []Bucket `json:"buckets"`
	// Complete is false when more matched than was counted: then only the
	// newest were, back to CountedFrom.
	Complete    bool       `json:"complete"`
	CountedFrom *time.Time `json:"counted_from"`
}

// Timeline counts the records that match in hours or days of the tenant's time
// zone, by when they were sealed: within a second of when they happened. It
// returns fault.Forbidden without audit:record:read, and fault.Invalid for
// more than 1,000 buckets.
func (s *Service) Timeline(ctx context.Context, f Filter, bucket string) (Timeline, error) {
	var t Timeline
	err := s.view(ctx, f, func(ctx context.Context, tenant id.ID) error {
		edges, err := bucketEdges(f.From, f.To, bucket, s.zone(ctx, tenant))
		if err != nil {
			return err
		}
		f.From, f.To = time.Time{}, time.Time{}
		t, err = s.store.timeline(ctx, f, edges)
		return err
	})
	return t, err
}

// view checks and runs a question about the actor's chain.
func (s *Service) view(ctx context.Context, f Filter, ask func(ctx context.Context, tenant id.ID) error) error {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	return s.in(ctx, a.TenantID, func(ctx context.Context) error { return ask(ctx, a.TenantID) })
}

// bucketEdges are the beginnings of the buckets and the end of the last one.
// Days have 23 to 25 hours where clocks are changed. Without a beginning it
// is two days of hours or thirty days.
func bucketEdges(from, to time.Time, bucket string, zone *time.Location) ([]time.Time, error) {
	if to.IsZero() {
		to = time.Now()
	}
	days, back := 1, 30*24*time.Hour
	if bucket == "hour" {
		days, back = 0, 48*time.Hour
	}
	if from.IsZero() {
		from = to.Add(-back)
	}
	from = from.In(zone)
	at := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, zone)
	if days == 0 {
		// The offset of a zone may be half an hour; an hour begins where its clock says so.
		at = from.Add(-time.Duration(from.Minute())*time.Minute - time.Duration(from.Second())*time.Second - time.Duration(from.Nanosecond()))
	}
	edges := []time.Time{at}
	for at.Before(to) {
		if days == 0 {
			at = at.Add(time.Hour)
		} else {
			at = at.AddDate(0, 0, days)
		}
		if edges = append(edges, at); len(edges) > bucketMost+1 {
			return nil, fault.BadField("query.from", "That is more than %d buckets. Ask for a shorter time or for days.", bucketMost)
		}
	}
	if len(edges) < 2 {
		return nil, fault.BadField("query.to", "The end of the time lies before its beginning.")
	}
	return edges, nil
}

// Value is a value that records have and how many have it.
type Value struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// Facets are the most frequent values of the records that match, counted over
// the newest of them.
type Facets struct {
	Counted     int64   `json:"counted"`
	Complete    bool    `json:"complete"` // all that match were counted
	Events      []Value `json:"events"`
	Categories  []Value `json:"categories"`
	Actors      []Value `json:"actors"`
	Outcomes    []Value `json:"outcomes"`
	Priorities  []Value `json:"priorities"`
	TargetKinds []Value `json:"target_kinds"`
	Addresses   []Value `json:"addresses"`
}

// Facets returns fault.Forbidden without audit:record:read.
func (s *Service) Facets(ctx context.Context, f Filter) (Facets, error) {
	found := Facets{Complete: true}
	err := s.view(ctx, f, func(ctx context.Context, _ id.ID) error {
		rows, err := s.store.sample(ctx, f, viewMost/4)
		if err != nil {
			return err
		}
		found = facets(rows)
		found.Complete = len(rows) < viewMost/4
		return nil
	})
	return found, err
}

func facets(rows []sampled) Facets {
	tally := func(of func(sampled) string) []Value { return tallied(rows, of) }
	return Facets{
		Counted: int64(len(rows)),
		Events:  tally(func(r sampled) string { return r.Event }), Categories: tally(func(r sampled) string { return Category(r.Event) }),
		Actors: tally(func(r sampled) string { return r.ActorName }), Outcomes: tally(func(r sampled) string { return r.Outcome }),
		Priorities: tally(func(r sampled) string { return r.Priority }), TargetKinds: tally(func(r sampled) string { return r.TargetKind }),
		Addresses: tally(func(r sampled) string { return r.Address }),
	}
}

// tallied counts the values that are not empty, the most frequent first.
func tallied(rows []sampled, of func(sampled) string) []Value {
	counts := map[string]int64{}
	for _, r := range rows {
		if v := of(r); v != "" {
			counts[v]++
		}
	}
	all := make([]Value, 0, len(counts))
	for v, n := range counts {
		all = append(all, Value{v, n})
	}
	slices.SortFunc(all, func(a, b Value) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Value, b.Value)
	})
	return all[:min(len(all), valuesMost)]
}

// Used is an address that somebody came from.
type Used struct {
	Address string    `json:"address"`
	Count   int64     `json:"count"`
	Last    time.Time `json:"last"`
}

// Activity is what one actor did.
type Activity struct {
	Name                string
	FirstSeen, LastSeen *time.Time
	Events              []Value
	Addresses           []Used
	// Hours counts by the hour of the day in the tenant's time zone.
	Hours    [24]int64
	Complete bool // all of the actor's records in the time were counted
	Items    []Sealed
}

// Activity tells of an actor by its id. Who is in another tenant, or never was,
// has done nothing. It returns fault.Forbidden without audit:record:read.
func (s *Service) Activity(ctx context.Context, who id.ID, f Filter) (Activity, error) {
	var found Activity
	f.Actor = who.String()
	err := s.view(ctx, f, func(ctx context.Context, tenant id.ID) (err error) {
		if found, err = s.store.seen(ctx, who); err != nil {
			return err
		}
		if found.Items, err = s.store.list(ctx, f); err != nil {
			return err
		}
		f.Before, f.After = 0, 0
		rows, err := s.store.sample(ctx, f, viewMost)
		found.Complete = len(rows) < viewMost
		found.count(rows, s.zone(ctx, tenant))
		return err
	})
	return found, err
}

// count fills in the habits from records, newest first.
func (a *Activity) count(rows []sampled, zone *time.Location) {
	a.Events = tallied(rows, func(r sampled) string { return r.Event })
	last := map[string]time.Time{}
	for _, r := range rows {
		a.Hours[r.Time.In(zone).Hour()]++
		if r.Time.After(last[r.Address]) {
			last[r.Address] = r.Time
		}
	}
	a.Addresses = []Used{}
	for _, v := range tallied(rows, func(r sampled) string { return r.Address }) {
		a.Addresses = append(a.Addresses, Used{v.Value, v.Count, last[v.Value]})
	}
}

// History returns the records about one resource, oldest first: after is the
// last sequence number of the page before. It returns fault.Forbidden without
// audit:record:read; a resource of another tenant has no records.
func (s *Service) History(ctx context.Context, kind, resource string, after int64, limit int) (all []Sealed, err error) {
	err = s.view(ctx, Filter{}, func(ctx context.Context, _ id.ID) error {
		all, err = s.store.history(ctx, kind, resource, after, min(max(limit, 1), 200))
		return err
	})
	return all, err
}
