// Package dbtest gives each test of a domain a migrated database of its own.
package dbtest

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/embedded/postgres/postgrestest"
)

// Open returns a new database with the core schema of the domains, and their
// history for db.AddTenant. When the test ends its tenants' roles are dropped,
// because roles belong to the server that all tests share.
//
// The pools log in as the server's superuser and take the roles of the scopes,
// so that no test changes a password that another one uses.
func Open(t testing.TB, domains ...fs.FS) (*db.DB, []db.Migration) {
	t.Helper()
	d, history, _ := OpenDSN(t, domains...)
	return d, history
}

// OpenDSN is Open and also returns the superuser's address of the database.
func OpenDSN(t testing.TB, domains ...fs.FS) (*db.DB, []db.Migration, string) {
	t.Helper()
	history, err := db.ReadMigrations(domains...)
	if err != nil {
		t.Fatal(err)
	}
	dsn := postgrestest.Database(t, template(t, history))
	d := open(t, dsn)
	t.Cleanup(func() {
		defer d.Close()
		if err := drop(d); err != nil {
			t.Error("drop the test's tenants: ", err)
		}
	})
	return d, history, dsn
}

func open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), db.Config{AppDSN: dsn, OwnerDSN: dsn, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func drop(d *db.DB) error {
	ctx := context.Background()
	tenants, err := d.Tenants(ctx)
	for _, tenant := range tenants {
		if err == nil {
			err = d.DropTenant(ctx, tenant)
		}
	}
	return err
}

// template is a database in which the core schema is at the end of history.
func template(t testing.TB, history []db.Migration) string {
	t.Helper()
	makeRoles(t)
	version := ""
	for _, m := range history {
		version += m.Version + m.Sum
	}
	return postgrestest.Template(t, "core", version, func(dsn string) error {
		d := open(t, dsn)
		defer d.Close()
		return d.Migrate(t.Context(), history)
	})
}

// makeRoles makes the server's roles once. Advisory locks hold within one
// database only; building a template is what happens once for the whole server.
func makeRoles(t testing.TB) {
	t.Helper()
	postgrestest.Template(t, "roles", "1", func(dsn string) error {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		for role, options := range map[string]string{"nimbus_core": "nologin", "nimbus_app": "login noinherit nobypassrls"} {
			if err := makeRole(t.Context(), conn, role, options); err != nil {
				return err
			}
		}
		return nil
	})
}

func makeRole(ctx context.Context, conn *pgx.Conn, role, options string) error {
	_, err := conn.Exec(ctx, fmt.Sprintf(
		`do $$ begin if not exists (select from pg_roles where rolname = '%[1]s') then create role %[1]s %[2]s; end if; end $$`, role, options))
	return err
}
