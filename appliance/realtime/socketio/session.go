package socketio

import (
	"errors"
	"sync"
	"time"
)

// Reasons that OnDisconnect hooks are given, named as Socket.IO names them.
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
	ReasonTransportClose   = "transport close"
	ReasonTransportError   = "transport error"
	ReasonPingTimeout      = "ping timeout"
	ReasonParseError       = "parse error"
	ReasonForcedClose      = "forced close"
	ReasonSlowConsumer     = "slow consumer"
	ReasonShutdown         = "server shutting down"
)

type sessionState int

const (
	sessionOpen    sessionState = iota
	sessionClosing              // nothing is received any more; the last words are on their way
	sessionClosed
)

// class says what a message is to the slow consumer policy.
type class int

const (
	classEvent   class = iota // may be dropped
	classReply                // may not, but counts
	classControl              // always goes out
)

var errDropped = errors.New("dropped")

// session is one Engine.IO connection. It holds no goroutine while it is idle, except the one
// that reads its WebSocket: a writer lives only as long as there is something to write, and
// heartbeats are a timer. Its mutex comes last: nothing is called under it that takes a lock of
// a peer, a socket or a namespace.
type session struct {
	srv    *Server
	id     string
	key    string // Config.SessionKey
	data   any    // what Config.Authenticate returned
	remote string
	peer   *peer

	receiving sync.Mutex // one frame at a time, whatever transport it came by

	mu           sync.Mutex
	state        sessionState
	queue        []frame
	queued       int // bytes in queue and in the hands of the writer
	starved      bool
	discarded    bool        // the writer has to drop what it holds
	timer        *time.Timer // heartbeat; the end of the linger when closing
	awaitingPong bool

	ws        *wsConn // nil while polling
	candidate *wsConn // probing
	probed    bool
	writing   bool

	poll     chan struct{} // wakes the pending GET, if there is one
	posting  bool
	farewell frame // answer to the pending GET of a closed session
}

func newSession(srv *Server, id, key string, data any, remote string) *session {
	s := &session{srv: srv, id: id, key: key, data: data, remote: remote, farewell: closeFrame}
	s.peer = newPeer(s)
	return s
}

// open starts the heartbeat and the wait for a namespace.
func (s *session) open() {
	s.mu.Lock()
	if s.state == sessionOpen {
		s.timer = time.AfterFunc(s.srv.cfg.PingInterval, s.beat)
	}
	s.mu.Unlock()
	s.peer.open()
}

// beat sends a ping, or gives the peer up when the last one was not answered.
func (s *session) beat() {
	s.mu.Lock()
	expired := s.state == sessionOpen && s.awaitingPong
	if s.state == sessionOpen && !expired {
		s.awaitingPong = true
		s.pushLocked(pingFrame)
		s.timer.Reset(s.srv.cfg.PingTimeout)
	}
	s.mu.Unlock()
	if expired {
		s.abort(ReasonPingTimeout)
	}
}

// alive takes anything that comes in as a sign of life.
func (s *session) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sessionOpen {
		return false
	}
	if s.awaitingPong && s.timer != nil {
		s.awaitingPong = false
		s.timer.Reset(s.srv.cfg.PingInterval)
	}
	return true
}

// receive handles one frame; false means that the session is over for its transport.
func (s *session) receive(f frame) bool {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if !s.alive() {
		return false
	}
	if f.binary {
		return s.accept(s.peer.receiveBinary(f.data))
	}
	switch f.data[0] {
	case frameMessage:
		return s.accept(s.peer.receiveText(f.data[1:]))
	case frameClose:
		s.farewellTo(noopFrame)
		s.abort(ReasonTransportClose)
		return false
	case framePong, frameUpgrade, frameNoop:
		return true
	default: // only servers open and ping
		return s.accept(errFrame)
	}
}

func (s *session) accept(err error) bool {
	if err == nil {
		return true
	}
	s.srv.cfg.Logger.Debug("socketio: invalid packet", "session", s.id, "remote", s.remote, "error", err)
	s.abort(ReasonParseError)
	return false
}

// send queues a message as a whole. ErrSlow means that the caller must close the session with
// ReasonSlowConsumer, errDropped that the policy dropped the message.
func (s *session) send(m message, c class) error {
	size := m.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sessionOpen {
		return ErrDisconnected
	}
	if c != classControl && s.queued > 0 && s.queued+size > s.srv.cfg.SendBuffer {
		if c == classEvent && s.srv.cfg.SlowConsumer == SlowDrop {
			s.starved = true
			return errDropped
		}
		return ErrSlow
	}
	s.pushLocked(m...)
	return nil
}

func (s *session) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued
}

func (s *session) pushLocked(frames ...frame) {
	for _, f := range frames {
		s.queued += len(f.data)
	}
	s.queue = append(s.queue, frames...)
	s.pumpLocked()
}

// pumpLocked sees to it that somebody takes what is queued.
func (s *session) pumpLocked() {
	if s.ws == nil {
		s.wakeLocked()
		return
	}
	if !s.writing {
		s.writing = s.srv.spawn(s.write)
	}
}

func (s *session) wakeLocked() {
	if s.poll != nil {
		select {
		case s.poll <- struct{}{}:
		default:
		}
	}
}

// takeLocked empties the queue for a transport.
func (s *session) takeLocked() []frame {
	frames := s.queue
	s.queue = nil
	return frames
}

// sent gives room back in the buffer; false means that the rest of a batch must not go out.
func (s *session) sent(bytes int) bool {
	s.mu.Lock()
	s.queued -= bytes
	goOn := !s.discarded
	relieved := s.starved && s.queued == 0 && s.state == sessionOpen
	if relieved {
		s.starved = false
	}
	s.mu.Unlock()
	if relieved {
		s.peer.relieved()
	}
	return goOn
}

func (s *session) farewellTo(f frame) {
	s.mu.Lock()
	s.farewell = f
	s.mu.Unlock()
}

// finish closes the session after its last words were said, or at most CloseTimeout later.
// With discard, what was queued before is not sent: a revoked session gets nothing more.
func (s *session) finish(reason string, lastWords []frame, discard bool) {
	s.mu.Lock()
	if s.state != sessionOpen {
		s.mu.Unlock()
		return
	}
	s.enterClosingLocked()
	if discard {
		s.discarded = true
		s.takeLocked()
	}
	s.timer = time.AfterFunc(s.srv.cfg.CloseTimeout, s.end)
	s.pushLocked(lastWords...)
	unheard := len(s.queue) == 0 && s.poll == nil && s.ws == nil && s.candidate == nil
	s.mu.Unlock()
	s.peer.closed(reason)
	if unheard { // nothing to say and nobody who listens: the next poll learns that the session is unknown
		s.end()
	}
}

// abort closes the session at once; the peer is gone, or broke the protocol.
func (s *session) abort(reason string) {
	s.mu.Lock()
	open := s.state == sessionOpen
	if open {
		s.enterClosingLocked()
	}
	s.mu.Unlock()
	if open {
		s.peer.closed(reason)
	}
	s.end()
}

func (s *session) enterClosingLocked() {
	s.state = sessionClosing
	if s.timer != nil {
		s.timer.Stop()
	}
}

// end forgets the session and cuts its transport.
func (s *session) end() {
	s.mu.Lock()
	if s.state == sessionClosed {
		s.mu.Unlock()
		return
	}
	s.state = sessionClosed
	s.queue, s.queued = nil, 0
	if s.timer != nil {
		s.timer.Stop()
	}
	s.wakeLocked()
	transports := [...]*wsConn{s.ws, s.candidate}
	s.mu.Unlock()
	for _, ws := range transports {
		if ws != nil {
			ws.kill()
		}
	}
	s.srv.forget(s)
}
