// Package valkey gives the appliance one Valkey client, for caches and for messages
// between nodes, whatever answers it:
//
//   - the server that Config.URL names;
//   - else a child valkey-server or redis-server from PATH, on a Unix socket that only we can enter;
//   - else a server inside this process that nobody else can reach.
//
// What it holds may vanish at any time: when a server restarts, or when memory is short.
// Nothing that matters is kept here, and nothing is queued here.
package valkey

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"sync"

	client "github.com/valkey-io/valkey-go"
)

// Kind is what answers the client.
type Kind string

// The kinds of server.
const (
	External  Kind = "external"   // named by Config.URL
	Child     Kind = "child"      // a process of ours
	InProcess Kind = "in-process" // in our own memory
)

// Config says what to use. All of it is optional but Dir, which a child needs.
type Config struct {
	URL     string         // redis://, rediss://, valkey://, valkeys:// or unix:// of an existing server
	RootCAs *x509.CertPool // who may vouch for a server with TLS; nil is the system's choice
	Dir     string         // folder of the child's socket; made with mode 0700
	Binary  string         // the server to run as child; empty looks in PATH
	User    string         // as root, the user whom the child runs as; empty is root itself
	Memory  bool           // do not look for a server to run, use the one in this process

	Logger *slog.Logger // nil discards
}

// Server is the chosen server with its client.
type Server struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex
	kind   Kind
	client client.Client
	stop   func(context.Context) error // ends the server behind the client
}

// New returns a server that is not started.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}
}

// Start connects, after starting a server when none is given. A child that cannot be started
// is replaced by the server in this process, with a warning in the log.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil
	}
	if s.cfg.URL != "" {
		return s.startExternal()
	}
	binary := s.binary()
	if binary == "" {
		return s.startMemory()
	}
	err := s.startChild(ctx, binary)
	if err == nil || ctx.Err() != nil {
		return err
	}
	s.log.Warn("valkey: the server cannot be run, its work is done in this process", "binary", binary, "error", err)
	return s.startMemory()
}

// binary returns the path of an installed server, or nothing.
func (s *Server) binary() string {
	if s.cfg.Memory || s.cfg.Binary != "" {
		return s.cfg.Binary
	}
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func (s *Server) startExternal() error {
	option, err := client.ParseURL(s.cfg.URL)
	if err != nil {
		return errors.New("the Valkey URL is not valid: write it like rediss://user:password@host:6379/0") // the cause may hold the password
	}
	if option.TLSConfig != nil {
		option.TLSConfig.RootCAs = s.cfg.RootCAs
	}
	c, err := connect(option)
	if err != nil {
		return fmt.Errorf("the Valkey server at %v does not answer, check the URL, the password and the network: %w", option.InitAddress, err)
	}
	s.use(External, c, func(context.Context) error { return nil })
	return nil
}

func (s *Server) startChild(ctx context.Context, binary string) error {
	p, err := startChild(ctx, s.cfg, binary, s.log)
	if err != nil {
		return err
	}
	c, err := connectTo(p.dial)
	if err != nil {
		return errors.Join(err, p.stop(ctx))
	}
	s.use(Child, c, p.stop)
	return nil
}

func (s *Server) startMemory() error {
	m := startMemory()
	c, err := connectTo(m.dial)
	if err != nil {
		return errors.Join(err, m.stop(context.Background()))
	}
	s.use(InProcess, c, m.stop)
	return nil
}

func (s *Server) use(kind Kind, c client.Client, stop func(context.Context) error) {
	s.kind, s.client, s.stop = kind, c, stop
	s.log.Info("valkey answers", "kind", kind)
}

// connectTo connects to a single server of ours.
func connectTo(dial func(context.Context) (net.Conn, error)) (client.Client, error) {
	return connect(client.ClientOption{
		InitAddress: []string{"local"}, ForceSingleClient: true,
		DialCtxFn: dialer(dial),
	})
}

// connect does without caching in the client where the server cannot invalidate what is cached.
// Such servers are spoken to in RESP2, which has subscriptions on a connection of their own:
// not all of them let a subscribed connection do anything else.
func connect(option client.ClientOption) (client.Client, error) {
	c, err := client.NewClient(option)
	if errors.Is(err, client.ErrNoCache) {
		option.DisableCache, option.AlwaysRESP2 = true, true
		return client.NewClient(option)
	}
	return c, err
}

// Kind tells what answers; it is empty when the server is not started.
func (s *Server) Kind() Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kind
}

// Client returns the client, or nil when the server is not started. It connects again by
// itself after the server was away; a Receive that was running ends with an error then
// and has to be started again. Do not close it.
func (s *Server) Client() client.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Ready returns nil when the server answers a PING.
func (s *Server) Ready(ctx context.Context) error {
	c := s.Client()
	if c == nil {
		return errors.New("valkey is not started")
	}
	if err := c.Do(ctx, c.B().Ping().Build()).Error(); err != nil {
		return fmt.Errorf("valkey (%s) does not answer: %w", s.Kind(), err)
	}
	return nil
}

// Stop closes the client and ends a server of ours.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	s.client.Close()
	err := s.stop(ctx)
	s.kind, s.client, s.stop = "", nil, nil
	return err
}
