package doctor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Space is how much is free for us, and the size, of the file system of dir.
func Space(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil //nolint:gosec // sizes are positive
}

const (
	gib        = 1 << 30
	soonFull   = 14 * 24 * time.Hour
	almostFull = 2 * 24 * time.Hour
)

// Disk looks at the space where dir lies and at how fast it goes.
func Disk(name, dir string, trend *Trend) Check {
	return Check{"disk." + name, Machine, func(context.Context) Finding {
		free, size, err := Space(dir)
		if err != nil {
			return unknown("The space of " + dir + " cannot be read: " + err.Error())
		}
		left := time.Duration(0)
		if trend != nil {
			left = trend.Left(name, free, size, time.Now())
		}
		f := diskFinding(dir, free, size, left).with("free_bytes", free).with("size_bytes", size).with("path", dir)
		if left > 0 {
			f = f.with("full_in_hours", int(left.Hours()))
		}
		return f
	}}
}

func diskFinding(dir string, free, size uint64, left time.Duration) Finding {
	percent := float64(free) / float64(max(size, 1)) * 100
	said := fmt.Sprintf("%s of %s (%.0f %%) are free at %s", bytesText(free), bytesText(size), percent, dir)
	if left > 0 && left < soonFull {
		said += fmt.Sprintf(", and at the pace of the last days they last %s", daysText(left))
	}
	const advice = "Make the disk larger, or free space: shorten the audit retention once records are archived, remove old backups and exports that lie here."
	switch {
	case free < gib || percent < 5 && free < 10*gib || left > 0 && left < almostFull:
		return fail(said+".", advice+" When the disk is full nothing can be changed, because nothing can be recorded.")
	case free < 5*gib || percent < 15 && free < 50*gib || left > 0 && left < soonFull:
		return warn(said+".", advice)
	}
	return fine(said + ".")
}

func bytesText(n uint64) string {
	switch {
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

func daysText(d time.Duration) string {
	if days := int(d.Hours() / 24); days >= 2 {
		return fmt.Sprintf("%d days", days)
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

// Memory looks at what the machine, or the limit of our control group, has left.
func Memory() Check {
	return Check{"memory", Machine, func(context.Context) Finding {
		total, free, err := memory("/proc/meminfo")
		if err != nil {
			return unknown("The memory cannot be read: " + err.Error())
		}
		if limit, used, ok := groupMemory(); ok && limit < total {
			total, free = limit, min(free, limit-min(used, limit))
		}
		return memoryFinding(total, free).with("total_bytes", total).with("available_bytes", free)
	}}
}

func memoryFinding(total, free uint64) Finding {
	said := fmt.Sprintf("%s of %s memory are available", bytesText(free), bytesText(total))
	switch {
	case free < 128<<20:
		return fail(said+".", "Give the machine more memory: the system may end Postgres or Nimbus to get some back.")
	case total < 19*gib/10:
		return warn(said+"; 2 GiB are the least that is comfortable.", "Give the machine at least 2 GiB, and 4 GiB from some hundred guests on.")
	case free < total/10:
		return warn(said+".", "Give the machine more memory, or move other programs away from it.")
	}
	return fine(said + ".")
}

func memory(path string) (total, free uint64, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		parts := strings.Fields(lines.Text())
		if len(parts) < 2 {
			continue
		}
		n, _ := strconv.ParseUint(parts[1], 10, 64)
		switch parts[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			free = n << 10
		}
	}
	return total, free, nil
}

// groupMemory reads limit and use of our control group (version 2).
func groupMemory() (limit, used uint64, ok bool) {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, 0, false
	}
	_, group, found := strings.Cut(strings.TrimSpace(string(raw)), "0::")
	if !found {
		return 0, 0, false
	}
	dir := filepath.Join("/sys/fs/cgroup", group)
	limit, err = number(filepath.Join(dir, "memory.max"))
	if err != nil {
		return 0, 0, false
	}
	used, err = number(filepath.Join(dir, "memory.current"))
	return limit, used, err == nil
}

func number(path string) (uint64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
}

// jump is how far the wall clock may move against the steady one.
const jump = 2 * time.Second

// Clock asks the kernel whether the time is kept by NTP, and watches for jumps
// since start, which carries the steady clock. The network is not asked.
func Clock(start time.Time) Check {
	return Check{"clock", Machine, func(context.Context) Finding {
		var t unix.Timex
		state, err := unix.Adjtimex(&t)
		synced := err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
		return clockFinding(synced, err, moved(start, time.Now()))
	}}
}

// moved is how much more the wall clock has advanced than the steady one.
func moved(start, now time.Time) time.Duration {
	return now.Round(0).Sub(start.Round(0)) - now.Sub(start)
}

func clockFinding(synced bool, err error, moved time.Duration) Finding {
	const ntp = "Switch time synchronisation on (`timedatectl set-ntp true`, or chrony). Codes of authenticator apps, certificates and sign-in at providers need the right time."
	f := fine("The clock is kept by a time server.")
	switch {
	case moved > jump || moved < -jump:
		f = warn(fmt.Sprintf("The clock was set by %s since Nimbus started.", moved.Round(time.Millisecond)),
			"Find out what sets it: a virtual machine that was paused or restored, or two programs that keep the time. "+ntp)
	case err != nil:
		f = unknown("The kernel does not say how the clock is kept: " + err.Error())
	case !synced:
		f = warn("The clock is not kept by a time server.", ntp)
	}
	return f.with("synchronised", synced).with("moved_ms", moved.Milliseconds())
}
