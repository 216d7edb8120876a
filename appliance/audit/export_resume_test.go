package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// markOf is how far an export was kept; zero when it was not.
func markOf(path string) (m exportMark) {
	text, err := os.ReadFile(path + ".mark")
	if err != nil || json.Unmarshal(text, &m) != nil {
		return exportMark{}
	}
	return m
}

// kept waits until a part of an export is on the disk.
func kept(t *testing.T, path string, records int64) exportMark {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if m := markOf(path); m.Stream.Records >= records {
			return m
		}
	}
	t.Fatal("no part of the export is kept")
	return exportMark{}
}

// TestExportGoesOn loses the worker in the middle of an export. The next one
// goes on where the first one was: what is on the disk is not written again,
// what came after it is thrown away, and the file holds.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	for _, format := range []ExportFormat{JSONLines, CSV} {
		for name, f := range map[string]Filter{"everything": {}, "a part": {Events: []string{"test.thing"}}} {
			t.Run(fmt.Sprint(format, " ", name), func(t *testing.T) {
				t.Parallel()
				c, s := exports(t)
				c.record(t, 9000)
				ada := c.user()
				e, err := c.StartExport(ada, format, f)
				if err != nil {
					t.Fatal(err)
				}
				in := s.started[0]
				path := c.exportPath(in.Tenant, in.Export)
				before := c.lose(t, in, path)
				stamp(t, path)
				c.pace = usualPace
				s.write(t, c)
				if e, err = c.Export(ada, e.ID); err != nil || e.State != ExportDone || e.Records < 9000 {
					t.Fatalf("%+v %v", e, err)
				}
				wantGoneOn(t, path, format, before)
				c.checkExport(t, ada, e)
			})
		}
	}
}

// lose begins an export and takes its worker away in the middle.
func (c *chain) lose(t *testing.T, in ExportInput, path string) exportMark {
	t.Helper()
	c.pace = exportPace{pause: 50 * time.Millisecond}
	ctx, lost := context.WithCancel(c.ctx)
	ended := make(chan error)
	go func() { ended <- c.writeExport(ctx, in.Tenant, in.Export) }()
	kept(t, path, 2000)
	if err := c.writeExport(c.ctx, in.Tenant, in.Export); !fault.Is(err, fault.Unavailable) {
		t.Errorf("two workers write one export: %v", err)
	}
	lost()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	m := markOf(path)
	if m.Stream.Records < 2000 || m.Stream.Records >= 9000 {
		t.Fatalf("%d records were kept", m.Stream.Records)
	}
	return m
}

// stamp makes visible whether the beginning of a file is written again, and
// adds what a worker had not kept yet.
func stamp(t *testing.T, path string) {
	t.Helper()
	for _, name := range []string{path + ".part", path + ".proof.part"} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("half a line"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(1100 * time.Millisecond) // the header of a new stream tells another second
}

// wantGoneOn demands the stream that was begun, with its header and checkpoint.
func wantGoneOn(t *testing.T, path string, format ExportFormat, before exportMark) {
	t.Helper()
	if format == CSV {
		path += ".proof"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var h ledger.Header
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil || !h.Created.Equal(before.Stream.Header.Created) {
		t.Errorf("written anew: %s, was of %s", line, before.Stream.Header.Created)
	}
	left, err := filepath.Glob(strings.TrimSuffix(path, ".proof") + "*.part")
	if err != nil || len(left) > 0 || markOf(path).Stream.Records > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestExportWithoutItsPart begins anew when the mark is there and the file is not.
func TestExportWithoutItsPart(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	c.record(t, 9000)
	ada := c.user()
	e, err := c.StartExport(ada, JSONLines, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	path := c.exportPath(s.started[0].Tenant, e.ID)
	c.lose(t, s.started[0], path)
	if err := os.Truncate(path+".part", 100); err != nil {
		t.Fatal(err)
	}
	c.pace = usualPace
	s.write(t, c)
	if e, err = c.Export(ada, e.ID); err != nil || e.State != ExportDone {
		t.Fatalf("%+v %v", e, err)
	}
	c.checkExport(t, ada, e)
}

// TestExportGoesOnAndFindsWhatIsMissing: what the first worker saw of records
// that are gone counts for the next one too, which sees the record that tells
// of some of them.
func TestExportGoesOnAndFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"told": true, "not told": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := exports(t)
			c.record(t, 9000)
			c.prune(t, told, [2]int64{100, 200})
			e, err := c.StartExport(c.user(), JSONLines, Filter{})
			if err != nil {
				t.Fatal(err)
			}
			c.lose(t, s.started[0], c.exportPath(s.started[0].Tenant, e.ID))
			c.pace = usualPace
			err = c.writeExport(c.ctx, s.started[0].Tenant, e.ID)
			if told != (err == nil) || !told && !fault.Is(err, fault.Conflict) {
				t.Errorf("%v", err)
			}
		})
	}
}

// exporterEnv makes the test binary a worker that writes the export on that directory.
const exporterEnv = "NIMBUS_TEST_EXPORTER"

// exportSlowly writes the running export of the provider's chain, with a pause
// between batches, until it is killed.
func exportSlowly(dir string) error {
	ctx := actor.AsSystem(context.Background(), "test", id.ID{})
	s, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	all, err := s.Exports(ctx)
	if err != nil || len(all) != 1 {
		return fmt.Errorf("%d exports: %w", len(all), err)
	}
	s.pace = exportPace{pause: 100 * time.Millisecond}
	if err := s.writeExport(ctx, id.ID{}, all[0].ID); err != nil {
		return err
	}
	return errors.New("the export was written before anybody killed it")
}

// TestExportWorkerKilled kills worker and database, the whole process group, in
// the middle of an export. The next worker goes on, and the file holds.
func TestExportWorkerKilled(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	begun := &starter{}
	export := withServer(t, ctx, dir, func(s *server) Export {
		s.UseTemporal(begun)
		s.recordMany(t, ctx, 20_000)
		e, err := s.StartExport(ctx, JSONLines, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	path := filepath.Join(dir, "exports", "provider", export.ID.String())
	before := killedWhileExporting(t, dir, path)
	time.Sleep(1100 * time.Millisecond)
	withServer(t, ctx, dir, func(s *server) Export {
		if err := s.writeExport(ctx, id.ID{}, export.ID); err != nil {
			t.Fatal(err)
		}
		wantGoneOn(t, path, JSONLines, before)
		keys, err := s.trusted(ctx)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := ledger.VerifyStream(file, keys, ledger.Options{})
		if err != nil || !r.OK() || r.Records < 20_000 {
			t.Errorf("%+v %v", r, err)
		}
		t.Logf("%d of %d records were kept when the worker was killed", before.Stream.Records, r.Records)
		return export
	})
}

func killedWhileExporting(t *testing.T, dir, path string) exportMark {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), exporterEnv+"="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
	}()
	kept(t, path, 4000)
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	_ = command.Wait()
	m := markOf(path)
	if m.Stream.Records >= 20_000 {
		t.Fatal("it was killed too late")
	}
	return m
}

// withServer runs fn with a server on a directory, and stops it.
func withServer(t *testing.T, ctx context.Context, dir string, fn func(*server) Export) Export {
	t.Helper()
	s, err := startServer(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx := context.Background()
		_ = s.Service.Stop(ctx)
		s.DB.Close()
		_ = s.Server.Stop(ctx)
	}()
	return fn(s)
}

// recordMany records and seals in the provider's chain, in large transactions.
func (s *server) recordMany(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	for done := 0; done < n; {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			for range 1000 {
				done++
				if err := s.Record(ctx, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", ID: fmt.Sprint(done)}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.seal(ctx, id.ID{}); err != nil {
		t.Fatal(err)
	}
}
