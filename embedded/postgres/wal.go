package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// openMark is the file in the spool that makes the archiver fill it.
const openMark = ".open"

// spool is the folder of finished segments.
func (h home) spool() string { return h.path("wal") }

// archiveCommand is what Postgres has its shell run for each finished segment. While the
// spool is closed it does nothing, successfully. Otherwise the segment is copied beside,
// synced and renamed, so that a file with its final name is whole; one that is there
// already (the machine died before Postgres noted it) must be the same. %p and %f are
// Postgres's own words and hold nothing but letters, digits, dots and slashes.
func archiveCommand(spool string) string {
	dir := shellQuote(spool)
	return strings.NewReplacer("DIR", dir).Replace(
		`[ ! -e DIR/` + openMark + ` ] || cmp -s "%p" DIR/"%f" || ` +
			`{ [ ! -e DIR/"%f" ] && cp "%p" DIR/.part-"%f" && sync DIR/.part-"%f" && mv DIR/.part-"%f" DIR/"%f" && sync DIR; }`)
}

// shellQuote makes one word of a path, for a shell and for Postgres, which replaces
// words that begin with a percent sign.
func shellQuote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "%", "%%").Replace(path) + "'"
}

// Segment is one finished file of the write-ahead log in the spool.
type Segment struct {
	Name string
	Path string
	Size int64
	Made time.Time
}

// Archive opens or closes the spool, in which Postgres puts each finished segment of its
// log from then on. Whoever opens it takes them out again: Postgres does not bound it.
// What is in it when it is closed stays.
func (s *Server) Archive(on bool) error {
	h, err := s.spoolHome()
	if err != nil {
		return err
	}
	mark := filepath.Join(h.spool(), openMark)
	if !on {
		if err := os.Remove(mark); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(mark, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), h.acct.own(mark))
}

// Archiving tells whether the spool is open.
func (s *Server) Archiving() bool {
	_, err := os.Stat(filepath.Join(s.cfg.Dir, "wal", openMark))
	return err == nil
}

func (s *Server) spoolHome() (home, error) {
	r := s.current()
	if r == nil {
		return home{}, errors.New("postgres is not started")
	}
	return r.home, nil
}

// Archived lists the finished segments in the spool, and the histories of timelines, in
// the order in which they were made.
func (s *Server) Archived() ([]Segment, error) {
	return segments(filepath.Join(s.cfg.Dir, "wal"), func(name string) bool { return !strings.HasPrefix(name, ".") })
}

// Histories lists the histories of the timelines that the cluster went through. They say
// where the log of a restored cluster left that of the one before.
func (s *Server) Histories() ([]Segment, error) {
	return segments(filepath.Join(s.cfg.Dir, "data", "pg_wal"), func(name string) bool { return strings.HasSuffix(name, ".history") })
}

func segments(dir string, wanted func(name string) bool) ([]Segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Segment
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || !wanted(e.Name())) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Segment{Name: e.Name(), Path: filepath.Join(dir, e.Name()), Size: info.Size(), Made: info.ModTime()})
	}
	return all, nil
}

// SwitchLog ends the present segment of the log, so that it comes into the spool, unless
// nothing was written to it.
func (s *Server) SwitchLog(ctx context.Context) error {
	return s.ask(ctx, `select pg_switch_wal()::text`, new(string))
}

// ArchiverFault is nil unless the last segment could not be put into the spool. Postgres
// tries again and keeps its log meanwhile, which fills the disk.
func (s *Server) ArchiverFault(ctx context.Context) error {
	var failed bool
	err := s.ask(ctx, `select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_stat_archiver`, &failed)
	if err == nil && failed {
		return fmt.Errorf("postgres cannot put its log into %s: look at the log for what the archive command said", filepath.Join(s.cfg.Dir, "wal"))
	}
	return err
}

func (s *Server) ask(ctx context.Context, sql string, into any) error {
	if s.current() == nil {
		return errors.New("postgres is not started")
	}
	conn, err := pgx.Connect(ctx, s.AdminDSN(superuser))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(into)
}
