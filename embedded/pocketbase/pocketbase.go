// Package pocketbase is the front of the appliance: one TLS port that serves
// the user interface, our own API and, to this machine only, PocketBase's
// console; and a small store in PocketBase's SQLite for what must be known
// before Postgres is up.
//
// PocketBase's own Serve is not used: it cannot be stopped from outside, takes
// its certificate from ACME and puts its limits on every route, websockets
// included. Its router is built here and mounted under /api and /_/; the
// listener, TLS and limits are ours.
package pocketbase

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	dashboard "github.com/pocketbase/pocketbase/ui"
)

// DefaultListen is the address of the one port.
const DefaultListen = ":8443"

// Config says where things are and what is served.
type Config struct {
	Dir    string       // SQLite, certificate and logs; made with mode 0700
	Listen string       // host:port; DefaultListen when empty
	Static fs.FS        // the built user interface; nil serves none
	Logger *slog.Logger // nil discards
}

// Server is the front. Make it with New.
type Server struct {
	cfg     Config
	handler atomic.Pointer[http.Handler]
	cert    *certificate

	mu       sync.Mutex
	app      *pb.PocketBase
	server   *http.Server
	listener net.Listener
	failed   error
}

// New returns a server that is not started. It touches nothing.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	s := &Server{cfg: cfg, cert: &certificate{dir: filepath.Join(cfg.Dir, "tls")}}
	s.SetHandler(http.NotFoundHandler())
	return s
}

// SetHandler replaces, at any time, what serves the prefixes of our API.
func (s *Server) SetHandler(h http.Handler) { s.handler.Store(&h) }

// OpenStore opens the local store without serving anything. Start does it too.
func (s *Server) OpenStore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openStore()
}

func (s *Server) openStore() error {
	if s.app != nil {
		return nil
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	app := pb.NewWithConfig(pb.Config{
		DefaultDataDir: filepath.Join(s.cfg.Dir, "pb"), HideStartBanner: true, DBConnect: connect,
		DataMaxOpenConns: 4, DataMaxIdleConns: 1, AuxMaxOpenConns: 2, AuxMaxIdleConns: 1,
	})
	if err := app.Bootstrap(); err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	if err := errors.Join(app.RunAllMigrations(), prepareStore(app)); err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	s.app = app
	return nil
}

// Start opens the store, makes or reads the certificate, and serves. It fails
// when the port is taken.
func (s *Server) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if err := s.cert.load(); err != nil {
		return err
	}
	console, err := consoleHandler(s.app)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("the port of %s cannot be used: %w; stop the other program or choose another with --listen", s.cfg.Listen, err)
	}
	s.listener = listener
	s.server = s.newServer(console)
	go s.serve(s.server, newSniffer(listener, s.cert.config(), s.cert.challenges.plain))
	return nil
}

func (s *Server) newServer(console http.Handler) *http.Server {
	return &http.Server{
		Handler:           s.route(console),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		TLSConfig:         s.cert.config(),
		ErrorLog:          log.New(logWriter{s.cfg.Logger}, "", 0),
	}
}

// logWriter takes what net/http logs: mostly handshakes of clients that do not
// trust a self-signed certificate.
type logWriter struct{ logger *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.logger.Debug("http server", "message", string(p))
	return len(p), nil
}

func (s *Server) serve(server *http.Server, l net.Listener) {
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// consoleHandler is PocketBase's own router with its dashboard.
func consoleHandler(app core.App) (http.Handler, error) {
	router, err := apis.NewRouter(app)
	if err != nil {
		return nil, err
	}
	router.GET("/_/{path...}", apis.Static(dashboard.DistDirFS, false))
	return router.BuildMux()
}

// Ready is nil while the port is served.
func (s *Server) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return errors.New("the web server is not started")
	}
	return s.failed
}

// Stop ends all requests within ctx, or three seconds, and closes the store.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.server != nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err = s.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = s.server.Close()
		}
		s.server = nil
	}
	if s.app != nil {
		err = errors.Join(err, s.app.ClearBootstrap())
		s.app = nil
	}
	return err
}

// Addr is the address that is listened on, or "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Fingerprint is the SHA-256 of the certificate in use, as colon-separated hex.
func (s *Server) Fingerprint() string { return s.cert.fingerprint() }

// SetCertificate puts another certificate into use at once and keeps it. Both
// are PEM; none of both makes a new self-signed one. It fails when they do not
// belong together or are not valid now.
func (s *Server) SetCertificate(certPEM, keyPEM []byte) error {
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		var err error
		if certPEM, keyPEM, err = makeSelfSigned(); err != nil {
			return err
		}
	}
	return s.cert.set(certPEM, keyPEM)
}

// Certificate is the certificate in use, or nil before Start.
func (s *Server) Certificate() *x509.Certificate {
	if pair := s.cert.current.Load(); pair != nil {
		return pair.Leaf
	}
	return nil
}

// CertificatePEM is the chain and the key of the certificate in use.
func (s *Server) CertificatePEM() ([]byte, error) {
	return os.ReadFile(filepath.Join(s.cert.dir, certFile))
}

// SelfSign puts a new self-signed certificate into use that names this machine,
// and more names or addresses.
func (s *Server) SelfSign(names ...string) error {
	certPEM, keyPEM, err := makeSelfSigned(names...)
	if err != nil {
		return err
	}
	return s.cert.set(certPEM, keyPEM)
}
