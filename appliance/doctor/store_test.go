package doctor

import (
	"context"
	"testing"

	"nimbus/appliance/audit"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// TestTheDatabaseTells asks a real server all that checks, metrics and bundles
// ask, with the rights that the appliance has.
func TestTheDatabaseTells(t *testing.T) {
	t.Parallel()
	d, history := dbtest.Open(t, audit.Migrations)
	tenant := id.New()
	if err := d.AddTenant(t.Context(), tenant, history); err != nil {
		t.Fatal(err)
	}
	sizes, err := Sizes(t.Context(), d)
	if err != nil || sizes["nimbus"] < 1<<20 {
		t.Errorf("%v %v", sizes, err)
	}
	if f := Postgres(d).Run(t.Context()); f.Status == Failed || f.Status == Unknown || f.Measure["version"] == "" {
		t.Errorf("%+v", f)
	}
	if f := Schema(d, history).Run(t.Context()); f.Status != OK || f.Measure["schemas"] != 2 {
		t.Errorf("%+v", f)
	}
	var tables []TableSize
	err = d.Core(t.Context(), func(ctx context.Context) (err error) { tables, err = tableSizes(ctx); return err })
	if err != nil || len(tables) < 4 {
		t.Errorf("%v %v", tables, err)
	}
	for _, one := range tables {
		if one.Table == "" || one.Bytes < 0 || one.Level != "core" && one.Level != "tenant" {
			t.Errorf("%+v", one)
		}
	}
}
