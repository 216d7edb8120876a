package temporal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/server/temporal"
)

// limit is how long the parts of a server may take to stop.
const limit = 4500 * time.Millisecond

// helloLimit is how long a frontend may take for its first answer, which comes while a
// server on a slow machine still has all its caches to fill.
const helloLimit = 2 * time.Minute

// node is one incarnation: a server in this process, or a foreign cluster.
type node struct {
	address string
	tls     *tls.Config
	secret  string // "" for a foreign cluster
	apiKey  string // of a foreign cluster
	log     *slog.Logger
	client  client.Client

	server temporal.Server // nil for a foreign cluster
	logger serverLogger
	guard  *guard
	ports  []int // in the order of services
	pools  *pools
	fatal  chan struct{} // closed by the server's logger when it gives up
}

var errGaveUp = errors.New("the server gave up; its log says why")

// bootPatiently boots again when a server gives up: its parts wait for one another for a
// minute and no longer, which is short for a slow machine that has much to catch up with.
func (s *Server) bootPatiently(ctx context.Context) (*node, error) {
	for end := time.Now().Add(startLimit); ; {
		n, err := s.boot(ctx)
		if !errors.Is(err, errGaveUp) || time.Now().After(end) || !sleep(ctx, shortestDelay) {
			return n, err
		}
		s.log.Warn("temporal gave up its start and is started again", "component", "temporal", "error", err)
	}
}

// boot runs a server on the databases.
func (s *Server) boot(ctx context.Context) (*node, error) {
	if err := prepareDatabases(ctx, s.cfg.DSN); err != nil {
		return nil, fmt.Errorf("temporal: %w", err)
	}
	n, err := s.assemble(ctx)
	if err != nil {
		return nil, fmt.Errorf("temporal: %w", err)
	}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("temporal: %w", err), n.discard())
	}
	if err := s.admit(ctx, n); err != nil {
		return nil, errors.Join(fmt.Errorf("temporal: %w", err), n.discard())
	}
	s.log.Info("temporal serves", "component", "temporal", "address", n.address)
	return n, nil
}

// assemble makes all that a server needs, and the server, without starting it.
func (s *Server) assemble(ctx context.Context) (*node, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	guard, err := newGuard()
	if err != nil {
		return nil, err
	}
	pools, err := openPools(ctx, s.cfg.DSN)
	if err != nil {
		return nil, err
	}
	if err := s.seedNamespace(ctx, pools); err != nil {
		pools.close()
		return nil, fmt.Errorf("register namespace %s: %w", s.cfg.Namespace, err)
	}
	fatal := make(chan struct{})
	n := &node{
		address: loopback(ports[0]), tls: guard.callerTLS(), secret: guard.secret,
		log: s.log, guard: guard, ports: ports, pools: pools, fatal: fatal, logger: newLogger(s.log, fatal),
	}
	n.server, err = temporal.NewServer(serverOptions(ports, guard, pools, n.logger)...)
	if err != nil {
		pools.close()
		return nil, err
	}
	return n, nil
}

// start runs the server and waits for its frontend. Temporal's Start takes no context, and
// where it meets a fatal error its logger ends the goroutine; hence the waiting from outside.
func (n *node) start(ctx context.Context) error {
	result := make(chan error, 1)
	go func() { result <- n.server.Start() }()
	select {
	case err := <-result:
		return err
	case <-n.fatal:
		return errGaveUp
	case <-ctx.Done():
		return fmt.Errorf("the server did not start in time: %w", context.Cause(ctx))
	}
}

// dial connects with what this node asks of its callers.
func (n *node) dial(ctx context.Context, o client.Options) (client.Client, error) {
	o.HostPort = n.address
	o.ConnectionOptions.TLS = n.tls
	o.ConnectionOptions.GetSystemInfoTimeout = helloLimit
	if n.secret != "" {
		o.HeadersProvider = bearer(n.secret)
	}
	if n.apiKey != "" {
		o.Credentials = client.NewAPIKeyStaticCredentials(n.apiKey)
	}
	return client.DialContext(ctx, o)
}

func (n *node) healthy(ctx context.Context) error {
	if _, err := n.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("the Temporal frontend at %s does not serve: %w", n.address, err)
	}
	return nil
}

// discard closes a node that never served.
func (n *node) discard() error {
	return n.close(context.Background())
}

// close stops the server, or leaves the foreign cluster.
func (n *node) close(ctx context.Context) error {
	if n.client != nil {
		n.client.Close()
	}
	if n.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	n.logger.quiet.Store(true)
	result := make(chan error, 1)
	go func() {
		err := n.server.Stop()
		n.pools.close()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return errors.New("temporal is still stopping; its databases are consistent at any moment")
	}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// freePorts returns n different ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp4", loopback(0))
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end: each port is given once
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
