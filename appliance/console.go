package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

// Console gives the services that need the database only, for commands on the
// machine, and what closes them again. When the appliance runs its Postgres is
// used; otherwise Postgres is started until close.
func Console(ctx context.Context, cfg Config) (c *Core, done func(), err error) {
	_, c, done, err = console(ctx, cfg)
	return c, done, err
}

func console(ctx context.Context, cfg Config) (a *Appliance, c *Core, done func(), err error) {
	a = New(cfg)
	done = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleStop)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			a.cfg.Logger.Error("the database did not stop cleanly", "error", err)
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	if c, err = a.openDatabaseOnly(ctx); err != nil {
		return a, nil, done, err
	}
	signer, err := a.signer(ctx)
	c.BreakGlass = a.newBreakGlass(c, signer)
	c.Backups = a.newBackups(c)
	return a, c, done, err
}

// openDatabaseOnly opens the local store and the database, and nothing else.
func (a *Appliance) openDatabaseOnly(ctx context.Context) (*Core, error) {
	err := a.takeDirectory()
	running := errors.Is(err, ErrInUse)
	if err != nil && !running {
		return nil, err
	}
	if err := a.openLocal(ctx); err != nil {
		return nil, err
	}
	if running {
		return a.borrow(ctx)
	}
	if err := a.StartDatabase(ctx, func(string, int) {}); err != nil {
		return nil, err
	}
	return a.core.Load(), nil
}

// consoleStop is how long what a command started may take to stop.
const consoleStop = 20 * time.Second

// borrow reaches the database of the appliance that runs.
func (a *Appliance) borrow(ctx context.Context) (*Core, error) {
	passwords, err := a.passwords()
	if err != nil {
		return nil, err
	}
	cfg, err := a.databaseOfRunning(ctx, passwords)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.Logger = 2, a.cfg.Logger
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	history, err := History()
	if err != nil {
		return nil, err
	}
	c := a.wire(d, history)
	a.core.Store(c)
	return c, c.Tenants.Load(ctx)
}

// databaseOfRunning is where the appliance that runs has its database.
func (a *Appliance) databaseOfRunning(ctx context.Context, p db.Passwords) (db.Config, error) {
	if a.external() {
		admin, err := a.adminDSN(ctx)
		if err != nil {
			return db.Config{}, err
		}
		return db.Bootstrap(ctx, admin("postgres"), p)
	}
	port, err := os.ReadFile(filepath.Join(a.cfg.DataDir, "postgres", "port"))
	if err != nil {
		return db.Config{}, fault.Wrap(fault.Unavailable, err, "The running appliance has no database yet. Try again when it has started")
	}
	dsn := func(user, password string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%s dbname=%s user=%s password=%s sslmode=disable",
			strings.TrimSpace(string(port)), db.Database, user, password)
	}
	return db.Config{AppDSN: dsn("nimbus_app", p.App), OwnerDSN: dsn("nimbus_owner", p.Owner)}, nil
}
