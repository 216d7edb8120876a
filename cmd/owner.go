package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"nimbus/appliance/fault"
)

// becomeOwner gives root up for the user whom the data directory belongs to, so that
// a command that an administrator runs leaves no file behind that the service
// cannot read. Nothing happens for others, and for a directory that is root's or
// does not exist.
func becomeOwner(dataDir string) error {
	var st syscall.Stat_t
	if os.Geteuid() != 0 || syscall.Stat(dataDir, &st) != nil || st.Uid == 0 {
		return nil
	}
	groups, err := groupsOf(st.Uid, int(st.Gid))
	if err != nil {
		return err
	}
	err = errors.Join(syscall.Setgroups(groups), syscall.Setgid(int(st.Gid)), syscall.Setuid(int(st.Uid)))
	if err != nil {
		return fmt.Errorf("%s belongs to user %d, and root could not be given up: %w", dataDir, st.Uid, err)
	}
	// Changing the user hides /proc/self from ourselves, where child processes are started from.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}

// kitPlace refuses a file for the recovery kit that the user of the data directory
// cannot write, before anything is done: the kit is the last step of the set-up.
func kitPlace(path, dataDir string) error {
	dir := filepath.Dir(path)
	if path == "" || !errors.Is(unix.Access(dir, unix.W_OK), unix.EACCES) {
		return nil
	}
	return fault.New(fault.Invalid, "The user of the data directory cannot write the recovery kit into %s. Name another file in recovery_kit.path, for example %s, and move it away afterwards.",
		dir, filepath.Join(dataDir, "kit.txt"))
}

// groupsOf are the groups of a user: access to an HSM may hang on one.
func groupsOf(uid uint32, gid int) ([]int, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if unknown := user.UnknownUserIdError(0); errors.As(err, &unknown) {
		return []int{gid}, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := u.GroupIds()
	groups := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			groups = append(groups, n)
		}
	}
	return groups, err
}
