package pocketbase

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sniffer gives TLS connections to the server and answers plain HTTP on the
// same port itself: browsers are redirected, everybody else gets a sentence.
type sniffer struct {
	net.Listener
	tls   *tls.Config
	plain func(path string) (answer string, ok bool) // what is answered without TLS
	ready chan net.Conn
	once  sync.Once
	done  chan struct{}
	err   error
}

// acceptPause is how long to wait when the system cannot give a connection.
const acceptPause = 50 * time.Millisecond

// firstByteTimeout is how long a connection may wait before it says anything.
const firstByteTimeout = 10 * time.Second

func newSniffer(l net.Listener, config *tls.Config, plain func(string) (string, bool)) *sniffer {
	s := &sniffer{Listener: l, tls: config, plain: plain, ready: make(chan net.Conn), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *sniffer) loop() {
	for {
		conn, err := s.Listener.Accept()
		switch {
		case err == nil:
			go s.sort(conn)
		case errors.Is(err, net.ErrClosed):
			s.once.Do(func() { s.err = err; close(s.done) })
			return
		default: // too many open files, say: others close some
			time.Sleep(acceptPause)
		}
	}
}

// Accept returns the next TLS connection.
func (s *sniffer) Accept() (net.Conn, error) {
	select {
	case conn := <-s.ready:
		return conn, nil
	case <-s.done:
		return nil, s.err
	}
}

// Close ends Accept.
func (s *sniffer) Close() error {
	s.once.Do(func() { s.err = net.ErrClosed; close(s.done) })
	return s.Listener.Close()
}

const recordHandshake = 0x16 // RFC 8446, section 5.1

func (s *sniffer) sort(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	peeked := &peekedConn{Conn: conn, r: bufio.NewReaderSize(conn, 4096)}
	first, err := peeked.r.Peek(1)
	if err != nil {
		conn.Close()
		return
	}
	if first[0] != recordHandshake {
		s.answerPlain(peeked)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	select {
	case s.ready <- tls.Server(peeked, s.tls):
	case <-s.done:
		conn.Close()
	}
}

type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// answerPlain reads one request and says to use https.
func (s *sniffer) answerPlain(c *peekedConn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(firstByteTimeout))
	r, err := http.ReadRequest(c.r)
	if err != nil {
		return
	}
	if answer, ok := s.plain(r.URL.Path); ok {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(answer), answer)
		return
	}
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") && validHost(r.Host) {
		fmt.Fprintf(c, "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://%s%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", r.Host, r.URL.EscapedPath())
		return
	}
	const text = "This port speaks HTTPS only. Use https:// in the address.\n"
	fmt.Fprintf(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}

// validHost keeps anything but a host and port out of the Location header.
func validHost(host string) bool {
	if host == "" || len(host) > 255 {
		return false
	}
	return strings.IndexFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-:[]", r))
	}) < 0
}
