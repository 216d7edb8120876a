package temporal

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nimbus/embedded/postgres"
)

// BenchmarkIdle reports what an idle server costs: its own processor time (in percent of a
// core) and memory, and its connections. It watches for half a minute.
func BenchmarkIdle(b *testing.B) {
	dir, err := os.MkdirTemp("", "nimbus-temporal-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	pg := postgres.New(postgres.Config{Dir: dir})
	if err := pg.Start(b.Context()); err != nil {
		b.Skip(err)
	}
	defer pg.Stop(b.Context())
	s := New(Config{DSN: pg.AdminDSN})
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer s.Stop(b.Context())
	for b.Loop() {
		time.Sleep(10 * time.Second) // what a start leaves to do
		before := processorTime(b)
		time.Sleep(30 * time.Second)
		b.ReportMetric((processorTime(b)-before).Seconds()/30*100, "%cpu")
	}
	n, _ := s.current().state()
	for name, pool := range n.pools.byDatabase {
		b.ReportMetric(float64(pool.Stat().TotalConns()), strings.TrimPrefix(name, "nimbus_")+"-conns")
	}
	b.ReportMetric(proportionalSet(b), "MB-PSS")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// proportionalSet is this process's PSS in MB.
func proportionalSet(b *testing.B) float64 {
	data, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("no Pss in smaps_rollup")
	return 0
}
