package identity

import (
	"context"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
)

// sweep is how often what has expired is looked for. Requests never wait for
// it: authentication compares the times itself. Sockets do.
const sweep = 5 * time.Second

// watch cuts the sockets of sessions and API tokens when their time is over,
// and at once when their tenant is closed.
type watch struct {
	wake chan struct{}

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	unsub  func()
	failed error
}

// closing are the events after which a tenant, or one below it, may be closed.
var closing = map[string]bool{"tenant.suspended": true, "tenant.deleted": true, "tenant.moved": true, "tenant.purged": true}

// heard wakes the watch; it runs on the publisher's goroutine and does not block.
func (w *watch) heard(e event.Event) {
	if !closing[e.Type] {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
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
	w.unsub = s.Events.Subscribe(w.heard)
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
	cancel, done, unsub := w.cancel, w.done, w.unsub
	w.cancel = nil
	w.mu.Unlock()
	if cancel == nil {
		return nil
	}
	unsub()
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
	look := s.EndExpired
	for {
		err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.noted(err)
		select {
		case <-ctx.Done():
			return
		case <-s.watch.wake:
			look = s.EndClosed
		case <-tick.C:
			look = s.EndExpired
		}
	}
}

// noted keeps the outcome for Ready, and logs the first of several failures.
func (s *Service) noted(err error) {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if err != nil && s.watch.failed == nil {
		s.Logger.Error("expired sessions could not be ended; they are refused all the same", "error", err)
	}
	s.watch.failed = err
}

// EndClosed ends every session in a tenant that is suspended or deleted and
// cuts all sockets there, those of API tokens too. The tokens stay stored:
// they do nothing while the tenant is closed and work again when it is resumed.
func (s *Service) EndClosed(ctx context.Context) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		closed, err := s.store.closedTokens(ctx)
		if err != nil {
			return err
		}
		if err := s.cutAll(ctx, closed); err != nil {
			return err
		}
		return s.EndExpired(ctx)
	})
}

func (s *Service) cutAll(ctx context.Context, over []credential) error {
	for _, c := range over {
		if err := s.sessionEnded(ctx, c.Owner, c.ID); err != nil {
			return err
		}
	}
	return nil
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
		if err := s.cutAll(ctx, over); err != nil {
			return err
		}
		return s.store.dropLinks(ctx)
	})
}
