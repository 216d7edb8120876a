package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child keeps a worker process for one caller at a time: it starts one when a call needs
// it, ends it when a call fails, and waits longer before each new start while the same
// call goes on failing.
type child struct {
	cfg Config

	mu       sync.Mutex // guards what Status reads while a call is running
	proc     *process
	faults   int
	faultOp  string
	notUntil time.Time
	last     error
}

// pauseLimit bounds the pause between two starts of the worker.
const pauseLimit = time.Minute

// call sends the request and waits for its answer, no longer than Config.Timeout. An error
// of kind ErrModuleHung or ErrModuleCrashed means that the worker is gone.
func (c *child) call(ctx context.Context, req request) (response, error) {
	if err := c.ensure(); err != nil {
		return response{}, err
	}
	req.Module, req.TokenLabel, req.Slot = c.cfg.Module, orDefault(req.TokenLabel, c.cfg.TokenLabel), c.cfg.Slot
	resp, err := c.proc.exchange(ctx, req, c.cfg.Timeout)
	if err != nil {
		return response{}, c.fault(ctx, req.Op, err)
	}
	c.worked(req.Op)
	if resp.Failure != nil {
		return response{}, resp.Failure.err()
	}
	return resp, nil
}

func (c *child) ensure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != nil {
		return nil
	}
	if wait := time.Until(c.notUntil); wait > 0 {
		return c.last
	}
	proc, err := startProcess(c.cfg)
	if err != nil {
		return &Error{Kind: ErrModuleFailed, Reason: "The process for the PKCS#11 module cannot be started; check memory and the number of processes.", Cause: err}
	}
	c.proc = proc
	return nil
}

// fault ends the worker and says why; a call that the caller's own Stop ended is no fault.
func (c *child) fault(ctx context.Context, op string, cause error) error {
	hung := errors.Is(cause, os.ErrDeadlineExceeded)
	grace := 500 * time.Millisecond // lets a crash tell its own exit status
	if hung {
		grace = 0
	}
	exit := c.end(grace)
	if ctx.Err() != nil {
		return &Error{Kind: ErrNotRunning, Reason: "The connection to the hardware security module was stopped.", Cause: ctx.Err()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults++
	c.faultOp = op
	c.notUntil = time.Now().Add(growing(c.cfg.RestartPause, c.faults, pauseLimit))
	e := &Error{Kind: ErrModuleCrashed, Reason: fmt.Sprintf("The PKCS#11 module crashed at %s: %s. It is started again.", op, exit), Until: c.notUntil}
	if hung {
		e.Kind = ErrModuleHung
		e.Reason = fmt.Sprintf("The PKCS#11 module did not answer within %s at %s; check the connection to the token. It is started again.", c.cfg.Timeout, op)
	}
	c.last = e
	c.cfg.Logger.Warn("hsm worker ended", "op", op, "error", e.Reason, "exit", exit, "faults", c.faults)
	return e
}

// worked forgets the faults once the call that failed succeeds.
func (c *child) worked(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faultOp == op {
		c.faults, c.faultOp, c.last, c.notUntil = 0, "", nil, time.Time{}
	}
}

func (c *child) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc != nil
}

// end ends the worker, if there is one, and returns how it ended.
func (c *child) end(grace time.Duration) string {
	c.mu.Lock()
	proc := c.proc
	c.proc = nil
	c.mu.Unlock()
	if proc == nil {
		return ""
	}
	return proc.end(grace)
}

// growing doubles the pause with each fault after the first.
func growing(pause time.Duration, faults int, limit time.Duration) time.Duration {
	for range faults - 1 {
		if pause >= limit {
			break
		}
		pause *= 2
	}
	return min(pause, limit)
}

// process is one running worker.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // requests
	out    *os.File // responses
	stderr crashWatch
	done   chan struct{} // closed when the process is gone
	exit   error         // valid after done
}

func startProcess(cfg Config) (*process, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, childIn.Close(), in.Close())
	}
	p := &process{in: in, out: out, done: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: cfg.Executable, Args: []string{WorkerName}, Env: workerEnv(cfg.WorkerEnv),
		Stdin: childIn, Stdout: childOut, Stderr: &p.stderr, WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error)
	go p.run(started)
	err = <-started
	_, _ = childIn.Close(), childOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, err
	}
	return p, nil
}

// run starts the process and waits for it on one thread, because the kernel sends the
// parent-death signal when the thread that forked ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.exit = p.cmd.Wait()
	}
	close(p.done)
}

// workerEnv passes on what vendors' modules are configured with, and none of our own settings.
func workerEnv(extra []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "NIMBUS_") })
	return append(env, extra...)
}

// exchange sends one request and reads its answer, and gives up when ctx ends.
func (p *process) exchange(ctx context.Context, req request, timeout time.Duration) (response, error) {
	deadline := time.Now().Add(timeout)
	if err := errors.Join(p.in.SetWriteDeadline(deadline), p.out.SetReadDeadline(deadline)); err != nil {
		return response{}, err
	}
	stop := context.AfterFunc(ctx, func() {
		_, _ = p.in.SetWriteDeadline(time.Unix(1, 0)), p.out.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	if err := writeFrame(p.in, req); err != nil {
		return response{}, err
	}
	var resp response
	return resp, readFrame(p.out, &resp)
}

// end lets the worker go by itself, kills it when it has not after grace, and says how it went.
func (p *process) end(grace time.Duration) string {
	_ = p.in.Close()
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	_ = p.out.Close()
	if crash := p.stderr.crash(); crash != "" {
		return crash
	}
	if p.exit == nil {
		return "it exited"
	}
	return p.exit.Error()
}

// signalLine is how Go's runtime names the signal that ended a process.
var signalLine = regexp.MustCompile(`^SIG[A-Z]+: [a-z ]+$`)

// crashWatch reads what the worker prints and keeps nothing but the signal that ended it:
// the rest may come from the module, and hold a PIN.
type crashWatch struct {
	mu     sync.Mutex
	line   []byte // not complete yet
	signal string
}

const longestSignalLine = 100

func (w *crashWatch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for part := range bytes.Lines(b) {
		if room := longestSignalLine - len(w.line); room > 0 {
			w.line = append(w.line, part[:min(room, len(part))]...)
		}
		if part[len(part)-1] != '\n' {
			break
		}
		if line := bytes.TrimSuffix(w.line, []byte("\n")); signalLine.Match(line) {
			w.signal = string(line)
		}
		w.line = w.line[:0]
	}
	return len(b), nil
}

func (w *crashWatch) crash() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signal
}
