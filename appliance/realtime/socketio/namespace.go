package socketio

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Handler handles one event. The events of a connection are handled one after the other; ctx
// ends when the connection does.
type Handler func(ctx context.Context, e *Event)

// Namespace is a channel of its own over the shared connection, with its own hooks, handlers and rooms.
type Namespace struct {
	srv  *Server
	name string

	mu           sync.RWMutex
	onConnect    func(*Socket) error
	onDisconnect func(s *Socket, reason string)
	handlers     map[string]Handler
	sockets      map[string]*Socket // by id; those still connecting too
	rooms        map[string]map[*Socket]struct{}
}

func newNamespace(srv *Server, name string) *Namespace {
	return &Namespace{
		srv:      srv,
		name:     name,
		handlers: map[string]Handler{},
		sockets:  map[string]*Socket{},
		rooms:    map[string]map[*Socket]struct{}{},
	}
}

// Name starts with a slash.
func (n *Namespace) Name() string { return n.name }

// OnConnect sets the hook that decides about each socket, before its client is told that it is
// connected: check the session again, join rooms. What is emitted to the socket meanwhile
// arrives after the connection. A *ConnectError is shown to the client; any other error is
// logged and shown as "Forbidden".
func (n *Namespace) OnConnect(hook func(*Socket) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.onConnect = hook
}

// OnDisconnect sets the hook that runs once for every socket that was connected, with one of
// the Reason constants, when it has left its rooms.
func (n *Namespace) OnDisconnect(hook func(s *Socket, reason string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.onDisconnect = hook
}

// OnEvent sets the handler of an event. Events without one are ignored.
func (n *Namespace) OnEvent(name string, handler Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[name] = handler
}

// Sockets are those connected on this node, in no order.
func (n *Namespace) Sockets() []*Socket {
	return slices.DeleteFunc(n.everySocket(), func(s *Socket) bool { return s.state.Load() != socketConnected })
}

func (n *Namespace) everySocket() []*Socket {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Collect(maps.Values(n.sockets))
}

func (n *Namespace) handler(name string) Handler {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.handlers[name]
}

func (n *Namespace) admit(s *Socket) error {
	n.mu.RLock()
	hook := n.onConnect
	n.mu.RUnlock()
	if hook == nil {
		return nil
	}
	return hook(s)
}

// parted runs the OnDisconnect hook for a socket whose client knew it was connected.
func (n *Namespace) parted(s *Socket, reason string) {
	n.mu.RLock()
	hook := n.onDisconnect
	n.mu.RUnlock()
	if hook != nil && s.greeted.Load() && !s.parted.Swap(true) {
		hook(s, reason)
	}
}

func (n *Namespace) add(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sockets[s.id] = s
}

func (n *Namespace) remove(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sockets, s.id)
	for room := range s.rooms {
		n.quitLocked(s, room)
	}
	s.rooms = nil
}

func (n *Namespace) quitLocked(s *Socket, room string) {
	delete(n.rooms[room], s)
	if len(n.rooms[room]) == 0 {
		delete(n.rooms, room)
	}
}

func (n *Namespace) join(s *Socket, rooms []string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.id] != s {
		return ErrDisconnected
	}
	added := map[string]bool{}
	for _, room := range rooms {
		if _, in := s.rooms[room]; !in {
			added[room] = true
		}
	}
	if len(s.rooms)+len(added) > n.srv.cfg.MaxRooms {
		return ErrTooManyRooms
	}
	for room := range added {
		n.enterLocked(s, room)
	}
	return nil
}

func (n *Namespace) enterLocked(s *Socket, room string) {
	if s.rooms == nil {
		s.rooms = map[string]struct{}{}
	}
	if n.rooms[room] == nil {
		n.rooms[room] = map[*Socket]struct{}{}
	}
	s.rooms[room] = struct{}{}
	n.rooms[room][s] = struct{}{}
}

func (n *Namespace) leave(s *Socket, rooms []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, room := range rooms {
		if _, in := s.rooms[room]; in {
			delete(s.rooms, room)
			n.quitLocked(s, room)
		}
	}
}

func (n *Namespace) roomsOf(s *Socket) []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Collect(maps.Keys(s.rooms))
}

// members are the sockets of this node that a broadcast reaches, each once.
func (n *Namespace) members(a audience) []*Socket {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if !a.Scoped {
		return n.withoutLocked(maps.Values(n.sockets), len(n.sockets), a.Except)
	}
	if len(a.Rooms) == 1 && n.sockets[a.Rooms[0]] == nil {
		room := n.rooms[a.Rooms[0]]
		return n.withoutLocked(maps.Keys(room), len(room), a.Except)
	}
	union := map[*Socket]struct{}{}
	for _, room := range a.Rooms {
		maps.Copy(union, n.rooms[room])
		if s := n.sockets[room]; s != nil {
			union[s] = struct{}{}
		}
	}
	return n.withoutLocked(maps.Keys(union), len(union), a.Except)
}

func (n *Namespace) withoutLocked(sockets iter.Seq[*Socket], size int, except []string) []*Socket {
	left := make([]*Socket, 0, size)
	for s := range sockets {
		if !slices.ContainsFunc(except, func(room string) bool { return inRoom(s, room) }) {
			left = append(left, s)
		}
	}
	return left
}

// inRoom knows that a socket's id is a room, which is not kept as one.
func inRoom(s *Socket, room string) bool {
	if s.id == room {
		return true
	}
	_, in := s.rooms[room]
	return in
}
