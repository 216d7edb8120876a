package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// TestRestoredFromIsInTheCatalogue: what the appliance came back from is known again,
// and proven, although the catalogue in it saw it being made.
func TestRestoredFromIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
	must(t, err)
	_, err = b.make(b.ctx(), made.ID, quiet)
	must(t, err)
	raw, err := json.Marshal(restored{Backup: made.ID, At: time.Now().UTC()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.DataDir, restoredMark), raw, 0o600))
	must(t, b.Settle(b.ctx()))
	if all, err := b.catalogue(b.ctx()); err != nil || len(all) != 0 {
		t.Fatalf("at the start there are %+v, %v", all, err)
	}
	for range 2 {
		must(t, b.takeUp(b.ctx(), set))
		if now, err := b.find(b.ctx(), made.ID); err != nil || now.State != Done || now.VerifiedAt == nil {
			t.Errorf("it is %+v, %v", now, err)
		}
	}
}

// restorer restores into an own data directory.
func (b *bench) restorer() Restorer {
	return Restorer{DataDir: b.t.TempDir(), Reader: thisReader, Prove: b.try, Logger: b.Logger}
}

func TestRestoreTouchesNothingBeforeAllIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	store, err := set.Target.Open()
	must(t, err)
	r := b.restorer()
	must(t, os.MkdirAll(filepath.Join(r.DataDir, "keys"), 0o700))
	must(t, os.MkdirAll(filepath.Join(r.DataDir, "valkey"), 0o700))
	must(t, os.WriteFile(filepath.Join(r.DataDir, "keys", "old"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(r.DataDir, "lock"), nil, 0o600))
	untouched := func(when string) {
		t.Helper()
		entries, _ := os.ReadDir(r.DataDir)
		if _, err := os.Stat(filepath.Join(r.DataDir, "keys", "old")); err != nil || len(entries) != 3 {
			t.Errorf("%s: there are %v, %v", when, entries, err)
		}
	}
	_, err = r.Prepare(b.ctx(), Request{Store: store, Backup: made.ID, Key: newKey(t)}, quiet)
	if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), "recovery kit") {
		t.Errorf("a wrong key gives %v", err)
	}
	untouched("after a wrong key")
	b.proven = errors.New("does not start")
	if _, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet); !errors.Is(err, b.proven) {
		t.Errorf("a failed proof gives %v", err)
	}
	untouched("after a failed proof")
	if placed, err := Place(r.DataDir); placed || err != nil {
		t.Errorf("placing nothing: %v, %v", placed, err)
	}
	b.proven = nil
	_, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet)
	must(t, err)
	if _, err := r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	placed, err := Place(r.DataDir)
	if got, readErr := os.ReadFile(filepath.Join(r.DataDir, "keys", "root.key")); !placed || err != nil || readErr != nil || string(got) != "root" {
		t.Errorf("placed %v, %v; the key is %q, %v", placed, err, got, readErr)
	}
	for _, name := range []string{"keys/old", "valkey"} {
		kept, _ := filepath.Glob(filepath.Join(r.DataDir, "before-restore-*", name))
		if _, err := os.Stat(filepath.Join(r.DataDir, name)); len(kept) != 1 || !os.IsNotExist(err) {
			t.Errorf("%s is kept as %v, and there: %v", name, kept, err)
		}
	}
	if placed, err := Place(r.DataDir); placed || err != nil {
		t.Errorf("a second time: %v, %v", placed, err)
	}
}

// TestPlacingGoesOnAfterAKill takes away the effect of the last steps, one more
// each time, as a kill does, and places again.
func TestPlacingGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	for done := range 5 {
		dir := t.TempDir()
		st, err := newStage(dir)
		must(t, err)
		for _, name := range []string{"keys", "local", "hsm", "valkey"} {
			must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, name, "old"), nil, 0o600))
		}
		for _, name := range []string{"keys", "local", "postgres"} {
			must(t, os.MkdirAll(filepath.Join(st.fresh(), name), 0o700))
			must(t, os.WriteFile(filepath.Join(st.fresh(), name, "new"), nil, 0o600))
		}
		r := restored{At: time.Now().UTC()}
		must(t, st.ready(r))
		before := filepath.Join(dir, "before-restore-"+r.At.Format("20060102T150405Z"))
		must(t, os.MkdirAll(before, 0o700))
		for i, step := range [][2]string{
			{filepath.Join(dir, "hsm"), filepath.Join(before, "hsm")},
			{filepath.Join(dir, "keys"), filepath.Join(before, "keys")}, {filepath.Join(st.fresh(), "keys"), filepath.Join(dir, "keys")},
			{filepath.Join(dir, "local"), filepath.Join(before, "local")},
		} {
			if i < done {
				must(t, os.Rename(step[0], step[1]))
			}
		}
		placed, err := Place(dir)
		if !placed || err != nil {
			t.Fatalf("after %d steps: %v, %v", done, placed, err)
		}
		for _, name := range []string{"keys/new", "local/new", "postgres/new"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("after %d steps: %v", done, err)
			}
		}
		for _, name := range []string{"keys/old", "local/old", "hsm/old", "valkey/old"} {
			if _, err := os.Stat(filepath.Join(before, name)); err != nil {
				t.Errorf("after %d steps: %v", done, err)
			}
		}
	}
}

func TestMomentsThatCanBeRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	for _, name := range []string{"000000010000000000000005", "000000010000000000000006", "000000010000000000000008", "00000002.history"} {
		b.segment(name)
	}
	must(t, b.ship(b.ctx(), set))
	store, err := set.Target.Open()
	must(t, err)
	r := b.restorer()
	in, err := r.Inspect(b.ctx(), store, b.kit)
	must(t, err)
	second, err := store.Stat(b.ctx(), "wal/000000010000000000000006.age")
	must(t, err)
	if len(in.Backups) != 1 || !in.Backups[0].Latest.Equal(second.Modified) || !in.Points.To.Equal(second.Modified) {
		t.Errorf("found %+v; the log goes without a gap to %v", in, second.Modified)
	}
	for name, c := range map[string]struct {
		q    Request
		says string
	}{
		"too late":          {Request{Backup: made.ID, Until: time.Now().Add(time.Hour)}, "ends at"},
		"before the backup": {Request{Backup: made.ID, Until: made.StartedAt.Add(-time.Hour)}, "older one"},
		"before all":        {Request{Until: made.StartedAt.Add(-time.Hour)}, "oldest backup"},
		"unknown":           {Request{Backup: id.New()}, "no such backup"},
	} {
		c.q.Store, c.q.Key = store, b.kit
		if _, err := r.Prepare(b.ctx(), c.q, quiet); !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.inspect = func(tr Trial) {
		var names []string
		logs, _ := b.files(tr.Log)
		for _, s := range logs {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, []string{"000000010000000000000005", "000000010000000000000006", "00000002.history"}) {
			t.Errorf("the log is %v", names)
		}
		if got, err := os.ReadFile(filepath.Join(tr.Log, "000000010000000000000005")); len(got) != 4000 || err != nil {
			t.Errorf("a segment comes back with %d bytes, %v", len(got), err)
		}
	}
	_, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit, Latest: true}, quiet)
	must(t, err)
	if _, err := r.Inspect(b.ctx(), emptyStore(t), b.kit); !fault.Is(err, fault.NotFound) {
		t.Errorf("an empty target: %v", err)
	}
}

func TestSingleFileIsRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	file := filepath.Join(b.target, "backups", b.inTarget("backups")[0])
	r := b.restorer()
	if _, err := r.Prepare(b.ctx(), Request{File: file, Key: newKey(t)}, quiet); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("a wrong key: %v", err)
	}
	_, err = r.Prepare(b.ctx(), Request{File: file, Key: b.kit}, quiet)
	must(t, err)
}

// TestTheRestOfTheLogIsFetched: the clock of the place runs ahead, so what was sent after
// the moment by it is not all that is needed.
func TestTheRestOfTheLogIsFetched(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	names := []string{"000000010000000000000005", "000000010000000000000006", "000000010000000000000007"}
	for _, name := range names {
		b.segment(name)
	}
	must(t, b.ship(b.ctx(), set))
	for i, name := range names {
		at := time.Now().Add(time.Duration(i+2) * time.Hour)
		must(t, os.Chtimes(filepath.Join(b.target, "wal", name+segmentSuffix), at, at))
	}
	store, err := set.Target.Open()
	must(t, err)
	r := b.restorer()
	r.Prove = func(ctx context.Context, tr Trial) (Proof, error) {
		logs, err := b.files(tr.Log)
		must(t, err)
		if want := len(b.trials)*2 + 1; len(logs) != want || tr.End != names[want-1] {
			t.Errorf("with %d segments up to %s", len(logs), tr.End)
		}
		if p, err := b.try(ctx, tr); !tr.Short {
			return p, err
		}
		return Proof{}, ErrShort
	}
	_, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit, Until: time.Now().Add(time.Minute)}, quiet)
	if err != nil || len(b.trials) != 2 {
		t.Errorf("%d trials, %v", len(b.trials), err)
	}
}

// TestAppliancesShareAPlace: each has its own log there, under the same names, which the
// other neither replaces nor deletes, nor needs to be able to open.
func TestAppliancesShareAPlace(t *testing.T) {
	t.Parallel()
	one, two := newBench(t), newBench(t)
	two.target = one.target
	one.system, two.system = "7100000000000000001", "7100000000000000002"
	for _, b := range []*bench{one, two} {
		set := b.configure()
		_, err := b.Run(b.ctx(), Manual, false, quiet)
		must(t, err)
		for _, name := range []string{"000000010000000000000002", "000000010000000000000005", "00000002.history"} {
			must(t, os.WriteFile(filepath.Join(b.spool, name), []byte(b.system), 0o600))
		}
		must(t, b.ship(b.ctx(), set))
	}
	_, err := two.Prune(two.ctx())
	must(t, err)
	if got := one.inTarget("wal/" + one.system); len(got) != 3 {
		t.Errorf("the other one left %v", got)
	}
	if got := one.inTarget("wal/" + two.system); len(got) != 2 {
		t.Errorf("of its own it left %v", got)
	}
	store, err := Target{Kind: objectstore.Directory, Path: one.target}.Open()
	must(t, err)
	one.inspect = func(tr Trial) {
		if got, err := os.ReadFile(filepath.Join(tr.Log, tr.End)); err != nil || string(got) != one.system || tr.End != "000000010000000000000005" {
			t.Errorf("%s is that of %q, %v", tr.End, got, err)
		}
	}
	_, err = one.restorer().Prepare(one.ctx(), Request{Store: store, Key: one.kit, Latest: true}, quiet)
	must(t, err)
}

// breaking is a store whose connection breaks after some bytes of each object.
type breaking struct {
	objectstore.Store
	after int64
}

var errBroken = errors.New("connection reset by peer")

type broken struct{ io.Reader }

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func (b breaking) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := b.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, b.after), broken{}), r}, nil
}

// TestABrokenConnectionIsNoDamage: a place that breaks off, wherever it does, is tried
// again and says nothing against the backup.
func TestABrokenConnectionIsNoDamage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	b.segment("000000010000000000000005")
	must(t, b.ship(b.ctx(), set))
	store, err := set.Target.Open()
	must(t, err)
	sum, err := readSummary(b.ctx(), store, nameOf(made)+summarySuffix, b.kit)
	must(t, err)
	f := Found{ID: sum.ID, Bytes: sum.Bytes, key: nameOf(made) + archiveSuffix, summary: sum}
	for _, after := range []int64{0, 10, 200, 400} {
		away := breaking{store, after}
		if _, err := readSummary(b.ctx(), away, nameOf(made)+summarySuffix, b.kit); !fault.Is(err, fault.Unavailable) || !errors.Is(err, errBroken) {
			t.Errorf("a summary after %d bytes: %v", after, err)
		}
		if _, err := fetch(b.ctx(), away, f, b.kit, thisReader, t.TempDir(), quiet); !fault.Is(err, fault.Unavailable) {
			t.Errorf("an archive after %d bytes: %v", after, err)
		}
		if err := fetchSegment(b.ctx(), away, "wal/000000010000000000000005.age", b.kit, filepath.Join(t.TempDir(), "s")); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a segment after %d bytes: %v", after, err)
		}
	}
	if _, err := b.restorer().Prepare(b.ctx(), Request{Store: breaking{store, 400}, Key: b.kit}, quiet); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a restore: %v", err)
	}
}
