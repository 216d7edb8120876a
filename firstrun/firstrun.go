// Package firstrun is the server side of the first-run wizard: who may use it,
// its steps, and what they leave behind.
//
// The wizard belongs to whoever can read the console. A setup token is printed
// there; one browser exchanges it for a session, and every other endpoint asks
// for that session. The answers lie in the local store, secrets in them sealed
// with the key of the data directory, so that a closed browser or a killed
// appliance loses nothing: each step finds its own earlier work. When the
// wizard was completed every endpoint answers 404, for ever.
//
// The package knows the domains but not how an appliance is put together: the
// composition root gives it functions (see Config).
package firstrun

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/backup"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
)

// Store is the local store: JSON values by key, on the disk when a write returns.
type Store interface {
	// Get decodes the value of a key into v and tells whether there is one.
	Get(ctx context.Context, key string, v any) (bool, error)
	// Put stores v.
	Put(ctx context.Context, key string, v any) error
	// Update decodes the value into v, calls change, and stores what v then
	// holds; no other write comes between, and an error of change leaves all as it was.
	Update(ctx context.Context, key string, v any, change func() error) error
}

// Banner is what the console shows. The token is a secret of whoever sees the
// console: it must not reach a log that leaves the machine.
type Banner struct {
	URL         string
	Token       string
	Expires     time.Time
	Fingerprint string
	// Warning, when set, says that something happened that the owner must know.
	Warning string
}

// Services are the domains that the later steps work on.
type Services struct {
	Tenants     *tenancy.Service
	Identity    *identity.Service
	Permissions *permission.Service
	Keyring     *secret.Keyring
	Keys        tenancy.Keys
	Audit       *audit.Service
	Provider    *provider.Service
}

// Config is what the composition root gives. Hooks without a remark are
// required, and all are called again after a crash: doing it again must be fine.
// Those that reach services are called with the wizard as actor.
type Config struct {
	Store   Store
	DataDir string // holds keys/local.key, hsm/ and, while there is a token, setup-token
	URL     string // offered as the appliance's address, e.g. https://host:8443
	Logger  *slog.Logger
	Now     func() time.Time // nil is time.Now

	// Console shows a banner.
	Console func(Banner)
	// Fingerprint is that of the TLS certificate in use.
	Fingerprint func() string
	// SetCertificate puts an own certificate into use, or with nil and nil the
	// self-signed one again.
	SetCertificate func(certPEM, keyPEM []byte) error
	// Apply takes over the settings as they stand. It is called after every
	// change, before what depends on it is started.
	Apply func(ctx context.Context, s Settings) error
	// TestDatabase tries an external server; see db.ProbeFor.
	TestDatabase func(ctx context.Context, dsn string) (db.Report, error)
	// StartDatabase starts or reaches the database of the applied settings. Until
	// the organisation exists it may be called again after another choice.
	StartDatabase func(ctx context.Context, progress func(stage string, percent int)) error
	// Boot starts the rest with the applied settings.
	Boot func(ctx context.Context) (Services, error)
	// StartSimulated starts the built-in simulated cluster and returns how to reach it.
	StartSimulated func(ctx context.Context) (provider.NewConnection, error)
	// Complete is told that the wizard is over, before it is noted.
	Complete func(ctx context.Context) error
	// Restorer brings an appliance back from a backup, and Restart starts the
	// process's appliance anew when that is ready.
	Restorer backup.Restorer
	Restart  func()
	// TestHSM proves that a token signs and returns the kind of its keys. Nil uses the token.
	TestHSM func(ctx context.Context, cfg hsm.Config) (keyType string, err error)
}

// Setup is the wizard. Make it with New.
type Setup struct {
	cfg   Config
	log   *slog.Logger
	local *secret.FileRoot
	gate  *gate

	steps sync.Mutex // one step at a time changes something

	mu        sync.Mutex // guards what follows
	closed    bool
	restoring Restoring
	progress  Progress
	working   bool // the database is being started
	stop      context.CancelFunc
	life      context.Context
	work      sync.WaitGroup
}

// New returns a wizard that is not started.
func New(cfg Config) *Setup {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TestHSM == nil {
		cfg.TestHSM = signOnce
	}
	return &Setup{cfg: cfg, log: cfg.Logger, gate: newGate(cfg.Now), closed: true}
}

// Start reads how far the wizard came. While it is open it prints a setup
// token, a new one each time the last expires, and goes on with a database
// that was being started. After completion it does nothing.
func (s *Setup) Start(ctx context.Context) error {
	local, err := secret.OpenFileRoot(filepath.Join(s.cfg.DataDir, "keys", "local.key"))
	if err != nil {
		return err
	}
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.life != nil {
		s.mu.Unlock()
		return nil
	}
	s.local, s.closed = local, st.Complete
	s.life, s.stop = context.WithCancel(context.Background())
	life := s.life
	s.mu.Unlock()
	if st.Complete {
		return s.removeTokenFile()
	}
	if err := s.cfg.Apply(ctx, st.settings()); err != nil {
		return err
	}
	if err := s.issueToken(""); err != nil {
		return err
	}
	s.work.Go(func() { s.renewTokens(life) })
	if st.Database != nil {
		s.beginDatabase()
	}
	return nil
}

// Stop ends what runs in the background and voids the token. A second Stop, or
// one without Start, is fine.
func (s *Setup) Stop(ctx context.Context) error {
	s.mu.Lock()
	stop := s.stop
	s.stop, s.life, s.closed = nil, nil, true
	s.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	s.gate.void()
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
		return s.removeTokenFile()
	case <-ctx.Done():
		return errors.New("the first-run wizard did not stop in time: the database is still being started")
	}
}

// Ready is nil: a closed wizard is as good as an open one.
func (s *Setup) Ready(context.Context) error { return nil }

// Open tells whether the wizard can still be used.
func (s *Setup) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

var errClosed = fault.New(fault.NotFound, "There is nothing here.")

// Complete ends the wizard for ever. It is refused, with fault.Conflict, until
// every step is done and the recovery kit was proven.
func (s *Setup) Complete(ctx context.Context) error {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.Complete {
		return errClosed
	}
	for _, step := range s.stepsOf(st) {
		if !step.Done {
			return fault.New(fault.Conflict, "The step %q is not done yet.", step.Name)
		}
	}
	// Noted last: a crash before leaves a wizard that can be completed again.
	st.Complete = true
	if err := s.cfg.Apply(ctx, st.settings()); err != nil {
		return err
	}
	if err := s.cfg.Complete(ctx); err != nil {
		return err
	}
	if _, err := s.change(ctx, func(st *state) { st.Complete, st.Session = true, nil }); err != nil {
		return err
	}
	s.close()
	return s.removeTokenFile()
}

// close ends what a wizard needs, for good.
func (s *Setup) close() {
	s.gate.void()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.stop != nil {
		s.stop()
	}
}
