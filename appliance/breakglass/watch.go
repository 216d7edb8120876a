package breakglass

import (
	"context"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	// sweep is how often the watch looks for what other processes opened.
	sweep = 30 * time.Second
	// fresh is how long the open sessions in memory are believed.
	fresh = 2 * time.Second
)

// watch keeps the open sessions in memory and closes them in time.
//
// A session ends at whichever comes first: ends_at by the database's clock, or
// the same span by this process's monotonic clock. A clock that is set back
// can only shorten it: a deadline once known never moves, and a session that
// begins in the database's future is over.
type watch struct {
	service *Service
	wake    chan struct{}
	unsub   func()

	loading sync.Mutex // held by the one who reads the database

	mu     sync.Mutex
	read   time.Time // when the database was last read
	notes  int       // counts what was learned without reading it
	open   map[id.ID]held
	cancel context.CancelFunc
	done   chan struct{}
	failed error
}

// held is an open session with its deadline on the monotonic clock.
type held struct {
	Request
	deadline time.Time
}

func newWatch(s *Service) *watch {
	return &watch{service: s, wake: make(chan struct{}, 1), open: map[id.ID]held{}}
}

// Start closes what ended while the appliance was down, takes over the
// sessions that go on, and ends them by itself from now on. It fails when the
// database does not answer.
func (s *Service) Start(ctx context.Context) error {
	w := s.watch
	if err := w.round(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		return nil
	}
	run, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	w.unsub = s.Events.Subscribe(w.heard)
	go w.run(run, w.done)
	return nil
}

// Ready is nil when the last look at the sessions succeeded.
func (s *Service) Ready(context.Context) error {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.failed
}

// Stop ends the watch; open sessions go on until their end.
func (s *Service) Stop(ctx context.Context) error {
	w := s.watch
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

func (w *watch) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	for {
		timer := time.NewTimer(w.next())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.wake:
		case <-timer.C:
		}
		timer.Stop()
		if err := w.round(ctx); err != nil && ctx.Err() == nil {
			w.service.Logger.Error("the break-glass sessions could not be looked at", "error", err)
		}
	}
}

// next is how long nothing needs to be done.
func (w *watch) next() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := sweep
	for _, h := range w.open {
		wait = min(wait, max(time.Until(h.deadline), 50*time.Millisecond))
	}
	return wait
}

// round reads the sessions and closes what is over.
func (w *watch) round(ctx context.Context) error {
	err := w.load(ctx)
	if err == nil {
		err = w.close(actor.AsSystem(ctx, "breakglass", id.ID{}))
	}
	w.mu.Lock()
	w.failed = err
	w.mu.Unlock()
	return err
}

// load reads the open sessions, again when one opened or ended meanwhile.
func (w *watch) load(ctx context.Context) error {
	w.loading.Lock()
	defer w.loading.Unlock()
	for {
		current, err := w.loadOnce(ctx)
		if err != nil || current {
			return err
		}
	}
}

func (w *watch) loadOnce(ctx context.Context) (current bool, err error) {
	w.mu.Lock()
	asked, notes := time.Now(), w.notes
	w.mu.Unlock()
	var found []running
	err = w.service.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		found, err = w.service.store.running(ctx)
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.notes != notes {
		return false, err
	}
	open := map[id.ID]held{}
	for _, r := range found {
		h := held{r.Request, asked.Add(r.left)}
		if known, ok := w.open[r.ID]; ok && known.deadline.Before(h.deadline) {
			h.deadline = known.deadline
		}
		open[r.ID] = h
	}
	w.open, w.read = open, asked
	return true, nil
}

// close ends the sessions whose time is up and expires the requests that
// nobody approved. Another node may be first; that is no error.
func (w *watch) close(ctx context.Context) error {
	w.mu.Lock()
	var over []Request
	for _, h := range w.open {
		if time.Until(h.deadline) <= 0 {
			over = append(over, h.Request)
		}
	}
	w.mu.Unlock()
	for _, r := range over {
		if err := w.finish(ctx, r, Ended); err != nil {
			return err
		}
	}
	var stale []id.ID
	err := w.service.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		stale, err = w.service.store.stale(ctx)
		return err
	})
	for _, r := range stale {
		if err == nil {
			err = w.finish(ctx, Request{ID: r}, Expired)
		}
	}
	return err
}

func (w *watch) finish(ctx context.Context, r Request, to Status) error {
	_, err := w.service.finish(ctx, r, to, Person{Name: "breakglass"})
	if fault.Is(err, fault.Conflict) {
		w.forget(r.ID)
		return nil
	}
	return err
}

// current lists the sessions that are open at this moment, read anew when that
// was a while ago.
func (w *watch) current(ctx context.Context) []Session {
	w.mu.Lock()
	old := time.Since(w.read) > fresh
	w.mu.Unlock()
	if old {
		if err := w.load(ctx); err != nil {
			w.service.Logger.Error("the break-glass sessions could not be read", "error", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Session
	for _, h := range w.open {
		if time.Until(h.deadline) > 0 {
			all = append(all, h.session())
		}
	}
	return all
}

// note takes over what this process has just committed.
func (w *watch) note(r Request) {
	w.forget(r.ID)
	if r.Status == Open {
		w.mu.Lock()
		w.open[r.ID] = held{r, time.Now().Add(time.Duration(r.Minutes) * time.Minute)}
		w.notes++
		w.mu.Unlock()
	}
	w.poke()
}

func (w *watch) forget(request id.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, request)
	w.notes++
}

// heard reacts to what any node did.
func (w *watch) heard(e event.Event) {
	switch e.Type {
	case EventEnded:
		w.forget(e.ID)
		w.poke()
	case EventOpened:
		w.poke()
	}
}

func (w *watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
