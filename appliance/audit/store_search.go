package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// slack is how much a record's time may differ from that of its sealing: by a
// long transaction or a clock that was set back.
const slack = 24 * time.Hour

// list finds the sequence numbers first, on the narrow table and by its
// indexes, and reads the records of one page only.
func (st store) list(ctx context.Context, f Filter) ([]Sealed, error) {
	t, err := st.terms(ctx, f)
	if err != nil || t.none {
		return []Sealed{}, err
	}
	from, args := t.from(page{"desc", min(max(f.Limit, 1), 200)})
	rows, _ := db.Tx(ctx).Query(ctx, from, args...)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	return st.read(ctx, sequences)
}

// read returns sealed records, newest first. The links before them are asked
// for on their own: behind row-level security a computed number is no key of an
// index. Those of pruned records are computed.
func (st store) read(ctx context.Context, sequences []int64) ([]Sealed, error) {
	before := make([]int64, len(sequences))
	for i, n := range sequences {
		before[i] = n - 1
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select sequence, link from audit_entry where sequence = any($1)`, before)
	links := map[int64][]byte{}
	var n int64
	var link []byte
	if _, err := pgx.ForEachRow(rows, []any{&n, &link}, func() error { links[n] = bytes.Clone(link); return nil }); err != nil {
		return nil, err
	}
	before = slices.DeleteFunc(before, func(n int64) bool { return n == 0 || links[n] != nil })
	pruned, err := st.prunedLinks(ctx, before)
	if err != nil {
		return nil, err
	}
	maps.Copy(links, pruned)
	rows, _ = db.Tx(ctx).Query(ctx, `select e.sequence, e.leaf, e.link, e.sealed_at, r.body
		from audit_entry e join audit_record r on r.id = e.record_id where e.sequence = any($1) order by e.sequence desc`, sequences)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Sealed, err error) {
		if err := row.Scan(&s.Sequence, &s.Leaf, &s.Link, &s.SealedAt, &s.Body); err != nil {
			return s, err
		}
		s.Previous = links[s.Sequence-1]
		return s, json.Unmarshal(s.Body, &s.Record)
	})
}

// count counts the sealed records that match.
func (st store) count(ctx context.Context, f Filter) (n int64, err error) {
	t, err := st.terms(ctx, f)
	if err != nil || t.none {
		return 0, err
	}
	sql, args := t.from(page{})
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from (`+sql+`) found`, args...).Scan(&n)
	return n, err
}

// terms replaces beginnings of codes and parts of names by those that there
// are, and times by the sequence numbers around them.
func (st store) terms(ctx context.Context, f Filter) (terms, error) {
	t := terms{Filter: f}
	if err := f.validate(); err != nil {
		return t, err
	}
	if len(f.Events) > 0 || f.Category != "" {
		codes, err := st.distinct(ctx, "event")
		if err != nil {
			return t, err
		}
		t.events = matching(codes, f.Events, f.Category)
		t.none = len(t.events) == 0
	}
	var err error
	if t.actor, err = st.who(ctx, f.Actor); err != nil {
		return t, err
	}
	other, err := st.who(ctx, f.OnBehalfOf)
	if err != nil {
		return t, err
	}
	if other.set() {
		t.behalf = []who{other}
	}
	t.none = t.none || t.actor.nobody() || other.nobody()
	return t, st.bound(ctx, &t)
}

// who is an id, or the names with a part that there are of actors and of those
// on whose behalf others acted.
func (st store) who(ctx context.Context, text string) (w who, err error) {
	if text == "" {
		return w, nil
	}
	if w.id, err = id.Parse(text); err == nil {
		return w, nil
	}
	w.names = []string{}
	for _, column := range []string{"actor_name", "behalf_name"} {
		names, err := st.distinct(ctx, column)
		if err != nil {
			return w, err
		}
		w.names = append(w.names, containing(names, text)...)
	}
	slices.Sort(w.names)
	w.names = slices.Compact(w.names)
	return w, nil
}

// distinct lists the values of a column by jumping from one to the next in its
// index.
func (store) distinct(ctx context.Context, column string) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, fmt.Sprintf(`with recursive v as (
		(select %[1]s as x from audit_entry where %[1]s > '' order by %[1]s limit 1)
		union all
		select (select %[1]s from audit_entry where %[1]s > v.x order by %[1]s limit 1) from v where v.x is not null)
		select x from v where x is not null`, column))
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// bound narrows the sequence numbers to those that were sealed around the time
// that is asked for, so that old times are found without reading the newer.
func (store) bound(ctx context.Context, t *terms) error {
	edge := func(where, order string, at time.Time) (n int64, err error) {
		err = db.Tx(ctx).QueryRow(ctx, `select sequence from audit_entry where sealed_at `+where+` $1 order by sealed_at `+order+`, sequence `+order+` limit 1`, at).Scan(&n)
		return n, err
	}
	if !t.From.IsZero() {
		n, err := edge(">=", "asc", t.From.Add(-slack))
		if errors.Is(err, pgx.ErrNoRows) {
			t.none = true
			return nil
		} else if err != nil {
			return err
		}
		t.After = max(t.After, n-1)
	}
	if !t.To.IsZero() {
		n, err := edge("<", "desc", t.To.Add(slack))
		if errors.Is(err, pgx.ErrNoRows) {
			t.none = true
			return nil
		} else if err != nil {
			return err
		}
		if t.Before == 0 || t.Before > n+1 {
			t.Before = n + 1
		}
	}
	return nil
}

type conditions []string

func (c conditions) sql() string {
	if len(c) == 0 {
		return ""
	}
	return " where " + strings.Join(c, " and ")
}

// where are the conditions on audit_entry e and audit_word w, with their
// arguments after those that there are. What has few values is written out, so
// that partial indexes and statistics apply.
func (t terms) where(args []any) (all conditions, _ []any) {
	add := func(when bool, sql string, value any) {
		if when {
			args = append(args, value)
			all = append(all, strings.ReplaceAll(sql, "?", fmt.Sprintf("$%d", len(args))))
		}
	}
	sequence := t.sequence()
	add(t.Before > 0, sequence+" < ?", t.Before)
	add(t.After > 0, sequence+" > ?", t.After)
	if len(t.events) == 1 {
		add(true, "e.event = ?", t.events[0])
	} else {
		add(t.events != nil, "e.event = any(?)", t.events)
	}
	is := func(column string, w who) {
		if len(w.names) == 1 {
			add(true, "e."+column+"_name = ?", w.names[0])
		} else {
			add(w.names != nil, "e."+column+"_name = any(?)", w.names)
		}
		add(!w.id.IsZero(), "e."+column+"_id = ?", w.id)
	}
	is("actor", t.actor)
	for _, w := range t.behalf {
		is("behalf", w)
	}
	if slices.ContainsFunc(t.behalf, func(w who) bool { return w.id.IsZero() }) {
		all = append(all, "e.behalf_name > ''") // as the partial index has it
	}
	add(t.Target != "", "e.target_id = ?", t.Target)
	add(t.TargetKind != "", "e.target_kind = ?", t.TargetKind)
	add(t.Address != "", "e.address = ?", t.Address)
	add(t.RequestID != "", "e.request_id = ?", t.RequestID)
	add(!t.From.IsZero(), "e.time >= ?", t.From)
	add(!t.To.IsZero(), "e.time < ?", t.To)
	add(t.Text != "", "w.words @@ websearch_to_tsquery('simple', ?)", t.Text)
	if t.Outcome != "" {
		all = append(all, "e.outcome = '"+string(t.Outcome)+"'")
	}
	if t.Priority != "" && t.Priority != Debug {
		all = append(all, "e.priority in "+atLeast(t.Priority))
	}
	return all, args
}

// atLeast lists a priority and those above it.
func atLeast(p Priority) string {
	var list []string
	for _, one := range priorities[slices.Index(priorities, p):] {
		list = append(list, "'"+string(one)+"'")
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// sequence is the column by which pages go on.
func (t terms) sequence() string {
	if t.Text != "" {
		return "w.sequence"
	}
	return "e.sequence"
}

// tables are what the conditions are on. Records that have words are sealed:
// those that are found by words alone need no second look.
func (t terms) tables(where conditions) string {
	switch {
	case t.Text == "":
		return "audit_entry e"
	case !slices.ContainsFunc(where, func(c string) bool { return strings.HasPrefix(c, "e.") }):
		return "audit_word w"
	}
	return "audit_word w join audit_entry e on e.sequence = w.sequence"
}

// page is how a selection of sequence numbers is sorted and where it ends.
type page struct {
	order string // desc: the newest first
	limit int    // 0: all
}

func (p page) by(column string) string {
	if p.limit == 0 {
		return ""
	}
	return fmt.Sprintf(" order by %s %s limit %d", column, p.order, p.limit)
}

// from selects the sequence numbers of a page. Who is asked for acted, or
// somebody else did on their behalf: both have an index of their own, and the
// pages of both are merged.
func (t terms) from(p page) (string, []any) {
	own, args := t.of(p, nil)
	if !t.actor.set() {
		return own, args
	}
	t.actor, t.behalf = who{}, append(slices.Clone(t.behalf), t.actor)
	other, args := t.of(p, args)
	return fmt.Sprintf(`select sequence from ((%s) union (%s)) either%s`, own, other, p.by("sequence")), args
}

// of selects a page by all conditions. Of several values of one column the
// newest of each are taken from its index and merged: one pass over all would
// read past everything else.
func (t terms) of(p page, args []any) (string, []any) {
	column, values := t.several()
	where, args := t.where(args)
	if column == "" {
		return `select ` + t.sequence() + ` as sequence from ` + t.tables(where) + where.sql() + p.by(t.sequence()), args
	}
	args = append(args, values)
	where = append(where, "e."+column+" = v.x")
	return fmt.Sprintf(`select one.sequence from unnest($%d::text[]) v(x) cross join lateral (select e.sequence from audit_entry e%s%s) one%s`,
		len(args), where.sql(), p.by("e.sequence"), p.by("one.sequence")), args
}

// several is the column with more than one value by which records are found
// best, "" when there is one that is better still. Its condition is taken out.
func (t *terms) several() (column string, values []string) {
	rare := t.Outcome == Failure || t.Outcome == Denied || slices.Index(priorities, t.Priority) >= slices.Index(priorities, Warning)
	if rare || t.Text != "" || t.Target != "" || t.Address != "" || t.RequestID != "" || len(t.events) == 1 || t.actor.exact() || slices.ContainsFunc(t.behalf, who.exact) {
		return "", nil
	}
	fewer := func(names []string) bool {
		return len(names) > 1 && (len(t.events) == 0 || len(names) < len(t.events))
	}
	switch {
	case len(t.behalf) > 0 && fewer(t.behalf[0].names):
		column, values = "behalf_name", t.behalf[0].names
		t.behalf = append([]who{{}}, t.behalf[1:]...)
	case fewer(t.actor.names):
		column, values, t.actor = "actor_name", t.actor.names, who{}
	case len(t.events) > 1:
		column, values, t.events = "event", t.events, nil
	}
	return column, values
}
