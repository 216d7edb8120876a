package db

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Migration is one step of the history. Its file, in a domain's migrations
// folder, is named `20261124T093000_deployment.sql` and has a section
// `-- core`, a section `-- tenant`, or both. In the tenant section `{{tenant}}`
// stands for the tenant's id: every table there has the column
// `tenant_id uuid not null default '{{tenant}}'`.
//
// Row-level security, its policy and the grants are not written in
// migrations; the migrator puts them on every table. A table whose comment
// begins with "append-only" can be read and inserted into, nothing else.
type Migration struct {
	Version string // the timestamp, 20261124T093000
	Name    string
	Core    string
	Tenant  string
	Sum     string // SHA-256 of the file, hex
}

var migrationName = regexp.MustCompile(`^(\d{8}T\d{6})_([a-z0-9_]+)\.sql$`)

// ReadMigrations reads the folder `migrations` of each file system and returns
// one history, oldest first. A malformed name or a version used twice is an
// error.
func ReadMigrations(domains ...fs.FS) ([]Migration, error) {
	var all []Migration
	for _, domain := range domains {
		files, err := fs.Glob(domain, "migrations/*.sql")
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			m, err := readMigration(domain, file)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	for i := 1; i < len(all); i++ {
		if all[i].Version == all[i-1].Version {
			return nil, fmt.Errorf("migrations %s and %s have the same version %s", all[i-1].Name, all[i].Name, all[i].Version)
		}
	}
	return all, nil
}

func readMigration(domain fs.FS, file string) (Migration, error) {
	parts := migrationName.FindStringSubmatch(path.Base(file))
	if parts == nil {
		return Migration{}, fmt.Errorf("migration %s: the name must look like 20261124T093000_domain.sql", file)
	}
	text, err := fs.ReadFile(domain, file)
	if err != nil {
		return Migration{}, err
	}
	sum := sha256.Sum256(text)
	m := Migration{Version: parts[1], Name: parts[2], Sum: hex.EncodeToString(sum[:])}
	section := (*string)(nil)
	for line := range strings.Lines(string(text)) {
		switch strings.TrimSpace(line) {
		case "-- core":
			section = &m.Core
		case "-- tenant":
			section = &m.Tenant
		default:
			if section == nil {
				return Migration{}, fmt.Errorf("migration %s: begin with a line `-- core` or `-- tenant`", file)
			}
			*section += line
		}
	}
	return m, nil
}

const historyTable = `
create schema if not exists core;
grant usage on schema core to nimbus_core;
create table if not exists core.schema_migration (
  scope      text not null,
  version    text not null,
  name       text not null,
  sum        text not null,
  applied_at timestamptz not null default now(),
  primary key (scope, version)
);
grant select on core.schema_migration to nimbus_core`

// migrationLock is the advisory lock that lets one node migrate at a time.
const migrationLock = 0x6e696d627573

const (
	// migrators is how many tenants are migrated at a time.
	migrators = 4
	// migratedPerConn is after how many tenants a migrator dials anew, because a
	// backend never forgets the tables that it has seen.
	migratedPerConn = 50
)

// Migrate brings the core schema and every tenant's schema to the newest
// version, several tenants at a time. Each scope moves in one transaction, so
// that a kill leaves it at the old or the new version and the next start goes
// on. A history newer than this binary, or an edited migration, is refused
// with fault.Conflict before anything is changed.
func (d *DB) Migrate(ctx context.Context, history []Migration) error {
	conn, err := d.owner.Acquire(ctx)
	if err != nil {
		return Fault(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, migrationLock); err != nil {
		return Fault(err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, migrationLock)
	if _, err := conn.Exec(ctx, historyTable, pgx.QueryExecModeSimpleProtocol); err != nil {
		return Fault(err)
	}
	steps, err := pendingSteps(ctx, conn.Conn(), history)
	if err != nil || len(steps) == 0 {
		return err
	}
	if steps[0].scope == CoreSchema {
		if err := migrateScope(ctx, conn.Conn(), steps[0]); err != nil {
			return err
		}
		steps = steps[1:]
	}
	d.logger.Info("migrating tenants", "tenants", len(steps))
	return d.migrateTenants(ctx, steps)
}

// step is what one scope lacks.
type step struct {
	scope   string
	pending []Migration
}

// pendingSteps lists the scopes that lack something, core first.
func pendingSteps(ctx context.Context, conn *pgx.Conn, history []Migration) ([]step, error) {
	rows, _ := conn.Query(ctx, `select scope, version, sum from core.schema_migration`)
	type row struct{ Scope, Version, Sum string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, Fault(err)
	}
	applied := map[string]map[string]string{CoreSchema: {}}
	for _, r := range all {
		if applied[r.Scope] == nil {
			applied[r.Scope] = map[string]string{}
		}
		applied[r.Scope][r.Version] = r.Sum
	}
	var steps []step
	for _, scope := range slices.Sorted(maps.Keys(applied)) { // core sorts before tenant_…
		pending, err := pendingMigrations(applied[scope], history)
		if err != nil {
			return nil, err
		}
		if len(pending) > 0 {
			steps = append(steps, step{scope, pending})
		}
	}
	return steps, nil
}

// migrateTenants runs the steps on a few connections; the first failure stops
// all, and what was not reached keeps its old version.
func (d *DB) migrateTenants(ctx context.Context, steps []step) error {
	size := max(1, min(migratedPerConn, len(steps)/migrators))
	todo := make(chan []step, len(steps)/size+1)
	for batch := range slices.Chunk(steps, size) {
		todo <- batch
	}
	close(todo)
	g, ctx := errgroup.WithContext(ctx)
	for range migrators {
		g.Go(func() error {
			for batch := range todo {
				if err := d.migrateBatch(ctx, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// migrateBatch runs steps on one connection and closes it.
func (d *DB) migrateBatch(ctx context.Context, batch []step) error {
	conn, err := d.owner.Acquire(ctx)
	if err != nil {
		return Fault(err)
	}
	own := conn.Hijack()
	defer own.Close(context.WithoutCancel(ctx))
	for _, s := range batch {
		if err := migrateScope(ctx, own, s); err != nil {
			return err
		}
	}
	return nil
}

func migrateScope(ctx context.Context, conn *pgx.Conn, s step) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, scopeSQL(s.scope, s.pending), pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if f := Fault(err); f == nil || fault.Is(f, fault.Unavailable) || ctx.Err() != nil {
		return f
	}
	return fault.Wrap(fault.Internal, err, "The database schema %s could not be brought up to date; it is unchanged.", s.scope)
}

// pendingMigrations compares what was applied to a scope with the history.
func pendingMigrations(applied map[string]string, history []Migration) ([]Migration, error) {
	unknown := len(applied)
	var pending []Migration
	for _, m := range history {
		sum, done := applied[m.Version]
		if done && sum != m.Sum {
			return nil, fault.New(fault.Conflict, "Migration %s_%s was edited after it was applied. Install the release that made this database.", m.Version, m.Name)
		}
		if done {
			unknown--
		} else {
			pending = append(pending, m)
		}
	}
	if unknown > 0 {
		return nil, fault.Wrap(fault.Conflict, ErrNewer, "This database was made by a newer Nimbus (%d unknown migrations). Install that release again; going back is not possible.", unknown)
	}
	return pending, nil
}

// scopeSQL is everything one scope needs, as one script for one round trip.
func scopeSQL(scope string, pending []Migration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "set local search_path = %s, pg_temp;\n", pgx.Identifier{scope}.Sanitize())
	for _, m := range pending {
		text := m.Core
		if scope != CoreSchema {
			text = strings.ReplaceAll(m.Tenant, "{{tenant}}", strings.TrimPrefix(scope, "tenant_"))
		}
		fmt.Fprintf(&b, "%s;\ninsert into core.schema_migration (scope, version, name, sum) values ('%s', '%s', '%s', '%s');\n",
			text, scope, m.Version, m.Name, m.Sum)
	}
	b.WriteString(protectSQL(scope))
	return b.String()
}

// protectSQL puts grants on every table of a scope, and on a tenant's tables
// forced row-level security with a policy that names the tenant literally: no
// setting can be forged.
func protectSQL(scope string) string {
	role, policy := coreRole, ""
	if scope != CoreSchema {
		role = scope
		policy = fmt.Sprintf(`
    execute format('alter table %%s enable row level security', t.name);
    execute format('alter table %%s force row level security', t.name);
    if not exists (select from pg_policy where polrelid = t.oid and polname = 'tenant') then
      execute format('create policy tenant on %%s using (tenant_id = %%L) with check (tenant_id = %%2$L)', t.name, '%s');
    end if;`, strings.TrimPrefix(scope, "tenant_"))
	}
	return fmt.Sprintf(`
do $protect$
declare t record;
begin
  for t in select c.oid, c.oid::regclass::text as name,
                  case when obj_description(c.oid, 'pg_class') like 'append-only%%' then 'select, insert' else 'select, insert, update, delete' end as rights
             from pg_class c where c.relnamespace = '%s'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'schema_migration' loop%s
    execute format('grant %%s on %%s to %s', t.rights, t.name);
  end loop;
end $protect$;
grant usage on all sequences in schema %s to %s;`, scope, policy, role, scope, role)
}

// AddTenant makes the role, the schema and all tables of a tenant in one
// transaction. Doing it again for the same tenant changes nothing.
func (d *DB) AddTenant(ctx context.Context, tenant id.ID, history []Migration) error {
	scope := TenantSchema(tenant)
	return pgx.BeginFunc(ctx, d.owner, func(tx pgx.Tx) error {
		var exists bool
		err := tx.QueryRow(ctx, `select exists (select from core.schema_migration where scope = $1)`, scope).Scan(&exists)
		if err != nil || exists {
			return Fault(err)
		}
		script := fmt.Sprintf(`create role %[1]s nologin; grant %[1]s to %[2]s with inherit false, set true;
create schema %[1]s; grant usage on schema %[1]s to %[1]s; `, scope, appRole) + scopeSQL(scope, history)
		_, err = tx.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol)
		return Fault(err)
	})
}

// DropTenant removes a tenant's schema, with everything in it, and its role.
// A tenant that has none is not an error.
func (d *DB) DropTenant(ctx context.Context, tenant id.ID) error {
	for attempt := 1; ; attempt++ {
		err := d.dropTenant(ctx, tenant)
		if attempt == dropAttempts || !deadlocked(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
}

// dropAttempts is how often a drop is tried that waits for somebody who waits
// for it: it takes the locks of all tables, in an order of its own.
const dropAttempts = 5

func deadlocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "40P01"
}

func (d *DB) dropTenant(ctx context.Context, tenant id.ID) error {
	scope := TenantSchema(tenant)
	return pgx.BeginFunc(ctx, d.owner, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(`drop schema if exists %[1]s cascade; drop role if exists %[1]s;
delete from core.schema_migration where scope = '%[1]s'`, scope), pgx.QueryExecModeSimpleProtocol)
		return Fault(err)
	})
}
