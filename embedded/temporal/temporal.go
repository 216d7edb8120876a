// Package temporal runs a Temporal server inside the process, or reaches an existing cluster.
//
// # In the process
//
// All four services of Temporal run here, on two databases of their own, with four history
// shards. They listen on loopback only, and nobody but this process can talk to them:
// between themselves the services use mutual TLS with a certificate authority that is made
// at each start and never leaves memory, and each call to the frontend must carry a secret
// of the same kind in its authorization header. Only the gRPC health check is open.
//
// All services share one connection pool per database, so that an idle server holds a
// handful of connections. What a single node does not need (scanners, task queue
// partitions, large caches) is off; schedules and SQL visibility are on.
//
// # Payloads
//
// Converters encrypts what workflows and activities are given and return, and the errors
// they fail with. Workflow ids, names, search attributes and headers stay readable: put no
// secret there.
//
// # Existing cluster
//
// With Config.Address the package is a client of that cluster and runs nothing.
package temporal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// Names that the rest of the appliance relies on.
const (
	DefaultNamespace   = "nimbus"
	MainDatabase       = "nimbus_temporal"
	VisibilityDatabase = "nimbus_temporal_visibility"
)

const defaultRetention = 7 * 24 * time.Hour

// Config says what to run or to reach: DSN or Address is needed.
type Config struct {
	// DSN returns the URL of a database of the Postgres server to use, for a role that may
	// create databases. It is called at Start, with MainDatabase, VisibilityDatabase and
	// "postgres". The AdminDSN method of postgres.Server fits.
	DSN func(database string) string

	// Address (host:port) of an existing cluster to use instead of running a server.
	Address string
	// TLS for Address; nil connects without.
	TLS *tls.Config
	// APIKey for Address; empty is none. It is sent over TLS only.
	APIKey string

	// Namespace is registered when it is missing; empty means DefaultNamespace.
	Namespace string
	// Retention of closed workflows; 0 means seven days. Temporal's minimum is one day.
	Retention time.Duration
	// Logger gets the server's warnings and errors, and the rest at debug level; nil discards.
	Logger *slog.Logger
}

// Server is one Temporal server or the way to one. Make it with New. All methods may be
// called from any goroutine.
type Server struct {
	cfg Config
	log *slog.Logger

	life sync.Mutex // one Start or Stop at a time
	mu   sync.Mutex // guards what follows
	run  *running
}

// Options are what a caller can choose about its client; all may be left out.
type Options struct {
	ContextPropagators []workflow.ContextPropagator
	DataConverter      converter.DataConverter
	FailureConverter   converter.FailureConverter
	Interceptors       []interceptor.ClientInterceptor
	MetricsHandler     client.MetricsHandler
	Identity           string
}

// New returns a server that is not started. It touches nothing.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Namespace == "" {
		cfg.Namespace = DefaultNamespace
	}
	if cfg.Retention == 0 {
		cfg.Retention = defaultRetention
	}
	return &Server{cfg: cfg, log: cfg.Logger}
}

// Start makes and upgrades the databases, runs the server and returns when its frontend
// serves and the namespace exists. With Config.Address it connects instead. From then on a
// server that fails is started again until Stop. ctx bounds Start only.
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.current() != nil {
		return nil
	}
	node, err := s.open(ctx)
	if err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	r := &running{node: node, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	go s.supervise(background, r)
	return nil
}

// Ready asks the frontend for its health and returns nil when it serves.
func (s *Server) Ready(ctx context.Context) error {
	r := s.current()
	if r == nil {
		return errors.New("temporal is not started")
	}
	node, err := r.state()
	if err != nil {
		return err
	}
	return node.healthy(ctx)
}

// Stop ends the server within five seconds. Workers and clients made from it should be
// stopped before. Without Start it does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	r := s.current()
	if r == nil {
		return nil
	}
	r.cancel()
	<-r.done
	s.mu.Lock()
	s.run = nil
	s.mu.Unlock()
	node, _ := r.state()
	if node == nil {
		return nil
	}
	return node.close(ctx)
}

// Client returns a new connection to the namespace. The caller closes it. It lives as long
// as the server that was running when it was made: after a restart of the server (see
// Ready) its calls fail, and a new one is needed.
func (s *Server) Client(ctx context.Context, o Options) (client.Client, error) {
	r := s.current()
	if r == nil {
		return nil, errors.New("temporal is not started")
	}
	node, err := r.state()
	if err != nil {
		return nil, err
	}
	return node.dial(ctx, client.Options{
		Namespace:          s.cfg.Namespace,
		Logger:             sdkLogger(s.log),
		ContextPropagators: o.ContextPropagators,
		DataConverter:      o.DataConverter,
		FailureConverter:   o.FailureConverter,
		Interceptors:       o.Interceptors,
		MetricsHandler:     o.MetricsHandler,
		Identity:           o.Identity,
	})
}

func (s *Server) current() *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// open returns a node that serves and holds the namespace.
func (s *Server) open(ctx context.Context) (*node, error) {
	if s.cfg.Address != "" {
		return s.reach(ctx)
	}
	if s.cfg.DSN == nil {
		return nil, errors.New("temporal: neither a database nor the address of an existing cluster is configured")
	}
	return s.bootPatiently(ctx)
}

// reach connects to an existing cluster.
func (s *Server) reach(ctx context.Context) (*node, error) {
	if s.cfg.APIKey != "" && s.cfg.TLS == nil {
		return nil, errors.New("an API key of the Temporal cluster is sent over TLS only: turn TLS on")
	}
	n := &node{address: s.cfg.Address, tls: s.cfg.TLS, apiKey: s.cfg.APIKey, log: s.log}
	err := greet(ctx, s.cfg.Address, s.cfg.TLS)
	if err == nil {
		err = s.admit(ctx, n)
	}
	if err != nil {
		return nil, fmt.Errorf("the Temporal cluster at %s cannot be used (is the address right, is TLS needed, may we read namespace %q?): %w", s.cfg.Address, s.cfg.Namespace, err)
	}
	return n, nil
}

// admit opens the node's own client and makes sure of the namespace.
func (s *Server) admit(ctx context.Context, n *node) error {
	c, err := n.dial(ctx, client.Options{Namespace: s.cfg.Namespace, Logger: sdkLogger(s.log)})
	if err != nil {
		return err
	}
	n.client = c
	if err := ensureNamespace(ctx, c.WorkflowService(), s.cfg.Namespace, s.cfg.Retention, s.cfg.Address == ""); err != nil {
		c.Close()
		return err
	}
	return nil
}
