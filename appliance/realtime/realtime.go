// Package realtime brings events to browsers over Socket.IO. An event reaches
// a socket only when its session acts in the event's tenant and may read what
// the event is about, asked anew for each event. What a socket watches ends as
// soon as its actor may not read it any more; see rights.go.
package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/realtime/socketio"
)

// Config is what the service needs.
type Config struct {
	Events *event.Bus
	Logger *slog.Logger
	// Authenticate finds the actor of a handshake.
	Authenticate func(*http.Request) (actor.Actor, bool, error)
	// Lives fails when the session or API token of an actor has ended.
	Lives func(ctx context.Context, a actor.Actor) error
	// Allowed asks the permission engine about a resource, without a record.
	Allowed func(ctx context.Context, permission string, on permission.Resource) bool
	// Held lists the patterns that the context's actor holds in its tenant,
	// denials prefixed "!".
	Held func(ctx context.Context) ([]string, error)
	// Current is the actor of a handshake with the emergency rights it has now.
	Current func(ctx context.Context, a actor.Actor) actor.Actor
	// Watchable says, by kind, whether the context's actor may watch a subject.
	Watchable map[string]func(ctx context.Context, subject id.ID) error
	// Follow sends the records of the audit trail that match a browser's filter,
	// as audit.Service.Follow does.
	Follow func(ctx context.Context, filter json.RawMessage) (<-chan audit.Batch, error)
	// Record is an audit record as browsers get it.
	Record func(audit.Sealed) any
}

// Service is the Socket.IO server with its subscription to the event bus.
type Service struct {
	cfg    Config
	server *socketio.Server
	queue  chan event.Event
	cancel func()
	done   sync.WaitGroup
	stale  stale
	feeds  feeds
}

// queueSize bounds the events that wait to be sent; what comes when it is full
// is lost, and browsers see the state at their next request.
const queueSize = 4096

// New returns a service that is not started.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, queue: make(chan event.Event, queueSize), cancel: func() {}, stale: newStale()}
	s.server = socketio.New(socketio.Config{
		Logger:       cfg.Logger,
		Authenticate: s.authenticate,
		SessionKey:   func(session any) string { return session.(actor.Actor).Session.String() },
	})
	s.server.Namespace("/").OnConnect(s.greet)
	s.server.Namespace("/").OnDisconnect(func(socket *socketio.Socket, _ string) { s.feeds.end(socket) })
	s.server.OnEvent("watch", s.watch)
	s.server.OnEvent("unwatch", s.unwatch)
	s.server.OnEvent("audit:watch", s.watchTrail)
	s.server.OnEvent("audit:unwatch", s.unwatchTrail)
	return s
}

// ServeHTTP serves /socket.io/.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.server.ServeHTTP(w, r) }

// Start serves and begins to deliver.
func (s *Service) Start(ctx context.Context) error {
	s.feeds.open()
	if err := s.server.Start(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	unsubscribe := s.cfg.Events.Subscribe(s.accept)
	s.cancel = func() { unsubscribe(); stop(); s.feeds.close(); s.done.Wait() }
	s.done.Go(func() { s.run(running) })
	s.done.Go(func() { s.keepRights(running) })
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
// of a session and a change of rights do not wait behind other events. After
// events were missed, browsers connect anew: who may still do so reads what came.
func (s *Service) accept(e event.Event) {
	switch e.Type {
	case identity.SessionEnded:
		s.cut(e)
		return
	case permission.ChangedEvent:
		s.stale.add(e.Tenant)
		return
	case audit.SealedEvent:
		return
	case event.MissedEvent:
		s.server.Reconnect()
		return
	case breakglass.EventEnded:
		s.stale.add(e.Tenant)
	}
	select {
	case s.queue <- e:
	default:
		s.cfg.Logger.Warn("an event for browsers was lost: too many at once", "event", e.Type)
	}
}

func (s *Service) run(ctx context.Context) {
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

// watched is the subject of a room.
func watched(room string) (w subject, ok bool) {
	rest, ok := strings.CutPrefix(room, "watch:")
	if !ok {
		return w, false
	}
	kind, text, _ := strings.Cut(rest, ":")
	subject, err := id.Parse(text)
	w.Kind, w.ID = kind, subject
	return w, err == nil
}

// acting is the context of who a socket acts for, as they are now.
func (s *Service) acting(ctx context.Context, socket *socketio.Socket) context.Context {
	return actor.With(ctx, s.cfg.Current(ctx, socket.Session().(actor.Actor)))
}

// watch joins the room of one subject when the actor may read it. When rights
// change meanwhile, it asks once more: the change has not seen the room.
func (s *Service) watch(ctx context.Context, e *socketio.Event) {
	var w subject
	if err := e.Bind(&w); err != nil {
		_ = e.Ack(verdict{Error: fault.Message(err)})
		return
	}
	before := s.stale.changes.Load()
	err := s.mayWatch(s.acting(ctx, e.Socket()), w)
	if err == nil {
		err = e.Socket().Join(w.room())
	}
	if err == nil && s.stale.changes.Load() != before {
		if err = s.mayWatch(s.acting(ctx, e.Socket()), w); err != nil {
			e.Socket().Leave(w.room())
		}
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
	return e.Permission == "" || s.cfg.Allowed(s.acting(context.Background(), socket), e.Permission, permission.ResourceOf(e))
}

// cut disconnects the sockets of a session that ended, or of all sessions of a user.
func (s *Service) cut(e event.Event) {
	s.server.DisconnectSessions(func(session any) bool {
		a := session.(actor.Actor)
		return a.ID == e.User && (e.ID.IsZero() || a.Session == e.ID)
	})
}

// Sockets is how many browsers are connected to this node.
func (s *Service) Sockets() int { return s.server.Namespace("/").Len() }
