package appliance

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// TestVitalsAreRecorded starts, kills, upgrades and stops an appliance, fills
// its disk and frees it, and reads the provider's chain.
func TestVitalsAreRecorded(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, audit.Migrations)
	c := &Core{Audit: audit.New(audit.Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false },
		Check: func(context.Context, string) error { return nil }})}
	dir, free := t.TempDir(), uint64(50<<30)
	start := func(version string) *vitals {
		t.Helper()
		v := &vitals{core: c, dir: dir, version: version, started: time.Now().UTC(), space: func(string) (uint64, uint64, error) { return free, 100 << 30, nil }}
		if err := v.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return v
	}
	stop := func(v *vitals) {
		t.Helper()
		for range 2 {
			if err := v.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop(start("1.0.0"))
	killed := start("1.0.0")
	killed.cancel() // it watches no more, and never says that it stops
	<-killed.done
	v := start("1.1.0")
	v.cancel()
	<-v.done
	for _, now := range []uint64{900 << 20, 1 << 20, 1500 << 20, 4 << 30, 30 << 30, 4 << 30} { // low, still, still, still, not, low by percent
		free = now
		v.look(t.Context())
	}
	v.cancel = func() {}
	stop(v)
	if err := os.WriteFile(v.path(), []byte("{"), 0o600); err != nil { // cut off by a crash
		t.Fatal(err)
	}
	free = 50 << 30 // or its first look may or may not come before it stops
	stop(start("1.1.0"))
	if err := c.Audit.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"system.appliance.started", "system.appliance.stopped",
		"system.appliance.started",
		"system.appliance.killed", "system.appliance.upgraded", "system.appliance.started",
		"system.disk.low", "system.disk.recovered", "system.disk.low", "system.appliance.stopped",
		"system.appliance.killed", "system.appliance.started", "system.appliance.stopped",
	}
	var events []string
	for end := time.Now().Add(20 * time.Second); len(events) < len(want) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		events = recordedEvents(t, c.Audit)
	}
	if !slices.Equal(events, want) {
		t.Errorf("recorded\n%q, want\n%q", events, want)
	}
	if err := c.Audit.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recordedEvents are the events of the provider's chain, oldest first.
func recordedEvents(t *testing.T, s *audit.Service) (events []string) {
	t.Helper()
	found, err := s.List(actor.AsSystem(t.Context(), "test", id.ID{}), audit.Filter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range slices.Backward(found) {
		events = append(events, r.Event)
	}
	return events
}
