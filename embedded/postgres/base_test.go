package postgres

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// unpackBase takes a base backup into dir/data.
func unpackBase(t *testing.T, s *Server, dir string) Base {
	t.Helper()
	data := filepath.Join(dir, "data")
	base, err := s.BaseBackup(deadline(t), func(_ Base, h *tar.Header, r io.Reader) error {
		path := filepath.Join(data, h.Name)
		if h.Typeflag == tar.TypeDir {
			return os.MkdirAll(path, 0o700)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(s.cfg.Dir, "password"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "password"), password, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// restored starts a server on a base backup.
func restored(t *testing.T, dir string, r Recovery) *Server {
	t.Helper()
	cfg := testConfig(t)
	cfg.Dir, cfg.Recover = dir, &r
	return start(t, cfg)
}

// writer inserts ascending numbers until stopped, and says how many were acknowledged.
type writer struct {
	cancel context.CancelFunc
	done   chan int
}

func write(t *testing.T, s *Server) writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := pgx.Connect(ctx, s.AdminDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	w := writer{cancel: cancel, done: make(chan int, 1)}
	go func() {
		n := 0
		for ctx.Err() == nil {
			if _, err := conn.Exec(ctx, "insert into load values ($1, repeat('x', 500))", n+1); err != nil {
				break
			}
			n++
		}
		_ = conn.Close(context.Background())
		w.done <- n
	}()
	return w
}

func (w writer) stop() int {
	w.cancel()
	return <-w.done
}

func TestBaseBackupUnderLoadIsOneMoment(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	if err := execute(t, s.AdminDSN("postgres"), "create table load (n int primary key, filler text)"); err != nil {
		t.Fatal(err)
	}
	if err := execute(t, s.AdminDSN("postgres"), "create database other"); err != nil {
		t.Fatal(err)
	}
	if err := execute(t, s.AdminDSN("other"), "create table there as select 'yes' as answer"); err != nil {
		t.Fatal(err)
	}
	w := write(t, s)
	time.Sleep(200 * time.Millisecond)
	before := query(t, s.AdminDSN("postgres"), "select max(n)::text from load")
	dir := tempDir(t)
	base := unpackBase(t, s, dir)
	acknowledged := w.stop()
	if base.StartWAL > base.EndWAL || len(base.EndWAL) != 24 || base.SystemID == "" || base.Bytes < 1<<20 {
		t.Errorf("the backup is described as %+v", base)
	}
	r := restored(t, dir, Recovery{})
	var atBegin, rows, highest int
	got := query(t, r.AdminDSN("postgres"), "select count(*) || ' ' || max(n) from load")
	if _, err := fmt.Sscan(got+" "+before, &rows, &highest, &atBegin); err != nil {
		t.Fatal(err)
	}
	if rows != highest || rows < atBegin || rows > acknowledged {
		t.Errorf("%d rows up to %d came back; %d were there when it began, %d in the end", rows, highest, atBegin, acknowledged)
	}
	if got := query(t, r.AdminDSN("other"), "select answer from there"); got != "yes" {
		t.Errorf("the other database answers %q", got)
	}
	if got := query(t, r.AdminDSN("postgres"), "select timeline_id::text from pg_control_checkpoint()"); got != "2" {
		t.Errorf("the restored cluster is on timeline %s", got)
	}
}

func TestBaseBackupEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	broken := errors.New("the target is full")
	_, err := s.BaseBackup(deadline(t), func(Base, *tar.Header, io.Reader) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.BaseBackup(ctx, func(Base, *tar.Header, io.Reader) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		slots := query(t, s.AdminDSN("postgres"), "select count(*)::text from pg_replication_slots")
		if slots == "0" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s replication slots hold the log", slots)
		}
	}
}

// awaitArchived waits for a segment in the spool.
func awaitArchived(t *testing.T, s *Server, name string) []Segment {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		all, err := s.Archived()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.Name == name {
				return all
			}
		}
	}
	t.Fatalf("%s does not come into the spool: %v", name, s.ArchiverFault(t.Context()))
	return nil
}

// finish ends the present segment and waits for it.
func finish(t *testing.T, s *Server) []Segment {
	t.Helper()
	name := query(t, s.AdminDSN("postgres"), "select pg_walfile_name(pg_current_wal_lsn())")
	if err := s.SwitchLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	return awaitArchived(t, s, name)
}

func TestPointInTime(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Dir = filepath.Join(cfg.Dir, "it's 100%p") // the spool's path goes through a shell
	s := start(t, cfg)
	if err := s.Archive(true); err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	base := unpackBase(t, s, dir)
	if err := execute(t, s.AdminDSN("postgres"), "create table kept as select 'yes' as answer"); err != nil {
		t.Fatal(err)
	}
	finish(t, s)
	moment := query(t, s.AdminDSN("postgres"), "select clock_timestamp()::text")
	time.Sleep(20 * time.Millisecond)
	if err := execute(t, s.AdminDSN("postgres"), "drop table kept"); err != nil {
		t.Fatal(err)
	}
	log := tempDir(t)
	spooled := finish(t, s)
	for _, a := range spooled {
		content, err := os.ReadFile(a.Path)
		if err == nil {
			err = os.WriteFile(filepath.Join(log, a.Name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	names := map[string]bool{}
	for _, a := range spooled {
		names[a.Name] = true
	}
	if next := NextSegment(base.EndWAL); !names[next] {
		t.Errorf("%s, which follows the backup, is not among %v", next, names)
	}
	until, err := time.Parse("2006-01-02 15:04:05.999999-07", moment)
	if err != nil {
		t.Fatal(err)
	}
	r := restored(t, dir, Recovery{Log: log, Until: until})
	if got := query(t, r.AdminDSN("postgres"), "select answer from kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
	if histories, err := r.Histories(); err != nil || len(histories) != 1 || histories[0].Name != "00000002.history" {
		t.Errorf("histories: %v, %v", histories, err)
	}
}

// TestReplayedTellsWhereTheLogBreaksOff: Postgres takes a segment that is not the right
// one for the end of the log, and says nothing.
func TestReplayedTellsWhereTheLogBreaksOff(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	if err := s.Archive(true); err != nil {
		t.Fatal(err)
	}
	dirs := []string{tempDir(t), tempDir(t)}
	base := unpackBase(t, s, dirs[0])
	if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
		t.Fatal(err)
	}
	var spooled []Segment
	for n := range 3 {
		if err := execute(t, s.AdminDSN("postgres"), fmt.Sprintf("create table t%d ()", n)); err != nil {
			t.Fatal(err)
		}
		spooled = finish(t, s)
	}
	var following []Segment
	for _, a := range spooled {
		if a.Name > base.EndWAL && len(a.Name) == len(base.EndWAL) {
			following = append(following, a)
		}
	}
	last := following[len(following)-1].Name
	for i, swapped := range []bool{false, true} {
		log := tempDir(t)
		for n, a := range following {
			from := a.Path
			if swapped && n == 1 {
				from = following[0].Path
			}
			content, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(log, a.Name), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(dirs[i], "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		got, err := restored(t, dirs[i], Recovery{Log: log}).Replayed(t.Context(), base.Timeline)
		if err != nil || (got.Segment < last) != swapped || got.Commit.Before(base.Finished.Add(-time.Second)) || time.Since(got.Commit) > time.Minute {
			t.Errorf("swapped %v: replayed up to %+v of %s, %v", swapped, got, last, err)
		}
	}
}

func TestMomentAfterTheLogIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	cfg := testConfig(t)
	unpackBase(t, s, cfg.Dir)
	cfg.Recover = &Recovery{Until: time.Now().Add(time.Hour)}
	r := New(cfg)
	err := r.Start(deadline(t))
	if err == nil || !strings.Contains(err.Error(), "recovery ended before configured recovery target was reached") {
		t.Errorf("got %v", err)
	}
	cfg.Recover = &Recovery{} // the end of the log can be taken all the same
	if got := query(t, start(t, cfg).AdminDSN("postgres"), "select pg_is_in_recovery()::text"); got != "false" {
		t.Errorf("in recovery: %s", got)
	}
}

func TestClosedSpoolStaysEmpty(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	if s.Archiving() {
		t.Error("the spool is open from the start")
	}
	turn := func() {
		t.Helper()
		if err := execute(t, s.AdminDSN("postgres"), "create table if not exists turn (); drop table turn"); err != nil {
			t.Fatal(err)
		}
		if err := s.SwitchLog(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	archived := func() string {
		return query(t, s.AdminDSN("postgres"), "select archived_count::text from pg_stat_archiver")
	}
	turn()
	for end := time.Now().Add(10 * time.Second); archived() == "0" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if all, err := s.Archived(); archived() == "0" || err != nil || len(all) > 0 {
		t.Errorf("%s segments were given up; in the spool are %v, %v", archived(), all, err)
	}
	if err := errors.Join(s.Archive(true), s.Archive(false), s.Archive(false)); err != nil || s.Archiving() {
		t.Errorf("closing: %v, %v", err, s.Archiving())
	}
}

func TestNextSegment(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"000000010000000000000003": "000000010000000000000004", "0000000200000000000000FF": "000000020000000100000000", "00000002.history": "", "x": "",
	} {
		if got := NextSegment(name); got != want {
			t.Errorf("after %s comes %s, want %s", name, got, want)
		}
	}
}
