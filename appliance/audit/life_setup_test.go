package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
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
