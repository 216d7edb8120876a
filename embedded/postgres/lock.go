package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrInUse means that another process runs on the same directory.
var ErrInUse = errors.New("another process uses this directory")

// patience is how long a predecessor that is just ending is waited for.
const patience = time.Second

// lockFile is a file under an exclusive flock. The kernel frees the lock with the process
// that took it, however that ends; children do not inherit it.
type lockFile struct{ f *os.File }

// acquire locks path or fails with ErrInUse after a second.
func acquire(ctx context.Context, path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &lockFile{f}, note(f)
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if time.Now().After(end) || !sleep(ctx, 50*time.Millisecond) {
			return nil, errors.Join(inUse(f), f.Close())
		}
	}
}

// note writes our process id into the lock file, for the message of the next one.
func note(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func inUse(f *os.File) error {
	var buf [20]byte
	n, _ := f.ReadAt(buf[:], 0) // for the message only
	holder := strings.TrimSpace(string(buf[:n]))
	return fmt.Errorf("%w: %s is locked by process %s; stop that one first, or use another data directory", ErrInUse, f.Name(), holder)
}

func (l *lockFile) release() error { return l.f.Close() }

// sleep waits for d and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
