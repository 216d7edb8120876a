package appliancetest

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diskEnv makes a test binary hand over its calls that write, on the socket with
// that descriptor, and start again as what it was to be.
const diskEnv = "NIMBUS_TEST_DISK"

// names are the calls that a Disk is asked about.
var names = map[int32]string{
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite", unix.SYS_WRITEV: "writev",
	unix.SYS_PWRITEV: "pwritev", unix.SYS_PWRITEV2: "pwritev2", unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync",
	unix.SYS_SYNCFS: "syncfs",
}

var native = binary.NativeEndian

// notice is the kernel's struct seccomp_notif.
type notice struct {
	ID         uint64
	PID, Flags uint32
	Data       struct {
		Nr   int32
		Arch uint32
		IP   uint64
		Args [6]uint64
	}
}

// reply is the kernel's struct seccomp_notif_resp.
type reply struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// underDisk is the child's side: from here on it and all it starts are asked about.
func underDisk(socket string) error {
	var fd int
	if _, err := fmt.Sscan(socket, &fd); err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is the thread's, which becomes the program
	listener, err := filter()
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return err
	}
	_, _ = unix.Close(fd), unix.Close(listener)
	if err := os.Unsetenv(diskEnv); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// filter asks a listener about the calls in names, and lets all others be done.
func filter() (int, error) {
	const load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	program := []unix.SockFilter{
		{Code: load, K: 4}, // the architecture
		{Code: equal, K: arch, Jt: 1},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: 0}, // the call
	}
	for nr := range names {
		program = append(program, unix.SockFilter{Code: equal, K: uint32(nr), Jf: 1}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	program = append(program, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	flags := unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// under makes a command that is not started one that the disk is asked about.
func (d *Disk) under(t testing.TB, command *exec.Cmd) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	command.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "disk")}
	command.Env = append(command.Env, diskEnv+"=3") // the first of ExtraFiles
	ours := os.NewFile(uintptr(pair[0]), "disk")
	ended := make(chan error, 1)
	go func() { ended <- d.serve(ours) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("the disk: %v", err)
		}
	})
	return nil
}

// serve answers what comes on a socket's listener until nobody is left who asks.
func (d *Disk) serve(socket *os.File) error {
	defer socket.Close()
	room := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), room, 0)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(room[:n])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("no listener came: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	for d.next(fds[0]) {
	}
	return nil
}

// next answers one call; false when there will be none.
func (d *Disk) next(listener int) bool {
	poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
		return false
	}
	if poll[0].Revents&unix.POLLIN == 0 {
		return poll[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) == 0
	}
	var n notice
	if control(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != 0 {
		return true // whoever asked was killed meanwhile
	}
	r := reply{ID: n.ID, Error: -int32(d.answer(n))}
	if r.Error == 0 {
		r.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	_ = control(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)) // fails when it was killed
	return true
}

func control(fd int, request uintptr, with unsafe.Pointer) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(with))
	return errno
}
