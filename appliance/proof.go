package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
	"nimbus/embedded/postgres"
)

// there opens the services over the databases on the target.
func (m *mover) there(ctx context.Context) (*Core, error) {
	passwords, err := m.passwords()
	if err != nil {
		return nil, err
	}
	cfg, err := db.Logins(m.into("postgres"), passwords)
	if err != nil {
		return nil, err
	}
	cfg.Logger = m.cfg.Logger
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	history, err := History()
	if err != nil {
		d.Close()
		return nil, err
	}
	c := m.wire(d, history)
	if err := c.Tenants.Load(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return c, nil
}

// verify proves the new databases as the appliance will use them: every audit
// chain holds and ends where it ends here, the root key opens the secrets, and
// somebody can sign in.
func (m *mover) verify(ctx context.Context) error {
	m.progress("verifying the audit trail in the new databases", 91)
	there, err := m.there(ctx)
	if err != nil {
		return err
	}
	defer there.DB.Close()
	if err := m.verifyChains(ctx, there); err != nil {
		return err
	}
	if err := m.opensSecrets(ctx, there); err != nil {
		return err
	}
	m.report.People, err = there.Identity.CanSignIn(ctx)
	return err
}

func (m *mover) verifyChains(ctx context.Context, there *Core) error {
	here, err := m.core.Audit.ChainHeads(ctx)
	if err != nil {
		return err
	}
	if m.report.Chains, err = there.Audit.ChainHeads(ctx); err != nil {
		return err
	}
	if !slices.Equal(here, m.report.Chains) {
		return fault.New(fault.Unprocessable, "The audit chains do not end alike: %v here, %v there.", here, m.report.Chains)
	}
	verified, err := there.Audit.VerifyAll(ctx, audit.VerifyAllOptions{})
	if err != nil {
		return err
	}
	m.report.Records = 0
	for _, v := range verified {
		m.report.Records += v.Checked
		if !v.OK() {
			return fault.New(fault.Unprocessable, "The audit trail does not hold: record %d, %s. Look with `nimbus audit verify` whether it holds here.", v.Breaks[0].Sequence, v.Breaks[0].Detail)
		}
	}
	return nil
}

// opensSecrets proves that the root key opens what is sealed there.
func (m *mover) opensSecrets(ctx context.Context, there *Core) error {
	root, err := m.rootKey(ctx)
	if err != nil {
		return err
	}
	if _, err := secret.NewKeyring(root, there.Keys, nil).Derive(ctx, id.ID{}, "proof"); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "The root key does not open the secrets in the new databases: %s", fault.Message(err))
	}
	return nil
}

// conclude records the move where it leads, and then switches the settings. From
// the mark on the target to the switch nothing is written here or there.
func (m *mover) conclude(ctx context.Context) error {
	m.progress("recording the move", 96)
	if err := m.record(ctx); err != nil {
		return err
	}
	sums, err := m.sums(ctx)
	if err != nil {
		return err
	}
	if err := m.Change(ctx, func(s *Settings) { s.Move.Sums = sums }); err != nil {
		return err
	}
	m.progress("switching the settings", 99)
	if err := db.UnmarkTarget(ctx, m.into("postgres")); err != nil {
		return err
	}
	if c := m.Appliance.core.Swap(nil); c != nil { // nothing is told to the old databases any more
		c.DB.Close()
	}
	if err := m.switchTo(ctx, m.to); err != nil {
		return err
	}
	m.report.Moved = true
	m.progress("done", 100)
	return nil
}

// sums are read once more: the verification notes there when it was, and the record
// of the move is there only.
func (m *mover) sums(ctx context.Context) (map[string]string, error) {
	names, err := m.present(ctx)
	if err != nil {
		return nil, err
	}
	return sumsOf(ctx, m.owner(m.into), names)
}

func (m *mover) record(ctx context.Context) error {
	there, err := m.there(ctx)
	if err != nil {
		return err
	}
	defer there.DB.Close()
	found := map[string]any{}
	for _, d := range m.report.Databases {
		found[d.Name] = map[string]any{"tables": len(d.Tables), "rows": d.Rows, "digest": digest(d.Tables)}
	}
	return there.Audit.RecordAlone(as(ctx), id.ID{}, audit.Entry{
		Event: "system.database.moved", Priority: audit.Critical, Target: audit.Target{Kind: "database", Name: m.report.To},
		Details: map[string]any{"databases": found, "chains": len(m.report.Chains), "records": m.report.Records,
			"temporal": m.to.TemporalAddress, "shared_dir": m.to.SharedDir, "files": m.report.Files}})
}

// digest is one sum over the tables of a database or a schema.
func digest(tables []transfer.Table) string {
	h := sha256.New()
	for _, t := range tables {
		fmt.Fprintf(h, "%q.%q %d %s\n", t.Schema, t.Name, t.Rows, t.Sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sumsOf reads all rows of some databases: a digest for each database and schema.
func sumsOf(ctx context.Context, dsn func(database string) string, databases []string) (map[string]string, error) {
	sums := map[string]string{}
	for _, name := range databases {
		tables, err := countAt(ctx, dsn(name))
		if err != nil {
			return nil, err
		}
		bySchema := map[string][]transfer.Table{}
		for _, t := range tables {
			bySchema[t.Schema] = append(bySchema[t.Schema], t)
		}
		for schema, of := range bySchema {
			sums[name+"."+schema] = digest(of)
		}
	}
	return sums, nil
}

func countAt(ctx context.Context, dsn string) ([]transfer.Table, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return transfer.Count(ctx, conn)
}

// databasesIn are those that sums are of.
func databasesIn(sums map[string]string) []string {
	var all []string
	for name := range sums {
		database, _, _ := strings.Cut(name, ".")
		all = append(all, database)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// unlike are the schemas that only one of two sums has, or that differ.
func unlike(before, after map[string]string) []string {
	var all []string
	for _, sums := range []map[string]string{before, after} {
		for name := range sums {
			if before[name] != after[name] && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}

func hasCluster(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION"))
	return err == nil
}

// ForgetOld deletes the databases that a move left behind, for good, after the
// appliance was started on the new place. It returns how many bytes are free again.
func (a *Appliance) ForgetOld(ctx context.Context) (int64, error) {
	if err := a.offline(ctx); err != nil {
		return 0, err
	}
	move := a.settings.Load().Move
	if move == nil || move.Done == nil || !a.external() {
		return 0, fault.New(fault.Conflict, "This appliance did not move, so nothing is left behind.")
	}
	started, err := a.startedSince(*move.Done)
	if err != nil {
		return 0, err
	}
	if !started {
		return 0, fault.New(fault.Conflict, "Start the appliance on the new place first, and see that all is well there.")
	}
	dir := a.postgresConfig().Dir
	if err := postgres.EndOrphan(ctx, dir, a.cfg.Logger); err != nil {
		return 0, err
	}
	bytes := size(dir)
	return bytes, os.RemoveAll(dir)
}
