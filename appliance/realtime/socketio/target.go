package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// publishTimeout bounds how long a broadcast waits for the broker.
const publishTimeout = 5 * time.Second

// Target is an audience in a namespace, on every node. It is a value: To and Except return
// another one, so a Target can be kept and narrowed.
type Target struct {
	ns       *Namespace
	audience audience
}

// audience says who a broadcast is for. Unscoped is the whole namespace; scoped without rooms is nobody.
type audience struct {
	Scoped bool     `json:"scoped,omitempty"`
	Rooms  []string `json:"rooms,omitempty"`
	Except []string `json:"except,omitempty"`
}

// To addresses the sockets that are in at least one of the rooms; a socket's id is a room.
// No rooms at all is nobody, not everybody.
func (n *Namespace) To(rooms ...string) Target { return Target{ns: n}.To(rooms...) }

// Except addresses the namespace without the sockets in any of the rooms.
func (n *Namespace) Except(rooms ...string) Target { return Target{ns: n}.Except(rooms...) }

// Emit sends an event to every socket of the namespace. Each argument is anything that
// encoding/json takes; []byte as an argument, or inside map[string]any and []any, travels as a
// binary attachment. The event is encoded once. The error tells that it could not be encoded,
// or did not get to the other nodes; slow and vanished sockets are no error.
func (n *Namespace) Emit(event string, args ...any) error { return Target{ns: n}.Emit(event, args...) }

// To adds rooms to the audience.
func (t Target) To(rooms ...string) Target {
	t.audience.Scoped = true
	t.audience.Rooms = slices.Concat(t.audience.Rooms, rooms)
	return t
}

// Except takes the sockets in any of the rooms out of the audience.
func (t Target) Except(rooms ...string) Target {
	t.audience.Except = slices.Concat(t.audience.Except, rooms)
	return t
}

// Emit sends an event to the audience; see Namespace.Emit.
func (t Target) Emit(event string, args ...any) error {
	m, err := encodeEvent(t.ns.name, event, -1, args)
	if err != nil {
		return err
	}
	t.ns.broadcast(t.audience, m)
	return t.ns.srv.publish(envelope{Namespace: t.ns.name, Audience: t.audience, Frames: wire(m)})
}

// Disconnect cuts the connections of the audience, on every node, as Server.DisconnectIf does.
func (t Target) Disconnect() error {
	t.ns.cut(t.audience)
	return t.ns.srv.publish(envelope{Namespace: t.ns.name, Audience: t.audience, Cut: true})
}

func (n *Namespace) broadcast(a audience, m message) {
	for _, socket := range n.members(a) {
		_ = socket.send(m, classEvent) // the policy for slow sockets has been applied
	}
}

func (n *Namespace) cut(a audience) {
	for _, socket := range n.members(a) {
		socket.peer.session.revoke()
	}
}

// envelope is what nodes tell each other.
type envelope struct {
	Node      string      `json:"node"`
	Namespace string      `json:"namespace"`
	Audience  audience    `json:"audience"`
	Frames    []wireFrame `json:"frames,omitempty"` // an event, encoded for the clients
	Cut       bool        `json:"cut,omitempty"`
}

type wireFrame struct {
	Binary bool   `json:"binary,omitempty"`
	Data   []byte `json:"data"`
}

func wire(m message) []wireFrame {
	frames := make([]wireFrame, len(m))
	for i, f := range m {
		frames[i] = wireFrame{f.binary, f.data}
	}
	return frames
}

func unwire(frames []wireFrame) message {
	m := make(message, len(frames))
	for i, f := range frames {
		m[i] = frame{f.Binary, f.Data}
	}
	return m
}

func (s *Server) publish(e envelope) error {
	if s.cfg.Broker == nil {
		return nil
	}
	e.Node = s.node
	encoded, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("socketio: encode for other nodes: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.base, publishTimeout)
	defer cancel()
	if err := s.cfg.Broker.Publish(ctx, encoded); err != nil {
		return fmt.Errorf("socketio: sockets at other nodes were not reached: %w", err)
	}
	return nil
}

// deliver takes a message of another node; its own come back and are skipped.
func (s *Server) deliver(encoded []byte) {
	var e envelope
	if err := json.Unmarshal(encoded, &e); err != nil {
		s.cfg.Logger.Warn("socketio: unreadable message from the broker", "error", err)
		return
	}
	ns := s.namespace(e.Namespace)
	if ns == nil || e.Node == s.node {
		return
	}
	if e.Cut {
		ns.cut(e.Audience)
	}
	if len(e.Frames) > 0 {
		ns.broadcast(e.Audience, unwire(e.Frames))
	}
}
