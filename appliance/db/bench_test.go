package db_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/embedded/postgres"
)

// measured is what BenchmarkTenants found at one size.
type measured struct {
	tenants int
	create  time.Duration // the median of the last ones
	migrate time.Duration
	memory  int // PSS of all of Postgres, the highest seen under load
	load    time.Duration
}

// BenchmarkTenants fills one real server with 100 and then 1,000 tenants with
// the tables of all domains. At each size it measures making one, migrating
// all, and what Postgres uses under a mixed load over all of them. Run it with
// -benchtime 1x.
func BenchmarkTenants(b *testing.B) {
	for range b.N {
		s := newServer(b)
		var all []measured
		for _, size := range []int{100, 1000} {
			all = append(all, s.measure(b, size))
		}
		few, many := all[0], all[1]
		fmt.Printf("%-28s %12s %12s %7s %s\n", "", "100 tenants", "1000 tenants", "ratio", "target")
		print := func(what string, few, many float64, target string) {
			fmt.Printf("%-28s %12.1f %12.1f %7.2f %s\n", what, few, many, many/few, target)
		}
		print("make one, ms", ms(few.create), ms(many.create), "<= 300 ms")
		print("migrate all, s", few.migrate.Seconds(), many.migrate.Seconds(), "<= 60 s")
		print("Postgres under load, MB PSS", mb(few.memory), mb(many.memory), "<= 1229 MB")
		print("one request of the load, ms", ms(few.load), ms(many.load), "")
		b.ReportMetric(ms(many.create), "ms/create")
		b.ReportMetric(many.migrate.Seconds(), "s/migrate")
		b.ReportMetric(mb(many.memory), "MB/postgres")
		if many.create > 300*time.Millisecond || many.migrate > time.Minute || many.memory > 1229<<20 {
			b.Error("a target was missed")
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mb(bytes int) float64       { return float64(bytes) / (1 << 20) }

// server is a Postgres as the appliance runs it.
type server struct {
	pid      int // of the postmaster
	db       *db.DB
	history  []db.Migration
	tenants  *tenancy.Service
	all      []id.ID
	versions int
}

func newServer(b *testing.B) *server {
	b.Helper()
	dir, err := os.MkdirTemp("", "nimbus-bench-")
	must(b, err)
	must(b, os.Chmod(dir, 0o755))
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	quiet := slog.New(slog.DiscardHandler)
	p := postgres.New(postgres.Config{Dir: dir, Logger: quiet})
	must(b, p.Start(b.Context()))
	b.Cleanup(func() { must(b, p.Stop(context.Background())) })
	cfg, err := db.Bootstrap(b.Context(), p.AdminDSN("postgres"), db.Passwords{App: "app", Owner: "owner"})
	must(b, err)
	s := &server{pid: postmaster(b, dir), history: allMigrations(b)}
	s.db, err = db.Open(b.Context(), cfg)
	must(b, err)
	b.Cleanup(s.db.Close)
	must(b, s.db.Migrate(b.Context(), s.history))
	isRoot := func(t id.ID) bool { return s.tenants.IsRoot(t) }
	trail := audit.New(audit.Config{DB: s.db, Logger: quiet, IsRoot: isRoot})
	rights := permission.New(permission.Config{DB: s.db, Audit: trail, Events: event.NewBus(quiet), Logger: quiet, IsRoot: isRoot})
	s.tenants = tenancy.New(tenancy.Config{
		DB: s.db, History: s.history, Audit: trail, Logger: quiet, Seed: rights.Seed,
		Check: func(context.Context, string) error { return nil },
	})
	return s
}

func setup(ctx context.Context, tenant id.ID) context.Context {
	return actor.With(ctx, actor.Actor{Kind: actor.Setup, Name: "bench", TenantID: tenant})
}

func (s *server) measure(b *testing.B, size int) (m measured) {
	b.Helper()
	m.tenants, m.create = size, s.fill(b, size)
	m.memory, m.load = s.load(b, 12*size)
	s.versions++
	later := append(s.history[:len(s.history):len(s.history)], db.Migration{
		Version: fmt.Sprintf("2999010%dT000000", s.versions), Name: "next", Sum: "next",
		Tenant: fmt.Sprintf(`create table next_%[1]d (tenant_id uuid not null default '{{tenant}}', id uuid primary key, note text);
			alter table compartment add next_%[1]d int; create index next_%[1]d_note on next_%[1]d (tenant_id, note);`, s.versions),
	})
	began := time.Now()
	must(b, s.db.Migrate(b.Context(), later))
	m.migrate = time.Since(began)
	s.history = later
	s.tenants.History = later
	return m
}

// fill makes tenants up to a size and returns the median time of the last ones.
func (s *server) fill(b *testing.B, size int) time.Duration {
	b.Helper()
	root, err := s.tenants.CreateRoot(setup(b.Context(), id.ID{}))
	must(b, err)
	var took []time.Duration
	for len(s.all) < size {
		began := time.Now()
		t, err := s.tenants.Create(setup(b.Context(), root.ID), tenancy.Tenant{Name: fmt.Sprint("Tenant ", len(s.all)), ParentID: root.ID})
		must(b, err)
		took = append(took, time.Since(began))
		s.all = append(s.all, t.ID)
	}
	last := took[len(took)-min(50, len(took)):]
	slices.Sort(last)
	return last[len(last)/2]
}

// load sends requests of many callers to random tenants: the provider level is
// asked first, as a session's check does, then the tenant is read and written.
func (s *server) load(b *testing.B, requests int) (memory int, each time.Duration) {
	b.Helper()
	done := make(chan struct{})
	highest := make(chan int)
	go func() {
		most := 0
		for tick := time.Tick(500 * time.Millisecond); ; {
			select {
			case <-tick:
				most = max(most, s.memory())
			case <-done:
				highest <- max(most, s.memory())
				return
			}
		}
	}()
	const callers = 24
	var g sync.WaitGroup
	began := time.Now()
	for range callers {
		g.Go(func() {
			for range requests / callers {
				if err := s.request(b.Context(), s.all[rand.IntN(len(s.all))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	g.Wait()
	each = time.Since(began) * callers / time.Duration(requests)
	close(done)
	return <-highest, each
}

func (s *server) request(ctx context.Context, tenant id.ID) error {
	ctx = setup(ctx, tenant)
	if _, err := s.tenants.SettingsOf(ctx, tenant); err != nil {
		return err
	}
	return s.db.Tenant(ctx, tenant, touchTables)
}

// memory adds up what the server and its backends use; what they share counts once.
func (s *server) memory() (bytes int) {
	bytes = smaps(s.pid, "Pss:")
	for _, child := range children(s.pid) {
		bytes += smaps(child, "Pss:")
	}
	return bytes
}

// postmaster finds the server's process below its directory.
func postmaster(b *testing.B, dir string) int {
	b.Helper()
	var pid int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "postmaster.pid" {
			raw, err := os.ReadFile(path)
			if err == nil {
				pid, err = strconv.Atoi(strings.TrimSpace(strings.SplitN(string(raw), "\n", 2)[0]))
			}
			return err
		}
		return nil
	})
	if err != nil || pid == 0 {
		b.Fatalf("no server runs in %s: %v", dir, err)
	}
	return pid
}

func children(parent int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			all = append(all, pid)
		}
	}
	return all
}
