package audit

import (
	"context"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// probeEvery is how often a trail that takes no records is tried again.
const probeEvery = time.Second

// trail remembers whether records can be written.
type trail struct {
	mu      sync.Mutex
	failed  error // of the newest attempt
	since   time.Time
	probed  time.Time
	missing uint64 // records that were refused since
}

// noteAppend keeps how an attempt to write n records ended.
func (s *Service) noteAppend(err error, n int) {
	t := &s.trail
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.failed, t.missing = nil, 0
		return
	}
	s.stats.failures.Add(uint64(n))
	if !fault.Is(err, fault.Unavailable) {
		return
	}
	t.missing += uint64(n)
	if t.failed == nil {
		t.since = time.Now()
		s.Logger.Error("the audit trail takes no records: changes are refused until it does", "error", err)
	}
	t.failed = err
}

// Takes is nil when the trail takes records. Otherwise, and when the disk is
// nearly full, nothing must be changed: it returns fault.Unavailable. What goes
// on from the reserve is refused later. Once in a second it tries whether the
// trail takes records again, and records that it does.
func (s *Service) Takes(ctx context.Context, fromReserve bool) error {
	if err := s.roomLeft(ctx, fromReserve); err != nil {
		return err
	}
	missing, since, failed := s.trail.probe()
	if failed == nil {
		return nil
	}
	if !since.IsZero() {
		ctx := actor.AsSystem(ctx, "audit", id.ID{})
		if err := s.RecordAlone(ctx, id.ID{}, recovered(since, missing)); err == nil {
			s.Logger.Info("the audit trail takes records again", "since", since)
			return nil
		}
	}
	f := fault.Wrap(fault.Unavailable, failed,
		"The audit trail takes no records, so nothing can be changed. Free space on the disk or see System health; reading goes on.")
	f.RetryAfter = 2 * time.Second
	return f
}

// probe returns why the trail takes no records; since is not zero when it is
// time to try again.
func (t *trail) probe() (missing uint64, since time.Time, failed error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil && time.Since(t.probed) >= probeEvery {
		t.probed, since = time.Now(), t.since
	}
	return t.missing, since, t.failed
}

func recovered(since time.Time, missing uint64) Entry {
	return Entry{
		Event: "audit.trail.recovered", Priority: Critical, Target: Target{Kind: "chain"},
		Details: map[string]any{"since": since.UTC(), "refused": missing},
	}
}

// ready is nil unless the newest record could not be written.
func (t *trail) ready() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, t.failed, "The audit trail takes no records since %s.", t.since.UTC().Format(time.RFC3339))
}
