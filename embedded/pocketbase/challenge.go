package pocketbase

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// alpnChallenge is the protocol by which an authority asks over TLS (RFC 8737).
const alpnChallenge = "acme-tls/1"

// httpChallenge is where an authority asks over plain HTTP (RFC 8555, 8.3).
const httpChallenge = "/.well-known/acme-challenge/"

// Challenges answers the questions by which a certificate authority finds out
// that we are who we say. There are none but while a certificate is asked for.
type Challenges struct {
	mu   sync.Mutex
	tls  map[string]*tls.Certificate // by server name
	http map[string]string           // by path
}

// Challenges are those of the one port.
func (s *Server) Challenges() *Challenges { return &s.cert.challenges }

// AnswerTLS answers by a certificate for a name (tls-alpn-01) until done is called.
func (c *Challenges) AnswerTLS(name string, answer *tls.Certificate) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tls == nil {
		c.tls = map[string]*tls.Certificate{}
	}
	c.tls[name] = answer
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.tls, name)
	}
}

// AnswerHTTP answers at a path (http-01) until done is called: on the one port,
// where plain HTTP is recognised, and on port 80 when this machine has it to give.
func (c *Challenges) AnswerHTTP(path, answer string) (done func()) {
	c.mu.Lock()
	if c.http == nil {
		c.http = map[string]string{}
	}
	c.http[path] = answer
	c.mu.Unlock()
	closePort := c.listen()
	return func() {
		closePort()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.http, path)
	}
}

// listen serves port 80 for a moment. Where that is not possible, the port is
// forwarded to ours by somebody, or the authority says that it got no answer.
func (c *Challenges) listen() (done func()) {
	l, err := net.Listen("tcp", ":80") //nolint:noctx // it is open for a moment
	if err != nil {
		return func() {}
	}
	server := &http.Server{ReadHeaderTimeout: firstByteTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := c.plain(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }
}

// plain is the answer to a question over plain HTTP.
func (c *Challenges) plain(path string) (string, bool) {
	if !strings.HasPrefix(path, httpChallenge) {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, ok := c.http[path]
	return answer, ok
}

var errNoChallenge = errors.New("nobody asks for a certificate of this name now")

// config answers a question over TLS; nil for every other connection.
func (c *Challenges) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Equal(hello.SupportedProtos, []string{alpnChallenge}) {
		return nil, nil //nolint:nilnil // what crypto/tls wants to go on as usual
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, ok := c.tls[strings.ToLower(hello.ServerName)]
	if !ok {
		return nil, fmt.Errorf("%w: %q", errNoChallenge, hello.ServerName)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{alpnChallenge}, Certificates: []tls.Certificate{*answer}}, nil
}
