package audit

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/audit/ledger"
)

// links are the links of the chain as the leaves give them.
func (c *chain) links(t testing.TB) []Hash {
	t.Helper()
	last := int64(0)
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) (err error) {
		last, err = c.store.last(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := c.leavesOf(c.ctx, c.tenant, 1, last)
	if err != nil {
		t.Fatal(err)
	}
	links := []Hash{ledger.Genesis(c.tenant.String())}
	for i, leaf := range leaves {
		links = append(links, ledger.Link(links[i], int64(i)+1, leaf))
	}
	return links
}

// TestLinksAcrossWhatWasPruned: a record has the link of the one before it,
// whatever was pruned there, at every place in a tile and in several runs.
func TestLinksAcrossWhatWasPruned(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 1100, 400, "test.thing.done", "test.other.done", "test.thing.done")
	c.record(t, 5)
	links := c.links(t)
	c.keep(t, ada, days(900), RetentionRule{Event: "test.other", Days: days(365)})
	c.run(t)
	c.keep(t, ada, days(365))
	hold := func(n int64) Hold {
		h, err := c.AddHold(ada, NewHold{Name: fmt.Sprint(n), Reason: "Case", FromSequence: &n, ToSequence: &n})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, n := range []int64{256, 259, 512, 514, 769, 1021} { // at the end, in, and at the beginning of a tile
		hold(n)
	}
	c.run(t)
	all := pages(t, c.Service, ada, Filter{}, 50)
	after := 0
	for _, r := range all {
		if r.Sequence >= int64(len(links)) {
			continue // recorded since
		}
		if want := links[r.Sequence-1]; r.Sequence > 1 && !bytes.Equal(r.Previous, want[:]) {
			t.Errorf("record %d: the link before it is %x, not %x", r.Sequence, r.Previous, want)
		}
		if one, err := c.Get(ada, r.Sequence); err != nil || !bytes.Equal(one.Previous, r.Previous) {
			t.Errorf("record %d by itself: %x %v", r.Sequence, one.Previous, err)
		}
		if before := r.Sequence - 1; before > 0 && !slices.ContainsFunc(all, func(o Sealed) bool { return o.Sequence == before }) {
			after++
		}
	}
	if after != 7 {
		t.Errorf("%d records come after one that was pruned", after)
	}
	c.holdsEverywhere(t)
	c.superuser(t, "create table public.kept as select number, gone, link_before, link_after from audit_thinned", "delete from audit_thinned", backfill(t, c))
	c.superuser(t, `do $same$ begin
		if exists ((select number, gone, link_before, link_after from audit_thinned) except table public.kept)
			or (select count(*) from audit_thinned) <> (select count(*) from public.kept) then
			raise exception 'an appliance of before would keep something else';
		end if; end $same$`)
}

// backfill is what the migration does with what was pruned before it.
func backfill(t testing.TB, c *chain) string {
	t.Helper()
	text, err := Migrations.ReadFile("migrations/20261126T122000_audit_behalf.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, tenant, _ := strings.Cut(string(text), "-- tenant\n")
	_, do, _ := strings.Cut(tenant, "do $upgrade$")
	do, _, ok := strings.Cut(do, "end $upgrade$;")
	if !ok {
		t.Fatal("the migration has no part that fills the table")
	}
	return "do $upgrade$" + strings.ReplaceAll(do, "{{tenant}}", c.tenant.String()) + "end $upgrade$"
}

// TestWhatIsKeptOfTilesIsVerified changes what the database keeps of thinned
// tiles, which only links and counts are made from.
func TestWhatIsKeptOfTilesIsVerified(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	c.run(t)
	c.holdsEverywhere(t)
	for name, try := range map[string]struct {
		change, undo string
		at           int64
	}{
		"the count":       {"update audit_thinned set gone = gone - 1 where number = 1", "update audit_thinned set gone = gone + 1 where number = 1", 257},
		"the link before": {"update audit_thinned set link_before = set_byte(link_before, 0, get_byte(link_before, 0) # 1) where number = 1", "update audit_thinned set link_before = set_byte(link_before, 0, get_byte(link_before, 0) # 1) where number = 1", 257},
		"the link after":  {"update audit_thinned set link_after = set_byte(link_after, 0, get_byte(link_after, 0) # 1) where number = 1", "update audit_thinned set link_after = set_byte(link_after, 0, get_byte(link_after, 0) # 1) where number = 1", 257},
	} {
		c.superuser(t, try.change)
		if v := c.verified(t, VerifyOptions{}); len(v.Breaks) != 1 || v.Breaks[0].Kind != BreakIndex || v.Breaks[0].Sequence != try.at {
			t.Errorf("%s: %+v", name, v.Breaks)
		}
		c.superuser(t, try.undo)
	}
	if v := c.verified(t, VerifyOptions{}); !v.OK() {
		t.Errorf("%+v", v.Breaks)
	}
}

// TestTimelineCountsWhatIsThere: records that were pruned between kept ones are
// in no bucket.
func TestTimelineCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	for _, back := range []int{403, 402, 401} {
		c.old(t, 300, back, "test.thing.done", "test.other.done")
	}
	c.record(t, 5)
	counts := func(f Filter) []int64 {
		f.From, f.To = time.Now().Add(-404*24*time.Hour), time.Now().Add(-398*24*time.Hour)
		found, err := c.Timeline(ada, f, "day")
		if err != nil {
			t.Fatal(err)
		}
		var all []int64
		for _, b := range found.Buckets {
			all = append(all, b.Count)
		}
		return all
	}
	if got := slices.DeleteFunc(counts(Filter{}), func(n int64) bool { return n == 0 }); !slices.Equal(got, []int64{301, 300, 300}) {
		t.Fatalf("before: %v", got)
	}
	c.keep(t, ada, days(900), RetentionRule{Event: "test.other", Days: days(365)})
	n, m := int64(100), int64(700)
	if _, err := c.AddHold(ada, NewHold{Name: "x", Reason: "Case", FromSequence: &n, ToSequence: &m}); err != nil {
		t.Fatal(err)
	}
	c.run(t)
	read := counts(Filter{Priority: Debug}) // reads every record
	if got := counts(Filter{}); !slices.Equal(got, read) {
		t.Errorf("counted %v, there are %v", got, read)
	}
	if total := sum(read); total != 901-49-34 {
		t.Errorf("%d records are there", total)
	}
}

func sum(all []int64) (n int64) {
	for _, one := range all {
		n += one
	}
	return n
}
