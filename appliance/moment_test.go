package appliance_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/backup"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres"
)

// unpacked is a base backup as a restore unpacks it, with the segments that follow.
type unpacked struct {
	backup.Trial
	t    *testing.T
	last time.Time // of the last change that is in the log
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// unpackedBase runs a cluster, copies it and changes it three times, each in a segment.
func unpackedBase(t *testing.T) unpacked {
	t.Helper()
	dir, cluster := appliancetest.Dir(t), filepath.Join(appliancetest.Dir(t), "postgres")
	server := postgres.New(postgres.Config{Dir: cluster, Logger: appliancetest.Logger(t), Unsafe: true})
	must(t, server.Start(t.Context()))
	defer func() { must(t, server.Stop(t.Context())) }()
	must(t, server.Archive(true))
	base, err := server.BaseBackup(t.Context(), func(_ postgres.Base, h *tar.Header, r io.Reader) error {
		at := filepath.Join(dir, "postgres", "data", h.Name)
		if h.Typeflag == tar.TypeDir {
			return os.MkdirAll(at, 0o700)
		}
		content, err := io.ReadAll(r)
		write(t, at, content)
		return err
	})
	must(t, err)
	for _, name := range []string{"keys/local.key", "keys/database.json", "local/pb/data.db"} {
		write(t, filepath.Join(dir, name), nil)
	}
	password, err := os.ReadFile(filepath.Join(cluster, "password"))
	must(t, err)
	write(t, filepath.Join(dir, "postgres", "password"), password)
	u := unpacked{t: t, Trial: backup.Trial{Dir: dir, Log: filepath.Join(dir, "log"), Manifest: backup.Manifest{Base: backup.Base{
		Timeline: base.Timeline, EndWAL: base.EndWAL, Moment: base.Finished}}}}
	must(t, os.MkdirAll(u.Log, 0o700))
	conn, err := pgx.Connect(t.Context(), server.AdminDSN("postgres"))
	must(t, err)
	defer conn.Close(t.Context())
	for _, change := range []string{"create table a ()", "create table b ()", "create table c ()"} {
		_, err := conn.Exec(t.Context(), change)
		must(t, errors.Join(err, server.SwitchLog(t.Context())))
	}
	u.last = time.Now()
	within(t, "three segments are finished", func() bool {
		all, err := server.Archived()
		must(t, err)
		n := 0
		for _, s := range all {
			if s.Name > base.EndWAL && len(s.Name) == len(base.EndWAL) {
				content, err := os.ReadFile(s.Path)
				must(t, err)
				write(t, filepath.Join(u.Log, s.Name), content)
				u.End, n = s.Name, n+1
			}
		}
		return n >= 3
	})
	return u
}

// copied is u in a place of its own.
func (u unpacked) copied() unpacked {
	u.t.Helper()
	dir := appliancetest.Dir(u.t)
	must(u.t, os.CopyFS(dir, os.DirFS(u.Dir)))
	must(u.t, os.Chmod(filepath.Join(dir, "postgres", "data"), 0o700))
	u.Dir, u.Log = dir, filepath.Join(dir, "log")
	return u
}

// TestTheMomentThatComesBackIsTold: the backup's, the last one in the log, or the one that
// was asked for, and never one that the log does not reach.
func TestTheMomentThatComesBackIsTold(t *testing.T) {
	t.Parallel()
	u := unpackedBase(t)
	a := appliance.New(appliance.Config{DataDir: appliancetest.Dir(t), Logger: appliancetest.Logger(t), Unsafe: true})
	near := func(what string, got, want time.Time, err error) {
		t.Helper()
		if d := got.Sub(want); err != nil || d > time.Second || d < -time.Second {
			t.Errorf("%s: %v came back, want %v; %v", what, got, want, err)
		}
	}

	latest := u.copied()
	got, err := a.Recover(t.Context(), latest.Trial)
	near("the end of the log", got, u.last, err)

	later := u.copied()
	later.Until, later.Short = time.Now().Add(time.Hour), true
	if _, err := a.Recover(t.Context(), later.Trial); !errors.Is(err, backup.ErrShort) {
		t.Errorf("with a part of the log: %v", err)
	}
	later.Short = false
	got, err = a.Recover(t.Context(), later.Trial)
	near("a moment after the log", got, u.last, err)

	broken := u.copied()
	broken.Until = later.Until
	first := postgres.NextSegment(u.Manifest.Base.EndWAL)
	content, err := os.ReadFile(filepath.Join(u.Log, first))
	must(t, err)
	write(t, filepath.Join(broken.Log, postgres.NextSegment(first)), content)
	if _, err := a.Recover(t.Context(), broken.Trial); !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), "breaks off") {
		t.Errorf("a log that breaks off: %v", err)
	}
}
