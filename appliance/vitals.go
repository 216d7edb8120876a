package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/doctor"
	"nimbus/appliance/durable"
	"nimbus/appliance/id"
)

const (
	diskEvery = 30 * time.Second
	// The disk is low below either, and no longer low above twice of both.
	diskLowBytes   = 1 << 30
	diskLowPercent = 5
)

// vitals records what happens to the appliance as a whole in the provider's
// chain: that it started and with which version, that it was stopped or found
// killed, that its disk fills up.
type vitals struct {
	core    *Core
	dir     string
	version string
	started time.Time
	space   func(dir string) (free, total uint64, err error)

	mu     sync.Mutex
	low    bool
	cancel context.CancelFunc
	done   chan struct{}
}

// life is what the data directory remembers of the newest start.
type life struct {
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Stopped   bool      `json:"stopped"` // cleanly
}

func (a *Appliance) newVitals(c *Core) *vitals {
	return &vitals{core: c, dir: a.cfg.DataDir, version: a.cfg.Version, started: a.started, space: doctor.Space}
}

// Start records the start, and how the one before ended, and watches the disk.
func (v *vitals) Start(ctx context.Context) error {
	before, err := v.read()
	if err != nil {
		return err
	}
	for _, e := range v.startEntries(before) {
		if err := v.record(ctx, e); err != nil {
			return err
		}
	}
	if err := v.write(life{Version: v.version, StartedAt: v.started}); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(context.Background())
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cancel, v.done = cancel, make(chan struct{})
	go v.watch(watching, v.done)
	return nil
}

// Ready is always nil: a disk that is low is no fault of the appliance yet.
func (v *vitals) Ready(context.Context) error { return nil }

// Stop records a clean stop. A second Stop does nothing.
func (v *vitals) Stop(ctx context.Context) error {
	v.mu.Lock()
	cancel, done := v.cancel, v.done
	v.cancel = nil
	v.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	<-done
	stopped := life{Version: v.version, StartedAt: v.started, Stopped: true}
	return errors.Join(v.record(ctx, ended("system.appliance.stopped", audit.Notice, stopped)), v.write(stopped))
}

// startEntries tell of this start and of the end of the run before, if any.
func (v *vitals) startEntries(before *life) []audit.Entry {
	now := map[string]any{"version": v.version}
	var entries []audit.Entry
	if before != nil {
		now["previous_version"] = before.Version
		if !before.Stopped {
			entries = append(entries, ended("system.appliance.killed", audit.Warning, *before))
		}
		if before.Version != v.version {
			entries = append(entries, audit.Entry{Event: "system.appliance.upgraded", Priority: audit.Warning, Target: audit.Target{Kind: "appliance"},
				Before: map[string]any{"version": before.Version}, After: map[string]any{"version": v.version}})
		}
	}
	return append(entries, audit.Entry{Event: "system.appliance.started", Priority: audit.Notice, Target: audit.Target{Kind: "appliance"}, Details: now})
}

func ended(event string, priority audit.Priority, l life) audit.Entry {
	return audit.Entry{Event: event, Priority: priority, Target: audit.Target{Kind: "appliance"},
		Details: map[string]any{"version": l.Version, "started_at": l.StartedAt}}
}

func (v *vitals) record(ctx context.Context, e audit.Entry) error {
	return v.core.Audit.RecordAlone(actor.AsSystem(ctx, "appliance", id.ID{}), id.ID{}, e)
}

func (v *vitals) path() string { return filepath.Join(v.dir, "life.json") }

// read returns nil before the first start. A file that a crash cut off tells
// as much as one that says nothing of a stop.
func (v *vitals) read() (*life, error) {
	raw, err := os.ReadFile(v.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	before := &life{}
	if json.Unmarshal(raw, before) != nil {
		before = &life{Version: v.version}
	}
	return before, nil
}

// write replaces the file. A power cut does not take it back: whether a move may
// still return can depend on it.
func (v *vitals) write(l life) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return durable.Write(v.path(), raw)
}

func (v *vitals) watch(ctx context.Context, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		v.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look records when the disk becomes low, and when it is no longer. What
// cannot be recorded is tried again at the next look.
func (v *vitals) look(ctx context.Context) {
	free, total, err := v.space(v.dir)
	if err != nil || total == 0 {
		return
	}
	percent := int64(free * 100 / total)
	e := audit.Entry{Event: "system.disk.low", Priority: audit.Critical, Target: audit.Target{Kind: "disk", Name: v.dir},
		Details: map[string]any{"free_bytes": int64(free), "free_percent": percent}}
	switch {
	case !v.low && (free < diskLowBytes || percent < diskLowPercent):
	case v.low && free > 2*diskLowBytes && percent > 2*diskLowPercent:
		e.Event, e.Priority = "system.disk.recovered", audit.Notice
	default:
		return
	}
	if v.record(ctx, e) == nil {
		v.low = !v.low
	}
}
