package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

// WithDatabase gives fn the services that need the database only, for commands
// on the machine. When the appliance runs its Postgres is used; otherwise
// Postgres is started for as long as fn takes.
func WithDatabase(ctx context.Context, cfg Config, fn func(ctx context.Context, c *Core) error) error {
	a := New(cfg)
	err := a.takeDirectory()
	if errors.Is(err, ErrInUse) {
		return a.borrow(ctx, fn)
	}
	if err != nil {
		return err
	}
	defer a.Stop(context.WithoutCancel(ctx))
	if err := a.openLocal(ctx); err != nil {
		return err
	}
	if err := a.StartDatabase(ctx, func(string, int) {}); err != nil {
		return err
	}
	return fn(ctx, a.core.Load())
}

// borrow reaches the database of the appliance that runs.
func (a *Appliance) borrow(ctx context.Context, fn func(ctx context.Context, c *Core) error) error {
	passwords, err := a.passwords()
	if err != nil {
		return err
	}
	port, err := os.ReadFile(filepath.Join(a.cfg.DataDir, "postgres", "port"))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The running appliance has no database yet, or an external one. Stop it and try again")
	}
	dsn := func(user, password string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%s dbname=%s user=%s password=%s sslmode=disable",
			strings.TrimSpace(string(port)), db.Database, user, password)
	}
	d, err := db.Open(ctx, db.Config{
		AppDSN: dsn("nimbus_app", passwords.App), OwnerDSN: dsn("nimbus_owner", passwords.Owner), MaxConns: 2, Logger: a.cfg.Logger,
	})
	if err != nil {
		return err
	}
	defer d.Close()
	history, err := History()
	if err != nil {
		return err
	}
	c := a.wire(d, history)
	if err := c.Tenants.Load(ctx); err != nil {
		return err
	}
	return fn(ctx, c)
}
