package pulumi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Marks in the environment of every process of ours. A process is found by
// them, never by a remembered process number alone: numbers are reused.
const (
	envDir = "NIMBUS_PULUMI_DIR" // the engine's directory
	envRun = "NIMBUS_PULUMI_RUN" // the operation
)

// stopMarked kills every process whose environment has name=value, ourselves
// excepted, and waits until they are gone. It returns how many there were.
func stopMarked(ctx context.Context, name, value string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	killed := map[int]bool{}
	for {
		pids, err := marked(name, value)
		if err != nil || len(pids) == 0 {
			return len(killed), err
		}
		for _, pid := range pids {
			killed[pid] = true
			if err := killMarked(pid, name, value); err != nil {
				return len(killed), err
			}
		}
		select {
		case <-ctx.Done():
			return len(killed), fmt.Errorf("processes %v do not end: %w", pids, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// marked lists the processes whose environment has name=value.
func marked(name, value string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != os.Getpid() && isMarked(pid, name, value) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isMarked reads a process's environment; a process that has ended, is a zombie
// or belongs to somebody else has none.
func isMarked(pid int, name, value string) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	want := []byte(name + "=" + value)
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

// killMarked kills the process through a pidfd, after a look that it is still
// the marked one.
func killMarked(pid int, name, value string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return killPlain(pid, name, value)
	}
	defer unix.Close(fd)
	if !isMarked(pid, name, value) {
		return nil
	}
	return ignoreGone(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
}

// killPlain is killMarked for kernels without pidfd_open (before 5.3).
func killPlain(pid int, name, value string) error {
	if !isMarked(pid, name, value) {
		return nil
	}
	return ignoreGone(unix.Kill(pid, unix.SIGKILL))
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
