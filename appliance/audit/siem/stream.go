package siem

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// stream sends octet-counted frames (RFC 6587, RFC 5425) over TCP or TLS.
//
// Syslog has no acknowledgement, so delivery is confirmed by closing: all is
// written, our side is closed (close_notify over TLS) and the receiver's end
// is awaited. A receiver that dies with unread data resets the connection
// instead. One that was told to stop after it read everything, but before it
// kept it, would close in order too: so it has to answer a new connection
// before a batch counts as delivered.
type stream struct {
	target   Target
	renderer renderer
	config   *tls.Config // nil: plain TCP
}

func newStream(t Target) (Conn, error) {
	s := &stream{target: t, renderer: newRenderer(t, maxFrame)}
	if t.Transport != TLS {
		return s, nil
	}
	var err error
	if s.config, err = t.tls(); err != nil {
		return nil, err
	}
	return s, nil
}

// CheckTLS says what is wrong with the certificates of a target.
func CheckTLS(t Target) error {
	_, err := t.tls()
	return err
}

func (t Target) tls() (*tls.Config, error) {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, failed(err, "The address is a name or an IP address with a port, such as logs.example.org:6514.")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.CAPEM != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(t.CAPEM)) {
			return nil, failed(nil, "There is no certificate of an authority in this text. It begins with -----BEGIN CERTIFICATE-----.")
		}
	}
	if t.ClientCertPEM != "" || t.ClientKey != "" {
		pair, err := tls.X509KeyPair([]byte(t.ClientCertPEM), []byte(t.ClientKey))
		if err != nil {
			return nil, failed(nil, "The client certificate and its key do not belong together or cannot be read. Both are PEM, the key without a passphrase.")
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Send implements Conn.
func (s *stream) Send(ctx context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, MaxAttempt)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ended := awaitEnd(conn)
	if err := s.write(conn, messages); err != nil {
		return err
	}
	if err := s.finish(conn, ended); err != nil {
		return err
	}
	return s.probe(ctx)
}

// Close implements Conn. Nothing is kept open between two batches.
func (s *stream) Close() error { return nil }

// halfCloser is TCP and TLS: what is sent can be ended while reading goes on.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func (s *stream) dial(ctx context.Context) (halfCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.target.Outbound.Dial(ctx, "tcp", s.target.Address)
	if err != nil {
		return nil, failed(err, "The receiver cannot be reached. %s", reason(err))
	}
	if s.config == nil {
		return conn.(*net.TCPConn), nil
	}
	secured := tls.Client(conn, s.config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, failed(err, "The receiver does not speak TLS with us. %s", reason(err))
	}
	return secured, nil
}

// probe sees whether the receiver answers.
func (s *stream) probe(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	_ = conn.Close()
	return nil
}

// awaitEnd reads until the receiver closes. Syslog receivers say nothing.
func awaitEnd(conn net.Conn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, io.LimitReader(conn, maxFrame))
		ended <- err
	}()
	return ended
}

func (s *stream) write(conn net.Conn, messages []Message) error {
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	var frames []byte
	for i, m := range messages {
		line := s.renderer.syslog(m)
		frames = append(strconv.AppendInt(frames, int64(len(line)), 10), ' ')
		frames = append(frames, line...)
		if len(frames) < maxFrame && i < len(messages)-1 {
			continue
		}
		if _, err := conn.Write(frames); err != nil {
			return failed(err, "The receiver stopped taking messages. %s", reason(err))
		}
		frames = frames[:0]
	}
	return nil
}

// finish ends our side and waits for the receiver to end its own. An end that
// was there before ours confirms nothing.
func (s *stream) finish(conn halfCloser, ended <-chan error) error {
	select {
	case err := <-ended:
		return failed(err, "The receiver closed the connection before it had everything.")
	default:
	}
	if err := conn.CloseWrite(); err != nil {
		return failed(err, "The receiver stopped taking messages. %s", reason(err))
	}
	if s.config != nil { // some receivers wait for the end of the connection itself
		if tcp, ok := conn.(*tls.Conn).NetConn().(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(closeTimeout))
	err := <-ended
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &timeout) && timeout.Timeout():
		return failed(err, "The receiver did not close the connection in time, so it is not known whether it has everything.")
	}
	return failed(err, "The receiver broke the connection off, so it is not known whether it has everything.")
}

// datagram sends one message in each datagram (RFC 5426). Nothing confirms it.
type datagram struct {
	renderer renderer
	conn     net.Conn
}

func newDatagram(ctx context.Context, t Target) (Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := t.Outbound.Dial(ctx, "udp", t.Address)
	if err != nil {
		return nil, failed(err, "The receiver cannot be reached. %s", reason(err))
	}
	return &datagram{renderer: newRenderer(t, maxDatagram), conn: conn}, nil
}

// Send implements Conn.
func (d *datagram) Send(ctx context.Context, messages []Message) error {
	for _, m := range messages {
		if ctx.Err() != nil {
			return failed(ctx.Err(), "Sending was stopped.")
		}
		_ = d.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := d.conn.Write(d.renderer.syslog(m)); err != nil {
			return failed(err, "The receiver does not listen at this address.")
		}
	}
	return nil
}

// Close implements Conn.
func (d *datagram) Close() error { return d.conn.Close() }
