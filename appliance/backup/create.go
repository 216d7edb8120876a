package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"

	"io"
	"path"
	"strings"
	"time"

	"filippo.io/age"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// Names in the target.
const (
	archives      = "backups/"
	archiveSuffix = ".nimbus"
	summarySuffix = ".summary"
	segmentsDir   = "wal/"
	segmentSuffix = ".age"
	historySuffix = ".history"
	segmentName   = 24
)

// nameOf is the name of an archive in the target, without its ending.
func nameOf(b Backup) string {
	return archives + b.StartedAt.UTC().Format("20060102T150405Z") + "-" + b.ID.Hex()
}

// begin puts a new backup into the catalogue. Fault: Conflict when one is being
// made, or without a target.
func (s *Service) begin(ctx context.Context, backup id.ID, kind Kind, workflow string) (Backup, error) {
	if err := s.embedded(); err != nil {
		return Backup{}, err
	}
	set, err := s.load(ctx)
	if err != nil {
		return Backup{}, err
	}
	if _, err := set.Target.Open(); err != nil {
		return Backup{}, err
	}
	if _, err := s.to(set); err != nil {
		return Backup{}, err
	}
	s.starting.Lock()
	defer s.starting.Unlock()
	all, err := s.catalogue(ctx)
	if err != nil {
		return Backup{}, err
	}
	for _, b := range all {
		if !b.open() || b.ID == backup {
			continue
		}
		ended, err := s.endAbandoned(ctx, b)
		if err != nil {
			return Backup{}, err
		}
		if !ended && s.later == nil { // before an upgrade no workflow runs
			return Backup{}, fault.New(fault.Conflict, "A backup is being made or verified. Wait for it, or stop it first.")
		}
	}
	who, err := actor.Require(ctx)
	if err != nil {
		return Backup{}, err
	}
	err = s.record(ctx, audit.Entry{
		Event: "backup.archive.started", Priority: audit.Notice, Target: target(backup), Details: map[string]any{"kind": kind, "target": set.Target.String()}})
	if err != nil {
		return Backup{}, err
	}
	return s.change(ctx, backup, func(b *Backup) {
		b.Kind, b.State, b.StartedAt, b.Target = kind, Running, time.Now().UTC().Truncate(time.Second), set.Target.String()
		b.By, b.Workflow = who.Name, workflow
	})
}

func target(backup id.ID) audit.Target { return audit.Target{Kind: "backup", ID: backup.String()} }

// make makes the archive of a backup that was begun, and notes it as made. It
// may be done again: the file has the same name. Fault: Conflict when it is not
// under way any more.
func (s *Service) make(ctx context.Context, backup id.ID, report Report) (Backup, error) {
	b, err := s.find(ctx, backup)
	if err != nil {
		return b, err
	}
	if b.State != Running {
		return b, fault.New(fault.Conflict, "This backup is over.")
	}
	set, err := s.load(ctx)
	if err != nil {
		return b, err
	}
	store, err := set.Target.Open()
	if err != nil {
		return b, err
	}
	to, err := s.to(set)
	if err != nil {
		return b, err
	}
	sum, err := s.send(ctx, store, b, to, report)
	if err != nil {
		return b, err
	}
	return s.change(ctx, backup, func(b *Backup) {
		now := time.Now().UTC()
		b.State, b.FinishedAt, b.Bytes, b.Includes = Verifying, &now, sum.Bytes, sum.Includes
		b.WALFrom, b.WALTo = sum.Base.StartWAL, sum.Base.EndWAL
	})
}

// send packs and sends an archive, in one stream, and its summary after it.
func (s *Service) send(ctx context.Context, store objectstore.Store, b Backup, to []age.Recipient, report Report) (Summary, error) {
	own, err := s.identity(ctx)
	if err != nil {
		return Summary{}, err
	}
	h := Header{
		Format: Format, ID: b.ID, Kind: b.Kind, Appliance: own, Name: s.Name(), Version: s.Version,
		Postgres: s.Reader.Postgres, Schema: s.Reader.Schema, CreatedAt: b.StartedAt,
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, in := io.Pipe()
	var m Manifest
	packed := make(chan error, 1)
	go func() {
		var err error
		m, err = s.pack(ctx, in, to, h, report)
		_ = in.CloseWithError(err) // never fails
		packed <- err
	}()
	info, err := store.Put(ctx, nameOf(b)+archiveSuffix, out)
	if err != nil {
		cancel(err)
		_ = out.CloseWithError(err)
	}
	if packErr := <-packed; packErr != nil && (err == nil || errors.Is(err, packErr)) {
		return Summary{}, packErr // the cause, not what the store says of it
	}
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Header: h, Base: m.Base, Includes: m.includes(), Unpacked: m.Bytes, Bytes: info.Size, Sum: info.SHA256}
	return sum, sum.put(ctx, store, nameOf(b)+summarySuffix, to)
}

func (s *Service) pack(ctx context.Context, w io.Writer, to []age.Recipient, h Header, report Report) (Manifest, error) {
	p, err := newPacker(w, to, h)
	if err != nil {
		return Manifest{}, err
	}
	if err := s.collect(ctx, p, report); err != nil {
		p.abandon()
		return Manifest{}, err
	}
	report("finishing the archive", 97)
	return p.finish()
}

func (sum Summary) put(ctx context.Context, store objectstore.Store, key string, to []age.Recipient) error {
	raw, err := json.Marshal(sum)
	if err != nil {
		return err
	}
	sealed, err := encrypt(raw, to)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, key, bytes.NewReader(sealed))
	return err
}

func encrypt(plain []byte, to []age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	err = errors.Join(err, w.Close()) // which writes the end
	return out.Bytes(), err
}

// conclude notes how a backup ended. One that was not made, or was stopped before,
// leaves nothing in the target; one that was made and not found whole stays there for
// a while, and one whose proof was stopped counts as made.
func (s *Service) conclude(ctx context.Context, backup id.ID, reason string) (Backup, error) {
	ctx = as(ctx)
	s.mu.Lock()
	delete(s.progress, backup)
	s.mu.Unlock()
	b, err := s.change(ctx, backup, func(b *Backup) {
		now := time.Now().UTC()
		made := b.State == Verifying && !b.Stopping
		b.FinishedAt, b.State = &now, Done
		if reason != "" && !(made && reason == stopped) {
			b.State, b.Error = Failed, reason
		}
	})
	if err != nil {
		return b, err
	}
	e := audit.Entry{Event: "backup.archive.finished", Priority: audit.Notice, Target: target(backup), Reason: reason,
		Details: map[string]any{"target": b.Target, "bytes": b.Bytes, "wal_from": b.WALFrom, "wal_to": b.WALTo, "verified_at": b.VerifiedAt}}
	if reason != "" {
		e.Outcome, e.Priority = audit.Failure, audit.Error
	}
	if err := s.record(ctx, e); err != nil || b.State == Done || b.Bytes > 0 && !b.Stopping {
		return b, err
	}
	if err := s.remove(ctx, b); err != nil {
		s.Logger.Warn("what a failed backup left could not be removed from the target", "backup", b.ID, "error", err)
		return b, nil
	}
	return s.change(ctx, backup, func(b *Backup) { b.Bytes, b.Stopping = 0, false })
}

// remove takes a backup's files out of the target, the summary first.
func (s *Service) remove(ctx context.Context, b Backup) error {
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	if set.Target.String() != b.Target {
		return nil // it lies where nothing reaches any more
	}
	store, err := set.Target.Open()
	if err != nil {
		return err
	}
	for _, suffix := range []string{summarySuffix, archiveSuffix} {
		if err := store.Delete(ctx, nameOf(b)+suffix); err != nil {
			return err
		}
	}
	return nil
}

// probe tries a target.
func probe(ctx context.Context, t Target) error {
	store, err := t.Open()
	if err != nil {
		return err
	}
	key, text := archives+"probe-"+strings.ToLower(rand.Text()), rand.Text()
	if _, err := store.Put(ctx, key, strings.NewReader(text)); err != nil {
		return err
	}
	r, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err = errors.Join(err, r.Close()); err != nil || string(got) != text {
		return fault.Wrap(fault.Unavailable, err, "The target does not give back what was written to it.")
	}
	return store.Delete(ctx, key)
}

// parseName reads the id in the name of an archive or a summary.
func parseName(key string) (id.ID, bool) {
	stem, _, _ := strings.Cut(path.Base(key), ".")
	_, text, ok := strings.Cut(stem, "-")
	raw, err := hex.DecodeString(text)
	if !ok || err != nil || len(raw) != len(id.ID{}) {
		return id.ID{}, false
	}
	return id.ID(raw), true
}
