package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// smallDisk mounts a file system of a size on a directory of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := serverDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0755"); errors.Is(err, syscall.EPERM) {
		t.Skip("this container may not mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// ballast takes space on a disk until so many bytes are free.
func ballast(t *testing.T, dir string, free int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	more := int64(st.Bavail)*st.Bsize - free
	if err := syscall.Fallocate(int(f.Fd()), 0, info.Size(), more); err != nil {
		t.Fatal(err)
	}
}

// TestRobustness03DiskFull fills the disk of the database, first nearly and
// then to the last byte: changes are refused, reading goes on, the trail and
// the health say so, nothing acknowledged is lost, and all goes on without a
// restart when there is room.
func TestRobustness03DiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "800m")
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	s, err := startServer(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_ = s.Service.Stop(ctx)
		s.DB.Close()
		_ = s.Server.Stop(ctx)
	})
	d := &fullDisk{server: s, t: t, ctx: ctx, acknowledged: map[string]bool{}}
	postmaster := d.postmaster(dir)
	d.record(50, 0)
	if err := d.takes(); err != nil {
		t.Fatal(err)
	}

	ballast(t, dir, reserve-1<<20)
	d.eventually("changes are refused", func() bool { return fault.Is(d.takes(), fault.Unavailable) })
	if err := s.Service.Ready(ctx); err == nil || !strings.Contains(err.Error(), "nearly full") {
		t.Errorf("the health says: %v", err)
	}
	d.eventually("the alert is in the trail", func() bool { return d.has("audit.trail.stopped") == 1 })

	if err := d.Takes(d.ctx, true); err != nil {
		t.Errorf("the reserve lets nobody in: %v", err)
	}

	ballast(t, dir, 0)
	refused := d.fill()
	if !fault.Is(refused, fault.Unavailable) {
		t.Errorf("a record on a full disk: %v", refused)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := s.List(ctx, Filter{Limit: 10}); err != nil {
			t.Fatalf("reading does not go on: %v", err)
		}
	}
	if err := d.takes(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("changes on a full disk: %v", err)
	}
	if err := d.Takes(d.ctx, true); !fault.Is(err, fault.Unavailable) {
		t.Errorf("what goes on from the reserve, on a full disk: %v", err)
	}
	if n := s.Stats().AppendFailures; n == 0 {
		t.Error("failures are not counted")
	}

	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	d.eventually("changes go on", func() bool { return d.takes() == nil && s.Service.Ready(ctx) == nil })
	d.record(50, 0)
	d.eventually("the end is in the trail", func() bool { return d.has("audit.trail.recovered") >= 1 })
	if d.has("audit.trail.stopped") != 1 || d.postmaster(dir) != postmaster {
		t.Errorf("told %d times; the database was process %s and is %s", d.has("audit.trail.stopped"), postmaster, d.postmaster(dir))
	}
	d.complete()
}

// fullDisk records and remembers what was acknowledged.
type fullDisk struct {
	*server
	t            *testing.T
	ctx          context.Context
	acknowledged map[string]bool
}

func (d *fullDisk) takes() error { return d.Takes(d.ctx, false) }

// record writes n records of a size.
func (d *fullDisk) record(n, size int) {
	d.t.Helper()
	for range n {
		if err := d.one(size); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *fullDisk) one(size int) error {
	mine := id.New().String()
	err := d.RecordAlone(d.ctx, id.ID{}, Entry{Event: "test.thing.done", Reason: strings.Repeat("x", size), Target: Target{Kind: "thing", ID: mine}})
	if err == nil {
		d.acknowledged[mine] = true
	}
	return err
}

// fill records until the disk takes no more, and returns what was said then.
func (d *fullDisk) fill() error {
	for range 5000 {
		if err := d.one(1000); err != nil {
			return err
		}
	}
	return errors.New("the disk never became full")
}

func (d *fullDisk) eventually(what string, ok func() bool) {
	d.t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	d.t.Fatalf("waited for: %s; %v, %v", what, d.takes(), d.Service.Ready(d.ctx))
}

// has counts the records of an event.
func (d *fullDisk) has(event string) int {
	d.t.Helper()
	found, err := d.List(d.ctx, Filter{Events: []string{event}, Limit: 100})
	if err != nil {
		d.t.Fatal(err)
	}
	return len(found)
}

func (d *fullDisk) postmaster(dir string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	return pid
}

// complete demands a chain that holds and has all that was acknowledged.
func (d *fullDisk) complete() {
	d.t.Helper()
	if err := d.seal(d.ctx, id.ID{}); err != nil {
		d.t.Fatal(err)
	}
	v, err := d.verify(d.ctx, id.ID{})
	if err != nil || !v.OK() || v.First != 1 || v.Last != v.Checked {
		d.t.Fatalf("%+v %v", v, err)
	}
	for _, target := range sealedTargets(d.t, d.Service, d.ctx) {
		delete(d.acknowledged, target)
	}
	if len(d.acknowledged) > 0 {
		d.t.Errorf("%d acknowledged records are lost", len(d.acknowledged))
	}
}
