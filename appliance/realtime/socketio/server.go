package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"
)

// idBytes is the randomness in a session or socket id: 144 bits, so nobody guesses one.
const idBytes = 18

func newID() string {
	var raw [idBytes]byte
	_, _ = rand.Read(raw[:]) // never fails, by its contract
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

type serverState int

const (
	serverNew serverState = iota
	serverRunning
	serverStopped
)

// Server holds the connections of one node. Register namespaces, hooks and handlers before
// Start; all methods may be called concurrently.
type Server struct {
	cfg      Config
	node     string
	throttle *throttle

	mu         sync.RWMutex
	state      serverState
	wiring     error // first mistake in what was registered
	namespaces map[string]*Namespace
	sessions   map[string]*session
	perKey     map[string]int
	empty      chan struct{} // closed when stopped and the last session is gone
	brokerErr  error

	base   context.Context
	cancel context.CancelFunc

	life   sync.RWMutex // guards sealed against work
	sealed bool
	work   sync.WaitGroup
}

// New makes a server that answers 503 until Start.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:        cfg,
		node:       newID(),
		throttle:   newThrottle(cfg.HandshakeRate, cfg.HandshakeBurst),
		namespaces: map[string]*Namespace{},
		sessions:   map[string]*session{},
		perKey:     map[string]int{},
		empty:      make(chan struct{}),
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.Namespace("/")
	return s
}

// Start begins to serve. It fails when Config lacks what has no safe default, when a
// namespace has an impossible name, and with ErrStopped after Stop.
func (s *Server) Start(context.Context) error {
	if err := s.cfg.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.wiring != nil:
		return s.wiring
	case s.state == serverStopped:
		return ErrStopped
	case s.state == serverRunning:
		return nil
	}
	s.state = serverRunning
	if s.cfg.Broker != nil {
		s.spawn(s.subscribe)
	}
	return nil
}

// Ready returns nil while the server takes connections and, with a Broker, hears the other nodes.
func (s *Server) Ready(context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.state != serverRunning {
		return errors.New("socketio: the server is not running")
	}
	if s.brokerErr != nil {
		return fmt.Errorf("socketio: events of other nodes do not arrive: %w", s.brokerErr)
	}
	return nil
}

// Stop closes every connection, so that clients look for another node, waits for handlers and
// hooks, and cuts what is left when ctx ends. Clients are not told to stay away: they reconnect.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.state != serverStopped {
		s.state = serverStopped
		s.signalEmptyLocked()
	}
	s.mu.Unlock()
	for _, c := range s.snapshot() {
		c.finish(ReasonShutdown, nil, false)
	}
	select {
	case <-s.empty:
	case <-ctx.Done():
		for _, c := range s.snapshot() {
			c.end()
		}
	}
	return s.settle(ctx)
}

// settle waits for the goroutines of the server; no new one begins.
func (s *Server) settle(ctx context.Context) error {
	s.cancel()
	s.life.Lock()
	s.sealed = true
	s.life.Unlock()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("socketio: handlers were still running when time was up: %w", ctx.Err())
	}
}

// spawn runs f in a goroutine that Stop waits for; false when the server is past that.
func (s *Server) spawn(f func()) bool {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.sealed {
		return false
	}
	s.work.Go(f)
	return true
}

// Namespace returns the namespace of that name, made at the first call; clients can connect to
// those that exist. The name starts with a slash, which is added, and has no comma.
func (s *Server) Namespace(name string) *Namespace {
	name, valid := cleanNamespace(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !valid && s.wiring == nil {
		s.wiring = fmt.Errorf("socketio: a namespace is named %q; remove the comma", name)
	}
	ns := s.namespaces[name]
	if ns == nil {
		ns = newNamespace(s, name)
		s.namespaces[name] = ns
	}
	return ns
}

// OnConnect sets the hook of the main namespace; see Namespace.OnConnect.
func (s *Server) OnConnect(hook func(*Socket) error) { s.Namespace("/").OnConnect(hook) }

// OnDisconnect sets the hook of the main namespace; see Namespace.OnDisconnect.
func (s *Server) OnDisconnect(hook func(s *Socket, reason string)) {
	s.Namespace("/").OnDisconnect(hook)
}

// OnEvent sets a handler of the main namespace; see Namespace.OnEvent.
func (s *Server) OnEvent(name string, handler Handler) { s.Namespace("/").OnEvent(name, handler) }

// To addresses rooms of the main namespace; see Namespace.To.
func (s *Server) To(rooms ...string) Target { return s.Namespace("/").To(rooms...) }

// Except addresses the main namespace without some rooms; see Namespace.Except.
func (s *Server) Except(rooms ...string) Target { return s.Namespace("/").Except(rooms...) }

// Emit sends an event to the whole main namespace; see Namespace.Emit.
func (s *Server) Emit(event string, args ...any) error { return s.Namespace("/").Emit(event, args...) }

// Reconnect closes every connection of this node. Clients are not told to stay away: they
// connect anew, are authenticated anew, and know that they may have missed something.
func (s *Server) Reconnect() {
	for _, c := range s.snapshot() {
		c.finish(ReasonShutdown, nil, false)
	}
}

// DisconnectIf cuts, on this node, the connection of every socket that match approves: its
// other namespaces go too, nothing that was queued is sent any more, and the client is told not
// to reconnect by itself. It returns how many connections that were. Sockets whose OnConnect
// hook still runs are asked about too: a hook that checks the session leaves no gap.
func (s *Server) DisconnectIf(match func(*Socket) bool) int {
	revoked := map[*session]bool{}
	for _, ns := range s.allNamespaces() {
		for _, socket := range ns.everySocket() {
			if match(socket) {
				revoked[socket.peer.session] = true
			}
		}
	}
	for c := range revoked {
		c.revoke()
	}
	return len(revoked)
}

// DisconnectSessions is DisconnectIf for connections, those without a namespace yet included.
func (s *Server) DisconnectSessions(match func(session any) bool) int {
	cut := 0
	for _, c := range s.snapshot() {
		if match(c.data) {
			c.revoke()
			cut++
		}
	}
	return cut
}

// Connections is the number of connections of this node.
func (s *Server) Connections() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.sessions)
}

func (s *Server) allNamespaces() []*Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Namespace, 0, len(s.namespaces))
	for _, ns := range s.namespaces {
		all = append(all, ns)
	}
	return all
}

func (s *Server) namespace(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.namespaces[name]
}

func (s *Server) running() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state == serverRunning
}

func (s *Server) snapshot() []*session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		all = append(all, c)
	}
	return all
}

func (s *Server) session(id string) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sessions[id]
}

// register counts a session against the limits.
func (s *Server) register(c *session) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != serverRunning:
		return refuseStopped
	case len(s.sessions) >= s.cfg.MaxConnections, s.perKey[c.key] >= s.cfg.MaxConnectionsPerSession:
		return refuseFull
	}
	s.sessions[c.id] = c
	s.perKey[c.key]++
	return nil
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.id] != c {
		return
	}
	delete(s.sessions, c.id)
	if s.perKey[c.key]--; s.perKey[c.key] == 0 {
		delete(s.perKey, c.key)
	}
	s.signalEmptyLocked()
}

func (s *Server) signalEmptyLocked() {
	if s.state != serverStopped || len(s.sessions) > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// subscribe hears the other nodes until the server stops, with a pause after each failure.
func (s *Server) subscribe() {
	const shortest, longest = 100 * time.Millisecond, 10 * time.Second
	pause := shortest
	for s.base.Err() == nil {
		began := time.Now()
		s.setBrokerErr(nil)
		err := s.cfg.Broker.Subscribe(s.base, s.deliver)
		if s.base.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the subscription ended")
		}
		s.setBrokerErr(err)
		s.cfg.Logger.Warn("socketio: broker subscription lost", "error", err, "retry_in", pause)
		if time.Since(began) > longest {
			pause = shortest
		}
		select {
		case <-time.After(pause):
		case <-s.base.Done():
		}
		pause = min(2*pause, longest)
	}
}

func (s *Server) setBrokerErr(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brokerErr = err
}
