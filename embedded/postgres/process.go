package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one running postmaster.
type process struct {
	cmd  *exec.Cmd
	log  *logWriter
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

// spawn starts cmd and waits for it on one goroutine that never leaves its thread:
// the parent-death signal belongs to the thread that forked.
func spawn(cmd *exec.Cmd, log *slog.Logger) (*process, error) {
	p := &process{cmd: cmd, log: &logWriter{log: log}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = 3 * time.Second // a backend may hold the pipe a little longer than the postmaster lives
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	return p, <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failure says how the process ended and what it logged last.
func (p *process) failure() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if reason := p.log.reason(); reason != "" {
		return fmt.Errorf("postgres ended (%s): %s", how, reason)
	}
	return fmt.Errorf("postgres ended (%s)", how)
}

// stop asks for a fast shutdown and, when ctx ends first, for an immediate one.
func (p *process) stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	if err := p.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-p.done: // after five seconds the postmaster kills its own children
		return nil
	case <-time.After(7 * time.Second):
		return fmt.Errorf("postgres (process %d) does not end", p.pid())
	}
}

// signal sends sig; a process that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, syscall.ESRCH) && !strings.Contains(err.Error(), "finished") {
		return fmt.Errorf("send %v to postgres: %w", sig, err)
	}
	return nil
}

// logWriter passes Postgres's log on line by line and keeps the end of it.
type logWriter struct {
	log *slog.Logger

	mu   sync.Mutex
	rest []byte
	tail []string
}

const tailLines = 20

// Write never fails.
func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.line(string(bytes.TrimRight(line, " \r")))
	}
}

func (w *logWriter) line(line string) {
	w.tail = append(w.tail[max(0, len(w.tail)-tailLines+1):], line)
	severity, message, ok := strings.Cut(line, ":  ")
	if !ok {
		severity, message = "LOG", line
	}
	level := slog.LevelDebug
	switch severity {
	case "WARNING", "ERROR", "FATAL":
		level = slog.LevelWarn
	case "PANIC":
		level = slog.LevelError
	}
	if strings.HasPrefix(message, "terminating connection due to administrator command") {
		level = slog.LevelDebug // every session says so at each stop
	}
	w.log.Log(context.Background(), level, message, "component", "postgres", "severity", severity)
}

// reason is the last FATAL or PANIC line with the one before it, or "".
func (w *logWriter) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.tail) - 1; i >= 0; i-- {
		if strings.HasPrefix(w.tail[i], "FATAL") || strings.HasPrefix(w.tail[i], "PANIC") {
			return strings.Join(w.tail[max(0, i-1):i+1], "; ")
		}
	}
	return ""
}
