package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// EndOrphan makes sure that nothing of an earlier run serves the data below dir
// (Config.Dir). It fails with ErrInUse when a process that lives has dir.
func EndOrphan(ctx context.Context, dir string, log *slog.Logger) error {
	h := home{dir: dir}
	if _, err := os.Stat(h.data()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := acquire(ctx, h.path("lock"))
	if err != nil {
		return err
	}
	return errors.Join(settle(ctx, h.data(), log), lock.release())
}

// settle makes sure that nobody serves the data directory any more: an orphaned postmaster
// is stopped, backends that outlived theirs are waited for, and a postmaster.pid that names
// a living process of another kind (its id was used again) is removed. A dead process's
// file is left to Postgres, which knows what to do. The lock must be held. What is then
// left in the socket's folder is nobody's: Postgres would refuse to start when the process
// that its lock there names lives again as another program.
func settle(ctx context.Context, data string, log *slog.Logger) error {
	file := filepath.Join(data, "postmaster.pid")
	pid := readPID(file)
	switch {
	case pid == 0 || !alive(pid):
	case isPostmaster(pid, data):
		log.Warn("stopping the postgres of an earlier run", "component", "postgres", "pid", pid)
		if err := stopOrphan(ctx, pid); err != nil {
			return err
		}
	default:
		log.Warn("removing a stale postmaster.pid: its process is another program", "component", "postgres", "pid", pid)
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return awaitGone(ctx, data)
}

// readPID returns the process id in the first line of a postmaster.pid, or 0.
func readPID(file string) int {
	line, _ := pidLines(file)
	if len(line) == 0 {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[0]))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func pidLines(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return strings.Split(string(data), "\n"), nil
}

// alive says whether there is such a process, a zombie included.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isPostmaster says whether pid is a postgres that serves data, by its command line and,
// where we may read that, its working directory.
func isPostmaster(pid int, data string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	comm, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || strings.TrimSpace(string(comm)) != "postgres" {
		return false
	}
	if sameDir(filepath.Join(proc, "cwd"), data) {
		return true
	}
	cmdline, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return false
	}
	args := strings.Split(string(cmdline), "\x00")
	for i := 1; i < len(args); i++ {
		if args[i-1] == "-D" && sameDir(args[i], data) {
			return true
		}
	}
	return false
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// stopOrphan ends a postmaster that is not our child: fast, and after ten seconds at once.
func stopOrphan(ctx context.Context, pid int) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%w: postgres (process %d) serves it and cannot be stopped: %w", ErrInUse, pid, err)
		}
		if gone(ctx, pid) {
			return nil
		}
	}
	return fmt.Errorf("%w: postgres (process %d) serves it and does not end", ErrInUse, pid)
}

func gone(ctx context.Context, pid int) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if !alive(pid) || zombie(pid) {
			return true
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return false
		}
	}
	return false
}

// zombie says whether pid has ended and only waits for its parent to notice.
func zombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, ok := strings.Cut(string(stat), ") ")
	return ok && strings.HasPrefix(after, "Z")
}

// awaitGone waits until no postgres process works in data.
func awaitGone(ctx context.Context, data string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		pid := serving(data)
		if pid == 0 {
			return nil
		}
		if time.Now().After(end) || !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%w: postgres (process %d) still works in %s", ErrInUse, pid, data)
		}
	}
}

// serving returns the id of a postgres process that works in data, or 0.
func serving(data string) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && isPostmaster(pid, data) && !zombie(pid) {
			return pid
		}
	}
	return 0
}
