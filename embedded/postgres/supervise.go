package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	shortestDelay = 200 * time.Millisecond
	longestDelay  = 15 * time.Second
	steady        = time.Minute // a server that lived this long starts with the shortest delay again
	grace         = 4 * time.Second
)

// launchFirst starts the server at the remembered, the wanted or a free port. Between
// finding a free port and binding it somebody else can take it; then another is tried.
func (s *Server) launchFirst(ctx context.Context, r *running) error {
	for try := 1; ; try++ {
		port, err := s.choosePort(r.home.path("port"))
		if err != nil {
			return err
		}
		r.port = port
		err = s.launch(ctx, r)
		if err == nil {
			return writeSynced(r.home.path("port"), strconv.Itoa(port)+"\n")
		}
		if s.cfg.Port != 0 || try == 3 || !strings.Contains(err.Error(), "could not create any TCP/IP sockets") {
			return err
		}
	}
}

func (s *Server) choosePort(remembered string) (int, error) {
	if s.cfg.Port != 0 {
		if !free(s.cfg.Port) {
			return 0, fmt.Errorf("port %d on 127.0.0.1 is taken by another program: stop it, or set another port for Postgres", s.cfg.Port)
		}
		return s.cfg.Port, nil
	}
	data, _ := os.ReadFile(remembered) // a hint only
	if port, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && free(port) {
		return port, nil
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func free(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// launch starts one postmaster and waits until it serves. On an error none is left.
func (s *Server) launch(ctx context.Context, r *running) error {
	if err := settle(ctx, r.home.data(), s.log); err != nil {
		return err
	}
	if err := r.home.sweep("run/.s.PGSQL.*"); err != nil {
		return err
	}
	left, _ := os.ReadFile(r.home.pidFile()) // by a server that was killed
	cmd := r.home.command(context.WithoutCancel(ctx), "postgres", s.arguments(r)...)
	if !s.cfg.noDeathSignal {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	}
	p, err := spawn(cmd, s.log)
	if err != nil {
		return err
	}
	r.set(p, errors.New("postgres is starting"))
	if err := s.awaitReady(ctx, r, p, left); err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		return errors.Join(err, p.stop(stopping))
	}
	r.set(p, nil)
	s.log.Info("postgres serves", "component", "postgres", "port", r.port, "pid", p.pid())
	return nil
}

// awaitReady watches postmaster.pid, whose eighth line says "ready" when connections are
// taken, and then asks one question with the superuser's password. What was left there does
// not count: it says "ready", too, and after a power cut it can name the very same process id.
func (s *Server) awaitReady(ctx context.Context, r *running, p *process, left []byte) error {
	for !serves(r.home.pidFile(), p.pid(), left) {
		select {
		case <-p.done:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("postgres did not start in time: %w", context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := ping(ctx, r.dsn(superuser)); err != nil {
		return fmt.Errorf("postgres started but does not let us in (does %s hold its password?): %w", r.home.path("password"), err)
	}
	return nil
}

func (h home) pidFile() string { return filepath.Join(h.data(), "postmaster.pid") }

func serves(file string, pid int, left []byte) bool {
	data, err := os.ReadFile(file)
	lines := strings.Split(string(data), "\n")
	return err == nil && !bytes.Equal(data, left) && len(lines) > 7 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}

// supervise starts a dead server again, with growing delays, until ctx ends.
func (s *Server) supervise(ctx context.Context, r *running) {
	defer close(r.done)
	delay := shortestDelay
	for {
		born := time.Now()
		select {
		case <-r.process().done:
		case <-ctx.Done():
			r.result = r.halt()
			return
		}
		if time.Since(born) > steady {
			delay = shortestDelay
		}
		if !s.revive(ctx, r, &delay) {
			return
		}
	}
}

// revive tries until the server runs (true) or ctx ends (false).
func (s *Server) revive(ctx context.Context, r *running, delay *time.Duration) bool {
	err := r.process().failure()
	for {
		err = explain(err, s.cfg.Dir)
		r.set(r.process(), fmt.Errorf("postgres is down and started again in %v: %w", *delay, err))
		s.log.Error("postgres is down", "component", "postgres", "error", err, "again_in", *delay)
		if !sleep(ctx, *delay) {
			return false
		}
		*delay = min(2**delay, longestDelay)
		if err = s.launch(ctx, r); err == nil {
			return true
		}
	}
}

// halt stops the child within the time that Stop allows.
func (r *running) halt() error {
	r.mu.Lock()
	ctx := r.stopBy
	r.mu.Unlock()
	return r.process().stop(ctx)
}

func (r *running) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.child
}

func (r *running) state() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}

func (r *running) set(p *process, fault error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.child, r.fault = p, fault
}
