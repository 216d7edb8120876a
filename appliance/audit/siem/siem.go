// Package siem sends audit records to collectors of security events: as
// syslog messages (RFC 5424, CEF or JSON) over UDP, TCP and TLS, and as signed
// batches over HTTPS. It knows no database; what was delivered, what is tried
// again and what is given up is decided by its callers.
package siem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nimbus/appliance/web"
)

// Kind says how a collector is reached.
type Kind string

// The kinds.
const (
	Webhook Kind = "webhook"
	Syslog  Kind = "syslog"
)

// Format says how a message is written.
type Format string

// The formats.
const (
	JSON    Format = "json"
	CEF     Format = "cef"
	RFC5424 Format = "rfc5424"
)

// Transport carries syslog messages.
type Transport string

// The transports.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Target is where messages go. Text in PEM is empty when there is none.
type Target struct {
	Kind   Kind
	Format Format // "" is JSON for a webhook and RFC 5424 for syslog

	URL           string // of a webhook: https
	Secret        []byte // signs what a webhook gets
	Authorization string // header of that name, for collectors that want one

	Address   string // of syslog: host:port
	Transport Transport

	CAPEM                    string // authorities of the collector; "": those of the system
	ClientCertPEM, ClientKey string // over TLS, for collectors that ask who we are

	// Outbound decides which addresses are reached.
	Outbound *web.Outbound
	// Host and Version are what messages say about this appliance; Host "" is
	// the machine's name.
	Host, Version string
}

// Message is one thing that is told. Body is a JSON object; for a record it is
// exactly what is stored and hashed.
type Message struct {
	Sequence int64
	ID       string
	Time     time.Time
	Chain    string // "provider" or the tenant's id
	Event    string
	Category string
	Priority string // debug … critical
	Outcome  string
	Actor    Party
	Behalf   Behalf // for whom it acted; zero: for nobody else
	Target   Party
	Address  string
	Request  string
	Reason   string
	Leaf     []byte
	Body     []byte
	// More goes into the structured data and the CEF extension too. A name is
	// ASCII letters and digits.
	More []Field
}

// Party is who acted or what was acted upon.
type Party struct{ ID, Kind, Name string }

// Behalf is for whom somebody acted.
type Behalf struct {
	Party
	Claimed bool // nothing proves it
}

// Field is a named value.
type Field struct{ Name, Value string }

// Conn delivers messages to one target. One goroutine uses it at a time.
type Conn interface {
	// Send delivers the messages in order. It returns nil when all were
	// delivered, as well as the transport can tell: a webhook answered 2xx; a
	// TCP or TLS receiver closed in order after it had everything and still
	// answers; over UDP they left this machine. After an error any of them may
	// or may not have arrived. Errors are *Error.
	Send(ctx context.Context, messages []Message) error
	Close() error
}

// Error says why messages were not delivered. Reason is a sentence for the
// person; it holds no secret and no full URL.
type Error struct {
	Reason string
	// Refused is true when the collector answered that it does not take these
	// messages: one of them may be to blame.
	Refused bool
	// RetryAfter is how long the collector wants to be left alone.
	RetryAfter time.Duration
	Cause      error
}

func (e *Error) Error() string { return e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func failed(cause error, format string, args ...any) *Error {
	return &Error{Reason: fmt.Sprintf(format, args...), Cause: cause}
}

// Limits of one attempt.
const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	closeTimeout = 10 * time.Second
	// MaxAttempt is longer than any Send takes: it is stopped then.
	MaxAttempt = 30 * time.Second
)

// Dial prepares to deliver to a target; whether it answers shows when
// something is sent. Certificates that cannot be read are an *Error.
func Dial(ctx context.Context, t Target) (Conn, error) {
	if t.Outbound == nil {
		return nil, failed(nil, "It is not known which addresses may be reached.")
	}
	switch {
	case t.Kind == Webhook:
		return newWebhook(t)
	case t.Kind == Syslog && t.Transport == UDP:
		return newDatagram(ctx, t)
	case t.Kind == Syslog && (t.Transport == TCP || t.Transport == TLS):
		return newStream(t)
	}
	return nil, failed(nil, "A target is a webhook, or syslog over udp, tcp or tls.")
}

// reason is what may be said about an error of the network.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "It did not answer in time."
	}
	return web.OutboundProblem(err)
}
