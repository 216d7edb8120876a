// Package postgres runs the Postgres server that is packed into the binary.
//
// It supervises initdb and postgres itself and does not use the embedded-postgres
// library, which deletes a data directory whose PG_VERSION it cannot read, has no way to
// run its children as another user, does not notice a crash, and probes "localhost" (which
// may be somebody else's server). What is left of such a library after that is little.
//
// # Layout of Config.Dir
//
//	bin/<version>-<sha8>/  the binaries, unpacked once per version
//	data/                  the cluster; made beside and renamed when it is whole
//	run/                   the private Unix socket
//	wal/                   the spool of finished segments of the log, see Server.Archive
//	lock                   held by flock(2) while a Server runs; the kernel frees it
//	password               of the superuser, mode 0600
//	port                   the TCP port of the last start
//	upgrade/               a cluster that an upgrade to another major version makes
//	data-<major>/          the cluster before such an upgrade, until it is given up
//
// # The data directory is sacred
//
// Nothing in data/ is ever deleted or replaced. A directory of another major version, one
// without a readable PG_VERSION, and one that another process uses are refused untouched.
// The one file ever removed from it is a postmaster.pid whose process is proved to be
// something else, because Postgres itself would refuse to start.
//
// # Life and death of the children
//
// Postgres refuses to run as root, so a Server started as root runs its children as
// Config.User. They get their own process group, so that Ctrl-C in a terminal reaches the
// appliance only, and SIGINT (a fast, clean shutdown) as parent-death signal, so that a
// killed appliance leaves no server behind. The kernel sends that signal when the thread
// that forked ends, not the process; therefore the goroutine that starts Postgres stays
// locked to its thread until Postgres has ended. Should an orphan be found at start
// all the same, it is stopped cleanly before a new server is started.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
)

// superuser is the bootstrap role of the cluster.
const superuser = "postgres"

// Config says where and how to run the server. Only Dir is needed.
type Config struct {
	// Dir holds everything of the server. It is made when missing. Started as root,
	// the folders above it must let User pass (mode o+x).
	Dir string
	// BinDir holds the unpacked binaries; empty means Dir/bin. Servers may share one.
	BinDir string
	// Port on 127.0.0.1; 0 takes the one of the last start or, when that is taken, a free one.
	Port int
	// User runs the children when this process is root. Empty means nimbus if there is
	// such a user, otherwise nobody. Ignored when not root.
	User string
	// MaxConnections limits connections; 0 means 100.
	MaxConnections int
	// Recover makes Start replay the log of a base backup, see Recovery.
	Recover *Recovery
	// Unsafe gives up durability for speed. For tests only.
	Unsafe bool
	// Logger gets Postgres's own log and ours; nil discards both.
	Logger *slog.Logger

	// old is the release that runs a cluster of an earlier major version, during Upgrade.
	old *oldRelease
	// noDeathSignal lets a child outlive its parent, to test what happens then.
	noDeathSignal bool
}

// Server is one Postgres server. Make it with New. All methods may be called from any goroutine.
type Server struct {
	cfg Config
	log *slog.Logger

	life sync.Mutex // one Start or Stop at a time
	mu   sync.Mutex // guards what follows
	run  *running
	why  error // the last Start failed; nil when it did not
}

// running is what exists between Start and Stop.
type running struct {
	lock     *lockFile
	home     home
	password string
	port     int
	cancel   context.CancelFunc
	done     chan struct{}

	mu     sync.Mutex
	child  *process
	fault  error           // why it does not serve; nil while it does
	stopBy context.Context // of Stop; set before cancel
	result error           // of the shutdown; read after done
}

// New returns a server that is not started. It touches nothing.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 100
	}
	if abs, err := filepath.Abs(cfg.Dir); err == nil {
		cfg.Dir = abs
	}
	if cfg.BinDir == "" {
		cfg.BinDir = filepath.Join(cfg.Dir, "bin")
	}
	return &Server{cfg: cfg, log: cfg.Logger}
}

// Start makes the cluster when there is none, starts Postgres and returns when it answers.
// From then on a server that dies is started again until Stop. ctx bounds Start only.
//
// Errors are ErrInUse, ErrDirectory and ErrNoBundle, or say what initdb or postgres said.
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.current() != nil {
		return nil
	}
	err := s.start(ctx)
	s.mu.Lock()
	s.why = err
	s.mu.Unlock()
	return err
}

func (s *Server) start(ctx context.Context) error {
	r, err := s.prepare(ctx)
	if err != nil {
		return explain(err, s.cfg.Dir)
	}
	if err := s.launchFirst(ctx, r); err != nil {
		return explain(errors.Join(err, r.lock.release()), s.cfg.Dir)
	}
	background, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	s.setCurrent(r)
	go s.supervise(background, r)
	return nil
}

// Ready returns nil when the server answers a query now, otherwise what is wrong.
func (s *Server) Ready(ctx context.Context) error {
	r := s.current()
	if r == nil {
		return s.notStarted()
	}
	if err := r.state(); err != nil {
		return err
	}
	if err := ping(ctx, s.AdminDSN(superuser)); err != nil {
		return fmt.Errorf("postgres does not answer: %w", err)
	}
	return nil
}

func (s *Server) notStarted() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return fmt.Errorf("postgres is not started: %w", s.why)
	}
	return errors.New("postgres is not started")
}

// Stop shuts the server down: connections are ended, everything is written. A server that
// needs longer than four seconds (or ctx) for it is told to quit at once; it then recovers
// from its log at the next start and loses nothing. Without Start it does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	r := s.current()
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	r.mu.Lock()
	r.stopBy = ctx
	r.mu.Unlock()
	r.cancel()
	<-r.done
	s.setCurrent(nil)
	return errors.Join(r.result, r.lock.release())
}

// AdminDSN returns the URL of a database of this server for the superuser, over loopback
// TCP with a password: it is a secret. Before Start it is empty. The server makes no
// database but "postgres".
func (s *Server) AdminDSN(database string) string {
	r := s.current()
	if r == nil {
		return ""
	}
	return r.dsn(database)
}

// Version returns the version of the packed Postgres, such as "18.4".
func Version() string { return bundled.short() }

// BundleID names the packed binaries: version and the start of their checksum, or "none".
func BundleID() string {
	_, sum, err := bundleBytes()
	if err != nil {
		return "none"
	}
	return bundled.Version + "-" + sum[:8]
}

func (s *Server) current() *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

func (s *Server) setCurrent(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = r
}

func (r *running) dsn(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, r.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// prepare does all that comes before the first process: lock, checks, binaries, cluster.
func (s *Server) prepare(ctx context.Context) (*running, error) {
	acct, err := childAccount(s.cfg.User)
	if err != nil {
		return nil, err
	}
	h := home{dir: s.cfg.Dir, acct: acct}
	if err := h.make(); err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, h.path("lock"))
	if err != nil {
		return nil, err
	}
	r := &running{lock: lock, home: h, done: make(chan struct{})}
	if err := s.fill(ctx, r); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return r, nil
}

func (s *Server) fill(ctx context.Context, r *running) (err error) {
	if s.cfg.old != nil {
		return s.fillOld(ctx, r)
	}
	if err := r.home.finishUpgrade(s.log); err != nil {
		return err
	}
	if err := checkData(r.home.data(), bundled.major()); err != nil {
		return err
	}
	if r.home.bin, err = install(s.cfg.BinDir); err != nil {
		return err
	}
	if err := r.home.probe(ctx); err != nil {
		return err
	}
	if r.password, err = r.home.password(); err != nil {
		return err
	}
	if err := r.home.initialise(ctx, r.password, s.log); err != nil {
		return err
	}
	if err := r.home.claim(); err != nil || s.cfg.Recover == nil {
		return err
	}
	return s.cfg.Recover.prepare(r.home)
}

// ping opens a connection, asks one question and closes it.
func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}
