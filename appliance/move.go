package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
	"nimbus/embedded/valkey"
)

// MoveReport is what a move to services outside found, did and proved.
type MoveReport struct {
	Version string          `json:"version"`
	From    string          `json:"from"` // the data directory
	To      string          `json:"to"`   // host:port of the server
	Bytes   int64           `json:"bytes"`
	Checks  []db.ProbeCheck `json:"checks"`
	Problem string          `json:"problem"` // "" when it is possible
	// Databases, Chains and Files are what is the same on both sides.
	Databases []MovedDatabase   `json:"databases,omitempty"`
	Chains    []audit.ChainHead `json:"chains,omitempty"`
	Records   int64             `json:"records,omitempty"` // of the chains, verified in the new database
	People    int               `json:"people,omitempty"`  // who can sign in there
	Files     *MovedFiles       `json:"files,omitempty"`
	Moved     bool              `json:"moved"`
}

// MovedDatabase is one database with every table as both sides hold it.
type MovedDatabase struct {
	Name   string           `json:"name"`
	Rows   int64            `json:"rows"`
	Tables []transfer.Table `json:"tables"`
}

// mover is one run of a move.
type mover struct {
	*Appliance
	to         Outside
	from, into func(database string) string // addresses of the administrators
	core       *Core                        // over the old databases
	report     MoveReport
	progress   Progress
	ours       bool // what is on the target is of a move that was proved and not touched since
}

// CheckMove looks whether the appliance can move, and changes nothing. It returns
// ErrInUse while one runs on the data directory, and fault.Conflict when it does
// not live on its own services. What else is in the way is in the report.
func (a *Appliance) CheckMove(ctx context.Context, to Outside) (MoveReport, error) {
	m, err := a.newMover(ctx, to, func(string, int) {})
	return m.report, err
}

// MoveOut copies all databases, and the files that other nodes need, to services
// outside, proves that nothing is missing, and then switches the settings in one
// step. Until then the appliance is as it was; it may be killed at any point and
// run again. What was there is kept: see MoveBack and ForgetOld.
func (a *Appliance) MoveOut(ctx context.Context, to Outside, progress Progress) (MoveReport, error) {
	m, err := a.newMover(ctx, to, progress)
	if err != nil {
		return m.report, err
	}
	if m.report.Problem != "" {
		return m.report, fault.New(fault.Conflict, "%s", m.report.Problem)
	}
	for _, step := range []func(context.Context) error{m.begin, m.makeSchemas, m.copyRows, m.copyFiles, m.compare, m.verify, m.conclude} {
		if err := step(ctx); err != nil {
			return m.report, fault.Wrap(fault.KindOf(err), err, "The move stopped, and the appliance is as it was: %s", sentence(err))
		}
	}
	return m.report, nil
}

// newMover takes the appliance, starts its database and examines the target.
func (a *Appliance) newMover(ctx context.Context, to Outside, progress Progress) (*mover, error) {
	m := &mover{Appliance: a, to: to, into: externalDSN(to.DatabaseURL), progress: progress}
	m.report = MoveReport{Version: a.cfg.Version, To: db.Address(to.DatabaseURL)}
	if to.DatabaseURL == "" {
		return m, fault.New(fault.Invalid, "Name the Postgres server that shall take the databases, with database-url.")
	}
	var err error
	if m.to, err = to.absolute(); err != nil {
		return m, err
	}
	if err := a.offline(ctx); err != nil {
		return m, err
	}
	m.report.From = a.cfg.DataDir
	if a.external() {
		return m, fault.New(fault.Conflict, "The databases of this appliance lie on a server outside already.")
	}
	if err := m.current(ctx); err != nil {
		return m, err
	}
	if m.from, err = a.adminDSN(ctx); err != nil {
		return m, err
	}
	return m, m.examine(ctx)
}

// current refuses data that this release would have to bring forward first.
func (m *mover) current(ctx context.Context) error {
	u, err := m.checkUpgrade(ctx, Upgrade{})
	switch {
	case err != nil:
		return err
	case u.Problem != "":
		return fault.Wrap(fault.Conflict, u.Cause, "%s", u.Problem)
	case u.Database.From != "" || len(u.Migrations) > 0:
		return fault.New(fault.Conflict, "The data is of an earlier release. Run `nimbus upgrade` first, look that all is well, and move then.")
	}
	return nil
}

// databases that move: without Temporal's where a cluster outside takes over.
func (m *mover) databases() []string {
	if m.to.TemporalAddress != "" || m.cfg.TemporalAddress != "" {
		return []string{db.Database}
	}
	return []string{db.Database, temporal.MainDatabase, temporal.VisibilityDatabase}
}

// examine tries everything that the appliance is to use.
func (m *mover) examine(ctx context.Context) error {
	n := db.Needs{Databases: m.databases(), Extensions: temporal.Extensions, Connections: db.Connections + temporal.Connections, Move: m.unfinished()}
	present, err := m.present(ctx)
	if err != nil {
		return err
	}
	sized := db.Needs{Databases: present}
	if err := sized.Measure(ctx, m.from); err != nil {
		return err
	}
	n.Bytes, n.Relations = sized.Bytes, sized.Relations
	if n.Ours, err = m.untouched(ctx); err != nil {
		return err
	}
	m.ours = n.Ours
	r, err := db.ExamineTarget(ctx, m.to.DatabaseURL, n)
	if err != nil {
		return err
	}
	m.report.Bytes, m.report.Checks = n.Bytes, r.Checks
	m.examineTemporal(ctx)
	m.examineValkey(ctx)
	m.examineFiles()
	for _, c := range m.report.Checks {
		if !c.OK && m.report.Problem == "" {
			m.report.Problem = c.Message
		}
	}
	return nil
}

// present are those of the databases that there are here.
func (m *mover) present(ctx context.Context) ([]string, error) {
	all, err := transfer.Databases(ctx, m.from("postgres"))
	return slices.DeleteFunc(m.databases(), func(name string) bool { return !slices.Contains(all, name) }), err
}

func (m *mover) check(name string, ok bool, format string, args ...any) {
	m.report.Checks = append(m.report.Checks, db.ProbeCheck{Name: name, OK: ok, Message: fmt.Sprintf(format, args...)})
}

// examineTemporal tries a cluster that is to take over. Workflows cannot move
// there, so none may be under way.
func (m *mover) examineTemporal(ctx context.Context) {
	if m.to.TemporalAddress == "" {
		m.check("temporal", true, "Temporal stays as it is; where it runs inside, its workflows move with its databases.")
		return
	}
	if m.cfg.TemporalAddress == "" {
		m.examineWorkflows(ctx)
	}
	cfg, err := m.to.Temporal.config(m.to.TemporalAddress)
	if err == nil {
		err = outside("The Temporal cluster at "+m.to.TemporalAddress, "temporal-…", temporal.Probe(ctx, cfg))
	}
	if err != nil {
		m.check("temporal", false, "%s", sentence(err))
		return
	}
	m.check("temporal", true, "The Temporal cluster at %s lets us in.", m.to.TemporalAddress)
}

func (m *mover) examineWorkflows(ctx context.Context) {
	open, err := temporal.OpenWorkflows(ctx, m.from)
	switch {
	case err != nil:
		m.check("workflows", false, "The workflows of the embedded Temporal cannot be read: %v", err)
	case len(open) > 0:
		m.check("workflows", false, "%d workflows are under way (the first is %s), and workflows cannot move to another cluster. Start the appliance and let them end or cancel them, or leave temporal-address out: then they move with Temporal's databases.", len(open), open[0])
	default:
		m.check("workflows", true, "No workflow is under way.")
	}
}

func (m *mover) examineValkey(ctx context.Context) {
	if m.to.ValkeyURL == "" {
		m.check("valkey", true, "The cache stays inside; nothing in it has to move.")
		return
	}
	vouch, err := authorities("valkey-tls-ca", m.to.ValkeyCA)
	if err == nil {
		cache := valkey.New(valkey.Config{URL: m.to.ValkeyURL, RootCAs: vouch, Logger: m.cfg.Logger})
		err = outside("The Valkey server", "valkey-…", cache.Start(ctx))
		err = errors.Join(err, cache.Stop(ctx))
	}
	if err != nil {
		m.check("valkey", false, "%s", sentence(err))
		return
	}
	m.check("valkey", true, "The Valkey server answers; nothing has to move there.")
}

// unfinished is the move to this target that was begun and not proved.
func (m *mover) unfinished() string {
	if s := m.settings.Load().Move; s != nil && s.Target == m.report.To && s.Sums == nil {
		return s.ID
	}
	return ""
}

// untouched is true when a move to this target was proved before and nothing was
// written there since.
func (m *mover) untouched(ctx context.Context) (bool, error) {
	s := m.settings.Load().Move
	if s == nil || s.Target != m.report.To || s.Sums == nil {
		return false, nil
	}
	now, err := sumsOf(ctx, m.owner(m.into), databasesIn(s.Sums))
	if err != nil {
		return false, nil //nolint:nilerr // the examination that follows says what is wrong
	}
	return maps.Equal(now, s.Sums), nil
}

// begin remembers the move here and marks the target as its own.
func (m *mover) begin(ctx context.Context) error {
	if err := m.StartDatabase(ctx, func(string, int) {}); err != nil {
		return err
	}
	m.core = m.Appliance.core.Load()
	move := Move{ID: id.New().String(), Target: m.report.To, Began: time.Now().UTC()}
	if !m.filesStay() {
		move.Files = m.to.SharedDir
	}
	if known := m.settings.Load().Move; known != nil && (m.ours || known.ID == m.unfinished()) {
		move.ID, move.Began, move.Returned = known.ID, known.Began, known.Returned
	}
	if m.ours { // it bears no mark, and needs none while its sums are known
		if err := db.MarkTarget(ctx, m.into("postgres"), move.ID); err != nil {
			return err
		}
	}
	if err := m.Change(ctx, func(s *Settings) { s.Move = &move }); err != nil {
		return err
	}
	m.progress("marking the server", 1)
	return db.MarkTarget(ctx, m.into("postgres"), move.ID)
}

// makeSchemas makes roles, schemas and privileges on the target, as they are here.
func (m *mover) makeSchemas(ctx context.Context) error {
	m.progress("making roles and schemas", 2)
	passwords, err := m.passwords()
	if err != nil {
		return err
	}
	cfg, err := db.Bootstrap(ctx, m.into("postgres"), passwords)
	if err != nil {
		return err
	}
	cfg.Logger = m.cfg.Logger
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := m.rebuildThere(ctx, d); err != nil || len(m.databases()) == 1 {
		return err
	}
	_, err = temporal.Rebuild(ctx, m.from, m.into)
	return err
}

// rebuildThere makes the schemas of all tenants, and removes those of tenants that
// are gone here since a run before made them.
func (m *mover) rebuildThere(ctx context.Context, d *db.DB) error {
	applied, err := db.ReadAppliedAt(ctx, m.from(db.Database))
	if err != nil {
		return err
	}
	there, err := db.ReadAppliedAt(ctx, m.into(db.Database))
	if err != nil {
		return err
	}
	history, err := History()
	if err != nil {
		return err
	}
	for scope := range there {
		if _, wanted := applied[scope]; wanted || scope == db.CoreSchema {
			continue
		}
		tenant, err := id.Parse(strings.TrimPrefix(scope, "tenant_"))
		if err == nil {
			err = d.DropTenant(ctx, tenant)
		}
		if err != nil {
			return err
		}
	}
	return d.Rebuild(ctx, applied, history)
}

// owner is how the tables of a server's databases are read and written: the
// application's as who owns them, whatever the administrator may.
func (a *Appliance) owner(admin func(database string) string) func(database string) string {
	return func(database string) string {
		passwords, err := a.passwords()
		if database != db.Database || err != nil {
			return admin(database)
		}
		cfg, err := db.Logins(admin("postgres"), passwords)
		if err != nil {
			return admin(database)
		}
		return cfg.OwnerDSN
	}
}

func (m *mover) copyRows(ctx context.Context) error {
	return m.each(ctx, 5, 60, "copying ", func(name, into string, step transfer.Progress) error {
		return transfer.CopyDatabase(ctx, m.from(name), into, true, step)
	})
}

// compare reads everything on both sides again.
func (m *mover) compare(ctx context.Context) error {
	m.report.Databases = nil
	return m.each(ctx, 65, 90, "comparing ", func(name, into string, step transfer.Progress) error {
		tables, err := transfer.Compare(ctx,
			transfer.Place{DSN: m.from(name), Admin: db.Login(m.from(name))}, transfer.Place{DSN: into, Admin: db.Login(m.to.DatabaseURL)}, step)
		moved := MovedDatabase{Name: name, Tables: tables}
		for _, t := range tables {
			moved.Rows += t.Rows
		}
		m.report.Databases = append(m.report.Databases, moved)
		return err
	})
}

// each runs fn on every database that there is, and tells how far it is.
func (m *mover) each(ctx context.Context, begin, end int, what string, fn func(name, into string, step transfer.Progress) error) error {
	names, err := m.present(ctx)
	if err != nil {
		return err
	}
	for i, name := range names {
		err := fn(name, m.owner(m.into)(name), func(done, all int, t transfer.Table) {
			part := i*100 + 100*done/all
			m.progress(fmt.Sprintf("%s%s.%s.%s: %d rows", what, name, t.Schema, t.Name, t.Rows), begin+part*(end-begin)/100/len(names))
		})
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "%sthe database %s failed: %v", what, name, err)
		}
	}
	return nil
}

// MoveBack makes the appliance's own services its own again, as long as nothing
// was written on the new place: that is, before the appliance was started there.
// It returns fault.Conflict when something was.
func (a *Appliance) MoveBack(ctx context.Context) error {
	if err := a.offline(ctx); err != nil {
		return err
	}
	move := a.settings.Load().Move
	if move == nil || move.Done == nil {
		return fault.New(fault.Conflict, "This appliance did not move, so there is nothing to return from.")
	}
	if a.cfg.DatabaseURL != "" {
		return fault.New(fault.Conflict, "The setting database-url names the server to use and counts more than a return. Take it out of nimbus.yaml and the environment first.")
	}
	if err := a.mayReturn(ctx, *move); err != nil {
		return err
	}
	if err := a.switchBack(ctx); err != nil {
		return err
	}
	return a.StartDatabase(ctx, func(string, int) {}) // which records it
}

// mayReturn finds out whether anything was written on the new place.
func (a *Appliance) mayReturn(ctx context.Context, move Move) error {
	if _, err := postgres.PlanUpgrade(a.postgresConfig()); err != nil {
		return err
	}
	if clusters := a.postgresConfig().Dir; !hasCluster(clusters) {
		return fault.New(fault.Conflict, "The old databases are not in %s any more.", clusters)
	}
	admin, err := a.adminDSN(ctx)
	if err != nil {
		return err
	}
	now, err := sumsOf(ctx, a.owner(admin), databasesIn(move.Sums))
	if err != nil {
		return a.returnUnseen(err, move)
	}
	if changed := unlike(move.Sums, now); len(changed) > 0 {
		return fault.New(fault.Conflict, "The appliance was used on the new place: %s changed. Returning would lose that, and the audit trail would contradict what was published. Stay there, or restore a backup.", strings.Join(changed[:min(len(changed), 5)], ", "))
	}
	return nil
}

// returnUnseen decides without the new place, which does not answer: by what this
// machine knows of its own starts and commands.
func (a *Appliance) returnUnseen(why error, move Move) error {
	started, err := a.startedSince(*move.Done)
	if err != nil {
		return err
	}
	if started || move.Used {
		return fault.Wrap(fault.Conflict, why, "The appliance was used on the new place, which does not answer now, so what was written there would be lost. Bring the server at %s back, or restore a backup", move.Target)
	}
	a.cfg.Logger.Warn("the new place does not answer; nothing was written on it from here, so the appliance returns", "server", move.Target, "error", why)
	return nil
}

// startedSince is true when the appliance served after a moment.
func (a *Appliance) startedSince(moment time.Time) (bool, error) {
	before, err := a.lifeBefore()
	return before != nil && before.StartedAt.After(moment), err
}

// as is the actor of what an operator does on the machine.
func as(ctx context.Context) context.Context {
	if _, ok := actor.From(ctx); ok {
		return ctx
	}
	return actor.With(ctx, actor.Actor{Kind: actor.Console, Name: "console"})
}
