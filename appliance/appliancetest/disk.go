package appliancetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is what an appliance of LaunchOn writes to. It fails a call when it is told
// to, and at a power cut it forgets what nobody synced. Each call that writes or
// syncs, of the appliance, of Postgres and of all they start, comes here first:
// the kernel asks before it does anything.
//
// A page that could not be synced is as on Linux: it reads as it was written, no
// later sync writes it, and it is gone at a power cut, unless it is written and
// synced once more.
type Disk struct {
	dir string

	mu     sync.Mutex
	left   int // until a call fails; 0 fails none
	fault  syscall.Errno
	chosen func(path string) bool
	failed *Call
	files  map[uint64]*unsynced // by inode
}

// Call is one that writes or syncs.
type Call struct {
	Name string // such as fsync
	Path string // below the disk's folder
}

func (c Call) String() string { return c.Name + " of " + c.Path }

// syncs tells whether a call makes what was written durable.
func (c Call) syncs() bool { return strings.Contains(c.Name, "sync") }

// NewDisk watches the files below a folder.
func NewDisk(t testing.TB, dir string) *Disk {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &Disk{dir: dir, files: map[uint64]*unsynced{}}
}

// Fail makes the n-th call from now fail, once. Only files count whose path below
// the disk's folder is chosen.
func (d *Disk) Fail(n int, with syscall.Errno, chosen func(path string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.fault, d.chosen, d.failed = n, with, chosen, nil
}

// Failed is the call that failed since Fail, or nil.
func (d *Disk) Failed() *Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// PowerCut takes back all that was not synced. Nothing may run on the disk.
func (d *Disk) PowerCut(t testing.TB) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = 0
	for inode, f := range d.files {
		if err := f.takeBack(); err != nil {
			t.Fatal(err)
		}
		delete(d.files, inode)
	}
}

// answer decides about a call: what it fails with, or 0 when it is done.
func (d *Disk) answer(n notice) syscall.Errno {
	path, ok := d.path(n)
	if !ok {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	call := Call{Name: names[n.Data.Nr], Path: path}
	if d.left > 0 && d.chosen(path) {
		if d.left--; d.left == 0 {
			d.failed = &call
			d.note(n, call, false)
			return d.fault
		}
	}
	d.note(n, call, true)
	return 0
}

// note keeps up which pages are not synced.
func (d *Disk) note(n notice, call Call, done bool) {
	var st syscall.Stat_t
	switch err := syscall.Stat(n.link(), &st); {
	case err != nil:
	case n.Data.Nr == unix.SYS_SYNCFS:
		for inode := range d.files {
			d.sync(inode, done)
		}
	case call.syncs():
		d.sync(st.Ino, done)
	case done && st.Mode&syscall.S_IFMT == syscall.S_IFREG:
		d.write(n, st.Ino)
	}
}

func (d *Disk) write(n notice, inode uint64) {
	f := d.files[inode]
	if f == nil {
		file, err := os.Open(n.link()) // not for writing: a program could not be run then
		if err != nil {
			return
		}
		if synchronous(file) {
			file.Close()
			return
		}
		f = &unsynced{file: file, pages: map[int64]*page{}}
		d.files[inode] = f
	}
	f.write(n.extent())
}

func (d *Disk) sync(inode uint64, done bool) {
	f := d.files[inode]
	if f == nil {
		return
	}
	if f.sync(done); len(f.pages) == 0 {
		f.file.Close()
		delete(d.files, inode)
	}
}

// path is where the file of a call lies below the disk's folder. Sockets, pipes and
// what was deleted are not there.
func (d *Disk) path(n notice) (string, bool) {
	to, err := os.Readlink(n.link())
	if err != nil || strings.HasSuffix(to, " (deleted)") {
		return "", false
	}
	if to == d.dir {
		return ".", true
	}
	return strings.CutPrefix(to, d.dir+"/")
}

// synchronous tells whether the file system writes a file at once, see chattr(1).
func synchronous(f *os.File) bool {
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return err == nil && flags&0x8 != 0
}

const pageSize = 4096

// unsynced is a file with what a power cut leaves of the pages that are not synced.
type unsynced struct {
	file  *os.File
	pages map[int64]*page
}

type page struct {
	durable []byte
	clean   bool // the kernel takes it for written, which it is not
}

// write is told before a call writes.
func (f *unsynced) write(from, n int64) {
	for at := from / pageSize; n > 0 && at <= (from+n-1)/pageSize; at++ {
		if p := f.pages[at]; p != nil {
			p.clean = false
			continue
		}
		content := make([]byte, pageSize)
		got, _ := f.file.ReadAt(content, at*pageSize) // short at the end of the file
		f.pages[at] = &page{durable: content[:got]}
	}
}

// sync is told of a sync that is done, or fails.
func (f *unsynced) sync(done bool) {
	for at, p := range f.pages {
		switch {
		case !done:
			p.clean = true
		case !p.clean:
			delete(f.pages, at)
		}
	}
}

// takeBack leaves what is durable. A file stays as long as it is: its new end is
// nothing but zeros.
func (f *unsynced) takeBack() error {
	defer f.file.Close()
	file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.file.Fd()), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for at, p := range f.pages {
		content := make([]byte, max(min(info.Size()-at*pageSize, pageSize), 0))
		copy(content, p.durable)
		if _, err := file.WriteAt(content, at*pageSize); err != nil {
			return err
		}
	}
	return nil
}

// extent is where a call writes, and how much.
func (n notice) extent() (from, length int64) {
	switch n.Data.Nr {
	case unix.SYS_PWRITE64:
		return int64(n.Data.Args[3]), int64(n.Data.Args[2])
	case unix.SYS_PWRITEV, unix.SYS_PWRITEV2:
		return int64(n.Data.Args[3]), n.vectors()
	case unix.SYS_WRITEV:
		return n.position(), n.vectors()
	}
	return n.position(), int64(n.Data.Args[2])
}

// vectors is how long the buffers of a call are together.
func (n notice) vectors() (length int64) {
	const size = 16 // of an iovec: address and length
	raw := make([]byte, size*min(int(n.Data.Args[2]), 1024))
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.PID))
	if err != nil {
		return 0
	}
	defer memory.Close()
	if _, err := memory.ReadAt(raw, int64(n.Data.Args[1])); err != nil {
		return 0
	}
	for ; len(raw) > 0; raw = raw[size:] {
		length += int64(native.Uint64(raw[8:]))
	}
	return length
}

// position is where a file is written next.
func (n notice) position() int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", n.PID, int32(n.Data.Args[0])))
	if err != nil {
		return 0
	}
	var pos, flags int64
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch name {
		case "pos":
			pos, _ = strconv.ParseInt(value, 10, 64)
		case "flags":
			flags, _ = strconv.ParseInt(value, 8, 64)
		}
	}
	if flags&unix.O_APPEND == 0 {
		return pos
	}
	if info, err := os.Stat(n.link()); err == nil && info.Mode()&fs.ModeType == 0 {
		return info.Size()
	}
	return pos
}

// link is the file of a call.
func (n notice) link() string { return fmt.Sprintf("/proc/%d/fd/%d", n.PID, int32(n.Data.Args[0])) }
