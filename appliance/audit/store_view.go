package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// sampled is what is counted of a record.
type sampled struct {
	Sequence                                                 int64
	Time                                                     time.Time
	Event, Outcome, Priority, ActorName, TargetKind, Address string
}

// sample reads the columns of the newest records that match.
func (st store) sample(ctx context.Context, f Filter, most int) ([]sampled, error) {
	t, err := st.terms(ctx, f)
	if err != nil || t.none {
		return []sampled{}, err
	}
	from, args := t.from(page{"desc", most})
	rows, _ := db.Tx(ctx).Query(ctx, from, args...)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	rows, _ = db.Tx(ctx).Query(ctx, `select sequence, time, event, outcome, priority, actor_name, target_kind, address
		from audit_entry where sequence = any($1) order by sequence desc`, sequences)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[sampled])
}

// timeline counts in buckets. A stretch of the chain is as long as its
// sequence numbers say, less what was pruned of it, so all records of a bucket
// are counted by its two ends; those with an outcome or a priority, and those of a filter, are read.
func (st store) timeline(ctx context.Context, f Filter, edges []time.Time) (Timeline, error) {
	bounds, err := st.bounds(ctx, edges)
	if err != nil {
		return Timeline{}, err
	}
	last := len(bounds) - 1
	f.After, f.Before = bounds[0]-1, bounds[last]
	t := Timeline{Buckets: make([]Bucket, last), Complete: true}
	for i := range t.Buckets {
		t.Buckets[i].From = edges[i].UTC()
	}
	if f.After+1 >= f.Before {
		return t, nil
	}
	parts := []Filter{f}
	if f.all() {
		gone, err := st.goneBefore(ctx, bounds)
		if err != nil {
			return t, err
		}
		for i := range t.Buckets {
			t.Buckets[i].Count = bounds[i+1] - bounds[i] - (gone[i+1] - gone[i])
		}
		denied, failed, critical := f, f, f
		denied.Outcome, failed.Outcome, critical.Priority = Denied, Failure, Critical
		parts = []Filter{denied, failed, critical}
	}
	for i, part := range parts {
		rows, err := st.sample(ctx, part, viewMost)
		if err != nil {
			return t, err
		}
		t.add(rows, bounds, f.all(), i)
	}
	return t, nil
}

// all is true of a filter that narrows by nothing but place and time.
func (f Filter) all() bool {
	return len(f.Events) == 0 && f.Category == "" && f.Priority == "" && f.Outcome == "" && f.Actor == "" && f.OnBehalfOf == "" && f.Target == "" &&
		f.TargetKind == "" && f.Address == "" && f.RequestID == "" && f.Text == ""
}

// add counts records, newest first. Of parts of a whole each one has its
// own column, so that a record that is denied and critical counts once in both.
func (t *Timeline) add(rows []sampled, bounds []int64, parts bool, part int) {
	for _, r := range rows {
		i, ok := slices.BinarySearch(bounds, r.Sequence)
		if ok { // of empty buckets with one beginning the last one has it
			for i+1 < len(bounds) && bounds[i+1] == r.Sequence {
				i++
			}
		} else {
			i--
		}
		b := &t.Buckets[i]
		if !parts {
			b.Count++
		}
		if r.Outcome == string(Denied) && (!parts || part == 0) {
			b.Denied++
		}
		if r.Outcome == string(Failure) && (!parts || part == 1) {
			b.Failed++
		}
		if r.Priority == string(Critical) && (!parts || part == 2) {
			b.Critical++
		}
	}
	if len(rows) < viewMost {
		return
	}
	oldest := rows[len(rows)-1].Time
	if t.Complete = false; t.CountedFrom == nil || t.CountedFrom.Before(oldest) {
		t.CountedFrom = &oldest
	}
}

// bounds are the first sequence numbers that were sealed at or after some
// times, which ascend.
func (st store) bounds(ctx context.Context, edges []time.Time) ([]int64, error) {
	last, err := st.last(ctx)
	if err != nil {
		return nil, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select coalesce((select e.sequence from audit_entry e where e.sealed_at >= b.at order by e.sealed_at, e.sequence limit 1), $2)
		from unnest($1::timestamptz[]) with ordinality b(at, n) order by b.n`, edges, last+1)
	bounds, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	for i := 1; i < len(bounds); i++ { // a clock that was set back
		bounds[i] = max(bounds[i], bounds[i-1])
	}
	return bounds, err
}

// seen is somebody's newest name and the times of the first and the last record
// of what they did, or was done on their behalf.
func (store) seen(ctx context.Context, who id.ID) (a Activity, err error) {
	var first, last time.Time
	ask := func(order string, at *time.Time) error {
		return db.Tx(ctx).QueryRow(ctx, strings.ReplaceAll(`select time, name from (
			(select sequence, time, actor_name as name from audit_entry where actor_id = $1 order by sequence ? limit 1) union all
			(select sequence, time, behalf_name from audit_entry where behalf_id = $1 order by sequence ? limit 1)) e order by sequence ? limit 1`, "?", order), who).Scan(at, &a.Name)
	}
	err = ask("asc", &first)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, nil
	}
	if err == nil {
		err = ask("desc", &last)
	}
	a.FirstSeen, a.LastSeen = &first, &last
	return a, err
}

// history lists the records about a resource, oldest first.
func (st store) history(ctx context.Context, kind, resource string, after int64, limit int) ([]Sealed, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select sequence from audit_entry where target_id = $1 and target_kind = $2 and sequence > $3
		order by sequence limit $4`, resource, kind, after, limit)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	all, err := st.read(ctx, sequences)
	slices.Reverse(all)
	return all, err
}
