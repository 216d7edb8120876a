package identity

import (
	"context"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// sweep is how often what has expired is looked for. Requests never wait for
// it: authentication compares the times itself. Sockets do.
const sweep = 5 * time.Second

// watch cuts the sockets of sessions and API tokens when their time is over.
type watch struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	failed error
}

// Start begins to end what expires. Starting twice is starting once.
func (s *Service) Start(context.Context) error {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		return nil
	}
	run, cancel := context.WithCancel(actor.AsSystem(context.Background(), "sessions", id.ID{}))
	w.cancel, w.done = cancel, make(chan struct{})
	go s.keepWatch(run, w.done)
	return nil
}

// Ready is nil when the last look at what expires succeeded.
func (s *Service) Ready(context.Context) error {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.failed
}

// Stop ends the watch; a second Stop does nothing.
func (s *Service) Stop(ctx context.Context) error {
	w := &s.watch
	w.mu.Lock()
	cancel, done := w.cancel, w.done
	w.cancel = nil
	w.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) keepWatch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for {
		err := s.EndExpired(ctx)
		if ctx.Err() != nil {
			return
		}
		s.watch.mu.Lock()
		if err != nil && s.watch.failed == nil {
			s.Logger.Error("expired sessions could not be ended; they are refused all the same", "error", err)
		}
		s.watch.failed = err
		s.watch.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// EndExpired removes sessions and links whose time is over, and cuts the
// sockets of those sessions and of API tokens that have just expired. Several
// nodes may do it at once.
func (s *Service) EndExpired(ctx context.Context) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		over, err := s.store.endExpired(ctx)
		if err != nil {
			return err
		}
		for _, c := range over {
			if err := s.sessionEnded(ctx, c.Owner, c.ID); err != nil {
				return err
			}
		}
		return s.store.dropLinks(ctx)
	})
}
