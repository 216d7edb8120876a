// Package realtime brings events to browsers over Socket.IO. An event reaches
// a socket only when its session acts in the event's tenant and may read what
// the event is about, asked anew for each event.
package realtime

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/realtime/socketio"
)

// Config is what the service needs.
type Config struct {
	Events *event.Bus
	Logger *slog.Logger
	// Authenticate finds the actor of a handshake.
	Authenticate func(*http.Request) (actor.Actor, bool, error)
	// Allowed asks the permission engine, without a record.
	Allowed func(ctx context.Context, permission string) bool
	// Watchable says, by kind, whether the context's actor may watch a subject.
	Watchable map[string]func(ctx context.Context, subject id.ID) error
}

// Service is the Socket.IO server with its subscription to the event bus.
type Service struct {
	cfg    Config
	server *socketio.Server
	queue  chan event.Event
	cancel func()
	done   chan struct{}
}

// queueSize bounds the events that wait to be sent; what comes when it is full
// is lost, and browsers see the state at their next request.
const queueSize = 4096

// New returns a service that is not started.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, queue: make(chan event.Event, queueSize), cancel: func() {}}
	s.server = socketio.New(socketio.Config{
		Logger:       cfg.Logger,
		Authenticate: s.authenticate,
		SessionKey:   func(session any) string { return session.(actor.Actor).Session.String() },
	})
	s.server.OnEvent("watch", s.watch)
	s.server.OnEvent("unwatch", s.unwatch)
	return s
}

// ServeHTTP serves /socket.io/.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.server.ServeHTTP(w, r) }

// Start serves and begins to deliver.
func (s *Service) Start(ctx context.Context) error {
	if err := s.server.Start(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	unsubscribe := s.cfg.Events.Subscribe(s.accept)
	s.done = make(chan struct{})
	s.cancel = func() { unsubscribe(); stop(); <-s.done }
	go s.run(running)
	return nil
}

// Ready is nil when sockets are served.
func (s *Service) Ready(ctx context.Context) error { return s.server.Ready(ctx) }

// Stop cuts all sockets; browsers come back by themselves.
func (s *Service) Stop(ctx context.Context) error {
	s.cancel()
	s.cancel = func() {}
	return s.server.Stop(ctx)
}

// accept takes an event from the bus without blocking its publisher. The end
// of a session does not wait behind other events.
func (s *Service) accept(e event.Event) {
	if e.Type == identity.SessionEnded {
		s.cut(e)
		return
	}
	select {
	case s.queue <- e:
	default:
		s.cfg.Logger.Warn("an event for browsers was lost: too many at once", "event", e.Type)
	}
}

func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.queue:
			s.deliver(e)
		}
	}
}

func (s *Service) authenticate(r *http.Request) (any, error) {
	a, ok, err := s.cfg.Authenticate(r)
	if err == nil && !ok {
		err = errors.New("sign in first")
	}
	return a, err
}

type subject struct {
	Kind string `json:"kind"`
	ID   id.ID  `json:"id"`
}

type verdict struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (w subject) room() string { return "watch:" + w.Kind + ":" + w.ID.String() }

// watch joins the room of one subject when the actor may read it.
func (s *Service) watch(ctx context.Context, e *socketio.Event) {
	var w subject
	err := e.Bind(&w)
	if err == nil {
		err = s.mayWatch(actor.With(ctx, e.Socket().Session().(actor.Actor)), w)
	}
	if err == nil {
		err = e.Socket().Join(w.room())
	}
	if err != nil {
		_ = e.Ack(verdict{Error: fault.Message(err)})
		return
	}
	_ = e.Ack(verdict{OK: true})
}

func (s *Service) mayWatch(ctx context.Context, w subject) error {
	may, ok := s.cfg.Watchable[w.Kind]
	if !ok {
		return fault.New(fault.Invalid, "%q cannot be watched.", w.Kind)
	}
	return may(ctx, w.ID)
}

func (s *Service) unwatch(_ context.Context, e *socketio.Event) {
	var w subject
	if err := e.Bind(&w); err == nil {
		e.Socket().Leave(w.room())
	}
	_ = e.Ack(verdict{OK: true})
}

// deliver sends an event to the sockets of this node that may have it. Other
// nodes get it through the bus and do the same.
func (s *Service) deliver(e event.Event) {
	for _, socket := range s.server.Namespace("/").Sockets() {
		if s.mayHave(socket, e) {
			_ = socket.Emit("event", e)
		}
	}
}

func (s *Service) mayHave(socket *socketio.Socket, e event.Event) bool {
	a := socket.Session().(actor.Actor)
	switch {
	case e.Tenant != a.TenantID && !(e.Tenant.IsZero() && e.User == a.ID):
		return false
	case !e.User.IsZero() && e.User != a.ID:
		return false
	case e.Watched != "" && !slices.Contains(socket.Rooms(), subject{Kind: e.Watched, ID: e.ID}.room()):
		return false
	}
	return e.Permission == "" || s.cfg.Allowed(actor.With(context.Background(), a), e.Permission)
}

// cut disconnects the sockets of a session that ended, or of all sessions of a user.
func (s *Service) cut(e event.Event) {
	s.server.DisconnectSessions(func(session any) bool {
		a := session.(actor.Actor)
		return a.ID == e.User && (e.ID.IsZero() || a.Session == e.ID)
	})
}
