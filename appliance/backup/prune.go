package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// keepFailed is how long a backup stays in the target that was made and not
// found whole: what is wrong with it may be wanted.
const keepFailed = 7 * 24 * time.Hour

// Prune deletes what the policy does not keep, and says what that was.
func (s *Service) Prune(ctx context.Context) ([]Backup, error) {
	if err := s.Check(ctx, Delete); err != nil {
		return nil, err
	}
	return s.prune(ctx)
}

func (s *Service) prune(ctx context.Context) ([]Backup, error) {
	set, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	store, err := set.Target.Open()
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, store, set); err != nil {
		return nil, err
	}
	all, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	gone := superfluous(all, set.Keep, s.Zone())
	for _, b := range all {
		if b.State == Failed && b.Bytes > 0 && time.Since(b.StartedAt) > keepFailed {
			gone = append(gone, b)
		}
	}
	for _, b := range gone {
		if err := s.give(ctx, b); err != nil {
			return nil, err
		}
	}
	return gone, s.pruneLog(ctx, store)
}

// give deletes a backup that the policy does not keep.
func (s *Service) give(ctx context.Context, b Backup) error {
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	err = s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{Event: "backup.archive.pruned", Priority: audit.Notice, Target: target(b.ID),
		Details: map[string]any{"started_at": b.StartedAt, "target": b.Target, "file_stays": set.reaches(b) != nil}})
	if err != nil {
		return err
	}
	if err := s.remove(ctx, b); err != nil {
		return err
	}
	_, err = s.change(ctx, b.ID, func(b *Backup) { b.State, b.Bytes = Pruned, 0 })
	return err
}

// Remove deletes a backup, the newest too, or stops one that is being made or
// verified. Faults: NotFound, Gone, and Conflict for one that a console makes or whose
// file lies in another place than the settings name.
func (s *Service) Remove(ctx context.Context, backup id.ID) error {
	if err := s.Check(ctx, Delete); err != nil {
		return err
	}
	b, err := s.find(ctx, backup)
	if err != nil {
		return err
	}
	if b.State == Pruned {
		return fault.New(fault.Gone, "This backup was deleted already.")
	}
	if err := s.deletable(ctx, b); err != nil {
		return err
	}
	err = s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{Event: "backup.archive.deleted", Priority: audit.Warning, Target: target(backup),
		Details: map[string]any{"state": b.State, "started_at": b.StartedAt, "target": b.Target}})
	if err != nil {
		return err
	}
	if b.open() {
		return s.stop(ctx, b)
	}
	if err := s.remove(ctx, b); err != nil {
		return err
	}
	_, err = s.change(ctx, backup, func(b *Backup) { b.State, b.Bytes = Pruned, 0 })
	return err
}

// deletable refuses to say that a file is deleted which is not reached.
func (s *Service) deletable(ctx context.Context, b Backup) error {
	if b.open() || b.Bytes == 0 {
		return nil
	}
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	return set.reaches(b)
}

// adopt takes backups of this appliance into the catalogue that it does not
// know: after a restore those made since are in the target all the same.
func (s *Service) adopt(ctx context.Context, store objectstore.Store, set Settings) error {
	all, err := s.catalogue(ctx)
	if err != nil {
		return err
	}
	known := map[id.ID]bool{}
	for _, b := range all {
		known[b.ID] = true
	}
	own, err := s.identity(ctx)
	if err != nil {
		return err
	}
	key, err := s.ownKey()
	if err != nil {
		return err
	}
	listed, err := store.List(ctx, archives)
	if err != nil {
		return err
	}
	for _, o := range listed {
		backup, ok := parseName(o.Key)
		if !ok || known[backup] || !strings.HasSuffix(o.Key, summarySuffix) {
			continue
		}
		sum, err := readSummary(ctx, store, o.Key, key)
		if fault.Is(err, fault.Unprocessable) || err == nil && sum.Appliance != own {
			continue // another appliance's
		}
		if err != nil {
			return err
		}
		if sum.ID != backup {
			s.Logger.Warn("a summary in the target has the name of another backup, and is passed over", "name", o.Key)
			continue
		}
		if err := s.adopted(ctx, sum, set); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) adopted(ctx context.Context, sum Summary, set Settings) error {
	_, err := s.change(ctx, sum.ID, func(b *Backup) {
		at := sum.Base.Moment
		b.Kind, b.State, b.StartedAt, b.FinishedAt, b.Bytes = sum.Kind, Done, sum.CreatedAt, &at, sum.Bytes
		b.Target, b.Includes, b.WALFrom, b.WALTo = set.Target.String(), sum.Includes, sum.Base.StartWAL, sum.Base.EndWAL
	})
	return err
}

// Settle ends in the catalogue what nothing works on any more after a restore,
// and records the restore. Call it before workflows are picked up.
func (s *Service) Settle(ctx context.Context) error {
	path := filepath.Join(s.DataDir, restoredMark)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r restored
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return err
	}
	ctx = as(ctx)
	all, err := s.catalogue(ctx)
	if err != nil {
		return err
	}
	for _, b := range all {
		if !b.open() {
			continue
		}
		// Its file may be whole, and be the one that was restored: it is found
		// again in the target. It must not be written once more under its name.
		if err := s.forgetOne(ctx, b.ID); err != nil {
			return err
		}
	}
	err = s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{Event: "backup.appliance.restored", Priority: audit.Critical, Target: target(r.Backup),
		Details: map[string]any{"made_at": r.CreatedAt, "moment": r.Moment, "until": r.Until, "restored_at": r.At}})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.restored = &r
	s.mu.Unlock()
	return os.Remove(path)
}

// takeUp puts backups into the catalogue that it does not know after a restore. That
// from which the appliance came back is proven.
func (s *Service) takeUp(ctx context.Context, set Settings) error {
	s.mu.Lock()
	r := s.restored
	s.mu.Unlock()
	if r == nil || set.Target.Kind == None {
		return nil
	}
	store, err := set.Target.Open()
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, store, set); err != nil {
		return err
	}
	if b, err := s.find(ctx, r.Backup); err == nil && b.State == Done && b.VerifiedAt == nil {
		if _, err := s.change(ctx, b.ID, func(b *Backup) { b.VerifiedAt = &r.At }); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.restored = nil
	s.mu.Unlock()
	return nil
}

// forgetOne takes a backup out of the catalogue.
func (s *Service) forgetOne(ctx context.Context, backup id.ID) error {
	var all []Backup
	return s.Store.Update(ctx, catalogueKey, &all, func() error {
		left := all[:0]
		for _, b := range all {
			if b.ID != backup {
				left = append(left, b)
			}
		}
		all = left
		return nil
	})
}
