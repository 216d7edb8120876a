package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

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
