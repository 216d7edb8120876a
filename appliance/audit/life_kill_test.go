package audit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
)

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
	// What is left of who died goes when it is old, with the next segment.
	begun, err := filepath.Glob(filepath.Join(c.writing(c.tenant), "*"))
	if err != nil || len(begun) != len(objects)-len(segs)+1 { // one died before anything was written
		t.Errorf("%d are kept as begun, %v", len(begun), err)
	}
	for _, path := range begun {
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-2*strayAge)); err != nil {
			t.Fatal(err)
		}
	}
	c.removeStrays(c.ctx, store, c.tenant)
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
