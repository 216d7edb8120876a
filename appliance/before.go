package appliance

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/backup"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// backUpFirst makes a backup before the schema of an earlier release is brought
// forward. Where no target is set it says so and lets the upgrade go on; where one
// is set and does not take the backup, nothing is changed.
func (a *Appliance) backUpFirst(ctx context.Context, dsn string, history []db.Migration, progress Progress) (backup.Early, error) {
	applied, err := db.ReadAppliedAt(ctx, dsn)
	if err != nil || len(applied[db.CoreSchema]) == 0 {
		return backup.Early{}, err
	}
	pending, err := applied.Pending(history)
	if err != nil || len(pending) == 0 {
		return backup.Early{}, err
	}
	var early backup.Early
	switch {
	case a.external():
		early = backup.Skip("the databases lie on a server of your own, whose own tools back them up")
	case a.cfg.NoBackup:
		early = backup.Skip("it was not wanted (--no-backup)")
	default:
		early, err = a.earlyBackup(ctx, applied, progress)
	}
	if err != nil {
		return early, fault.Wrap(fault.Unavailable, err, "The backup before the upgrade failed, and nothing was changed: %s Mend that and start again, or go on without one by `nimbus upgrade --no-backup`.", fault.Message(err))
	}
	if early.Skipped != "" {
		a.cfg.Logger.Warn("THE DATA IS BROUGHT TO THIS RELEASE WITHOUT A BACKUP", "why", early.Skipped, "migrations in schemas", len(pending))
		progress("no backup is made first: "+early.Skipped, 60)
	}
	return early, nil
}

// earlyBackup makes the backup as the release that left the data would have: a
// release that can read it can restore it.
func (a *Appliance) earlyBackup(ctx context.Context, applied db.Applied, progress Progress) (backup.Early, error) {
	before, err := a.lifeBefore()
	if err != nil {
		return backup.Early{}, err
	}
	s := a.newBackups(&Core{Events: event.NewBus(a.cfg.Logger)})
	s.Heads = func(context.Context) ([]backup.Head, error) { return nil, nil } // this release does not read that schema
	s.Reader.Schema = applied.Newest()
	served := time.Time{}
	if before != nil {
		s.Version, served = before.Version, before.StartedAt
	}
	a.cfg.Logger.Info("making a backup before the data is brought to this release")
	return s.BeforeUpgrade(actor.AsSystem(ctx, "upgrade", id.ID{}), served, func(stage string, percent int) {
		progress("backup first: "+stage, 50+percent/5)
	})
}

// lifeBefore is what the data directory remembers of the newest start.
func (a *Appliance) lifeBefore() (*life, error) {
	return (&vitals{dir: a.cfg.DataDir, version: a.cfg.Version}).read()
}

// tellEarly records what became of the backup before an upgrade, now that the
// databases take records.
func (a *Appliance) tellEarly(ctx context.Context, c *Core, early backup.Early) {
	for _, e := range early.Records {
		if err := c.Audit.RecordAlone(actor.AsSystem(ctx, "upgrade", id.ID{}), id.ID{}, e); err != nil {
			a.cfg.Logger.Error("what became of the backup before the upgrade could not be recorded", "event", e.Event, "error", err)
		}
	}
}
