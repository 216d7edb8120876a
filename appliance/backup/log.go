package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

const (
	shipEvery = 20 * time.Second
	// switchEvery is how much can be lost with the machine, about: a segment that
	// something was written to is finished after it.
	switchEvery = time.Minute
	shipTimeout = 10 * time.Minute
	// flushTimeout is how long Postgres may take to finish a segment.
	flushTimeout = 5 * time.Second
	flushPause   = 50 * time.Millisecond
	clockTick    = 10 * time.Millisecond // by which times of files may lag behind
	// spoolLimit is how much of the log waits for a target that is away. Then the
	// log is not kept any more: a full disk would stop the appliance.
	spoolLimit = 4 << 30
)

// shipping is how it goes with sending the log.
type shipping struct {
	sent     map[string]bool // histories that are in the target
	target   string          // to which they were sent
	switched time.Time
	gap      bool // the spool was full and the log is not kept
	alarm    string
	since    time.Time // of the service's start
}

// Start sends the log and watches the age of the newest backup until Stop.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != nil {
		return nil
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.life, s.done = cancel, make(chan struct{})
	s.shipping.since = time.Now()
	go s.watch(as(life), s.done)
	return nil
}

// Stop ends that. Without Start it does nothing.
func (s *Service) Stop(context.Context) error {
	s.mu.Lock()
	cancel, done := s.life, s.done
	s.life = nil
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	return nil
}

// Ready is nil unless backups need somebody: the newest is too old, or the log
// does not reach the target.
func (s *Service) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shipping.alarm != "" {
		return fault.New(fault.Unavailable, "%s", s.shipping.alarm)
	}
	return nil
}

func (s *Service) watch(ctx context.Context, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(shipEvery)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look sends what there is and raises or clears the alarm.
func (s *Service) look(ctx context.Context) {
	set, err := s.load(ctx)
	if err == nil {
		err = errors.Join(s.takeUp(ctx, set), s.ship(ctx, set))
	}
	if ctx.Err() != nil {
		return
	}
	alarm := ""
	if err != nil {
		s.Logger.Warn("the log of the database was not sent", "error", err)
		alarm = s.waiting(fault.Message(err))
	}
	if late, err := s.late(ctx, set); err == nil && late != "" {
		alarm = late
	}
	s.sound(ctx, alarm)
}

// waiting is an alarm only when the log waits longer than a few minutes: a
// target may be away for a moment.
func (s *Service) waiting(reason string) string {
	s.mu.Lock()
	gap := s.shipping.gap
	s.mu.Unlock()
	if gap {
		return "The log of the database is not kept, because the target for backups was away too long: " + reason
	}
	spooled, err := s.Log.Archived()
	if err != nil || len(spooled) == 0 || time.Since(spooled[0].Made) < shipTimeout {
		return ""
	}
	return "The log of the database does not reach the target for backups: " + reason
}

// late says that the newest backup is too old.
func (s *Service) late(ctx context.Context, set Settings) (string, error) {
	if set.Target.Kind == None || s.embedded() != nil {
		return "", nil
	}
	all, err := s.catalogue(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	newest := s.shipping.since
	s.mu.Unlock()
	for _, b := range all {
		if b.State == Done && !b.ahead(time.Now()) {
			newest = b.StartedAt
			break
		}
	}
	age := time.Since(newest)
	if age < time.Duration(set.AlarmAfter)*time.Hour {
		return "", nil
	}
	return fmt.Sprintf("The newest backup is %d hours old. Look at the list of backups for why none was made since.", int(age.Hours())), nil
}

// sound records that an alarm began or ended.
func (s *Service) sound(ctx context.Context, alarm string) {
	s.mu.Lock()
	before := s.shipping.alarm
	s.shipping.alarm = alarm
	s.mu.Unlock()
	if (before == "") == (alarm == "") {
		return
	}
	e := audit.Entry{Event: "backup.alarm.raised", Priority: audit.Critical, Outcome: audit.Failure, Reason: alarm, Target: audit.Target{Kind: "backups"}}
	if alarm == "" {
		e = audit.Entry{Event: "backup.alarm.cleared", Priority: audit.Notice, Target: audit.Target{Kind: "backups"}}
	}
	if err := s.Audit.RecordAlone(ctx, id.ID{}, e); err != nil {
		s.Logger.Error("an alarm about backups was not recorded", "alarm", alarm, "error", err)
	}
}

// archiveAsSet opens or closes Postgres's spool.
func (s *Service) archiveAsSet(set Settings) error {
	if s.Log.Archive == nil || s.embedded() != nil {
		return nil
	}
	s.mu.Lock()
	gap := s.shipping.gap
	s.mu.Unlock()
	return s.Log.Archive(set.WAL.Enabled && set.Target.Kind != None && !gap)
}

// ship sends finished segments, oldest first, and removes each when it is in
// the target.
func (s *Service) ship(ctx context.Context, set Settings) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.Log.Archive == nil || s.embedded() != nil {
		return nil
	}
	if err := s.archiveAsSet(set); err != nil {
		return err
	}
	if !set.WAL.Enabled || set.Target.Kind == None {
		return s.drop()
	}
	if err := s.turn(ctx); err != nil {
		return err
	}
	spooled, err := s.Log.Archived()
	if err != nil {
		return err
	}
	sendErr := s.sendAll(ctx, set, spooled)
	if err := s.boundSpool(ctx, sendErr); err != nil {
		return err
	}
	return errors.Join(sendErr, s.Log.Fault(ctx))
}

// Flush sends the log up to now, so that this moment can be restored.
func (s *Service) Flush(ctx context.Context) error {
	set, err := s.load(ctx)
	if err != nil || !set.WAL.Enabled || set.Target.Kind == None || s.Log.Switch == nil {
		return err
	}
	began := time.Now()
	s.mu.Lock()
	s.shipping.switched = began
	s.mu.Unlock()
	if err := s.Log.Switch(ctx); err != nil {
		return err
	}
	fresh := func(seg Segment) bool { return seg.Made.After(began.Add(-clockTick)) }
	for end := began.Add(flushTimeout); time.Now().Before(end); time.Sleep(flushPause) {
		spooled, err := s.Log.Archived() // Postgres fills the spool by itself
		if err != nil {
			return err
		}
		if slices.ContainsFunc(spooled, fresh) {
			break
		}
	}
	return s.ship(as(ctx), set) // also when nothing was written since, or it was sent already
}

// turn finishes the present segment now and then.
func (s *Service) turn(ctx context.Context) error {
	s.mu.Lock()
	due := time.Since(s.shipping.switched) >= switchEvery
	if due {
		s.shipping.switched = time.Now()
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.Log.Switch(ctx)
}

func (s *Service) sendAll(ctx context.Context, set Settings, spooled []Segment) error {
	histories, err := s.unsent(set)
	if err != nil {
		return err
	}
	all := append(histories, spooled...)
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shipTimeout)
	defer cancel()
	store, err := set.Target.Open()
	if err != nil {
		return err
	}
	to, err := s.to(set)
	if err != nil {
		return err
	}
	dir, err := s.logDir(ctx)
	if err != nil {
		return err
	}
	for i, seg := range all {
		if err := sendSegment(ctx, store, dir, seg, to); err != nil {
			return err
		}
		if i < len(histories) {
			s.mu.Lock()
			s.shipping.sent[seg.Name] = true
			s.mu.Unlock()
		} else if err := os.Remove(seg.Path); err != nil {
			return err
		}
	}
	return nil
}

// unsent are the histories of timelines that the target has not got from us.
func (s *Service) unsent(set Settings) ([]Segment, error) {
	all, err := s.Log.Histories()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shipping.target != set.Target.String() {
		s.shipping.target, s.shipping.sent = set.Target.String(), map[string]bool{}
	}
	var left []Segment
	for _, h := range all {
		if !s.shipping.sent[h.Name] {
			left = append(left, h)
		}
	}
	return left, nil
}

// logDir is where the log of our databases lies in a target.
func (s *Service) logDir(ctx context.Context) (string, error) {
	system, err := s.System(ctx)
	return logDirOf(system), err
}

func logDirOf(system string) string { return path.Join(segmentsDir, system) + "/" }

func sendSegment(ctx context.Context, store objectstore.Store, dir string, seg Segment, to []age.Recipient) error {
	content, err := os.ReadFile(seg.Path)
	if err != nil {
		return err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	sealed, err := encrypt(enc.EncodeAll(content, nil), to)
	if err = errors.Join(err, enc.Close()); err != nil {
		return err
	}
	_, err = store.Put(ctx, dir+seg.Name+segmentSuffix, bytes.NewReader(sealed))
	return err
}

// drop empties a spool that nobody wants any more.
func (s *Service) drop() error {
	spooled, err := s.Log.Archived()
	for _, seg := range spooled {
		err = errors.Join(err, os.Remove(seg.Path))
	}
	return err
}

// boundSpool stops keeping the log when too much of it waits, and says so. When
// the target takes it again it is kept again; what is missing between is no
// matter after the next backup.
func (s *Service) boundSpool(ctx context.Context, sendErr error) error {
	spooled, err := s.Log.Archived()
	if err != nil {
		return err
	}
	var size int64
	for _, seg := range spooled {
		size += seg.Size
	}
	s.mu.Lock()
	gap := s.shipping.gap
	switch {
	case size > s.limit():
		s.shipping.gap = true
	case sendErr == nil:
		s.shipping.gap = false
	}
	now := s.shipping.gap
	s.mu.Unlock()
	if now == gap {
		return nil
	}
	if err := s.Log.Archive(!now); err != nil || !now {
		return err
	}
	return s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{Event: "backup.log.interrupted", Priority: audit.Critical, Outcome: audit.Failure,
		Target: audit.Target{Kind: "backups"}, Reason: fault.Message(sendErr), Details: map[string]any{"waiting_bytes": size}})
}

func (s *Service) limit() int64 {
	if s.SpoolLimit > 0 {
		return s.SpoolLimit
	}
	return spoolLimit
}

// pruneLog deletes the segments of our log that no backup needs.
func (s *Service) pruneLog(ctx context.Context, store objectstore.Store) error {
	all, err := s.catalogue(ctx)
	if err != nil {
		return err
	}
	var kept []Backup
	for _, b := range all {
		if b.State == Done || b.open() {
			kept = append(kept, b)
		}
	}
	dir, err := s.logDir(ctx)
	if err != nil {
		return err
	}
	listed, err := store.List(ctx, dir)
	if err != nil {
		return err
	}
	var names []string
	for _, o := range listed {
		if path.Dir(o.Key)+"/" == dir {
			names = append(names, segmentOf(o))
		}
	}
	for _, name := range obsolete(names, kept) {
		if err := store.Delete(ctx, dir+name+segmentSuffix); err != nil {
			return err
		}
	}
	return nil
}
