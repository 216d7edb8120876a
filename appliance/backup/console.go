package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Run makes a backup from begin to end, for the console.
func (s *Service) Run(ctx context.Context, kind Kind, verify bool, report Report) (Backup, error) {
	if err := s.Check(ctx, Create); err != nil {
		return Backup{}, err
	}
	lock, err := s.lockConsole()
	if err != nil {
		return Backup{}, err
	}
	defer lock.Close()
	if err := s.endOfConsoles(ctx); err != nil {
		return Backup{}, err
	}
	return s.run(ctx, kind, verify, report)
}

// run makes a backup from begin to end.
func (s *Service) run(ctx context.Context, kind Kind, verify bool, report Report) (Backup, error) {
	backup := id.New()
	if _, err := s.begin(ctx, backup, kind, ""); err != nil {
		return Backup{}, err
	}
	_, err := s.make(ctx, backup, report)
	if err == nil && verify {
		_, err = s.prove(ctx, backup, nil, report)
	}
	reason := ""
	switch {
	case err != nil && ctx.Err() != nil:
		err = fault.New(fault.Conflict, "The backup was stopped.")
		reason = stopped
	case err != nil:
		reason = fault.Message(err)
	}
	b, concluded := s.conclude(context.WithoutCancel(ctx), backup, reason)
	return b, errors.Join(err, concluded)
}

// lockConsole is held while a console makes a backup. No workflow works on that, and
// the kernel frees the lock however its process ends.
func (s *Service) lockConsole() (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(s.DataDir, "backup.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Conflict, err, "Another console makes a backup. Wait for it, or stop it first."), lock.Close())
	}
	return lock, nil
}

// endOfConsoles ends the backups of consoles, while the lock is held.
func (s *Service) endOfConsoles(ctx context.Context) error {
	all, err := s.catalogue(ctx)
	for _, b := range all {
		if b.open() && b.Workflow == "" {
			err = errors.Join(err, s.end(ctx, b))
		}
	}
	return err
}

// endAbandoned ends a backup whose console was killed, and tells whether it did.
func (s *Service) endAbandoned(ctx context.Context, b Backup) (bool, error) {
	if b.Workflow != "" {
		return false, nil
	}
	lock, err := s.lockConsole()
	if fault.Is(err, fault.Conflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	return true, s.end(ctx, b)
}

// end notes the end of a backup on which nothing works any more.
func (s *Service) end(ctx context.Context, b Backup) error {
	now, err := s.find(ctx, b.ID)
	if err != nil || !now.open() {
		return err
	}
	if now.VerifiedAt != nil || strings.HasPrefix(now.Workflow, verifyPrefix) { // it was made before
		_, err = s.change(ctx, b.ID, func(b *Backup) { b.State = Done })
		return err
	}
	_, err = s.conclude(ctx, b.ID, "It was interrupted.")
	return err
}
