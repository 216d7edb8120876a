// Package socketio is a Socket.IO server: revision 5 of the Socket.IO protocol over
// revision 4 of the Engine.IO protocol (https://socket.io/docs/v4/socket-io-protocol/ and
// https://socket.io/docs/v4/engine-io-protocol/), which is what socket.io-client 3 and 4 speak.
//
// A Server is an http.Handler for the path /socket.io/. It serves same-origin pages over
// HTTP long-polling and WebSocket, with the upgrade from the first to the second, and holds
// namespaces, rooms, events with acknowledgements both ways, and binary attachments.
// Every connection belongs to a session that Config.Authenticate vouched for.
//
// Three layers, lowest first, one file or two each:
//
//	frame, session, polling, websocket   Engine.IO: packets, heartbeat, transports, send buffer
//	packet, args, peer                   Socket.IO: packets with attachments, one peer per connection
//	socket, namespace, target, broker    what callers use: sockets, rooms, broadcasts over nodes
//
// Left out of the protocol on purpose: revision 3 of Engine.IO, JSONP, CORS, the "io" cookie,
// per-message compression, and connection state recovery (a client that reconnects is a new socket).
package socketio

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Errors that callers can test for with errors.Is.
var (
	// ErrDisconnected says that the socket has left its namespace.
	ErrDisconnected = errors.New("socketio: the socket is disconnected")
	// ErrSlow says that the peer does not read fast enough: the message was not sent, and
	// under SlowDisconnect the connection is closed.
	ErrSlow = errors.New("socketio: the send buffer of the socket is full")
	// ErrTooManyRooms says that Config.MaxRooms would be exceeded.
	ErrTooManyRooms = errors.New("socketio: the socket is in too many rooms; leave some first")
	// ErrReservedEvent says that the event's name is one that Socket.IO keeps for itself.
	ErrReservedEvent = errors.New("socketio: this event name is reserved by Socket.IO; choose another")
	// ErrAcked says that an event was acknowledged before, or that its sender asked for no acknowledgement.
	ErrAcked = errors.New("socketio: no acknowledgement is awaited for this event")
	// ErrStopped says that the server was stopped; make a new one.
	ErrStopped = errors.New("socketio: the server is stopped; make a new one with New")
)

// ConnectError is an error whose text the client may read: returned by Config.Authenticate or
// an OnConnect hook it reaches the client's connect_error. Every other error is shown as a plain refusal.
type ConnectError struct {
	Message string
	Data    any // optional, anything encoding/json takes; sent by OnConnect only
}

// Error returns the message.
func (e *ConnectError) Error() string { return e.Message }

// SlowPolicy says what becomes of a peer whose send buffer is full.
type SlowPolicy int

const (
	// SlowDisconnect closes the connection; the client reconnects and reads the state afresh.
	SlowDisconnect SlowPolicy = iota
	// SlowDrop drops events until the buffer has drained and then emits DropNotice with the
	// number of events dropped. Acknowledgements are never dropped: they disconnect.
	SlowDrop
)

// DropNotice is the event that tells a client, with one number, how many events it missed (SlowDrop).
const DropNotice = "events_dropped"

// Broker carries broadcasts between the nodes of one appliance. Messages are opaque.
type Broker interface {
	// Publish hands one message to every subscriber, this node's own included.
	Publish(ctx context.Context, message []byte) error
	// Subscribe calls deliver for each message, one at a time and in order, until ctx ends or
	// the subscription breaks; it returns the reason. The server subscribes again, with back-off.
	Subscribe(ctx context.Context, deliver func(message []byte)) error
}

// Config is what New takes. Authenticate and SessionKey are needed; each other zero value means
// the default that its comment names.
type Config struct {
	Logger *slog.Logger // nil discards

	// Authenticate vouches for a request, once at the Engine.IO handshake and once more at the
	// upgrade to WebSocket. What it returns is Socket.Session. An error refuses with 403.
	Authenticate func(*http.Request) (session any, err error)
	// SessionKey names a session: equal keys are the same session, for the limit below and
	// for the check that an upgrade belongs to the session that opened the connection.
	SessionKey func(session any) string
	// CheckOrigin says whether a request may come from where it comes from; it runs on every
	// request. Default: SameOrigin.
	CheckOrigin func(*http.Request) bool
	// ClientKey names the machine that asks, for HandshakeRate. Default: the remote IP address
	// (its /64 for IPv6). Replace it behind a reverse proxy.
	ClientKey func(*http.Request) string

	PingInterval   time.Duration // 25 s; between two heartbeats
	PingTimeout    time.Duration // 20 s; for the answer to one
	ConnectTimeout time.Duration // 45 s; a connection may be without a namespace that long
	UpgradeTimeout time.Duration // 10 s; from the WebSocket handshake to the end of an upgrade
	AckTimeout     time.Duration // 10 s; for EmitAck when its context has no deadline
	WriteTimeout   time.Duration // 10 s; for one WebSocket message or one HTTP answer
	CloseTimeout   time.Duration // 1 s; for the last words to a peer before its connection is cut

	MaxPayload               int     // 1,000,000 bytes; one POST, one message, one packet with its attachments
	MaxAttachments           int     // 32; in one packet
	MaxConnections           int     // 10,000
	MaxConnectionsPerSession int     // 32
	MaxRooms                 int     // 256; of one socket
	SendBuffer               int     // 1 MiB; bytes waiting for one connection (one message may exceed it alone)
	HandshakeRate            float64 // 20 handshakes a second for one ClientKey, sustained
	HandshakeBurst           int     // 200 at once

	SlowConsumer SlowPolicy
	Broker       Broker // nil: this node is alone
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.CheckOrigin == nil {
		c.CheckOrigin = SameOrigin
	}
	if c.ClientKey == nil {
		c.ClientKey = remoteNetwork
	}
	c.timeDefaults()
	c.limitDefaults()
	return c
}

func (c *Config) timeDefaults() {
	orElse(&c.PingInterval, 25*time.Second)
	orElse(&c.PingTimeout, 20*time.Second)
	orElse(&c.ConnectTimeout, 45*time.Second)
	orElse(&c.UpgradeTimeout, 10*time.Second)
	orElse(&c.AckTimeout, 10*time.Second)
	orElse(&c.WriteTimeout, 10*time.Second)
	orElse(&c.CloseTimeout, time.Second)
}

func (c *Config) limitDefaults() {
	orElse(&c.MaxPayload, 1_000_000)
	orElse(&c.MaxAttachments, 32)
	orElse(&c.MaxConnections, 10_000)
	orElse(&c.MaxConnectionsPerSession, 32)
	orElse(&c.MaxRooms, 256)
	orElse(&c.SendBuffer, 1<<20)
	orElse(&c.HandshakeRate, 20)
	orElse(&c.HandshakeBurst, 200)
}

// orElse gives a value that is zero or negative its default.
func orElse[T int | float64 | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

func (c Config) check() error {
	if c.Authenticate == nil {
		return errors.New("socketio: set Config.Authenticate; a server without it would admit anybody")
	}
	if c.SessionKey == nil {
		return errors.New("socketio: set Config.SessionKey; without it sessions cannot be told apart")
	}
	return nil
}
