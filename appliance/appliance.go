// Package appliance is the composition root: it builds every service by hand,
// lowest first, starts them in order and stops them in reverse. It knows all
// domains and no domain knows it.
//
// An appliance lives in two steps. Open serves the port and the local store;
// that is all the first-run wizard needs. Boot brings up everything else with
// the settings that the wizard decided.
package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nimbus/appliance/backup"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/doctor"
	"nimbus/appliance/doctor/metrics"
	"nimbus/appliance/doctor/trace"
	"nimbus/appliance/fault"
	"nimbus/appliance/provider/proxmox/pvesim"
	"nimbus/appliance/secret"
	"nimbus/appliance/web"
	"nimbus/embedded/pocketbase"
	"nimbus/embedded/postgres"
	"nimbus/ui"
)

// Config says where and how to run. DataDir is required.
type Config struct {
	DataDir         string
	Listen          string // host:port of the one port
	TemporalAddress string // an existing cluster instead of the embedded server
	Temporal        TemporalAccess
	ValkeyURL       string // an external server instead of the embedded one
	ValkeyCA        string // file with who may vouch for it; empty is the system's choice
	DatabaseURL     string // an external server instead of the one that the first run chose
	Role            Role   // empty is All
	// SharedDir holds files that every node needs: the state of stacks and finished
	// exports. Empty is DataDir.
	SharedDir string
	Version   string
	Logger    *slog.Logger
	// RootKey is the root key when it is handed over at each start instead of
	// lying in the data directory, and PIN that of the HSM.
	RootKey []byte
	PIN     string
	// NoBackup lets an upgrade go on without a backup first.
	NoBackup bool
	// Unsafe turns off fsync, for tests.
	Unsafe bool
}

// Appliance is the whole product in one process.
type Appliance struct {
	cfg     Config
	started time.Time
	lock    *os.File
	local   *secret.FileRoot

	front     *pocketbase.Server
	postgres  *postgres.Server
	database  Database // the one that was started
	simulator *pvesim.Cluster
	settings  atomic.Pointer[Settings]
	hsm       *hsm.Token
	setup     atomic.Pointer[http.Handler]
	api       atomic.Pointer[http.Handler]
	core      atomic.Pointer[Core]
	metrics   *metrics.Metrics
	recent    *doctor.Recent
	early     setupTrail
	phase     atomic.Pointer[string]
	tracer    *trace.Tracer // nil without a collector

	running running
	bootMu  sync.Mutex
}

// New returns an appliance that is not started. It touches nothing.
func New(cfg Config) *Appliance {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	recent := doctor.NewRecent()
	cfg.Logger = recent.Wrap(cfg.Logger)
	a := &Appliance{cfg: cfg, started: time.Now(), recent: recent}
	a.metrics = metrics.New(metrics.Config{Version: cfg.Version, Look: a.look})
	return a
}

// ErrInUse is returned when another appliance runs on the data directory.
var ErrInUse = errors.New("another Nimbus runs on this data directory")

// Open takes the data directory, opens the local store and serves the port.
// It returns ErrInUse at once when another process has the directory.
func (a *Appliance) Open(ctx context.Context) error {
	if err := a.cfg.CheckRole(); err != nil {
		return err
	}
	a.enter("opening the data directory")
	if err := a.takeDirectory(); err != nil {
		return err
	}
	if err := a.openLocal(ctx); err != nil {
		return err
	}
	if err := a.startTracing(ctx); err != nil {
		return err
	}
	a.front.SetHandler(a.handler())
	if err := a.running.start(ctx, "commands", subsystem{part: &local{appliance: a}}); err != nil {
		return err
	}
	return a.running.start(ctx, "web", subsystem{part: a.front})
}

// openLocal opens the local key and the local store, without serving.
func (a *Appliance) openLocal(ctx context.Context) error {
	local, err := secret.OpenFileRoot(filepath.Join(a.cfg.DataDir, "keys", "local.key"))
	if err != nil {
		return err
	}
	a.local = local
	a.front = pocketbase.New(pocketbase.Config{
		Dir: filepath.Join(a.cfg.DataDir, "local"), Listen: a.cfg.Listen, Static: ui.FS(), Logger: a.cfg.Logger,
	})
	if err := a.front.OpenStore(); err != nil {
		return err
	}
	s, err := a.Settings(ctx)
	a.settings.Store(&s)
	if err != nil {
		return err
	}
	return a.adopt(ctx)
}

// takeDirectory makes the data directory and locks it; the kernel gives the
// lock free when the process ends, however it ends.
func (a *Appliance) takeDirectory() error {
	if a.cfg.DataDir == "" {
		return fault.New(fault.Invalid, "Name the data directory with --data-dir.")
	}
	dir, err := filepath.Abs(a.cfg.DataDir)
	if err != nil {
		return err
	}
	a.cfg.DataDir = dir
	// Other users may pass through to the Postgres files below, not read.
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o711); err != nil {
		return fmt.Errorf("the data directory cannot be used: %w", err)
	}
	if err := os.Chmod(filepath.Join(dir, "keys"), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	a.lock = lock
	if _, err := os.Stat(filepath.Join(dir, resetMarker)); err == nil {
		return errHalfReset
	}
	if _, err := os.Stat(filepath.Join(dir, joinMarker)); err == nil {
		return errHalfJoin
	}
	placed, err := backup.Place(dir)
	if placed {
		a.cfg.Logger.Info("what was restored is in place", "dir", dir)
	}
	return err
}

// Stop ends everything, the last started first. A second Stop does nothing.
func (a *Appliance) Stop(ctx context.Context) error {
	err := a.running.stop(ctx)
	if c := a.core.Swap(nil); c != nil {
		c.DB.Close()
	}
	if a.tracer.Stop(ctx) != nil {
		a.cfg.Logger.Warn("the last spans did not reach the collector")
	}
	if a.front != nil {
		err = errors.Join(err, a.front.Stop(ctx)) // also when it only had its store open
	}
	if a.lock != nil {
		a.lock.Close()
		a.lock = nil
	}
	return err
}

// Front is the web server and local store.
func (a *Appliance) Front() *pocketbase.Server { return a.front }

// Core returns the services, or nil before Boot.
func (a *Appliance) Core() *Core { return a.core.Load() }

// SetSetup sets what serves /v1/setup; nil closes it for ever.
func (a *Appliance) SetSetup(h http.Handler) {
	if h == nil {
		a.setup.Store(nil)
		return
	}
	a.setup.Store(&h)
	a.enter("waiting for the first run")
}

// Routes is the table of all routes; empty before Boot.
func (a *Appliance) Routes() []web.Route {
	if c := a.core.Load(); c != nil && c.api != nil {
		return c.api.Routes()
	}
	return nil
}

// DataDir is the absolute path of the data directory.
func (a *Appliance) DataDir() string { return a.cfg.DataDir }

// sentence is what an operator may read about an error of a part.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}
