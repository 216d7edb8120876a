package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// maxInbox is how many packets may wait for the handlers of one connection before reading from
// it pauses; MaxPayload bounds their bytes likewise.
const maxInbox = 256

// task is a step that the handlers' goroutine of a connection takes in order.
type task struct {
	run  func()
	size int
}

// peer is the Socket.IO side of a connection. Packets are handled one after the other in the
// order they came, by a goroutine that lives while there are any; acknowledgements overtake
// them, so that a handler can wait for one.
type peer struct {
	session *session
	ctx     context.Context // of handlers
	cancel  context.CancelFunc

	mu      sync.Mutex
	space   *sync.Cond
	sockets map[string]*Socket // by namespace; nil for one that was left
	inbox   []task
	weight  int // bytes in inbox
	working bool
	gone    bool
	late    *time.Timer // closes a connection without a namespace

	// A packet whose attachments are still coming; session.receiving guards these.
	partial     *packet
	parts       [][]byte
	partialSize int
}

func newPeer(s *session) *peer {
	p := &peer{session: s, sockets: map[string]*Socket{}}
	p.ctx, p.cancel = context.WithCancel(s.srv.base)
	p.space = sync.NewCond(&p.mu)
	return p
}

func (p *peer) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitConnectLocked()
}

// awaitConnectLocked closes the connection if it is in no namespace for ConnectTimeout.
func (p *peer) awaitConnectLocked() {
	if p.gone {
		return
	}
	if p.late != nil {
		p.late.Stop()
	}
	p.late = time.AfterFunc(p.session.srv.cfg.ConnectTimeout, func() {
		p.session.finish(ReasonForcedClose, nil, false)
	})
}

func (p *peer) receiveText(text []byte) error {
	if p.partial != nil {
		return errPacket
	}
	pkt, err := parsePacket(text)
	if err != nil {
		return err
	}
	if pkt.attachments > p.session.srv.cfg.MaxAttachments {
		return errAttachments
	}
	p.partialSize = len(text)
	if pkt.attachments > 0 {
		p.partial = pkt
		return nil
	}
	return p.complete(pkt, nil)
}

func (p *peer) receiveBinary(data []byte) error {
	if p.partial == nil {
		return errPacket
	}
	p.parts = append(p.parts, data)
	if p.partialSize += len(data); p.partialSize > p.session.srv.cfg.MaxPayload {
		return errAttachments
	}
	if len(p.parts) < p.partial.attachments {
		return nil
	}
	pkt, parts := p.partial, p.parts
	p.partial, p.parts = nil, nil
	return p.complete(pkt, parts)
}

func (p *peer) complete(pkt *packet, parts [][]byte) error {
	if pkt.kind.binary() {
		if err := pkt.args.attach(parts); err != nil {
			return err
		}
	}
	if pkt.kind == kindAck || pkt.kind == kindBinaryAck {
		if socket := p.socket(pkt.namespace); socket != nil {
			socket.acknowledged(pkt.id, pkt.args)
		}
		return nil
	}
	p.enqueue(task{run: func() { p.handle(pkt) }, size: p.partialSize})
	return nil
}

func (p *peer) socket(namespace string) *Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets[namespace]
}

// enqueue waits for room in the inbox: a client that sends faster than its handlers work is
// slowed down by its transport.
func (p *peer) enqueue(t task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.gone && p.fullLocked(t) {
		p.space.Wait()
	}
	if !p.gone {
		p.pushLocked(t)
	}
}

func (p *peer) fullLocked(t task) bool {
	heavy := p.weight > 0 && p.weight+t.size > p.session.srv.cfg.MaxPayload
	return heavy || len(p.inbox) >= maxInbox
}

func (p *peer) pushLocked(t task) {
	p.inbox = append(p.inbox, t)
	p.weight += t.size
	if !p.working {
		p.working = p.session.srv.spawn(p.work)
	}
}

// work is the handlers' goroutine.
func (p *peer) work() {
	for {
		t, more := p.next()
		if !more {
			return
		}
		p.guard(t.run)
	}
}

func (p *peer) next() (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inbox) == 0 {
		p.inbox, p.working = nil, false
		return task{}, false
	}
	t := p.inbox[0]
	p.inbox[0] = task{}
	p.inbox = p.inbox[1:]
	p.weight -= t.size
	p.space.Signal()
	return t, true
}

// guard keeps a panic in a handler from ending the process: it ends the connection.
func (p *peer) guard(run func()) {
	defer func() {
		if cause := recover(); cause != nil {
			p.session.srv.cfg.Logger.Error("socketio: a handler panicked",
				"session", p.session.id, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			p.session.abort(ReasonForcedClose)
		}
	}()
	run()
}

func (p *peer) handle(pkt *packet) {
	if pkt.kind == kindConnect {
		p.connect(pkt)
		return
	}
	p.mu.Lock()
	socket, known := p.sockets[pkt.namespace]
	p.mu.Unlock()
	switch {
	case !known: // never connected there: the client is broken or hostile
		p.session.abort(ReasonParseError)
	case socket == nil: // the packet crossed our own DISCONNECT
	case pkt.kind == kindDisconnect:
		socket.leave(ReasonClientDisconnect)
	default:
		socket.dispatch(pkt)
	}
}

// connect takes the client into a namespace, if there is one and its hook agrees.
func (p *peer) connect(pkt *packet) {
	ns := p.session.srv.namespace(pkt.namespace)
	if ns == nil {
		p.refuse(pkt.namespace, &ConnectError{Message: "Invalid namespace"})
		return
	}
	if p.socket(ns.name) != nil {
		p.session.abort(ReasonParseError)
		return
	}
	socket := newSocket(ns, p, pkt.auth)
	if !p.adopt(socket) {
		return
	}
	if err := ns.admit(socket); err != nil {
		socket.reject()
		p.refuse(ns.name, p.refusal(ns.name, err))
		return
	}
	if socket.admit() {
		p.connected()
	}
}

// adopt makes a socket known, to the peer and to the namespace, before its hook runs: whoever
// revokes the session meanwhile finds it.
func (p *peer) adopt(socket *Socket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	p.sockets[socket.ns.name] = socket
	socket.ns.add(socket)
	return true
}

func (p *peer) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.late != nil {
		p.late.Stop()
	}
}

func (p *peer) refusal(namespace string, err error) *ConnectError {
	if told := (*ConnectError)(nil); errors.As(err, &told) {
		return told
	}
	p.session.srv.cfg.Logger.Debug("socketio: connection refused",
		"session", p.session.id, "namespace", namespace, "error", err)
	return &ConnectError{Message: "Forbidden"}
}

func (p *peer) refuse(namespace string, reason *ConnectError) {
	m, err := encodeConnectError(namespace, reason)
	if err != nil {
		p.session.srv.cfg.Logger.Error("socketio: the data of a ConnectError cannot be encoded", "error", err)
		body, _ := json.Marshal(map[string]string{"message": reason.Message}) // one string
		m = encode(kindConnectError, namespace, -1, body, nil)
	}
	if errors.Is(p.session.send(m, classReply), ErrSlow) {
		p.session.abort(ReasonSlowConsumer)
	}
}

// left forgets a socket; the last one to go starts the clock again.
func (p *peer) left(socket *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets[socket.ns.name] != socket {
		return
	}
	p.sockets[socket.ns.name] = nil
	for _, other := range p.sockets {
		if other != nil {
			return
		}
	}
	p.awaitConnectLocked()
}

// closed is called once, when the connection ends. Sockets leave their rooms at once; their
// OnDisconnect hooks run after the handler that may be running. When it was the client that
// left, events that it sent before are still handled, for at most CloseTimeout.
func (p *peer) closed(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	if p.late != nil {
		p.late.Stop()
	}
	if reason == ReasonTransportClose {
		time.AfterFunc(p.session.srv.cfg.CloseTimeout, p.cancel)
	} else {
		p.inbox, p.weight = nil, 0
		p.cancel()
	}
	for _, socket := range p.sockets {
		if socket != nil {
			socket.detach()
		}
	}
	p.pushLocked(task{run: func() { p.farewell(reason) }})
	p.space.Broadcast()
}

// afterwards runs a step in the handlers' goroutine, after what came before.
func (p *peer) afterwards(run func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushLocked(task{run: run})
}

func (p *peer) farewell(reason string) {
	defer p.cancel()
	for _, socket := range p.present() {
		p.guard(func() { socket.ns.parted(socket, reason) })
	}
}

// present are the sockets that have not left.
func (p *peer) present() []*Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Socket, 0, len(p.sockets))
	for _, socket := range p.sockets {
		if socket != nil {
			all = append(all, socket)
		}
	}
	return all
}

// goodbyes are the DISCONNECT packets for every namespace the peer is in.
func (p *peer) goodbyes() []frame {
	var frames []frame
	for _, socket := range p.present() {
		frames = append(frames, encode(kindDisconnect, socket.ns.name, -1, nil, nil)...)
	}
	return frames
}

// relieved tells each socket that lost events how many.
func (p *peer) relieved() {
	for _, socket := range p.present() {
		socket.noticeDropped()
	}
}

// revoke ends a connection whose session is no longer good.
func (s *session) revoke() { s.finish(ReasonForcedClose, s.peer.goodbyes(), true) }
