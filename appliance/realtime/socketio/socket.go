package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

var errConnecting = errors.New("socketio: no acknowledgement can come while the socket connects; ask when it is connected")

const (
	socketConnecting int32 = iota // its OnConnect hook runs; what is sent to it is held back
	socketConnected
	socketLeft
)

// Socket is one client in one namespace. Its methods may be called concurrently, and after it
// disconnected: then they fail with ErrDisconnected or do nothing.
type Socket struct {
	id    string
	ns    *Namespace
	peer  *peer
	auth  json.RawMessage
	gone  chan struct{} // closed when it leaves
	state atomic.Int32

	greeted atomic.Bool  // its client knows that it is connected
	parted  atomic.Bool  // its OnDisconnect hook was called
	dropped atomic.Int64 // events lost under SlowDrop

	mu       sync.Mutex
	data     any
	held     message // until it is connected
	heldSize int
	lastAck  uint64
	acks     map[uint64]chan Args

	rooms map[string]struct{} // guarded by ns.mu
}

func newSocket(ns *Namespace, p *peer, auth json.RawMessage) *Socket {
	return &Socket{id: newID(), ns: ns, peer: p, auth: auth, gone: make(chan struct{})}
}

// ID is the socket's own, new at every connect; it serves as a room that only this socket is in.
func (s *Socket) ID() string { return s.id }

// Namespace is the name of the namespace.
func (s *Socket) Namespace() string { return s.ns.name }

// Session is what Config.Authenticate returned.
func (s *Socket) Session() any { return s.peer.session.data }

// RemoteAddr is that of the request which opened the connection.
func (s *Socket) RemoteAddr() string { return s.peer.session.remote }

// Auth decodes the payload that the client connected with into dst; nothing happens when it sent none.
func (s *Socket) Auth(dst any) error {
	if s.auth == nil {
		return nil
	}
	return json.Unmarshal(s.auth, dst)
}

// Data is what SetData put there: the caller's own, kept as long as the socket.
func (s *Socket) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// SetData replaces Data.
func (s *Socket) SetData(data any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
}

// Join puts the socket into rooms: all of them or, with ErrTooManyRooms or ErrDisconnected, none.
func (s *Socket) Join(rooms ...string) error { return s.ns.join(s, rooms) }

// Leave takes the socket out of rooms.
func (s *Socket) Leave(rooms ...string) { s.ns.leave(s, rooms) }

// Rooms are those the socket is in, sorted.
func (s *Socket) Rooms() []string {
	rooms := s.ns.roomsOf(s)
	slices.Sort(rooms)
	return rooms
}

// Emit queues an event for the client. See Namespace.Emit for args. It fails with
// ErrDisconnected, ErrSlow, ErrReservedEvent, or when an argument cannot be encoded.
func (s *Socket) Emit(event string, args ...any) error {
	m, err := encodeEvent(s.ns.name, event, -1, args)
	if err != nil {
		return err
	}
	return s.send(m, classEvent)
}

// Waiting is how many bytes wait to be sent on the socket's connection, or are being sent: 0 when
// the peer takes what it is given.
func (s *Socket) Waiting() int { return s.peer.session.waiting() }

// EmitAck is Emit and waits for the client's acknowledgement, whose arguments it returns. It
// gives up when ctx ends, at the latest after Config.AckTimeout if ctx has no deadline, or with
// ErrDisconnected. In an OnConnect hook, where no answer can come yet, it fails at once.
func (s *Socket) EmitAck(ctx context.Context, event string, args ...any) (Args, error) {
	if s.state.Load() == socketConnecting {
		return Args{}, errConnecting
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.ns.srv.cfg.AckTimeout)
		defer cancel()
	}
	id, reply := s.expectAck()
	defer s.dropAck(id)
	m, err := encodeEvent(s.ns.name, event, int64(id), args)
	if err != nil {
		return Args{}, err
	}
	if err := s.send(m, classEvent); err != nil {
		return Args{}, err
	}
	select {
	case answer := <-reply:
		return answer, nil
	case <-ctx.Done():
		return Args{}, ctx.Err()
	case <-s.gone:
		return Args{}, ErrDisconnected
	}
}

func (s *Socket) expectAck() (uint64, <-chan Args) {
	reply := make(chan Args, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.lastAck
	s.lastAck++
	if s.acks == nil {
		s.acks = map[uint64]chan Args{}
	}
	s.acks[id] = reply
	return id, reply
}

func (s *Socket) dropAck(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.acks, id)
}

// acknowledged hands an answer over; one that nobody waits for is forgotten.
func (s *Socket) acknowledged(id uint64, args Args) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reply, waiting := s.acks[id]; waiting {
		delete(s.acks, id)
		reply <- args
	}
}

// Disconnect takes the socket out of its namespace; the connection and its other namespaces stay.
// The client does not come back by itself.
func (s *Socket) Disconnect() {
	if s.state.Load() == socketConnected {
		_ = s.send(encode(kindDisconnect, s.ns.name, -1, nil, nil), classControl) // gone is what we want
	}
	if s.detach() {
		s.peer.left(s)
		s.peer.afterwards(func() { s.ns.parted(s, ReasonServerDisconnect) })
	}
}

// Close ends the whole connection after what is queued was sent. The client does not come back by itself.
func (s *Socket) Close() {
	c := s.peer.session
	c.finish(ReasonServerDisconnect, s.peer.goodbyes(), false)
}

// send queues an encoded message, or holds it back while the socket is connecting.
func (s *Socket) send(m message, c class) error {
	if s.state.Load() == socketConnecting {
		if held, err := s.hold(m); held {
			return err
		}
	}
	if s.state.Load() == socketLeft {
		return ErrDisconnected
	}
	err := s.peer.session.send(m, c)
	switch {
	case errors.Is(err, errDropped):
		s.dropped.Add(1)
		return ErrSlow
	case errors.Is(err, ErrSlow):
		s.peer.session.abort(ReasonSlowConsumer)
	}
	return err
}

// hold keeps a message for admit; false when the socket is not connecting any more.
func (s *Socket) hold(m message) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != socketConnecting {
		return false, nil
	}
	if s.heldSize += m.size(); s.heldSize > s.ns.srv.cfg.SendBuffer {
		return true, ErrSlow
	}
	s.held = append(s.held, m...)
	return true, nil
}

// admit tells the client that it is connected and sends what was held back, before anything else.
func (s *Socket) admit() bool {
	body, _ := json.Marshal(map[string]string{"sid": s.id}) // one string
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != socketConnecting {
		return false
	}
	m := append(encode(kindConnect, s.ns.name, -1, body, nil), s.held...)
	s.held = nil
	_ = s.peer.session.send(m, classControl) // a session that ended is told to the socket by its peer
	s.state.Store(socketConnected)
	s.greeted.Store(true)
	return true
}

// reject undoes a connection that the hook refused.
func (s *Socket) reject() {
	if s.detach() {
		s.peer.left(s)
	}
}

// leave is a client's own parting.
func (s *Socket) leave(reason string) {
	if s.detach() {
		s.peer.left(s)
		s.ns.parted(s, reason)
	}
}

// detach takes the socket out of every room and lets waiting callers go; true the first time.
func (s *Socket) detach() bool {
	s.mu.Lock()
	first := s.state.Swap(socketLeft) != socketLeft
	s.held = nil
	s.mu.Unlock()
	if first {
		s.ns.remove(s)
		close(s.gone)
	}
	return first
}

func (s *Socket) dispatch(pkt *packet) {
	handler := s.ns.handler(pkt.name)
	if handler == nil {
		s.ns.srv.cfg.Logger.Debug("socketio: no handler", "namespace", s.ns.name, "event", pkt.name)
		return
	}
	handler(s.peer.ctx, &Event{socket: s, name: pkt.name, args: pkt.args, id: pkt.id, wantsAck: pkt.hasID})
}

func (s *Socket) noticeDropped() {
	lost := s.dropped.Swap(0)
	if lost == 0 {
		return
	}
	m, err := encodeEvent(s.ns.name, DropNotice, -1, []any{lost})
	if err == nil {
		_ = s.send(m, classReply) // a socket that left needs no notice
	}
}

// Event is one event from a client.
type Event struct {
	socket   *Socket
	name     string
	args     Args
	id       uint64
	wantsAck bool
	acked    atomic.Bool
}

// Socket is the sender.
func (e *Event) Socket() *Socket { return e.socket }

// Name is the event's name.
func (e *Event) Name() string { return e.name }

// Args are the event's arguments.
func (e *Event) Args() Args { return e.args }

// Bind is Args().Bind.
func (e *Event) Bind(dst ...any) error { return e.args.Bind(dst...) }

// WantsAck says whether the sender waits for an acknowledgement.
func (e *Event) WantsAck() bool { return e.wantsAck }

// Ack acknowledges the event, at any time, once. It fails with ErrAcked, ErrDisconnected or
// ErrSlow, or when an argument cannot be encoded.
func (e *Event) Ack(args ...any) error {
	if !e.wantsAck || e.acked.Swap(true) {
		return ErrAcked
	}
	m, err := encodeAck(e.socket.ns.name, e.id, args)
	if err != nil {
		return err
	}
	return e.socket.send(m, classReply)
}
