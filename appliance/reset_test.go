package appliance_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/fault"
)

// TestFactoryReset resets an appliance with a database: not while it runs, not
// without a yes, and one that was interrupted goes on before anything starts.
func TestFactoryReset(t *testing.T) {
	dir := appliancetest.Dir(t)
	cfg := appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Logger: appliancetest.Logger(t), Unsafe: true}
	shared := cfg
	shared.DatabaseURL, shared.SharedDir = "postgres://db.example.com", "/srv/nimbus"
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	yes := func(appliance.Reset) error { return nil }
	reset := func(confirm func(appliance.Reset) error) error {
		return appliance.FactoryReset(ctx, cfg, true, confirm)
	}

	if err := reset(yes); !fault.Is(err, fault.NotFound) {
		t.Errorf("an empty directory: %v", err)
	}
	a := begin(t, ctx, cfg)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "backups"), 0o700), os.WriteFile(filepath.Join(dir, "backups", "one.age"), []byte("kept"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := reset(yes); !errors.Is(err, appliance.ErrInUse) {
		t.Errorf("while it runs: %v", err)
	}
	stop(t, a)

	var plan appliance.Reset
	no := errors.New("no")
	before := names(t, dir)
	if err := reset(func(r appliance.Reset) error { plan = r; return no }); !errors.Is(err, no) {
		t.Errorf("refused: %v", err)
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("a refused reset left %v of %v", after, before)
	}
	if plan.Name != "Cellar" || plan.External || !slices.Equal(plan.Keeps, []string{"backups"}) || !deletes(plan, "keys") || !deletes(plan, "postgres") {
		t.Errorf("what it asks: %+v", plan)
	}

	if err := appliance.FactoryReset(ctx, shared, true, func(r appliance.Reset) error { plan = r; return no }); !errors.Is(err, no) || !plan.External || plan.Shared != "/srv/nimbus" {
		t.Errorf("of a node: %+v %v", plan, err)
	}

	marker := filepath.Join(dir, "factory-reset")
	if err := errors.Join(os.WriteFile(marker, nil, 0o600), os.WriteFile(marker+"-keeps-backups", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	half := appliance.New(cfg)
	if err := half.Open(ctx); !fault.Is(err, fault.Conflict) {
		t.Errorf("a half reset directory opens: %v", err)
	}
	stop(t, half)
	// It was agreed that they stay, whatever the flags are now.
	if err := appliance.FactoryReset(ctx, cfg, false, func(appliance.Reset) error { t.Error("it asks again"); return no }); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"backups", "lock"}) {
		t.Errorf("left: %v", left)
	}
	fresh := begin(t, ctx, cfg)
	defer stop(t, fresh)
	if any, err := fresh.Core().Identity.HasUsers(ctx); any || err != nil {
		t.Errorf("it is not empty: %v %v", any, err)
	}
}

// begin opens an appliance named Cellar with its database.
func begin(t *testing.T, ctx context.Context, cfg appliance.Config) *appliance.Appliance {
	t.Helper()
	a := appliance.New(cfg)
	if err := a.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Change(ctx, func(s *appliance.Settings) { s.Name = "Cellar" }); err != nil {
		t.Fatal(err)
	}
	if err := a.StartDatabase(ctx, func(string, int) {}); err != nil {
		t.Fatal(err)
	}
	return a
}

func stop(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	if err := a.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func deletes(r appliance.Reset, name string) bool {
	return slices.ContainsFunc(r.Deletes, func(d appliance.Deletion) bool { return d.Name == name && d.Bytes > 0 })
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
