package realtime

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/permission"
	"nimbus/appliance/realtime/socketio"
)

const (
	// recorded is what a socket hears that watches the audit trail.
	recorded = "audit.recorded"
	// feedPoll is how often a feed looks whether its socket took what it was given.
	feedPoll = 20 * time.Millisecond
)

// feeds are the sockets that watch the audit trail, each with one feed.
type feeds struct {
	mu      sync.Mutex
	closed  bool
	cancels map[*socketio.Socket]context.CancelFunc
	running sync.WaitGroup
}

// begin runs a feed in the place of the one that the socket had. Nothing
// begins after close.
func (f *feeds) begin(socket *socketio.Socket, cancel context.CancelFunc, feed func()) {
	f.end(socket)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		cancel()
		return
	}
	f.cancels[socket] = cancel
	f.running.Go(feed)
}

// end ends the feed of a socket, if it has one.
func (f *feeds) end(socket *socketio.Socket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel := f.cancels[socket]; cancel != nil {
		cancel()
	}
	delete(f.cancels, socket)
}

func (f *feeds) has(socket *socketio.Socket) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cancels[socket] != nil
}

// open lets feeds begin again after close.
func (f *feeds) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.cancels = false, map[*socketio.Socket]context.CancelFunc{}
}

// close ends all feeds.
func (f *feeds) close() {
	f.mu.Lock()
	f.closed = true
	for _, cancel := range f.cancels {
		cancel()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// watchTrail begins to send the records of the socket's tenant that match a
// filter. A socket has one feed: another filter takes the place of the first.
func (s *Service) watchTrail(ctx context.Context, e *socketio.Event) {
	var asked struct {
		Filter json.RawMessage `json:"filter"`
	}
	err := e.Bind(&asked)
	if err == nil {
		err = s.follow(ctx, e.Socket(), asked.Filter)
	}
	if err != nil {
		_ = e.Ack(verdict{Error: fault.Message(err)})
		return
	}
	_ = e.Ack(verdict{OK: true})
}

func (s *Service) unwatchTrail(_ context.Context, e *socketio.Event) {
	s.feeds.end(e.Socket())
	_ = e.Ack(verdict{OK: true})
}

// follow starts a feed that ends with the connection, the service, or the
// right to read. A change of rights meanwhile has not seen it: it asks once more.
func (s *Service) follow(ctx context.Context, socket *socketio.Socket, filter json.RawMessage) error {
	before := s.stale.changes.Load()
	ctx, cancel := context.WithCancel(s.acting(ctx, socket))
	batches, err := s.cfg.Follow(ctx, filter)
	if err != nil {
		cancel()
		return err
	}
	s.feeds.begin(socket, cancel, func() {
		defer cancel()
		if s.send(ctx, socket, batches) {
			s.endFeed(socket)
		}
	})
	if s.stale.changes.Load() != before {
		s.narrowFeed(ctx, socket)
	}
	return nil
}

type lines struct {
	Records []any `json:"records"`
	// Lost counts the records that were left out before these.
	Lost int64 `json:"lost"`
}

// send gives a socket the next records when it took those before: what comes
// while it does not read is counted by whom it follows, not kept. It reports
// whether the feed ended because the right to read did.
func (s *Service) send(ctx context.Context, socket *socketio.Socket, batches <-chan audit.Batch) (refused bool) {
	for s.idle(ctx, socket) {
		select {
		case <-ctx.Done():
			return false
		case b, ok := <-batches:
			if ctx.Err() != nil {
				return false
			}
			if !ok || !s.mayFollow(ctx, socket) {
				return true
			}
			out := lines{Records: make([]any, len(b.Records)), Lost: b.Lost}
			for i, r := range b.Records {
				out.Records[i] = s.cfg.Record(r)
			}
			if err := socket.Emit(recorded, out); err != nil {
				return false
			}
		}
	}
	return false
}

// idle waits until nothing waits for a socket; false when ctx ends.
func (s *Service) idle(ctx context.Context, socket *socketio.Socket) bool {
	tick := time.NewTicker(feedPoll)
	defer tick.Stop()
	for socket.Waiting() > 0 {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return ctx.Err() == nil
}

func (s *Service) mayFollow(ctx context.Context, socket *socketio.Socket) bool {
	return s.cfg.Allowed(s.acting(ctx, socket), audit.ReadPermission, permission.Resource{})
}

// narrowFeed ends the feed of a socket whose actor may not read the trail.
func (s *Service) narrowFeed(ctx context.Context, socket *socketio.Socket) {
	if s.feeds.has(socket) && !s.mayFollow(ctx, socket) {
		s.endFeed(socket)
	}
}

func (s *Service) endFeed(socket *socketio.Socket) {
	s.feeds.end(socket)
	_ = socket.Emit(WatchEnded, map[string]string{"kind": "audit"}) // a socket that is gone needs not know
}
