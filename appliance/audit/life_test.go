package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// newLife is a chain with an archive in a directory of the appliance.
func newLife(t testing.TB) (*chain, context.Context) {
	t.Helper()
	c := newChain(t)
	ada := c.user()
	if _, err := c.SetArchive(ada, ArchiveTarget{Kind: ArchiveDirectory}); err != nil {
		t.Fatal(err)
	}
	return c, ada
}

// old writes n records that happened and were sealed some days ago. The events
// take turns.
func (c *chain) old(t testing.TB, n, days int, events ...string) {
	t.Helper()
	c.oldBy(t, actor.Actor{Kind: actor.User, ID: c.tenant, Name: "Ada Lovelace", TenantID: c.tenant}, n, days, events...)
}

func (c *chain) oldBy(t testing.TB, who actor.Actor, n, days int, events ...string) {
	t.Helper()
	if len(events) == 0 {
		events = []string{"test.thing.done"}
	}
	lines := make([]line, n)
	for i := range lines {
		r, err := build(who, c.tenant,
			Entry{Event: events[i%len(events)], Target: Target{Kind: "thing", ID: fmt.Sprint(i % 7), Name: "Thing"}, Details: map[string]any{"n": i}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Time = r.Time.Add(-time.Duration(days) * 24 * time.Hour)
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = line{id: r.ID, event: r.Event, body: body}
	}
	if err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error { return c.insert(ctx, c.tenant, nil, lines...) }); err != nil {
		t.Fatal(err)
	}
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	c.superuser(t, fmt.Sprintf("update audit_entry set sealed_at = now() - interval '%d days' where sealed_at > now() - interval '1 hour'", days))
}

// keep sets how long records are kept, and has them pruned then.
func (c *chain) keep(t testing.TB, ada context.Context, days *int, rules ...RetentionRule) {
	t.Helper()
	if _, err := c.SetRetention(ada, Retention{DefaultDays: days, Rules: rules, ArchiveAfterDays: 10, PruneEnabled: true}); err != nil {
		t.Fatal(err)
	}
}

func days(n int) *int { return &n }

// run is one run of the archive, without the workflow.
func (c *chain) run(t testing.TB) {
	t.Helper()
	if err := c.archiveChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	if err := c.pruneChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
}

// sequences are the records that are in the database.
func (c *chain) sequences(t testing.TB) [][2]int64 {
	t.Helper()
	var all [][2]int64
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select e.sequence from audit_entry e join audit_record r on r.id = e.record_id order by 1`)
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		all = spans(numbers)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (c *chain) objects(t testing.TB) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(c.Dir, "audit", "archive"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// holdsEverywhere verifies by the database, by an export, and by every segment.
func (c *chain) holdsEverywhere(t testing.TB, published ...string) {
	t.Helper()
	if v := c.verified(t, VerifyOptions{Published: published}); !v.OK() {
		t.Errorf("the database: %+v", v.Breaks)
	}
	if _, r := c.export(t, StreamOptions{}, published...); !r.OK() {
		t.Errorf("an export: %+v", r.Breaks)
	}
	for _, seg := range c.segmentsOf(t) {
		if err := c.compareSegment(c.ctx, seg); err != nil {
			t.Errorf("a segment: %v", err)
		}
	}
}

func (c *chain) segmentsOf(t testing.TB) (all []archived) {
	t.Helper()
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) (err error) {
		all, err = c.store.segments(ctx, 0, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Tenant = c.tenant
	}
	return all
}

// TestArchiveAndPrune archives what is old, in whole tiles, and prunes what is
// older still: the chain holds before and after, and what is left is found.
func TestArchiveAndPrune(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400)
	c.old(t, 600, 40)
	c.record(t, 50)
	published := c.checkpoint(t).Note
	c.run(t)
	segs := c.segmentsOf(t)
	if len(segs) != 1 || segs[0].First != 1 || segs[0].Last != 1024 || segs[0].VerifiedAt == nil || segs[0].PrunedAt != nil {
		t.Fatalf("%+v", segs)
	}
	c.holdsEverywhere(t, published)
	if got := c.sequences(t); len(got) != 1 || got[0][0] != 1 {
		t.Fatalf("without a retention there is %v", got)
	}
	c.keep(t, ada, days(365))
	c.run(t)
	if got := c.sequences(t); len(got) != 2 || got[0] != [2]int64{1, 1} || got[1][0] != 602 {
		t.Errorf("with a year's retention there is %v", got)
	}
	c.holdsEverywhere(t, published)
	c.run(t)
	if n := len(c.objects(t)); n != 1 {
		t.Errorf("%d objects", n)
	}
	if s, err := c.Get(ada, 300); err != nil || !s.Pruned || len(s.Leaf) != 32 {
		t.Errorf("%+v %v", s, err)
	}
	if events := c.events(t, c.tenant); !strings.Contains(events, PrunedEvent) || !strings.Contains(events, "audit.segment.archived") {
		t.Errorf("recorded are %s", events)
	}
}

// TestLegalHoldInTheMiddle holds some records of a range in each way that there
// is: they stay, the others go, and nothing raises an alarm.
func TestLegalHoldInTheMiddle(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400, "test.thing.done", "test.other.done", "test_x.thing.done")
	c.record(t, 5)
	number := func(n int64) *int64 { return &n }
	past := time.Now().Add(-500 * 24 * time.Hour)
	var made []Hold
	for _, n := range []NewHold{
		{Name: "Range", Reason: "Case 1", FromSequence: number(100), ToSequence: number(120)},
		{Name: "Event", Reason: "Case 2", FromSequence: number(200), ToSequence: number(230), Filter: HoldFilter{Event: "test.other"}},
		{Name: "Target", Reason: "Case 3", FromSequence: number(300), ToSequence: number(330), Filter: HoldFilter{Target: "3"}},
		{Name: "Actor", Reason: "Case 4", FromSequence: number(400), ToSequence: number(410), Filter: HoldFilter{Actor: "lovelace"}},
		{Name: "Another actor", Reason: "Case 5", Filter: HoldFilter{Actor: id.New().String()}},
		{Name: "Another time", Reason: "Case 6", To: &past},
	} {
		h, err := c.AddHold(ada, n)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, h)
	}
	c.keep(t, ada, days(365))
	before := c.searchAll(t, ada)
	c.run(t)
	c.holdsEverywhere(t)
	left := map[int64]bool{}
	for _, r := range c.searchAll(t, ada) {
		left[r.Sequence] = true
	}
	for _, r := range before {
		n := r.Sequence
		want := n == 1 || n > 512 || n >= 100 && n <= 120 || n >= 200 && n <= 230 && r.Event == "test.other.done" ||
			n >= 300 && n <= 330 && r.Target.ID == "3" || n >= 400 && n <= 410
		if left[n] != want {
			t.Errorf("record %d (%s) is there: %t", n, r.Event, left[n])
		}
	}
	for _, h := range made {
		if err := c.ReleaseHold(ada, h.ID, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("without a reason: %v", err)
		}
		if err := c.ReleaseHold(ada, h.ID, "The case is closed."); err != nil {
			t.Fatal(err)
		}
		if err := c.ReleaseHold(ada, h.ID, "Again."); !fault.Is(err, fault.Conflict) {
			t.Errorf("released twice: %v", err)
		}
	}
	c.run(t)
	c.holdsEverywhere(t)
	if got := c.sequences(t); got[0] != [2]int64{1, 1} || got[1][0] != 513 {
		t.Errorf("after their release there is %v", got)
	}
	if events := c.events(t, c.tenant); strings.Count(events, "audit.hold.created") != 6 || strings.Count(events, "audit.hold.released") != 6 {
		t.Errorf("recorded are %s", events)
	}
}

// searchAll are all records that a search finds.
func (c *chain) searchAll(t testing.TB, ada context.Context) (all []Sealed) {
	t.Helper()
	f := Filter{Limit: 200}
	for {
		page, err := c.List(ada, f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			return all
		}
		f.Before = page[len(page)-1].Sequence
	}
}

// TestEventsAreKeptAsTheirRuleSays has the longest beginning of an event count,
// and single records go.
func TestEventsAreKeptAsTheirRuleSays(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 520, 100, "a.b.c", "a.b.d", "a.bc.d", "x.y.z", "a")
	c.record(t, 5)
	c.keep(t, ada, days(365), RetentionRule{"a", days(90)}, RetentionRule{"a.b", nil}, RetentionRule{"a.b.d", days(50)}, RetentionRule{"x", days(101)})
	c.run(t)
	c.holdsEverywhere(t)
	for _, r := range c.searchAll(t, ada) {
		if r.Sequence <= 512 && (r.Event == "a.b.d" || r.Event == "a.bc.d" || r.Event == "a") {
			t.Errorf("%s is there", r.Event)
		}
	}
	counts := map[string]int{}
	for _, r := range c.searchAll(t, ada) {
		counts[r.Event]++
	}
	if counts["a.b.c"] != 104 || counts["x.y.z"] != 104 {
		t.Errorf("there are %v", counts)
	}
	if n := len(c.sequences(t)); n < 200 {
		t.Errorf("only %d ranges are left", n)
	}
}

// TestDeletedFirstRowsAreNotTakenForRetention deletes rows beside those that were
// pruned, with the superuser's rights, and has forged records say that they were pruned.
func TestDeletedFirstRowsAreNotTakenForRetention(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 1100, 400)
	c.record(t, 5)
	if _, err := c.AddHold(ada, NewHold{Name: "First", Reason: "Case", ToSequence: func() *int64 { n := int64(300); return &n }()}); err != nil {
		t.Fatal(err)
	}
	c.keep(t, ada, days(365))
	c.run(t)
	c.holdsEverywhere(t)
	published := c.checkpoint(t).Note
	c.superuser(t, "delete from audit_record where id in (select record_id from audit_entry where sequence <= 50)", "delete from audit_entry where sequence <= 50")
	v := c.verified(t, VerifyOptions{Published: []string{published}})
	if len(v.Breaks) != 1 || v.Breaks[0].Sequence != 1 || v.Breaks[0].Kind != BreakMissing {
		t.Errorf("%+v", v.Breaks)
	}
	if _, err := c.WriteStream(c.ctx, io.Discard, StreamOptions{Tenant: c.tenant}); !fault.Is(err, fault.Conflict) {
		t.Errorf("an export of it: %v", err)
	}
	// A record that is forged afterwards names a segment, which must be there and have them.
	err := c.RecordAlone(c.ctx, c.tenant, Entry{Event: PrunedEvent, Target: Target{Kind: "chain"}, Details: map[string]any{"ranges": [][2]int64{{1, 50}}, "segment": id.New(), "sha256": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	v = c.verified(t, VerifyOptions{})
	if len(v.Breaks) != 1 || v.Breaks[0].Sequence != v.Last || v.Breaks[0].Kind != BreakMissing {
		t.Errorf("%+v", v.Breaks)
	}
}

// TestTombstoneIsInsideTheHash changes what the record of a pruning says.
func TestTombstoneIsInsideTheHash(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	c.run(t)
	c.holdsEverywhere(t)
	told := "id = (select record_id from audit_entry where event = '" + PrunedEvent + "')"
	for name, try := range map[string]struct{ change, undo string }{
		"the ranges":         {"update audit_record set body = convert_to(replace(convert_from(body, 'UTF8'), '[2,512]', '[2,511]'), 'UTF8') where " + told, "update audit_record set body = convert_to(replace(convert_from(body, 'UTF8'), '[2,511]', '[2,512]'), 'UTF8') where " + told},
		"its event in a row": {"update audit_entry set event = 'x' where event = '" + PrunedEvent + "'", "update audit_entry set event = '" + PrunedEvent + "' where event = 'x'"},
	} {
		c.superuser(t, try.change)
		if v := c.verified(t, VerifyOptions{}); v.OK() {
			t.Errorf("%s was changed unseen", name)
		}
		c.superuser(t, try.undo)
		if v := c.verified(t, VerifyOptions{}); !v.OK() {
			t.Errorf("%s was put back: %+v", name, v.Breaks)
		}
	}
}

// TestPruningIsRefused asks the database, with the application's rights, for
// everything that may not be: it does nothing of it.
func TestPruningIsRefused(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 1100, 400)
	c.record(t, 5)
	if err := c.archiveChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	c.keep(t, ada, days(365))
	seg := c.segmentsOf(t)[0]
	if seg.First != 1 || seg.Last != 1024 {
		t.Fatalf("%+v", seg)
	}
	good := func() map[string]any {
		return map[string]any{"ranges": [][2]int64{{10, 20}}, "segment": seg.ID, "sha256": seg.SHA256}
	}
	told := func(change func(map[string]any)) func(context.Context) (id.ID, error) {
		return func(ctx context.Context) (id.ID, error) {
			details := good()
			change(details)
			l, err := c.prepare(ctx, c.tenant, Entry{Event: PrunedEvent, Target: seg.target(), Details: details})
			if err == nil {
				err = c.store.insertNow(ctx, l)
			}
			return l.id, err
		}
	}
	ranges := func(r ...[2]int64) func(context.Context) (id.ID, error) {
		return told(func(d map[string]any) { d["ranges"] = r })
	}
	same := told(func(map[string]any) {})
	of := func(n int) string { return fmt.Sprintf("(select record_id from audit_entry where sequence = %d)", n) }
	for name, try := range map[string]struct {
		record       func(context.Context) (id.ID, error)
		change, undo string
	}{
		"no record": {record: func(context.Context) (id.ID, error) { return id.New(), nil }},
		"a record of another transaction": {record: func(ctx context.Context) (made id.ID, err error) {
			err = c.DB.Tenant(db.Apart(ctx), c.tenant, func(ctx context.Context) error { made, err = same(ctx); return err })
			return made, err
		}},
		"another event": {record: func(ctx context.Context) (id.ID, error) {
			l, err := c.prepare(ctx, c.tenant, Entry{Event: "test.thing.done", Target: seg.target(), Details: good()})
			return l.id, errors.Join(err, c.store.insertNow(ctx, l))
		}},
		"no segment":              {record: told(func(d map[string]any) { delete(d, "segment") })},
		"a segment there is not":  {record: told(func(d map[string]any) { d["segment"] = id.New() })},
		"another digest":          {record: told(func(d map[string]any) { d["sha256"] = "x" })},
		"no ranges":               {record: ranges()},
		"not in the segment":      {record: ranges([2]int64{1020, 1030})},
		"before the segment":      {record: ranges([2]int64{0, 3})},
		"backwards":               {record: ranges([2]int64{20, 10})},
		"endless":                 {record: ranges([2]int64{2, 1 << 50})},
		"twice in one":            {record: ranges([2]int64{10, 20}, [2]int64{20, 21})},
		"not old enough":          {record: ranges([2]int64{1, 3})},
		"never read back":         {same, "create table public.keep as table audit_segment_check; delete from audit_segment_check", "insert into audit_segment_check select * from public.keep; drop table public.keep"},
		"read back long ago":      {same, "update audit_segment_check set at = at - interval '25 hours'", "update audit_segment_check set at = at + interval '25 hours'"},
		"damaged":                 {same, "insert into audit_segment_check (segment_id, error) select segment_id, 'x' from audit_segment_check limit 1", "delete from audit_segment_check where error <> ''"},
		"pruning is off":          {same, "update audit_retention set prune_enabled = false", "update audit_retention set prune_enabled = true"},
		"kept for ever":           {same, "update audit_retention set default_days = null", "update audit_retention set default_days = 365"},
		"one of them sealed late": {same, "update audit_entry set sealed_at = now() where sequence = 15", "update audit_entry set sealed_at = now() - interval '400 days' where sequence = 15"},
		"held": {same, "insert into audit_hold (id, name, reason, creator, from_sequence, to_sequence) values (gen_random_uuid(), 'x', 'x', 'x', 20, 20)",
			"delete from audit_hold"},
		"a collector is behind": {same, behindSink("Splunk", 19), "delete from audit_sink"},
		"a changed record":      {same, "update audit_record set body = body || ' ' where id = " + of(15), "update audit_record set body = substr(body, 1, length(body) - 1) where id = " + of(15)},
		"a changed tile":        {same, "update audit_tile set hashes = set_byte(hashes, 32 * 14, get_byte(hashes, 32 * 14) # 1) where number = 0", "update audit_tile set hashes = set_byte(hashes, 32 * 14, get_byte(hashes, 32 * 14) # 1) where number = 0"},
		"no tile":               {same, "create table public.keep as table audit_tile; delete from audit_tile", "insert into audit_tile select * from public.keep; drop table public.keep"},
		"a record missing":      {same, "create table public.keep as select * from audit_record where id = " + of(15) + "; delete from audit_record where id = " + of(15), "insert into audit_record select * from public.keep; drop table public.keep"},
		"one that tells":        {same, "update audit_entry set event = '" + PrunedEvent + "' where sequence = 15", "update audit_entry set event = 'test.thing.done' where sequence = 15"},
		"the chain's last":      {same, "create table public.keep as select * from audit_entry where sequence > 15; delete from audit_entry where sequence > 20", "insert into audit_entry select * from public.keep where sequence > 20; drop table public.keep"},
		"two in one record":     {record: told(func(d map[string]any) { d["ranges"] = []any{[]int64{10}, []int64{12, 13}} })},
	} {
		if try.change != "" {
			c.superuser(t, try.change)
		}
		err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
			made, err := try.record(ctx)
			if err != nil {
				return err
			}
			_, err = c.store.prune(ctx, made)
			return err
		})
		if err == nil {
			t.Errorf("%s: it was done", name)
		}
		if try.undo != "" {
			c.superuser(t, try.undo)
		}
	}
	if got := c.sequences(t); len(got) != 1 || got[0][0] != 1 {
		t.Fatalf("there is %v", got)
	}
	for _, table := range []string{"audit_record", "audit_entry", "audit_word", "audit_tile", "audit_segment", "audit_segment_check", "audit_pruning", "audit_checkpoint"} {
		for _, sql := range []string{"delete from " + table, "truncate " + table} {
			err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
				_, err := db.Tx(ctx).Exec(ctx, sql)
				return err
			})
			if err == nil {
				t.Errorf("the application may %s", sql)
			}
		}
	}
	other := id.New()
	addTenant(t, c, other)
	err := c.DB.Tenant(c.ctx, other, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, "select "+db.TenantSchema(c.tenant)+".audit_prune($1)", id.New())
		return err
	})
	if err == nil || !strings.Contains(fmt.Sprint(errors.Unwrap(err), err), "denied") {
		t.Errorf("another tenant may ask: %v", err)
	}
	if err := c.pruneChain(c.ctx, c.tenant); err != nil { // and it is done when it may be
		t.Fatal(err)
	}
	c.superuser(t, "delete from audit_record r where event = '"+PrunedEvent+"' and not exists (select from audit_pruning p where p.record_id = r.id) and not exists (select from audit_entry e where e.record_id = r.id)")
	if got := c.sequences(t); got[0] != [2]int64{1, 1} || got[1][0] != 1025 {
		t.Errorf("there is %v", got)
	}
}

// TestDamagedSegmentsAreFound damages one of two segments: nothing of it is
// pruned, it is told once, and when it is brought back pruning goes on.
func TestDamagedSegmentsAreFound(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"a byte": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, flip(b, len(b)/2), 0o600)
		},
		"cut":  func(path string) error { return os.Truncate(path, 100) },
		"gone": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, ada := newLife(t)
			c.old(t, 300, 400)
			if err := c.archiveChain(c.ctx, c.tenant); err != nil {
				t.Fatal(err)
			}
			c.old(t, 600, 400)
			if err := c.archiveChain(c.ctx, c.tenant); err != nil {
				t.Fatal(err)
			}
			c.record(t, 5)
			c.keep(t, ada, days(365))
			path := c.objects(t)[0] // the first records
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := c.pruneChain(c.ctx, c.tenant); err == nil {
					t.Fatal("nothing is said")
				}
			}
			if got := c.sequences(t); got[0] != [2]int64{1, 256} || got[len(got)-1][0] != 769 {
				t.Errorf("there is %v", got)
			}
			segs, err := c.Segments(ada, 0, 10)
			if err != nil || segs[1].State != "damaged" || segs[1].Error == "" || segs[0].State != "pruned" {
				t.Errorf("%+v %v", segs, err)
			}
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			c.run(t)
			c.holdsEverywhere(t)
			if got := c.sequences(t); got[0][1] > 2 || got[len(got)-1][0] != 769 {
				t.Errorf("there is %v", got)
			}
			events := c.events(t, c.tenant)
			if strings.Count(events, "audit.segment.damaged") != 1 || strings.Count(events, "audit.segment.recovered") != 1 {
				t.Errorf("recorded are %s", events)
			}
		})
	}
}

// dying is a store whose process dies in a step, before or after it is done.
type dying struct {
	objectstore.Store
	kill   context.CancelFunc
	in     string
	before bool
}

func (d dying) Put(ctx context.Context, key string, r io.Reader) (objectstore.Info, error) {
	if d.in != "put" {
		return d.Store.Put(ctx, key, r)
	}
	if !d.before {
		_, _ = d.Store.Put(context.WithoutCancel(ctx), key, r)
	}
	d.kill()
	return objectstore.Info{}, context.Canceled
}

func (d dying) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if d.in != "get" {
		return d.Store.Get(ctx, key)
	}
	object, err := d.Store.Get(ctx, key)
	d.kill()
	if d.before {
		_ = object.Close()
		return nil, context.Canceled
	}
	return object, err
}

// store is where the chain's archive is.
func (c *chain) place(t testing.TB) (objectstore.Store, ArchiveTarget) {
	t.Helper()
	status, err := c.archive(c.ctx, c.tenant)
	if err != nil {
		t.Fatal(err)
	}
	store, err := c.openArchive(c.ctx, c.tenant, status.ArchiveTarget)
	if err != nil {
		t.Fatal(err)
	}
	return store, status.ArchiveTarget
}

// whole demands that the segments are whole, in order and without a gap, and
// that every record is in the database or told of, once.
func (c *chain) whole(t testing.TB) {
	t.Helper()
	next := int64(1)
	for _, seg := range slices.Backward(c.segmentsOf(t)) {
		if seg.First != next {
			t.Fatalf("a segment begins at %d, not at %d", seg.First, next)
		}
		next = seg.Last + 1
	}
	c.holdsEverywhere(t)
}

// TestKilledBetweenSteps ends a run between any two steps, and runs it again: no
// record is lost and none is there twice, in the database or the archive.
func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	store, target := c.place(t)
	for _, d := range []dying{{in: "put", before: true}, {in: "put"}, {in: "get", before: true}, {in: "get"}} {
		c.old(t, 300, 400)
		ctx, kill := context.WithCancel(c.ctx)
		d.Store, d.kill = store, kill
		if more, err := c.archiveNext(ctx, c.tenant, target, d); err == nil || more {
			t.Fatalf("%+v did not die", d)
		}
		if err := c.archiveChain(c.ctx, c.tenant); err != nil {
			t.Fatal(err)
		}
	}
	c.record(t, 5)
	c.keep(t, ada, days(365))
	killed := 0
	for wait := time.Millisecond; ; wait += 3 * time.Millisecond {
		ctx, cancel := context.WithTimeout(c.ctx, wait)
		err := c.pruneChain(ctx, c.tenant)
		cancel()
		if err == nil {
			break
		}
		if killed++; killed%5 == 0 {
			c.whole(t)
		}
	}
	c.whole(t)
	if got := c.sequences(t); killed == 0 || got[0] != [2]int64{1, 1} || got[len(got)-1][0] != 1025 || len(got) != 5 {
		t.Errorf("killed %d times; there is %v", killed, got)
	}
	segs, objects := c.segmentsOf(t), c.objects(t)
	if len(objects) <= len(segs) {
		t.Fatalf("%d objects of %d segments: none is left of who died", len(objects), len(segs))
	}
	// What is left of who died goes when it is old, with the next segment there.
	for _, path := range objects {
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-2*strayAge)); err != nil {
			t.Fatal(err)
		}
	}
	for _, seg := range segs {
		c.removeStrays(c.ctx, store, c.tenant, seg.First)
	}
	if n := len(c.objects(t)); n != len(segs) {
		t.Errorf("%d objects are left, %d segments", n, len(segs))
	}
	c.whole(t)
}

// TestRunsSideBySide has several runs at once, as when one is slow and taken for
// dead, while records are written, exported and verified.
func TestRunsSideBySide(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 2000, 400, "test.thing.done", "test.other.done")
	c.keep(t, ada, nil, RetentionRule{"test.other", days(365)})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := errors.Join(c.archiveChain(c.ctx, c.tenant), c.pruneChain(c.ctx, c.tenant)); err != nil {
				t.Error(err)
			}
		})
	}
	for range 5 {
		if v := c.verified(t, VerifyOptions{}); !v.OK() {
			t.Errorf("meanwhile: %+v", v.Breaks)
		}
		var out bytes.Buffer
		if _, err := c.WriteStream(c.ctx, &out, StreamOptions{Tenant: c.tenant}); fault.Is(err, fault.Unavailable) {
			continue
		} else if err != nil {
			t.Error(err)
		}
		if r, err := ledger.VerifyStream(&out, c.keys(t), ledger.Options{}); err != nil || !r.OK() {
			t.Errorf("an export meanwhile: %v %+v", err, r.Breaks)
		}
	}
	all.Wait()
	c.run(t)
	c.whole(t)
	if segs, objects := c.segmentsOf(t), c.objects(t); len(segs) != len(objects) {
		t.Errorf("%d segments, %d objects", len(segs), len(objects))
	}
	told := int64(0)
	for _, seg := range c.segmentsOf(t) {
		told += seg.Pruned
	}
	if told < 890 || told > 900 {
		t.Errorf("%d records were pruned", told)
	}
}

func addTenant(t testing.TB, c *chain, tenant id.ID) {
	t.Helper()
	history, err := db.ReadMigrations(Migrations)
	if err == nil {
		err = c.DB.AddTenant(c.ctx, tenant, history)
	}
	if err != nil {
		t.Fatal(err)
	}
}
