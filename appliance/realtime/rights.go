package realtime

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
	"nimbus/appliance/realtime/socketio"
)

// WatchEnded is what a socket hears about a subject that it may not watch any
// more.
const WatchEnded = "watch.ended"

// asking bounds how many sockets are asked about at once when rights change.
const asking = 8

// stale collects the tenants whose rights changed until their sockets have been
// asked about. A tenant that changes many times meanwhile is asked about once.
type stale struct {
	changes atomic.Uint64
	wake    chan struct{}

	mu      sync.Mutex
	tenants map[id.ID]bool
}

func newStale() stale { return stale{wake: make(chan struct{}, 1), tenants: map[id.ID]bool{}} }

// add never blocks and never loses a tenant.
func (s *stale) add(tenant id.ID) {
	s.changes.Add(1)
	s.mu.Lock()
	s.tenants[tenant] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stale) take() map[id.ID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.tenants
	s.tenants = map[id.ID]bool{}
	return all
}

// keepRights asks anew about the sockets of tenants whose rights changed.
func (s *Service) keepRights(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stale.wake:
			s.askAnew(ctx, s.stale.take())
		}
	}
}

func (s *Service) askAnew(ctx context.Context, tenants map[id.ID]bool) {
	var g errgroup.Group
	g.SetLimit(asking)
	for _, socket := range s.server.Namespace("/").Sockets() {
		if tenants[socket.Session().(actor.Actor).TenantID] {
			g.Go(func() error { s.narrow(ctx, socket); return nil })
		}
	}
	_ = g.Wait() // nothing in it fails
}

// greet refuses a socket whose session ended since its handshake, before there
// was a connection to cut. It notes whether a new socket's actor holds anything:
// who has just been made, and is given their first role later, keeps their
// socket until then.
func (s *Service) greet(socket *socketio.Socket) error {
	ctx := context.Background()
	if err := s.cfg.Lives(ctx, socket.Session().(actor.Actor)); err != nil {
		return err
	}
	held, err := s.holds(ctx, socket)
	socket.SetData(held || err != nil)
	return nil
}

// holds reports whether a socket's actor is allowed anything in its tenant.
func (s *Service) holds(ctx context.Context, socket *socketio.Socket) (bool, error) {
	patterns, err := s.cfg.Held(s.acting(ctx, socket))
	for _, p := range patterns {
		if !strings.HasPrefix(p, "!") {
			return true, err
		}
	}
	return false, err
}

// narrow leaves a socket what its actor may still read, and cuts it when that
// actor holds nothing any more.
func (s *Service) narrow(ctx context.Context, socket *socketio.Socket) {
	holds, err := s.holds(ctx, socket)
	held, _ := socket.Data().(bool)
	switch {
	case err != nil: // the rooms are asked about one by one
	case held && !holds:
		s.server.DisconnectIf(func(one *socketio.Socket) bool { return one == socket })
		return
	default:
		socket.SetData(holds)
	}
	s.narrowFeed(ctx, socket)
	for _, room := range socket.Rooms() {
		s.endWatch(ctx, socket, room)
	}
}

// endWatch leaves a room unless the actor may be in it. A question without an
// answer counts as no: the browser asks again when somebody looks again.
func (s *Service) endWatch(ctx context.Context, socket *socketio.Socket, room string) {
	w, ok := watched(room)
	if !ok {
		return
	}
	err := s.mayWatch(s.acting(ctx, socket), w)
	if err == nil || ctx.Err() != nil {
		return
	}
	socket.Leave(room)
	_ = socket.Emit(WatchEnded, w) // a socket that is gone needs not know
}
