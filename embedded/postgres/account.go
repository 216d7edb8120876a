package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// account is the user the children run as; nil means the one of this process.
type account struct {
	name     string
	uid, gid uint32
}

// childAccount resolves the user for the children. Only root needs and gets another one.
func childAccount(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	names := []string{"nimbus", "nobody"}
	if name != "" {
		names = []string{name}
	}
	for _, n := range names {
		a, err := lookup(n)
		if err == nil {
			return a, nil
		}
		if unknown := user.UnknownUserError(""); !errors.As(err, &unknown) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("Postgres does not run as root and there is no user %q to run it as: create one, or start as an ordinary user", names[0])
}

func lookup(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if uid == 0 {
		return nil, fmt.Errorf("Postgres does not run as root: user %q is root, name another one", name)
	}
	return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
}

// attributes returns what makes a child run as a, without supplementary groups.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives one path to a.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// ownTree gives path and all below it to a, unless path is a's already.
func (a *account) ownTree(path string) error {
	if a == nil {
		return nil
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Uid == a.uid {
		return nil
	}
	var all []string
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	})
	slices.Reverse(all) // path itself last: an interrupted change is done again
	for _, p := range all {
		err = errors.Join(err, a.own(p))
	}
	return err
}

// blocked returns the first folder on the way to path that a may not pass, or "".
// It reads permission bits only; an access control list may say otherwise.
func (a *account) blocked(path string) string {
	if a == nil {
		return ""
	}
	for _, dir := range ancestors(path) {
		var st syscall.Stat_t
		if syscall.Stat(dir, &st) != nil {
			return ""
		}
		bit := uint32(0o001)
		if st.Uid == a.uid {
			bit = 0o100
		} else if st.Gid == a.gid {
			bit = 0o010
		}
		if st.Mode&bit == 0 {
			return dir
		}
	}
	return ""
}

// ancestors lists the folders from / to path.
func ancestors(path string) []string {
	list := []string{path}
	for dir := filepath.Dir(path); dir != path; path, dir = dir, filepath.Dir(dir) {
		list = append(list, dir)
	}
	slices.Reverse(list)
	return list
}
