package pvesim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// server is the listening side, present while the cluster is started.
type server struct {
	http *http.Server
	addr net.Addr
	done chan struct{}
}

// Start serves the API over TLS on Config.Listen and returns when it accepts connections. Where the
// port is left open, the one of the last time is taken again when it is free, so that URL stays.
func (c *Cluster) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("the simulated cluster was stopped; make a new one")
	}
	if c.srv != nil {
		return nil
	}
	listener, err := c.listen(ctx)
	if err != nil {
		return fmt.Errorf("listen for the simulated cluster: %w", err)
	}
	s := &server{addr: listener.Addr(), done: make(chan struct{}), http: &http.Server{
		Handler: c.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog:     slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only, as the genuine server
		TLSConfig:    &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.certificate},
	}}
	c.srv = s
	go func() {
		defer close(s.done)
		if err := s.http.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("simulated cluster: server ended", "error", err)
		}
	}()
	return nil
}

func (c *Cluster) listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	host, port, err := net.SplitHostPort(c.cfg.Listen)
	if err == nil && port == "0" && c.state.Port != 0 {
		if l, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(c.state.Port))); err == nil {
			return l, nil
		}
	}
	l, err := config.Listen(ctx, "tcp", c.cfg.Listen)
	if err != nil {
		return nil, err
	}
	if address, ok := l.Addr().(*net.TCPAddr); ok {
		c.state.Port = address.Port
		c.persist()
	}
	return l, nil
}

// Ready is nil while the server accepts connections.
func (c *Cluster) Ready(ctx context.Context) error {
	c.mu.Lock()
	s := c.srv
	c.mu.Unlock()
	if s == nil {
		return errors.New("the simulated cluster is not started")
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.addr.String())
	if err != nil {
		return fmt.Errorf("the simulated cluster does not answer: %w", err)
	}
	return conn.Close()
}

// Stop ends the server and all tasks. The next start on the same state file goes on with what was
// running.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	s := c.srv
	c.srv, c.stopped = nil, true
	c.mu.Unlock()
	c.cancel()
	var err error
	if s != nil {
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err = s.http.Shutdown(limited); err != nil {
			err = s.http.Close()
		}
		<-s.done
	}
	c.tasks.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.save())
}

// URL is where the API answers, without a path; "" while the cluster is not started.
func (c *Cluster) URL() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.srv == nil {
		return ""
	}
	return "https://" + c.srv.addr.String()
}
