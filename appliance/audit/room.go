package audit

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// What has to stay free on the disk. Below reserve nothing is changed any
// more: what goes on by itself (sealing, workflows, the database's own log)
// must not find the disk full, for then the database stops, and reading with it.
const (
	reserve    = 256 << 20
	enough     = reserve + reserve/4 // changes go on from here on
	lastResort = reserve / 2         // down to here people are let in, and room is made
	lookEach   = time.Second
)

// room remembers how much of the disk is free.
type room struct {
	mu     sync.Mutex
	looked time.Time
	short  bool
	free   uint64
	since  time.Time
	told   bool // what the trail says of it
}

// look measures, at most once a second, and returns what of the state changed.
func (r *room) look(dir string) (short, changed bool, free uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var st syscall.Statfs_t
	if time.Since(r.looked) < lookEach || syscall.Statfs(dir, &st) != nil {
		return r.short, false, r.free
	}
	r.looked, r.free = time.Now(), st.Bavail*uint64(st.Bsize) //nolint:gosec // a size
	before := r.short
	r.short = r.free < reserve || before && r.free < enough
	if r.short && !before {
		r.since = time.Now()
	}
	return r.short, r.short != before, r.free
}

// roomLeft is nil while the disk has room; else fault.Unavailable, from the
// reserve not before half of that is gone. That the disk is
// short is an alert: in the log, in what Ready says, and in the trail, which
// takes that record from the reserve.
func (s *Service) roomLeft(ctx context.Context, fromReserve bool) error {
	if s.Dir == "" {
		return nil
	}
	short, changed, free := s.room.look(s.Dir)
	switch {
	case short && changed:
		s.Logger.Error("the disk is nearly full: changes are refused until there is room", "free", free, "dir", s.Dir)
	case changed:
		s.Logger.Info("the disk has room again", "free", free)
	}
	system := actor.AsSystem(ctx, "audit", id.ID{})
	if !short {
		s.room.tell(false, func(since time.Time) error { return s.RecordAlone(system, id.ID{}, recovered(since, 0)) })
		return nil
	}
	s.room.tell(true, func(time.Time) error { return s.RecordAlone(system, id.ID{}, stopped(free)) })
	if fromReserve && free >= lastResort {
		return nil
	}
	f := fault.New(fault.Unavailable, "The disk is nearly full: %s are free and %s have to be. Nothing can be changed until there is room; reading goes on.", megabytes(free), megabytes(reserve))
	f.RetryAfter = 2 * time.Second
	return f
}

// tell has the state recorded unless it was, by one caller and outside the
// lock; when that fails the next caller tries again.
func (r *room) tell(short bool, record func(since time.Time) error) {
	r.mu.Lock()
	since, known := r.since, r.told == short
	r.told = short
	r.mu.Unlock()
	if known || record(since) == nil {
		return
	}
	r.mu.Lock()
	r.told = !short
	r.mu.Unlock()
}

func stopped(free uint64) Entry {
	return Entry{
		Event: "audit.trail.stopped", Priority: Critical, Outcome: Failure, Target: Target{Kind: "chain"},
		Reason: "The disk is nearly full.", Details: map[string]any{"free": free, "reserve": reserve},
	}
}

func megabytes(n uint64) string { return fmt.Sprintf("%d MB", n>>20) }
