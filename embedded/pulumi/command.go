package pulumi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	eventFD = 3 // where the CLI finds the pipe for its events

	cancelGrace = 4 * time.Second // from the interrupt to the kill
	eventGrace  = time.Second     // from the CLI's end to giving up on its events
	keepOutput  = 64 << 10        // of what the CLI prints, the end
)

// command is one start of the CLI.
type command struct {
	run   *Run
	id    string // of the operation, in the child's environment
	args  []string
	event func(line []byte) // nil when no events are wanted
}

// exited is how a command ended.
type exited struct {
	code   int // -1 when killed
	output string
}

// exec runs the CLI to its end. When ctx ends the CLI is interrupted, so that it
// finishes the change it is in, and killed cancelGrace later.
func (e *Engine) exec(ctx context.Context, c command) (exited, error) {
	if err := ctx.Err(); err != nil {
		return exited{}, context.Cause(ctx)
	}
	var out tail
	args := append([]string{"--non-interactive", "--color", "never"}, c.args...)
	cmd := exec.CommandContext(ctx, e.cliPath(), args...)
	cmd.Dir = e.workDir(c.run)
	cmd.Env = e.environ(c)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = cancelGrace
	events, err := pipeEvents(cmd, c.event)
	if err != nil {
		return exited{}, err
	}
	err = waitOnThread(cmd, events.started)
	events.finish()
	if cmd.ProcessState == nil {
		return exited{}, fmt.Errorf("start the Pulumi CLI: %w", err)
	}
	if _, kerr := stopMarked(context.WithoutCancel(ctx), envRun, c.id); kerr != nil {
		e.log.Error("a child of the Pulumi CLI does not end", "error", kerr)
	}
	return exited{code: cmd.ProcessState.ExitCode(), output: out.String()}, nil
}

// waitOnThread starts and awaits cmd on one locked thread: Pdeathsig is sent
// when the thread that started the child ends, so that thread has to stay.
func waitOnThread(cmd *exec.Cmd, started func()) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started()
		if err == nil {
			err = cmd.Wait()
		}
		result <- err
	}()
	return <-result
}

// environ is the child's whole environment: nothing of ours is inherited.
func (e *Engine) environ(c command) []string {
	env := map[string]string{
		"HOME":   e.home(),
		"USER":   "nimbus",
		"LANG":   "C.UTF-8",
		"TMPDIR": e.tmp(),
		envDir:   e.dir,
		envRun:   c.id,

		"PULUMI_HOME":                                 e.home(),
		"PULUMI_BACKEND_URL":                          "file://" + e.backend(),
		"PULUMI_CONFIG_PASSPHRASE":                    c.run.Passphrase,
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"PULUMI_IGNORE_AMBIENT_PLUGINS":               "true",
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_DEBUG_COMMANDS":                       "true", // for --event-log
		"PULUMI_DISABLE_REGISTRY_RESOLVE":             "true",
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER":    "true", // a stack file may be lost
	}
	for name, value := range c.run.Env {
		env[name] = value
	}
	list := make([]string, 0, len(env))
	for _, name := range sortedKeys(env) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// eventPipe carries the CLI's event log, one JSON document a line.
type eventPipe struct {
	read, write *os.File
	done        chan struct{}
}

// pipeEvents gives cmd the write end as eventFD and reads the other one.
func pipeEvents(cmd *exec.Cmd, event func([]byte)) (*eventPipe, error) {
	p := &eventPipe{done: make(chan struct{})}
	if event == nil {
		close(p.done)
		return p, nil
	}
	var err error
	if p.read, p.write, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("open the event pipe: %w", err)
	}
	cmd.ExtraFiles = []*os.File{p.write}
	go func() {
		defer close(p.done)
		r := bufio.NewReaderSize(p.read, 64<<10)
		for {
			line, err := r.ReadBytes('\n')
			if len(line) > 1 && err == nil {
				event(line)
			}
			if err != nil {
				return
			}
		}
	}()
	return p, nil
}

// started closes our copy of the write end, so that the child's end ends it.
func (p *eventPipe) started() {
	if p.write != nil {
		p.write.Close()
	}
}

// finish waits for the events still in the pipe. A child that failed early
// wrote none, and a plugin may hold the pipe open: the wait is bounded.
func (p *eventPipe) finish() {
	if p.read == nil {
		return
	}
	if err := p.read.SetReadDeadline(time.Now().Add(eventGrace)); err != nil {
		p.read.Close()
	}
	<-p.done
	p.read.Close()
}

// tail keeps the end of what is written to it.
type tail struct{ buf []byte }

var _ io.Writer = (*tail)(nil)

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - keepOutput; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String gives the kept output without blank edges.
func (t *tail) String() string { return strings.TrimSpace(string(t.buf)) }
