package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// names lists the compartments of a tenant, in the order in which they were made.
func names(t *testing.T, d *db.DB, tenant id.ID) (all []string) {
	t.Helper()
	must(t, d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select name from compartment order by ctid`)
		var err error
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return all
}

// TestAtCommit runs statements at the end of their scopes: in order, in the
// right tenant, with nothing left when one fails or the transaction does.
func TestAtCommit(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	d := reopen(t, dsn, 1, 64) // one connection: nothing may be left on it
	tenant := addTenants(t, d, history, 1)[0]
	var heard []error
	later := func(ctx context.Context, name string) error {
		return db.AtCommit(ctx, func(err error) { heard = append(heard, err) }, `insert into compartment (id, name) values ($1, $2)`, id.New(), name)
	}
	if err := later(t.Context(), "nowhere"); err == nil {
		t.Error("it works outside a transaction")
	}
	must(t, d.Core(t.Context(), func(ctx context.Context) error {
		must(t, d.Tenant(ctx, tenant, func(ctx context.Context) error {
			must(t, later(ctx, "second"))
			must(t, later(ctx, "third"))
			_, err := db.Tx(ctx).Exec(ctx, `insert into compartment (id, name) values ($1, 'first')`, id.New())
			return err
		}))
		if scope, ok := db.Scope(ctx); !ok || !scope.IsZero() || len(heard) != 2 {
			t.Errorf("after the inner scope: in %v, %d of 2 statements were run", scope, len(heard))
		}
		_, err := db.Tx(ctx).Exec(ctx, `select count(*) from schema_migration`) // the provider level's again
		return err
	}))
	must(t, d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
		must(t, later(ctx, "fourth"))
		return d.Core(ctx, func(ctx context.Context) error {
			return db.AtCommit(ctx, nil, `select count(*) from schema_migration`)
		})
	}))
	if got, want := names(t, d, tenant), []string{"first", "second", "third", "fourth"}; !slices.Equal(got, want) || fmt.Sprint(heard) != "[<nil> <nil> <nil>]" {
		t.Errorf("%v (%v), want %v", got, heard, want)
	}
	heard = nil
	boom := fault.New(fault.Invalid, "boom")
	if err := d.Tenant(t.Context(), tenant, func(ctx context.Context) error { _ = later(ctx, "gone"); return boom }); !errors.Is(err, boom) || heard != nil {
		t.Errorf("%v, heard %v", err, heard)
	}
	for _, inner := range []bool{false, true} {
		heard = nil
		committed := false
		bad := func(ctx context.Context) error {
			db.OnCommit(ctx, func() { committed = true })
			must(t, later(ctx, "before"))
			return later(ctx, "fifth\x00")
		}
		err := d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, `insert into compartment (id, name) values ($1, 'undone')`, id.New())
			must(t, err)
			if !inner {
				return bad(ctx)
			}
			return d.Core(ctx, func(ctx context.Context) error { return d.Tenant(ctx, tenant, bad) })
		})
		if err == nil || committed || len(heard) != 2 || heard[0] != nil || heard[1] == nil {
			t.Errorf("inner %v: %v, committed %v, heard %v", inner, err, committed, heard)
		}
	}
	if got := names(t, d, tenant); len(got) != 4 {
		t.Errorf("after what failed: %v", got)
	}
	must(t, d.Core(t.Context(), func(ctx context.Context) error { // and nothing waits for others
		var role, path string
		must(t, db.Tx(ctx).QueryRow(ctx, `select current_user, current_setting('search_path')`).Scan(&role, &path))
		if role != "nimbus_core" || path != `core, pg_temp` && path != `"core", pg_temp` {
			t.Errorf("%s, %s", role, path)
		}
		return nil
	}))
}
