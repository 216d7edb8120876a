package pulumi

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// exitWithParent ends this process when the one that started it has ended. It
// watches the parent through a pidfd: PR_SET_PDEATHSIG would fire when the
// parent's thread ends, which a Go parent does not control.
func exitWithParent() {
	parent := os.Getppid()
	fd, err := unix.PidfdOpen(parent, 0)
	if err == nil && os.Getppid() != parent {
		os.Exit(1)
	}
	go func() {
		if err != nil {
			pollParent(parent)
		} else {
			awaitExit(fd)
		}
		os.Exit(1)
	}()
}

// awaitExit returns when the process behind a pidfd has ended.
func awaitExit(fd int) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}

// pollParent is awaitExit for kernels without pidfd_open (before 5.3).
func pollParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
}
