package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/activity"

	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

const (
	// segmentMost is how many records a segment has at most.
	segmentMost = 64 * segmentTile
	// strayAge is how long ago an object must have been begun that no segment
	// knows, so that it is nobody's who still writes.
	strayAge = time.Hour
)

// archiveChain copies what is old enough to the archive, one segment after the
// other. Interrupted anywhere and done again, it goes on after the last segment
// that was read back: what was written of another one is written anew.
func (s *Service) archiveChain(ctx context.Context, tenant id.ID) error {
	status, err := s.archive(ctx, tenant)
	if err != nil || status.Kind == ArchiveNone {
		return err
	}
	store, err := s.openArchive(ctx, tenant, status.ArchiveTarget)
	if err != nil {
		return err
	}
	if err := s.seal(ctx, s.chainOf(tenant)); err != nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = s.archiveNext(ctx, tenant, status.ArchiveTarget, store)
		pulse(ctx, 0)
	}
	return err
}

// archiveNext writes the next segment, and tells whether there was one.
func (s *Service) archiveNext(ctx context.Context, tenant id.ID, target ArchiveTarget, to objectstore.Store) (bool, error) {
	first, last, err := s.coldRange(ctx, tenant)
	if err != nil || last == 0 {
		return false, err
	}
	s.removeStrays(ctx, to, tenant)
	seg, err := s.WriteSegment(ctx, to, tenant, first, last)
	if err != nil {
		return false, err
	}
	mine := false
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		mine = false
		if err := s.store.lockLife(ctx); err != nil {
			return err
		}
		archived, err := s.store.archived(ctx)
		if err != nil || archived != first-1 {
			return err
		}
		if err := s.store.addSegment(ctx, seg, target.id); err != nil {
			return err
		}
		mine = true
		return s.Record(ctx, Entry{Event: "audit.segment.archived", Priority: Notice, Target: seg.target(), Details: map[string]any{
			"first": first, "last": last, "key": seg.Key, "sha256": seg.SHA256, "bytes": seg.Bytes, "place": target.name()}})
	})
	if err == nil && (mine || to.Delete(ctx, seg.Key) == nil) { // when it is not, another run was faster
		s.forgetWriting(seg)
	}
	return err == nil, err
}

func (seg Segment) target() Target {
	return Target{Kind: "audit-segment", ID: seg.ID.String(), Name: fmt.Sprintf("Records %d to %d", seg.First, seg.Last)}
}

// coldRange is what the next segment has: whole tiles of records that are all
// old enough; nothing when last is 0.
func (s *Service) coldRange(ctx context.Context, tenant id.ID) (first, last int64, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		r, err := s.store.retention(ctx)
		if err != nil {
			return err
		}
		if first, err = s.store.archived(ctx); err != nil {
			return err
		}
		first++
		last, err = s.store.coldest(ctx, first, daysAgo(r.ArchiveAfterDays))
		return err
	})
	if last = min(last, first-1+segmentMost) / segmentTile * segmentTile; last < first {
		last = 0
	}
	return first, last, err
}

// writing is where this machine keeps which objects of a chain it began; "" when
// the service has no folder.
func (s *Service) writing(tenant id.ID) string {
	if s.Dir == "" {
		return ""
	}
	return filepath.Join(s.Dir, "audit", "archiving", chainName(tenant))
}

// beginWriting keeps the key of a segment until it is in the database, or gone.
func (s *Service) beginWriting(seg Segment) error {
	dir := s.writing(seg.Tenant)
	if dir == "" {
		return nil
	}
	return durable.Write(filepath.Join(dir, seg.ID.String()), []byte(seg.Key))
}

func (s *Service) forgetWriting(seg Segment) {
	if dir := s.writing(seg.Tenant); dir != "" {
		_ = os.Remove(filepath.Join(dir, seg.ID.String())) // else the next run does
	}
}

// removeStrays removes the objects that interrupted runs of this machine left. A
// store that does not allow it keeps them, which harms nothing. What it did not
// begin stays: another appliance may have written it, or this one before an older
// backup was restored, and then its records are nowhere else.
func (s *Service) removeStrays(ctx context.Context, in objectstore.Store, tenant id.ID) {
	dir := s.writing(s.chainOf(tenant))
	if dir == "" {
		return
	}
	begun, _ := os.ReadDir(dir) // there is none before the first
	for _, b := range begun {
		if info, err := b.Info(); err != nil || time.Since(info.ModTime()) <= strayAge {
			continue
		}
		path := filepath.Join(dir, b.Name())
		if key, err := os.ReadFile(path); err == nil && s.removeStray(ctx, in, tenant, string(key)) == nil {
			_ = os.Remove(path)
		}
	}
}

// removeStray removes an object that no segment knows.
func (s *Service) removeStray(ctx context.Context, in objectstore.Store, tenant id.ID, key string) error {
	known := false
	err := s.in(ctx, tenant, func(ctx context.Context) (err error) {
		known, err = s.store.knowsKey(ctx, key)
		return err
	})
	if err != nil || known {
		return err
	}
	return in.Delete(ctx, key)
}

// pulse keeps a step alive that is busy.
func pulse(ctx context.Context, at int64) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, at)
	}
}

// endArchive keeps how a run ended. That runs fail, and that they work again,
// is recorded once each.
func (s *Service) endArchive(ctx context.Context, tenant id.ID, problem string) error {
	return s.in(ctx, tenant, func(ctx context.Context) error {
		before, err := s.store.archive(ctx)
		if err != nil || before.Kind == ArchiveNone && problem == "" && before.FailedAt == nil {
			return err
		}
		if err := s.store.archiveRan(ctx, problem); err != nil {
			return err
		}
		e := Entry{Event: "audit.archive.recovered", Priority: Notice, Target: s.chainTarget(tenant)}
		switch {
		case (before.FailedAt != nil) == (problem != ""):
			return nil
		case problem != "":
			e.Event, e.Outcome, e.Priority, e.Reason = "audit.archive.failed", Failure, Error, problem
		}
		return s.Record(ctx, e)
	})
}

// foundDamaged is fault.Conflict or fault.NotFound: what an archive has is not
// what was written. Other faults say that it could not be read.
func foundDamaged(err error) bool {
	return fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound)
}
