package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// prove restores a backup into a scratch directory, starts it, checks it and
// throws it away. nil opens it with this appliance's own key.
func (s *Service) prove(ctx context.Context, backup id.ID, key age.Identity, report Report) (Proof, error) {
	b, err := s.find(ctx, backup)
	if err != nil {
		return Proof{}, err
	}
	proof, err := s.trial(ctx, b, key, report)
	if err != nil && ctx.Err() != nil {
		return proof, ctx.Err()
	}
	ctx = as(context.WithoutCancel(ctx))
	reason := ""
	if err != nil {
		reason = fault.Message(err)
		s.Logger.Error("a backup could not be verified", "backup", backup, "error", err)
	}
	_, changed := s.change(ctx, backup, func(b *Backup) {
		now := time.Now().UTC()
		if b.VerifyError = reason; reason == "" {
			b.VerifiedAt = &now
		}
	})
	e := audit.Entry{Event: "backup.archive.verified", Priority: audit.Notice, Target: target(backup), Reason: reason, Details: map[string]any{"proof": proof}}
	if reason != "" {
		e.Outcome, e.Priority = audit.Failure, audit.Critical
	}
	return proof, errors.Join(err, changed, s.record(ctx, e))
}

func (s *Service) trial(ctx context.Context, b Backup, key age.Identity, report Report) (Proof, error) {
	set, err := s.load(ctx)
	if err != nil {
		return Proof{}, err
	}
	if err := set.reaches(b); err != nil {
		return Proof{}, err
	}
	store, err := set.Target.Open()
	if err != nil {
		return Proof{}, err
	}
	if key == nil {
		if key, err = s.ownKey(); err != nil {
			return Proof{}, err
		}
	}
	sum, err := readSummary(ctx, store, nameOf(b)+summarySuffix, key)
	if err != nil {
		return Proof{}, err
	}
	lock, err := s.lockTrial(ctx, report)
	if err != nil {
		return Proof{}, err
	}
	defer lock.Close()
	dir, err := scratch(s.DataDir)
	if err != nil {
		return Proof{}, err
	}
	defer os.RemoveAll(dir)
	f := Found{ID: sum.ID, Bytes: sum.Bytes, Unpacked: sum.Unpacked, key: nameOf(b) + archiveSuffix, summary: sum}
	m, err := fetch(ctx, store, f, key, s.Reader, dir, report)
	if err != nil {
		return Proof{}, err
	}
	report("starting the restored databases and checking the audit trail", 75)
	return s.Prove(ctx, Trial{Dir: dir, Manifest: m, Scratch: true})
}

// reaches refuses a backup that lies where the settings do not point any more.
func (s Settings) reaches(b Backup) error {
	if s.Target.String() == b.Target {
		return nil
	}
	return fault.New(fault.Conflict, "This backup lies in another place (%s) than the settings name. Name that place again first.", b.Target)
}

// verifiable refuses to check what cannot be checked now.
func (s *Service) verifiable(ctx context.Context, b Backup) error {
	if b.State != Done {
		return fault.New(fault.Conflict, "Only a backup that is done can be verified.")
	}
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	return set.reaches(b)
}

// lockTrial is held while a backup is restored into a scratch directory: each wants as
// much disk as the data, and removes what one that was killed left. Who comes second,
// here or on the console, waits. The kernel frees the lock however its process ends.
func (s *Service) lockTrial(ctx context.Context, report Report) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(s.DataDir, "verify.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, lock.Close())
		}
		report("waiting until another backup is checked", 0)
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), lock.Close())
		case <-time.After(trialPause):
		}
	}
}

const trialPause = 500 * time.Millisecond

// scratch makes a folder that Postgres's account can pass, below the data
// directory: there it is as safe as the data itself. What a trial that was
// killed left is removed.
func scratch(dataDir string) (string, error) {
	left, err := filepath.Glob(filepath.Join(dataDir, scratchPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(dataDir, scratchPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

const scratchPrefix = ".verify-"

// VerifyNow proves a backup, or the newest one, from begin to end, for the
// console.
func (s *Service) VerifyNow(ctx context.Context, backup id.ID, report Report) (Backup, Proof, error) {
	if err := s.Check(ctx, Check); err != nil {
		return Backup{}, Proof{}, err
	}
	all, err := s.catalogue(ctx)
	if err != nil {
		return Backup{}, Proof{}, err
	}
	for _, b := range all {
		if b.ID == backup || backup.IsZero() && b.State == Done {
			if err := s.verifiable(ctx, b); err != nil {
				return b, Proof{}, err
			}
			proof, err := s.prove(ctx, b.ID, nil, report)
			return b, proof, err
		}
	}
	return Backup{}, Proof{}, fault.New(fault.NotFound, "There is no such backup.")
}
