package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startLimit    = time.Minute // one that ends says so at once
	dialLimit     = 5 * time.Second
	stopLimit     = 3 * time.Second
	shortestPause = 200 * time.Millisecond
	longestPause  = 30 * time.Second
	longestSocket = 100 // sun_path holds 108 bytes, the server makes a longer name beside it
)

// child is a server that is started again, with growing pauses, whenever it ends.
type child struct {
	log    *slog.Logger
	cmd    func() *exec.Cmd
	socket string
	temp   string // folder to remove in the end, when Dir's path is too long for a socket
	pid    atomic.Int64
	cancel context.CancelFunc
	exits  chan error // how the server ended, for who waits for its start
	done   chan struct{}
}

func startChild(ctx context.Context, cfg Config, binary string, log *slog.Logger) (*child, error) {
	account, err := childAccount(cfg.User)
	if err != nil {
		return nil, err
	}
	c := &child{log: log, exits: make(chan error, 1), done: make(chan struct{})}
	if err := c.place(cfg.Dir, account); err != nil {
		return nil, err
	}
	c.cmd = func() *exec.Cmd { return command(binary, c.socket, account) }
	life, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.supervise(life)
	if err := c.await(ctx); err != nil {
		return nil, errors.Join(err, c.stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// place makes the folder that only we, or the child's user, can enter.
func (c *child) place(dir string, account *syscall.Credential) error {
	if dir == "" {
		return errors.New("valkey: a folder is needed for the socket of the server")
	}
	c.socket = filepath.Join(dir, "valkey.sock")
	if len(c.socket) > longestSocket {
		temp, err := os.MkdirTemp("", "nimbus-valkey-")
		if err != nil {
			return err
		}
		dir, c.temp, c.socket = temp, temp, filepath.Join(temp, "valkey.sock")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o700)
}

// childAccount returns the user for the child; nil is our own.
func childAccount(name string) (*syscall.Credential, error) {
	if name == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("valkey: create the user or name another one: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// command runs the server with nothing but a socket: no TCP port, no files, 64 MB. Of
// what it holds everything may be dropped, the least used first.
func command(binary, socket string, account *syscall.Credential) *exec.Cmd {
	cmd := exec.Command(binary,
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--save", "", "--appendonly", "no", "--dir", filepath.Dir(socket),
		"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru",
		"--databases", "1", "--daemonize", "no", "--supervised", "no", "--loglevel", "warning")
	cmd.Dir = filepath.Dir(socket)
	cmd.Env = []string{"LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: account}
	return cmd
}

// supervise keeps the server running until ctx ends. It stays on one thread, because the
// kernel kills the child when the thread that started it ends.
func (c *child) supervise(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.done)
	pause := shortestPause
	for {
		born := time.Now()
		err := c.run(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case c.exits <- err:
		default:
		}
		if time.Since(born) > time.Minute {
			pause = shortestPause
		}
		c.log.Error("valkey ended and is started again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// run starts the server once and returns when it has ended.
func (c *child) run(ctx context.Context) error {
	_ = os.Remove(c.socket) // left by a server that was killed
	cmd, said := c.cmd(), &lastLine{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pid.Store(int64(cmd.Process.Pid))
	stop := context.AfterFunc(ctx, func() { end(cmd.Process) })
	defer stop()
	return fmt.Errorf("%w; its last line was %q", cmp.Or(cmd.Wait(), errors.New("it exited")), said.text)
}

// lastLine keeps the end of what the server prints, for the log.
type lastLine struct{ text string }

func (l *lastLine) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	text = text[strings.LastIndexByte(text, '\n')+1:]
	l.text = text[:min(200, len(text))]
	return len(b), nil
}

// end asks the process to end and kills it when it does not.
func end(p *os.Process) {
	_ = p.Signal(syscall.SIGTERM)
	time.AfterFunc(stopLimit, func() { _ = p.Kill() })
}

// await returns when the server accepts connections.
func (c *child) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		conn, err := c.dial(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-c.exits:
			return fmt.Errorf("valkey: the server ended at once: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("valkey: the server did not open its socket: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *child) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "unix", c.socket)
}

func (c *child) stop(ctx context.Context) error {
	c.cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("valkey: the server did not end: %w", ctx.Err())
	}
	_ = os.Remove(c.socket)
	if c.temp != "" {
		return os.RemoveAll(c.temp)
	}
	return nil
}
