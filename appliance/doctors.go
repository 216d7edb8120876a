package appliance

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/doctor"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// rootless is the provider level.
var rootless = id.ID{}

// newDoctor makes what examines the appliance.
func (a *Appliance) newDoctor(c *Core) (*doctor.Service, error) {
	history, err := History()
	if err != nil {
		return nil, err
	}
	return doctor.New(doctor.Config{
		DB: c.DB, Audit: c.Audit, Logger: a.cfg.Logger, Authorise: c.atProvider, Temporal: c.client,
		Checks: a.checks(c, history), Support: a.support(c),
	}), nil
}

// checks are what is looked at while everything runs, in the order in which it
// is shown.
func (a *Appliance) checks(c *Core, history []db.Migration) []doctor.Check {
	trend := doctor.NewTrend(filepath.Join(a.cfg.DataDir, "disk-trend.json"))
	all := []doctor.Check{
		doctor.Disk("data", a.cfg.DataDir, trend), doctor.Memory(), doctor.Clock(a.started),
		doctor.Certificate(a.front.Certificate, func() string { return a.settings.Load().URL }, a.certificateRenews),
		doctor.Port(a.front.Addr, a.front.Fingerprint),
		doctor.Postgres(c.DB), doctor.Schema(c.DB, history), doctor.Backups(c.backups),
	}
	for _, p := range []struct{ name, absent, advice string }{
		{"temporal", "Temporal does not run here.", "Look at the log; the embedded server is started again by itself. An existing cluster has to be reachable at its address."},
		{"workers", "No workflows are picked up here.", "Restart Nimbus; when it comes back, make a support bundle."},
		{"valkey", "There is no cache here.", "The embedded one is started again by itself; an external one has to be reachable. Until then caches and browsers of other nodes lag behind."},
		{"pulumi", "Pulumi does not run here.", "Look at the log and at the free space of the data directory."},
		{"hsm", "No HSM is used: the root key is in a file of the data directory.", "Plug the token in, or look at its server. Nothing that is sealed can be opened until it is back; no restart is needed."},
	} {
		all = append(all, doctor.Part(p.name, doctor.Inside, p.absent, p.advice, func() func(context.Context) error { return a.running.ready(p.name) }))
	}
	return append(all, doctor.Checkpoints(c.Audit.Health), doctor.Verified(c.Audit.Health), doctor.Pruning(c.Audit.Withheld),
		doctor.Mail(c.Notification.Configured, c.Notification.Probe), doctor.Proxmox(c.clusters))
}

// clusters are the connections of all tenants with what their tokens lack.
func (c *Core) clusters(ctx context.Context) ([]doctor.Cluster, error) {
	tenants, err := c.DB.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	examined, err := c.Provider.Examine(ctx, tenants)
	all := make([]doctor.Cluster, len(examined))
	for i, e := range examined {
		all[i] = clusterOf(e)
	}
	return all, err
}

func clusterOf(e provider.Examined) doctor.Cluster {
	one := doctor.Cluster{ID: e.Connection.ID.String(), Name: e.Connection.Name, Status: string(e.Connection.Status), Detail: e.Connection.StatusDetail}
	for _, m := range e.Missing {
		one.Missing = append(one.Missing, m.Path+": "+m.Privilege)
	}
	if e.Err != nil {
		one.Error = sentence(e.Err)
	}
	return one
}

// support is what a support bundle holds.
func (a *Appliance) support(c *Core) doctor.BundleConfig {
	return doctor.BundleConfig{
		Version: a.cfg.Version, Started: a.started, Recent: a.recent,
		Settings: func() any { return a.shownSettings() },
		Health:   func(ctx context.Context) any { return a.health(ctx) },
		Secrets:  a.knownSecrets,
	}
}

// shownSettings are how the appliance is set up; secrets in it are masked by
// their names.
func (a *Appliance) shownSettings() any {
	return map[string]any{
		"data_dir": a.cfg.DataDir, "listen": a.cfg.Listen, "temporal_address": a.cfg.TemporalAddress, "valkey_url": a.cfg.ValkeyURL,
		"appliance": a.settings.Load(),
	}
}

// knownSecrets are those of this machine that can be told in clear, so that
// they are masked wherever they stand.
func (a *Appliance) knownSecrets(ctx context.Context) []string {
	var all []string
	s := a.settings.Load()
	for purpose, sealed := range map[string][]byte{sealedDSN: s.Database.DSN, "hsm pin": s.HSM.PIN} {
		if opened, err := a.OpenLocal(ctx, purpose, sealed); err == nil && len(sealed) > 0 {
			all = append(all, string(opened))
		}
	}
	if p, err := a.passwords(); err == nil {
		all = append(all, p.App, p.Owner)
	}
	return all
}

// backups tells how backups are.
func (c *Core) backups(ctx context.Context) (doctor.BackupState, error) {
	if c.BackupState == nil {
		return doctor.BackupState{}, nil
	}
	return c.BackupState(ctx)
}

// Examine looks at an appliance that does not run: at what can be seen without
// starting anything.
func Examine(ctx context.Context, cfg Config) doctor.Report {
	return doctor.Report{CheckedAt: time.Now().UTC(), Items: doctor.Examine(ctx, offline(cfg.DataDir, cfg.Listen))}
}

// offline are the checks of an appliance that does not run.
func offline(dir, listen string) []doctor.Check {
	return []doctor.Check{
		doctor.Disk("data", dir, nil), doctor.Memory(), doctor.Clock(time.Now()), doctor.FreePort(listen),
		doctor.StoredCertificate(filepath.Join(dir, "local", "tls", "server.pem")), doctor.Directory(dir),
	}
}

// SupportBundle writes a support bundle of an appliance that does not run.
func SupportBundle(ctx context.Context, cfg Config, w io.Writer) error {
	return doctor.WriteOffline(ctx, w, Examine(ctx, cfg), cfg.Version, map[string]any{
		"data_dir": cfg.DataDir, "listen": cfg.Listen, "temporal_address": cfg.TemporalAddress, "valkey_url": cfg.ValkeyURL,
	})
}
