package db

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ErrNewer means that a later release made the database. Nothing was changed.
var ErrNewer = errors.New("made by a newer Nimbus")

// Applied tells which migrations each scope of a database has, as they were.
type Applied map[string][]Migration

// ReadApplied asks a database. One without a history has none.
func ReadApplied(ctx context.Context, conn *pgx.Conn) (Applied, error) {
	var exists bool
	if err := conn.QueryRow(ctx, `select to_regclass('core.schema_migration') is not null`).Scan(&exists); err != nil || !exists {
		return nil, Fault(err)
	}
	rows, _ := conn.Query(ctx, `select scope, version, name, sum from core.schema_migration order by scope, version`)
	type row struct{ Scope, Version, Name, Sum string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	applied := Applied{}
	for _, r := range all {
		applied[r.Scope] = append(applied[r.Scope], Migration{Version: r.Version, Name: r.Name, Sum: r.Sum})
	}
	return applied, Fault(err)
}

// ReadAppliedAt is ReadApplied of the database at an address; one that does not
// exist has none. It returns fault.Unavailable when the server cannot be reached.
func ReadAppliedAt(ctx context.Context, dsn string) (Applied, error) {
	conn, err := connect(ctx, dsn)
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "3D000" { // invalid_catalog_name
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return ReadApplied(ctx, conn)
}

// Newest is the version of the newest migration of the core schema.
func (a Applied) Newest() string {
	newest := ""
	for _, m := range a[CoreSchema] {
		newest = max(newest, m.Version)
	}
	return newest
}

// Pending lists, by scope, what history has beyond what was applied. A database
// that is newer than history, or has a migration that was edited, is refused with
// fault.Conflict.
func (a Applied) Pending(history []Migration) (map[string][]Migration, error) {
	all := map[string][]Migration{}
	for scope, done := range a {
		pending, err := pendingMigrations(sums(done), history)
		if err != nil {
			return nil, err
		}
		if len(pending) > 0 {
			all[scope] = pending
		}
	}
	return all, nil
}

func sums(done []Migration) map[string]string {
	all := map[string]string{}
	for _, m := range done {
		all[m.Version] = m.Sum
	}
	return all
}

// Rebuild makes in an empty database the schemas of another one, each at the
// migrations that it has there and no further. It refuses what Pending refuses.
func (d *DB) Rebuild(ctx context.Context, applied Applied, history []Migration) error {
	if _, err := applied.Pending(history); err != nil {
		return err
	}
	if err := d.Migrate(ctx, pick(history, applied[CoreSchema])); err != nil {
		return err
	}
	for _, scope := range slices.Sorted(maps.Keys(applied)) {
		name, ok := strings.CutPrefix(scope, "tenant_")
		if !ok {
			continue
		}
		tenant, err := id.Parse(name)
		if err != nil {
			return fault.Wrap(fault.Conflict, err, "The history names %q, which is no tenant.", scope)
		}
		if err := d.AddTenant(ctx, tenant, pick(history, applied[scope])); err != nil {
			return err
		}
	}
	return nil
}

// pick is the part of history that was applied.
func pick(history, applied []Migration) []Migration {
	done := sums(applied)
	return slices.DeleteFunc(slices.Clone(history), func(m Migration) bool { return done[m.Version] == "" })
}
