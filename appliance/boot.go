package appliance

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	auditapi "nimbus/appliance/audit/api"
	"nimbus/appliance/backup"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/deployment"
	"nimbus/appliance/doctor"
	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/graph"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/node"
	"nimbus/appliance/notification"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/realtime"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
	"nimbus/embedded/postgres"
	"nimbus/embedded/pulumi"
	"nimbus/embedded/temporal"
	"nimbus/embedded/valkey"
)

// Core holds the services, lowest first.
type Core struct {
	DB           *db.DB
	Events       *event.Bus
	Shared       *node.Shared
	Keyring      *secret.Keyring
	Keys         tenancy.Keys
	Audit        *audit.Service
	Permissions  *permission.Service
	Tenants      *tenancy.Service
	Identity     *identity.Service
	Federation   *identity.Federation
	BreakGlass   *breakglass.Service
	Notification *notification.Service
	CMDB         *cmdb.Service
	Provider     *provider.Service
	Deployments  *deployment.Service
	Realtime     *realtime.Service
	Graph        *graph.Service
	Doctor       *doctor.Service
	Certificate  *certificate.Service

	// BackupState tells how backups are; nil where none are made.
	BackupState func(context.Context) (doctor.BackupState, error)
	Backups     *backup.Service

	api      *web.API
	engine   *pulumi.Engine
	temporal *temporal.Server
	client   sdk.Client
	booted   bool // everything is started
}

// Progress tells how far a long step is, in percent.
type Progress func(stage string, percent int)

// StartDatabase starts the embedded Postgres, or reaches the external server,
// and brings the schema up to date. Doing it again is quick.
func (a *Appliance) StartDatabase(ctx context.Context, progress Progress) error {
	a.bootMu.Lock()
	defer a.bootMu.Unlock()
	if err := a.dropOther(ctx); err != nil || a.core.Load() != nil {
		return err
	}
	a.database = a.settings.Load().Database
	d, history, early, err := a.openDatabase(ctx, progress)
	if err != nil {
		return err
	}
	progress("services", 90)
	core, err := a.build(ctx, d, history)
	if err == nil {
		err = a.share(ctx, core)
	}
	if err == nil {
		err = a.tellReturn(ctx, core)
	}
	if err != nil {
		d.Close()
		return err
	}
	a.tellEarly(ctx, core, early)
	a.core.Store(core)
	progress("done", 100)
	return nil
}

// dropOther leaves a database that was started before another one was chosen.
func (a *Appliance) dropOther(ctx context.Context) error {
	c := a.core.Load()
	if c == nil || c.Provider != nil || reflect.DeepEqual(a.database, a.settings.Load().Database) {
		return nil
	}
	a.core.Store(nil)
	c.DB.Close()
	if a.postgres == nil {
		return nil
	}
	err := a.running.stopOne(ctx, "postgres")
	a.postgres = nil
	return err
}

// openDatabase makes roles and the database where they are missing, and brings an
// earlier release's schema to this one, after a backup.
func (a *Appliance) openDatabase(ctx context.Context, progress Progress) (d *db.DB, history []db.Migration, early backup.Early, err error) {
	if history, err = History(); err != nil {
		return nil, nil, early, err
	}
	progress("starting Postgres", 10)
	admin, err := a.adminDSN(ctx)
	if err != nil {
		return nil, nil, early, err
	}
	passwords, err := a.passwords()
	if err != nil {
		return nil, nil, early, err
	}
	if early, err = a.backUpFirst(ctx, admin(db.Database), history, progress); err != nil {
		return nil, nil, early, err
	}
	progress("making roles and the database", 70)
	cfg, err := db.Bootstrap(ctx, admin("postgres"), passwords)
	if err != nil {
		return nil, nil, early, err
	}
	cfg.Logger = a.cfg.Logger
	if d, err = db.Open(ctx, cfg); err != nil {
		return nil, nil, early, err
	}
	progress("bringing the schema up to date", 80)
	err = a.noteUse(ctx)
	if err == nil {
		err = d.Migrate(ctx, history)
	}
	if err != nil {
		d.Close()
		return nil, nil, early, err
	}
	return d, history, early, nil
}

// adminDSN starts the embedded server unless an external one was chosen, and
// returns how an administrator reaches a database of it.
func (a *Appliance) adminDSN(ctx context.Context) (func(database string) string, error) {
	if a.cfg.DatabaseURL != "" {
		return externalDSN(a.cfg.DatabaseURL), nil
	}
	if s := a.settings.Load().Database; s.External {
		dsn, err := a.OpenLocal(ctx, sealedDSN, s.DSN)
		return externalDSN(string(dsn)), err
	}
	if a.postgres == nil {
		server := postgres.New(a.postgresConfig())
		if err := a.running.start(ctx, "postgres", subsystem{part: server}); err != nil {
			return nil, err
		}
		a.postgres = server
	}
	return a.postgres.AdminDSN, nil
}

// build makes the services that need the database only and brings what is
// stored to this release.
func (a *Appliance) build(ctx context.Context, d *db.DB, history []db.Migration) (*Core, error) {
	c := a.wire(d, history)
	if err := c.Tenants.Load(ctx); err != nil {
		return nil, err
	}
	return c, c.reseed(ctx)
}

func (a *Appliance) wire(d *db.DB, history []db.Migration) *Core {
	log := a.cfg.Logger
	events := event.NewBus(log)
	c := &Core{DB: d, Events: events, Shared: node.NewShared(d, events), Keys: tenancy.Keys{DB: d}}
	// Tenancy, audit and permission need one another: the two lower ones get
	// the upper ones' questions as functions.
	var check actor.Check = func(ctx context.Context, p string) error { return c.Permissions.Check(ctx, p) }
	isRoot := func(t id.ID) bool { return c.Tenants.IsRoot(t) }
	c.Audit = audit.New(audit.Config{DB: d, Logger: log, Check: check, Events: c.Events, IsRoot: isRoot,
		Keyring: func() *secret.Keyring { return c.Keyring }, Outbound: &web.Outbound{Allowed: a.outboundRanges}, Mail: c.mail,
		Dir: a.sharedDir(), Signer: a.auditSigner, TimeZone: c.timeZone, Insight: a.insight(c), Version: a.cfg.Version})
	c.Tenants = tenancy.New(c.tenancy(d, history, check, log))
	c.Permissions = permission.New(c.permission(isRoot, log))
	c.Identity = identity.New(identity.Config{DB: d, Audit: c.Audit, Permissions: c.Permissions, Events: c.Events, Logger: log,
		URL: func() string { return a.settings.Load().URL }, Keyring: func() *secret.Keyring { return c.Keyring },
		StepUpProviders: func(ctx context.Context) ([]identity.StepUpAtIdP, error) { return c.Federation.StepUpProviders(ctx) },
		SessionPolicy:   c.sessionPolicy, Policy: c.passwordPolicy, MFAPolicy: c.mfaPolicy, Reserve: c.reservePeople, Mail: c.mail,
		TenantForEmail: c.Tenants.TenantForEmail, Zone: c.timeZone})
	c.Notification = notification.New(notification.Config{DB: d, Audit: c.Audit, Logger: log, Check: check, IsRoot: isRoot,
		Keyring: func() *secret.Keyring { return c.Keyring }})
	c.CMDB = cmdb.New(cmdb.Config{DB: d, Audit: c.Audit, Check: check, Events: c.Events, Logger: log})
	return c
}

// mail sends a message for the domains below notification.
func (c *Core) mail(ctx context.Context, to []string, subject, text string) error {
	return c.Notification.Send(ctx, notification.Message{To: to, Subject: subject, Text: text})
}

// permission is what the permission engine asks the domains above and below it.
func (c *Core) permission(isRoot func(id.ID) bool, log *slog.Logger) permission.Config {
	return permission.Config{
		DB: c.DB, Audit: c.Audit, Events: c.Events, Logger: log, IsRoot: isRoot, Ancestors: c.Tenants.CompartmentPath,
		Keep: func(ctx context.Context, holder permission.Subject, role id.ID) error {
			return c.Identity.Keep(ctx, holder, role)
		},
		Groups: func(ctx context.Context, tenant id.ID, subject permission.Subject) ([]id.ID, error) {
			return c.Identity.GroupsOf(ctx, tenant, subject)
		},
		People: func(ctx context.Context, tenant id.ID) ([]permission.Subject, error) {
			return c.Identity.Everybody(ctx, tenant)
		},
		Names: func(ctx context.Context, tenant id.ID, subjects []permission.Subject) (map[permission.Subject]string, error) {
			all, err := c.Identity.Named(ctx, tenant, subjects)
			names := make(map[permission.Subject]string, len(all))
			for _, m := range all {
				names[permission.Subject{Kind: m.Kind, ID: m.ID}] = m.Name
			}
			return names, err
		},
	}
}

// reseed brings the system roles of every tenant to this release.
func (c *Core) reseed(ctx context.Context) error {
	tenants, err := c.DB.Tenants(ctx)
	for _, t := range tenants {
		if err == nil {
			err = c.Permissions.Seed(ctx, t)
		}
	}
	return err
}

// Boot brings up everything. The first run calls it as soon as the organisation
// is known; later starts call it at once. Doing it again does nothing. After an
// error the phase is what it was before.
func (a *Appliance) Boot(ctx context.Context) error {
	before := a.Phase()
	if err := a.bootAll(ctx); err != nil {
		a.enter(before)
		return err
	}
	a.enter("")
	return nil
}

func (a *Appliance) bootAll(ctx context.Context) error {
	if err := a.StartDatabase(ctx, a.advance); err != nil {
		return err
	}
	a.bootMu.Lock()
	defer a.bootMu.Unlock()
	c := a.core.Load()
	if c.booted {
		return nil
	}
	a.enter("opening the keys")
	if err := a.openKeyring(ctx, c); err != nil {
		return err
	}
	if a.settings.Load().Simulated {
		if err := a.startSimulator(ctx); err != nil {
			return err
		}
	}
	before := a.running.count()
	if err := a.startAll(ctx, c); err != nil {
		return errors.Join(err, a.startedHalf(ctx, c, before))
	}
	c.booted = true
	return nil
}

func (a *Appliance) startAll(ctx context.Context, c *Core) error {
	a.enter("starting Temporal")
	if err := a.startEmbedded(ctx, c); err != nil {
		return err
	}
	a.enter("starting services")
	return a.startServices(ctx, c)
}

// startedHalf stops what a boot that failed had started, so that the next one begins
// where it began.
func (a *Appliance) startedHalf(ctx context.Context, c *Core, before int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleStop)
	defer cancel()
	err := a.running.stopAfter(ctx, before)
	if c.client != nil {
		c.client.Close()
	}
	c.client, c.Provider = nil, nil
	return err
}

// openKeyring makes the keyring over the root key that was chosen and proves
// that it opens what is stored.
func (a *Appliance) openKeyring(ctx context.Context, c *Core) error {
	root, err := a.rootKey(ctx)
	if err != nil {
		return err
	}
	c.Keyring = secret.NewKeyring(root, c.Keys, a.escrow)
	signer, err := a.signer(ctx)
	if err != nil {
		return err
	}
	c.BreakGlass = a.newBreakGlass(c, signer)
	if _, err := c.Keyring.Derive(ctx, id.ID{}, "proof"); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "The root key does not open this appliance's secrets: %s", fault.Message(err))
	}
	return nil
}

// startEmbedded starts what runs inside us, side by side.
func (a *Appliance) startEmbedded(ctx context.Context, c *Core) error {
	admin, err := a.adminDSN(ctx)
	if err != nil {
		return err
	}
	log := a.cfg.Logger
	existing, err := a.cfg.Temporal.config(a.cfg.TemporalAddress)
	if err != nil {
		return err
	}
	existing.DSN, existing.Logger = admin, log
	c.temporal = temporal.New(existing)
	c.engine = pulumi.New(pulumi.Config{Dir: filepath.Join(a.sharedDir(), "pulumi"), Logger: log})
	vouch, err := authorities("valkey-tls-ca", a.cfg.ValkeyCA)
	if err != nil {
		return err
	}
	cache := valkey.New(valkey.Config{URL: a.cfg.ValkeyURL, RootCAs: vouch, Dir: filepath.Join(a.cfg.DataDir, "valkey"), Logger: log})
	var g errgroup.Group
	g.Go(func() error {
		return outside("The Temporal cluster at "+a.cfg.TemporalAddress, "temporal-…", a.running.start(ctx, "temporal", subsystem{part: c.temporal}))
	})
	g.Go(func() error { return a.running.start(ctx, "pulumi", subsystem{part: c.engine}) })
	g.Go(func() error {
		return outside("The Valkey server", "valkey-…", a.running.start(ctx, "valkey", subsystem{part: cache}))
	})
	if err := g.Wait(); err != nil {
		return err
	}
	nodes := newNodes(cache, c.Events, log)
	c.Events.Forward(nodes.send)
	if err := a.running.start(ctx, "events", subsystem{part: nodes}); err != nil || !a.external() {
		return err
	}
	return a.running.start(ctx, "shared", subsystem{part: newSharing(a, c)})
}

// dial returns a Temporal client that carries the actor and encrypts payloads.
func (c *Core) dial(ctx context.Context, metrics sdk.MetricsHandler) (sdk.Client, error) {
	payloads, failures := temporal.Converters(temporalKeys{c.Keyring})
	return c.temporal.Client(ctx, temporal.Options{
		DataConverter: payloads, FailureConverter: failures,
		ContextPropagators: []workflow.ContextPropagator{actor.Propagator(payloads)},
		MetricsHandler:     metrics,
	})
}

// startServices builds and starts what needs Temporal.
func (a *Appliance) startServices(ctx context.Context, c *Core) error {
	log := a.cfg.Logger
	client, err := c.dial(ctx, a.metrics.Temporal())
	if err != nil {
		return err
	}
	c.client = client
	c.Federation = a.newFederation(c)
	providers := provider.New(provider.Config{
		DB: c.DB, Audit: c.Audit, Check: c.Permissions.Check, CheckOn: c.Permissions.CheckOn, Events: c.Events, Keyring: c.Keyring, CMDB: c.CMDB,
		Open:     map[string]provider.Opener{provider.Proxmox: proxmox.Open},
		Temporal: client, IsRoot: c.Tenants.IsRoot, Logger: log,
	})
	if c.Deployments, err = a.newDeployments(c, providers, client); err != nil {
		return err
	}
	c.Realtime = a.newRealtime(c, providers)
	c.Graph = graph.New(graph.Settings{Audit: c.Audit, Events: c.Events, Logger: log, Record: auditapi.Trail(c.Audit).Record, Lives: c.lives})
	c.Certificate = a.newCertificate(c)
	if c.Doctor, err = a.newDoctor(c); err != nil {
		return err
	}
	c.Provider = providers
	c.Backups = a.newBackups(c)
	c.Backups.UseTemporal(client)
	c.BackupState = c.backupState
	if err := c.Backups.Settle(ctx); err != nil {
		return err
	}
	for _, p := range []subsystem{
		{"checkpoints", c.Audit.Checkpoints()},
		{"audit", c.Audit}, {"vitals", a.newVitals(c)}, {"audit-sinks", c.Audit.Deliverer()}, {"sessions", c.Identity}, {"break-glass", c.BreakGlass}, {"workers", newWorkers(c, a.tracer)}, {"clusters", c.Provider}, {"realtime", c.Realtime}, {"graphql", c.Graph}, {"backups", c.Backups},
	} {
		if p.name == "workers" && a.cfg.Role == Web {
			continue
		}
		if err := a.running.start(ctx, p.name, p); err != nil {
			return err
		}
	}
	c.Audit.UseTemporal(client)
	a.enter("setting schedules")
	if err := c.schedule(ctx); err != nil {
		return err
	}
	if err := c.Deployments.Resume(ctx); err != nil {
		log.Error("deployments that wait could not be resumed; the schedule tries again", "error", err)
	}
	return a.serveAPI(c)
}

// schedule makes the recurring tasks, or brings them to this release.
func (c *Core) schedule(ctx context.Context) error {
	schedules := c.client.ScheduleClient()
	for _, set := range []func() error{
		func() error { return audit.Schedule(ctx, schedules) },
		func() error { return deployment.Schedule(ctx, schedules) },
		func() error { return identity.ScheduleFederation(ctx, schedules, provider.TaskQueue) },
		func() error { return tenancy.Schedule(ctx, schedules) },
		func() error { return certificate.Schedule(ctx, schedules, provider.TaskQueue) },
		func() error { return c.Backups.Schedule(ctx) },
	} {
		if err := patiently(ctx, set); err != nil {
			return err
		}
	}
	return nil
}
