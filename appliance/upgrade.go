package appliance

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// Upgrade says what brings the data of an earlier release to this one.
type Upgrade struct {
	Version string `json:"version"`
	// Database is what happens to the embedded server.
	Database postgres.UpgradePlan `json:"database"`
	// Migrations are the names of what the schema lacks, oldest first; Scopes says
	// how many schemas lack something.
	Migrations []string `json:"migrations"`
	Scopes     int      `json:"scopes"`
	// Backup is where a backup is made first: "none" when no target is set.
	Backup  string          `json:"backup,omitempty"`
	Problem string          `json:"problem"` // "" when it is possible
	Cause   error           `json:"-"`
	Kept    []postgres.Kept `json:"kept"` // clusters that earlier upgrades left
}

// offline takes the data directory without serving.
func (a *Appliance) offline(ctx context.Context) error {
	if err := a.takeDirectory(); err != nil {
		return err
	}
	return a.openLocal(ctx)
}

func (a *Appliance) postgresConfig() postgres.Config {
	return postgres.Config{Dir: filepath.Join(a.cfg.DataDir, "postgres"), Logger: a.cfg.Logger, Unsafe: a.cfg.Unsafe}
}

// CheckUpgrade looks what starting this release would change. It changes nothing;
// no appliance may run on the data directory. It returns ErrInUse when one does.
func (a *Appliance) CheckUpgrade(ctx context.Context) (Upgrade, error) {
	u := Upgrade{Version: a.cfg.Version}
	if err := a.offline(ctx); err != nil {
		return u, err
	}
	return a.checkUpgrade(ctx, u)
}

func (a *Appliance) checkUpgrade(ctx context.Context, u Upgrade) (_ Upgrade, err error) {
	cfg := a.postgresConfig()
	if !a.external() {
		if u.Database, err = postgres.PlanUpgrade(cfg); err != nil {
			return u, err
		}
		if u.Kept, err = postgres.KeptClusters(cfg.Dir); err != nil {
			return u, err
		}
	}
	if u.Database.From != "" {
		if problem := u.Database.Problem(); problem != nil {
			u.Problem, u.Cause = problem.Error(), problem
		}
		return u, nil // what the schema lacks is seen when the cluster can be started
	}
	admin, err := a.adminDSN(ctx)
	if err != nil {
		return u, err
	}
	if err := u.pending(ctx, admin(db.Database)); err != nil || len(u.Migrations) == 0 || a.external() {
		return u, err
	}
	u.Backup, err = a.newBackups(&Core{}).Place(ctx)
	return u, err
}

// pending fills in what the schema lacks, or why it cannot be brought forward.
func (u *Upgrade) pending(ctx context.Context, dsn string) error {
	applied, err := db.ReadAppliedAt(ctx, dsn)
	if err != nil {
		return err
	}
	history, err := History()
	if err != nil {
		return err
	}
	scopes, err := applied.Pending(history)
	if fault.Is(err, fault.Conflict) {
		u.Problem, u.Cause = fault.Message(err), err
		return nil
	}
	u.Scopes = len(scopes)
	for _, pending := range scopes {
		for _, m := range pending {
			u.Migrations = append(u.Migrations, m.Version+"_"+m.Name)
		}
	}
	slices.Sort(u.Migrations)
	u.Migrations = slices.Compact(u.Migrations)
	return err
}

// Upgrade brings the embedded cluster to this release's major version of Postgres,
// where it is of an earlier one, and then the schema to this release. What it needs
// first is checked first. It may be killed at any point and run again.
func (a *Appliance) Upgrade(ctx context.Context, progress Progress) (Upgrade, error) {
	u, err := a.CheckUpgrade(ctx)
	if err != nil {
		return u, err
	}
	if u.Problem != "" {
		return u, fault.Wrap(fault.Conflict, u.Cause, "%s", u.Problem)
	}
	if u.Database.From != "" {
		if u.Database, err = postgres.Upgrade(ctx, a.postgresConfig(), func(ctx context.Context, from, to postgres.DSN) error {
			return a.copyCluster(ctx, from, to, progress)
		}); err != nil {
			return u, fault.Wrap(fault.Unavailable, err, "The database could not be brought to Postgres %s; the old one is in use as before: %v", u.Database.To, err)
		}
	}
	return u, a.StartDatabase(ctx, progress)
}

// GiveUpOldClusters removes the clusters from before earlier upgrades for good.
func (a *Appliance) GiveUpOldClusters(ctx context.Context) ([]postgres.Kept, error) {
	if err := a.takeDirectory(); err != nil {
		return nil, err
	}
	return postgres.GiveUpKept(ctx, a.postgresConfig())
}

// copyCluster makes everything of one server on another, empty one: roles, schemas
// and privileges by this release's own migrations, up to where they were; rows by
// copy. What is different at the end is an error that names it.
func (a *Appliance) copyCluster(ctx context.Context, from, to postgres.DSN, progress Progress) error {
	if err := onlyOurs(ctx, from("postgres")); err != nil {
		return err
	}
	passwords, err := a.passwords()
	if err != nil {
		return err
	}
	progress("making the new schema", 5)
	found, err := a.rebuild(ctx, from, to, passwords)
	if err != nil {
		return err
	}
	others, err := temporal.Rebuild(ctx, from, to)
	if err != nil {
		return err
	}
	if found {
		others = append(others, db.Database)
	}
	for i, name := range others {
		step := func(done, all int, t transfer.Table) {
			progress(fmt.Sprintf("%s.%s: %d rows", t.Schema, t.Name, t.Rows), 10+(i*100+100*done/all)*85/100/len(others))
		}
		err := transfer.CopyDatabase(ctx, from(name), to(name), false, step)
		if err == nil {
			err = transfer.SameCatalog(ctx, from(name), to(name))
		}
		if err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
	}
	return nil
}

// rebuild makes the application's database as it is on the old server.
func (a *Appliance) rebuild(ctx context.Context, from, to postgres.DSN, passwords db.Passwords) (bool, error) {
	applied, err := db.ReadAppliedAt(ctx, from(db.Database))
	if err != nil || applied == nil {
		return false, err
	}
	history, err := History()
	if err != nil {
		return false, err
	}
	cfg, err := db.Bootstrap(ctx, to("postgres"), passwords)
	if err != nil {
		return false, err
	}
	cfg.Logger = a.cfg.Logger
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer d.Close()
	return true, d.Rebuild(ctx, applied, history)
}

// onlyOurs refuses a server with a database of somebody else, which nobody here
// knows how to make anew.
func onlyOurs(ctx context.Context, dsn string) error {
	all, err := transfer.Databases(ctx, dsn)
	foreign := slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains([]string{"postgres", db.Database, temporal.MainDatabase, temporal.VisibilityDatabase}, name)
	})
	if err == nil && len(foreign) > 0 {
		err = fmt.Errorf("the old server also has the databases %s, which Nimbus did not make: move them elsewhere and drop them", strings.Join(foreign, ", "))
	}
	return err
}
