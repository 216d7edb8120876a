package appliance

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nimbus/appliance/actor"
	auditapi "nimbus/appliance/audit/api"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// LocalSocket is where commands on this machine reach the appliance that runs
// on a data directory. Who can open it (root and the service's user) is the
// console, as who can read the data directory is anyway.
func LocalSocket(dataDir string) string { return filepath.Join(dataDir, "run", "nimbus.sock") }

// longestSocket is what fits into an address of the kernel.
const longestSocket = 107

// local serves the API to commands on this machine.
type local struct {
	appliance *Appliance

	mu     sync.Mutex
	server *http.Server
}

// Start listens. A socket that a killed process left is replaced: the lock of
// the data directory says that nobody else serves it.
func (l *local) Start(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		return nil
	}
	path := LocalSocket(l.appliance.cfg.DataDir)
	if len(path) > longestSocket {
		l.appliance.cfg.Logger.Warn("commands cannot reach this appliance: the path of its data directory is too long for a socket", "path", path)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("the socket for commands cannot be made: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	logger := l.appliance.cfg.Logger
	l.server = &http.Server{
		Handler: web.Chain(l.appliance.localHandler(), web.Identify, web.Recover(logger)), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(os.Stderr, "", 0),
	}
	go func(s *http.Server) { _ = s.Serve(listener) }(l.server)
	return nil
}

// Ready is always nil: commands say themselves when they do not get through.
func (l *local) Ready(context.Context) error { return nil }

// Stop ends what commands are at.
func (l *local) Stop(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil {
		return nil
	}
	err := l.server.Close()
	l.server = nil
	return err
}

// localHandler serves the routes of the API for the console.
func (a *Appliance) localHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		c := a.core.Load()
		if c == nil || a.api.Load() == nil {
			web.Fail(w, r, fault.New(fault.Unavailable, "Nimbus is not set up yet, or it is starting."))
			return
		}
		r.RemoteAddr = "console"
		web.Chain(c.api, c.api.Recorded(auditapi.Trail(c.Audit)), web.Authenticated(byConsole)).ServeHTTP(w, r)
	})
	return mux
}

// SudoHeader names who ran a command through sudo, as the command says.
const SudoHeader = "Nimbus-Sudo-User"

func byConsole(r *http.Request) (actor.Actor, bool, error) {
	return actor.Claiming(r.Header.Get(SudoHeader)), true, nil
}
