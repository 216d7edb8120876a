package appliance

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/backup"
	"nimbus/appliance/doctor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
	"nimbus/embedded/postgres"
)

// newBackups makes the service of backups over the database that is running.
func (a *Appliance) newBackups(c *Core) *backup.Service {
	return backup.New(backup.Config{
		Store: a.keeps(c), Audit: c.Audit, Events: c.Events, Logger: a.cfg.Logger, Check: c.atProvider,
		DataDir: a.cfg.DataDir, Version: a.cfg.Version, Reader: BackupReader(),
		Recipient: func() string { return a.settings.Load().Recovery },
		Name:      func() string { return a.settings.Load().Name },
		Zone:      a.zone,
		External:  a.external,
		Seal:      a.SealLocal, Open: a.OpenLocal,
		Base: a.baseBackup, System: a.databaseSystem, Snapshot: a.front.Snapshot,
		Heads: func(ctx context.Context) ([]backup.Head, error) { return headsOf(ctx, c.Audit) },
		Prove: a.Restorer().Prove, Log: a.databaseLog(),
	})
}

// backupState is how backups are, as the doctor wants to know it.
func (c *Core) backupState(ctx context.Context) (doctor.BackupState, error) {
	st, err := c.Backups.Standing(ctx)
	return doctor.BackupState(st), err
}

// zone is the appliance's time zone.
func (a *Appliance) zone() *time.Location {
	zone, err := time.LoadLocation(a.settings.Load().TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// BackupReader is what this release can restore.
func BackupReader() backup.Reader {
	r := backup.Reader{}
	r.Postgres, _, _ = strings.Cut(postgres.Version(), ".")
	if history, err := History(); err == nil && len(history) > 0 { // its files are part of the binary
		r.Schema = history[len(history)-1].Version
	}
	return r
}

// Restorer brings back an appliance into this one's data directory.
func (a *Appliance) Restorer() backup.Restorer {
	return backup.Restorer{DataDir: a.cfg.DataDir, Reader: BackupReader(), Logger: a.cfg.Logger, Prove: a.prove}
}

// Restorer is that of a data directory on which nothing runs.
func Restorer(cfg Config) backup.Restorer { return New(cfg).Restorer() }

// Restore brings an appliance back onto a data directory on which nothing runs.
// One that is not empty is refused with fault.Conflict, unless replace is set;
// what was there is then kept beside.
func Restore(ctx context.Context, cfg Config, q backup.Request, replace bool, report backup.Report) (backup.Proof, error) {
	empty, err := backup.Empty(cfg.DataDir)
	if err != nil {
		return backup.Proof{}, err
	}
	if !empty && !replace {
		return backup.Proof{}, fault.New(fault.Conflict, "The data directory %s is not empty. Name an empty one with --data-dir, or add --replace: what is there is kept in a folder beside.", cfg.DataDir)
	}
	a := New(cfg)
	if err := a.takeDirectory(); err != nil {
		return backup.Proof{}, err
	}
	proof, err := a.Restorer().Prepare(ctx, q, report)
	if err == nil {
		_, err = backup.Place(a.cfg.DataDir)
	}
	return proof, errors.Join(err, a.Stop(ctx))
}

// baseBackup copies the databases from the server that runs, be it ours or, on
// the console, that of the appliance beside us.
func (a *Appliance) baseBackup(ctx context.Context, emit backup.Emit) (backup.Base, error) {
	dsn, err := a.superuser()
	if err != nil {
		return backup.Base{}, err
	}
	base, err := postgres.BaseBackup(ctx, dsn, func(so postgres.Base, h *tar.Header, r io.Reader) error {
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		switch {
		case name == "" || name == ".":
			return nil
		case h.Typeflag == tar.TypeDir:
			return emit(so.Bytes, name, 0, nil)
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("the cluster has %s, which is neither a file nor a folder, and cannot be backed up", name)
		}
		return emit(so.Bytes, name, h.Size, r)
	})
	if err != nil {
		return backup.Base{}, fault.Wrap(fault.Unavailable, err, "The databases could not be copied: %s", err)
	}
	return backup.Base{
		Timeline: base.Timeline, StartLSN: base.StartLSN, EndLSN: base.EndLSN, SystemID: base.SystemID,
		StartWAL: base.StartWAL, EndWAL: base.EndWAL, Moment: base.Finished,
	}, nil
}

// databaseSystem identifies the cluster of the Postgres that runs on the data directory.
func (a *Appliance) databaseSystem(ctx context.Context) (string, error) {
	dsn, err := a.superuser()
	if err != nil {
		return "", err
	}
	return postgres.SystemID(ctx, dsn)
}

// superuser is the address of the Postgres that runs on the data directory.
func (a *Appliance) superuser() (string, error) {
	if a.postgres != nil {
		return a.postgres.AdminDSN("postgres"), nil
	}
	dsn, err := postgres.RunningDSN(filepath.Join(a.cfg.DataDir, "postgres"))
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "The running appliance has no database of its own that could be backed up.")
	}
	return dsn, nil
}

// databaseLog is how the log is taken from our Postgres.
func (a *Appliance) databaseLog() backup.Log {
	server := a.postgres
	if server == nil {
		return backup.Log{}
	}
	listed := func(list func() ([]postgres.Segment, error)) func() ([]backup.Segment, error) {
		return func() ([]backup.Segment, error) {
			found, err := list()
			all := make([]backup.Segment, len(found))
			for i, s := range found {
				all[i] = backup.Segment(s)
			}
			return all, err
		}
	}
	return backup.Log{
		Archive: server.Archive, Archiving: server.Archiving, Archived: listed(server.Archived), Histories: listed(server.Histories),
		Switch: server.SwitchLog, Fault: server.ArchiverFault,
	}
}

func headsOf(ctx context.Context, trail *audit.Service) ([]backup.Head, error) {
	found, err := trail.ChainHeads(ctx)
	all := make([]backup.Head, len(found))
	for i, h := range found {
		all[i] = backup.Head(h)
	}
	return all, err
}

// prove brings what was unpacked to its moment and checks it, as the appliance
// that it will be: the trail is whole and goes as far as it did, the root key
// opens the secrets, somebody can sign in.
func (a *Appliance) prove(ctx context.Context, t backup.Trial) (p backup.Proof, err error) {
	moment, err := a.recover(ctx, t)
	if err != nil {
		return p, err
	}
	in := New(Config{DataDir: t.Dir, Version: a.cfg.Version, Logger: a.cfg.Logger, RootKey: a.cfg.RootKey, NoBackup: true, Unsafe: true})
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleStop)
		defer cancel()
		err = errors.Join(err, in.Stop(stopping))
	}()
	ctx = actor.With(ctx, actor.Actor{Kind: actor.Console, Name: "restore"})
	c, err := in.openDatabaseOnly(ctx)
	if err != nil {
		return p, fault.Wrap(fault.Unprocessable, err, "What was restored does not start: %s", fault.Message(err))
	}
	if err := in.provesRoot(ctx, c, t); err != nil {
		return p, err
	}
	p, err = c.proof(ctx, t)
	p.Moment = moment
	return p, err
}

// recover starts Postgres once, so that it replays its log, and stops it. It returns
// the moment that came back.
func (a *Appliance) recover(ctx context.Context, t backup.Trial) (time.Time, error) {
	for _, needed := range []string{"keys/local.key", "keys/database.json", "postgres/password", "postgres/data/PG_VERSION", "local/pb/data.db"} {
		if _, err := os.Stat(filepath.Join(t.Dir, needed)); err != nil {
			return time.Time{}, fault.Wrap(fault.Unprocessable, err, "The backup is not whole: %s is missing.", needed)
		}
	}
	came, err := a.replay(ctx, t, t.Until)
	reached := err == nil && !t.Until.IsZero()
	if err != nil && strings.Contains(err.Error(), "recovery ended before configured recovery target was reached") {
		if t.Short {
			return time.Time{}, backup.ErrShort
		}
		// Nothing was committed between the moment and the end of the log: its end is
		// what comes back.
		came, err = a.replay(ctx, t, time.Time{})
	}
	if err != nil {
		return time.Time{}, fault.Wrap(fault.Unprocessable, err, "The restored databases do not start: %s", err)
	}
	switch last := latest(t.Manifest.Base.Moment, came.Commit); {
	case reached:
		return t.Until, nil
	case came.Segment < t.End: // of one timeline
		return time.Time{}, fault.New(fault.Unprocessable, "The log that follows the backup breaks off in %s: what comes then is damaged, or of another appliance. Nothing was touched. Ask for a moment before %s.", came.Segment, last.Format(time.RFC3339))
	default:
		return last, nil
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// replay starts Postgres until its log is replayed, and tells how far that came.
func (a *Appliance) replay(ctx context.Context, t backup.Trial, until time.Time) (came postgres.Replayed, err error) {
	server := postgres.New(postgres.Config{
		Dir: filepath.Join(t.Dir, "postgres"), Logger: a.cfg.Logger, Unsafe: true, Recover: &postgres.Recovery{Log: t.Log, Until: until},
	})
	if err = server.Start(ctx); err == nil {
		came, err = server.Replayed(ctx, t.Manifest.Base.Timeline)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleStop)
	defer cancel()
	return came, errors.Join(err, server.Stop(stopping))
}

func (c *Core) proof(ctx context.Context, t backup.Trial) (p backup.Proof, err error) {
	all, err := c.Audit.VerifyAll(ctx, audit.VerifyAllOptions{})
	if err != nil {
		return p, err
	}
	for _, v := range all {
		p.Chains++
		p.Records += v.Checked
		if !v.OK() {
			return p, fault.New(fault.Unprocessable, "The audit trail in the backup does not hold: record %d, %s.", v.Breaks[0].Sequence, v.Breaks[0].Detail)
		}
	}
	heads := make([]audit.ChainHead, len(t.Manifest.Heads))
	for i, h := range t.Manifest.Heads {
		heads[i] = audit.ChainHead(h)
	}
	if err := c.Audit.Includes(ctx, heads); err != nil {
		return p, err
	}
	tenants, err := c.DB.Tenants(ctx)
	if err != nil {
		return p, err
	}
	p.Tenants = len(tenants)
	p.People, err = c.Identity.CanSignIn(ctx)
	return p, err
}

// provesRoot proves that the root key opens the secrets. One that is lost is
// replaced: the recovery kit opens the data keys too. One in an HSM is not tried
// here, but when the appliance starts; it is replaced when that is asked for.
func (a *Appliance) provesRoot(ctx context.Context, c *Core, t backup.Trial) error {
	set := a.settings.Load()
	if set.HSM.Module != "" && !t.NewRootKey {
		return nil
	}
	root, err := a.plainRoot()
	if err != nil {
		return err
	}
	_, err = secret.NewKeyring(root, c.Keys, nil).Derive(ctx, id.ID{}, "proof")
	switch {
	case err == nil:
		return nil
	case t.Key == nil || t.Scratch:
		return fault.Wrap(fault.Unprocessable, err, "The root key in the backup does not open the secrets in it: %s", fault.Message(err))
	}
	if err := c.Keys.Rewrap(ctx, func(tenant id.ID, escrow []byte) (secret.WrappedKey, error) {
		return fromEscrow(ctx, root, tenant, escrow, t.Key)
	}); err != nil {
		return err
	}
	a.cfg.Logger.Warn("the root key of the backup is not here; the secrets are under a new one", "root", root.Name())
	return a.Change(ctx, func(s *Settings) { s.HSM = HSM{} })
}

// plainRoot is the root key that is handed over, or the one in the file.
func (a *Appliance) plainRoot() (secret.RootKey, error) {
	if a.cfg.RootKey != nil {
		return secret.GivenRoot(a.cfg.RootKey)
	}
	return secret.OpenFileRoot(filepath.Join(a.cfg.DataDir, "keys", "root.key"))
}

// fromEscrow opens a data key with the recovery kit and wraps it anew.
func fromEscrow(ctx context.Context, root secret.RootKey, tenant id.ID, escrow []byte, kit age.Identity) (secret.WrappedKey, error) {
	opened, err := age.Decrypt(bytes.NewReader(escrow), kit)
	if err != nil {
		return secret.WrappedKey{}, fault.Wrap(fault.Unprocessable, err, "The root key is not here, and this kit does not open the secrets in the backup either. Take the kit that was made last.")
	}
	plaintext, err := io.ReadAll(io.LimitReader(opened, secret.KeySize+1))
	if err != nil {
		return secret.WrappedKey{}, err
	}
	return secret.Rewrap(ctx, root, tenant, plaintext)
}
