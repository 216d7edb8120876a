package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
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
	if len(events) == 0 {
		events = []string{"test.thing.done"}
	}
	lines := make([]line, n)
	for i := range lines {
		r, err := build(actor.Actor{Kind: actor.User, ID: c.tenant, Name: "Ada Lovelace", TenantID: c.tenant}, c.tenant,
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
	if err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error { return c.insert(ctx, c.tenant, lines...) }); err != nil {
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
