package temporal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	shortestDelay = 500 * time.Millisecond
	longestDelay  = 30 * time.Second
	bootLimit     = startLimit + helloLimit
	checkEvery    = 15 * time.Second
	strikes       = 4 // failed checks in a row, with the database answering, before a restart
)

// running is what exists between Start and Stop.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	node  *node // nil while there is none
	fault error // why there is none
}

func (r *running) state() (*node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node, r.fault
}

func (r *running) set(n *node, fault error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node, r.fault = n, fault
}

// supervise replaces a server that gave up or hangs, until ctx ends. A foreign cluster is
// not ours to restart: the client reconnects by itself.
func (s *Server) supervise(ctx context.Context, r *running) {
	defer close(r.done)
	delay := shortestDelay
	for {
		n, _ := r.state()
		born := time.Now()
		fault := s.watch(ctx, n)
		if fault == nil {
			return
		}
		if time.Since(born) > 10*time.Minute {
			delay = shortestDelay
		}
		r.set(nil, fmt.Errorf("temporal is down and started again: %w", fault))
		s.log.Error("temporal is down", "component", "temporal", "error", errors.Join(fault, n.discard()))
		if !s.revive(ctx, r, &delay) {
			return
		}
	}
}

// watch returns why n has to be replaced, or nil when ctx has ended.
func (s *Server) watch(ctx context.Context, n *node) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-n.fatal:
			return errGaveUp
		case <-tick.C:
		}
		if n.server == nil || n.check(ctx) {
			failed = 0
		} else if failed++; failed == strikes {
			return errors.New("the frontend does not answer although the database does")
		}
	}
}

// check says whether the frontend answers. Without the database it cannot, and a restart
// would not help: that counts as well.
func (n *node) check(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return n.healthy(ctx) == nil || n.pools.ping(ctx) != nil
}

// revive tries until a server runs (true) or ctx ends (false).
func (s *Server) revive(ctx context.Context, r *running, delay *time.Duration) bool {
	for sleep(ctx, *delay) {
		*delay = min(2**delay, longestDelay)
		booting, cancel := context.WithTimeout(ctx, bootLimit)
		n, err := s.boot(booting)
		cancel()
		if err == nil {
			r.set(n, nil)
			return true
		}
		r.set(nil, fmt.Errorf("temporal is down and started again in %v: %w", *delay, err))
		s.log.Error("temporal did not start", "component", "temporal", "error", err, "again_in", *delay)
	}
	return false
}

// sleep waits for d and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
