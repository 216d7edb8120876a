package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// rangesMost is how many ranges one record tells of: its details are bounded.
const rangesMost = 2000

const (
	// rereadAfter is how long a segment is taken to be whole, and rereadMost how
	// many are read back in one run.
	rereadAfter = 30 * 24 * time.Hour
	rereadMost  = 16
)

// reread reads some segments back that were not for long, so that one that is
// lost is known before it is needed.
func (s *Service) reread(ctx context.Context, tenant id.ID) error {
	var old []archived
	err := s.in(ctx, tenant, func(ctx context.Context) (err error) {
		old, err = s.store.stale(ctx, time.Now().Add(-rereadAfter), rereadMost)
		return err
	})
	failed := []error{err}
	for _, seg := range old {
		seg.Tenant = s.chainOf(tenant)
		failed = append(failed, s.readBack(ctx, seg))
	}
	return errors.Join(failed...)
}

// pruneChain deletes the records whose retention is over and that nothing
// holds, segment by segment, each after its copy was read back. The database
// itself refuses everything else (audit_prune). One segment that is damaged does
// not keep the others.
func (s *Service) pruneChain(ctx context.Context, tenant id.ID) error {
	var failed []error
	after := int64(0)
	for {
		seg, found, err := s.nextDue(ctx, tenant, after)
		if err != nil || !found {
			return errors.Join(append(failed, err)...)
		}
		if err := s.pruneSegment(ctx, tenant, seg); err != nil {
			if ctx.Err() != nil || !foundDamaged(err) {
				return errors.Join(append(failed, err)...)
			}
			failed = append(failed, err)
		}
		after = seg.Last
	}
}

// nextDue is the next segment after a sequence number of which something is due.
func (s *Service) nextDue(ctx context.Context, tenant id.ID, after int64) (found archived, ok bool, err error) {
	for err == nil && !ok {
		pulse(ctx, after)
		more := false
		err = s.in(ctx, tenant, func(ctx context.Context) error {
			r, err := s.store.retention(ctx)
			if _, ends := r.shortest(); err != nil || !r.PruneEnabled || !ends {
				return err
			}
			if found, more, err = s.store.segmentAfter(ctx, after); err != nil || !more {
				return err
			}
			due, err := s.store.due(ctx, found.First, found.Last)
			ok = len(due) > 0
			return err
		})
		if !more {
			return found, false, err
		}
		after = found.Last
	}
	return found, ok, err
}

// pruneSegment reads a segment back and deletes what is due of it, in one
// transaction with the records that tell of it.
func (s *Service) pruneSegment(ctx context.Context, tenant id.ID, seg archived) error {
	seg.Tenant = s.chainOf(tenant)
	if err := s.readBack(ctx, seg); err != nil {
		return err
	}
	return s.in(ctx, tenant, func(ctx context.Context) error {
		if err := s.store.lockLife(ctx); err != nil {
			return err
		}
		due, err := s.store.due(ctx, seg.First, seg.Last)
		for err == nil && len(due) > 0 {
			n := min(len(due), rangesMost)
			err = s.pruneRanges(ctx, seg, due[:n])
			due = due[n:]
		}
		return err
	})
}

// pruneRanges writes the record of what is pruned, and has the database do what
// it says.
func (s *Service) pruneRanges(ctx context.Context, seg archived, ranges [][2]int64) error {
	total := int64(0)
	for _, r := range ranges {
		total += r[1] - r[0] + 1
	}
	l, err := s.prepare(ctx, seg.Tenant, Entry{Event: PrunedEvent, whole: true, Priority: Warning, Target: seg.target(), Details: map[string]any{
		"ranges": ranges, "records": total, "segment": seg.ID, "sha256": seg.SHA256, "key": seg.Key}})
	if err != nil {
		return err
	}
	if err := s.store.insertNow(ctx, l); err != nil {
		return err
	}
	db.OnCommit(ctx, func() { s.sealer.wake(seg.Tenant) })
	n, err := s.store.prune(ctx, l.id)
	if err == nil && n != total {
		err = fault.New(fault.Internal, "Of %d records %d were deleted.", total, n)
	}
	return err
}

// readBack proves that a segment is what was written and what the chain says,
// and keeps the result. That one is damaged is recorded, once.
func (s *Service) readBack(ctx context.Context, seg archived) error {
	failed := s.compareSegment(ctx, seg)
	if failed != nil && !foundDamaged(failed) {
		return failed
	}
	err := s.in(ctx, seg.Tenant, func(ctx context.Context) error {
		problem := ""
		if failed != nil {
			problem = fault.Message(failed)
		}
		before, err := s.store.checkSegment(ctx, seg.ID, problem)
		if err != nil || (before == "") == (problem == "") {
			return err
		}
		e := Entry{Event: "audit.segment.recovered", Priority: Notice, Target: seg.target()}
		if problem != "" {
			e.Event, e.Outcome, e.Priority, e.Reason = "audit.segment.damaged", Failure, Critical, problem
		}
		return s.Record(ctx, e)
	})
	return errors.Join(failed, err)
}

func (s *Service) compareSegment(ctx context.Context, seg archived) error {
	store, err := s.openArchive(ctx, seg.Tenant, seg.place)
	if err != nil {
		return err
	}
	leaves, err := s.leavesOf(ctx, seg.Tenant, seg.First, seg.Last)
	if err != nil {
		return err
	}
	return s.VerifySegment(ctx, store, seg.Segment, func(n int64, body []byte) error {
		if n < seg.First || n > seg.Last || ledger.Leaf(body) != leaves[n-seg.First] {
			return fmt.Errorf("record %d is not the one of the chain", n)
		}
		return nil
	})
}

// leavesOf are the leaves of whole tiles, as the tree has them.
func (s *Service) leavesOf(ctx context.Context, tenant id.ID, first, last int64) (leaves []Hash, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		nodes := s.treeOf(ctx)
		leaves = make([]Hash, last-first+1)
		for i := range leaves {
			if leaves[i], err = nodes.Node(0, uint64(first-1)+uint64(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return leaves, err
}

// spans joins ascending numbers to ranges.
func spans(numbers []int64) [][2]int64 {
	var all [][2]int64
	for _, n := range numbers {
		if last := len(all) - 1; last >= 0 && all[last][1] == n-1 {
			all[last][1] = n
			continue
		}
		all = append(all, [2]int64{n, n})
	}
	return all
}
