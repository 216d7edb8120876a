package db_test

import (
	"context"
	"testing"
	"time"

	"nimbus/appliance/db"
)

// TestDropTenantOutlastsAReader has somebody read a tenant that is dropped, in
// an order that makes the two wait for one another.
func TestDropTenantOutlastsAReader(t *testing.T) {
	t.Parallel()
	d, history, _ := openAll(t)
	tenants := addTenants(t, d, history, 1)
	dropped := make(chan error, 1)
	must(t, d.Tenant(t.Context(), tenants[0], func(ctx context.Context) error {
		tables := tablesOf(t, ctx)
		if _, err := db.Tx(ctx).Exec(ctx, `lock table `+tables[len(tables)-1]+` in access share mode`); err != nil {
			return err
		}
		go func() { dropped <- d.DropTenant(context.WithoutCancel(t.Context()), tenants[0]) }()
		time.Sleep(300 * time.Millisecond) // it waits for us now
		for _, table := range tables {
			if _, err := db.Tx(ctx).Exec(ctx, `lock table `+table+` in access share mode`); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, <-dropped)
	if left, err := d.Tenants(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func tablesOf(t *testing.T, ctx context.Context) (tables []string) {
	t.Helper()
	rows, err := db.Tx(ctx).Query(ctx, `select c.oid::regclass::text from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' order by c.oid`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	return tables
}
