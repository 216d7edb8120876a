package tenancy_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

func TestRenamingIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name, contact := "  Heim ", "hal@example.com"
	after, err := b.Update(b.hal, b.home.ID, tenancy.Change{Name: &name, ContactEmail: &contact})
	must(t, err)
	if after.Name != "Heim" || after.ContactEmail != contact {
		t.Errorf("%+v", after)
	}
	if b.recorded(db.TenantSchema(b.home.ID), "tenancy.tenant.updated") != 1 || b.recorded("core", "tenancy.tenant.updated") != 1 || !b.told("tenant.updated") {
		t.Error("the renaming was not recorded and told")
	}
	b.create("Other", b.root)
	taken := "OTHER"
	_, err = b.Update(b.hal, b.home.ID, tenancy.Change{Name: &taken})
	wants(t, err, fault.Invalid, "a taken name")
	_, err = b.Update(b.rita, b.root.ID, tenancy.Change{Name: &name})
	wants(t, err, fault.Invalid, "the root's name")
	_, err = b.Update(b.hal, b.root.ID, tenancy.Change{Name: &name})
	wants(t, err, fault.NotFound, "the tenant above")
	bad := "not an address"
	_, err = b.Update(b.hal, b.home.ID, tenancy.Change{ContactEmail: &bad})
	wants(t, err, fault.Invalid, "a bad address")
}

// TestNamesTellNothing takes a name that is used elsewhere in the tree: that
// works, so that nobody finds out names by trying.
func TestNamesTellNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.create("Other", b.root)
	b.create("Secret plan", other)
	_, err := b.Create(b.hal, tenancy.Tenant{Name: "Secret plan"})
	must(t, err)
	_, err = b.Create(b.hal, tenancy.Tenant{Name: "secret PLAN"})
	wants(t, err, fault.Invalid, "twice in one place")
}

func TestMovingKeepsThreeLevelsAndNoCycles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.create("Other", b.root)
	sub := b.create("Sub", b.home)
	moved, err := b.Move(b.rita, sub.ID, other.ID)
	must(t, err)
	if moved.ParentID != other.ID || b.recorded("core", "tenancy.tenant.moved") != 1 || !b.told("tenant.moved") {
		t.Errorf("%+v", moved)
	}
	if _, err := b.Get(b.hal, sub.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old tenant above still sees it: %v", err)
	}
	_, err = b.Move(b.rita, other.ID, sub.ID)
	wants(t, err, fault.Invalid, "below itself")
	_, err = b.Move(b.rita, other.ID, other.ID)
	wants(t, err, fault.Invalid, "into itself")
	_, err = b.Move(b.rita, other.ID, b.home.ID)
	wants(t, err, fault.Invalid, "four levels")
	_, err = b.Move(b.rita, b.root.ID, b.home.ID)
	wants(t, err, fault.Conflict, "the root")
	_, err = b.Move(b.hal, b.home.ID, b.home.ID)
	wants(t, err, fault.Forbidden, "its own tenant")
	_, err = b.Move(b.hal, sub.ID, b.home.ID)
	wants(t, err, fault.NotFound, "a foreign tenant")
	_, err = b.Move(b.rita, b.home.ID, other.ID)
	must(t, err)
}

// TestMovesAtOnceMakeNoCycle moves two tenants below each other at once, many
// times: at most one of each pair succeeds.
func TestMovesAtOnceMakeNoCycle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.create("Other", b.root)
	for range 10 {
		var g sync.WaitGroup
		var moved [2]error
		g.Go(func() { _, moved[0] = b.Move(b.rita, b.home.ID, other.ID) })
		g.Go(func() { _, moved[1] = b.Move(b.rita, other.ID, b.home.ID) })
		g.Wait()
		if (moved[0] == nil) == (moved[1] == nil) {
			t.Fatalf("%v, %v", moved[0], moved[1])
		}
		all, err := b.List(b.rita)
		must(t, err)
		if len(all) != 3 {
			t.Fatalf("%d tenants hang on the root", len(all))
		}
		for _, tenant := range []id.ID{b.home.ID, other.ID} {
			_, err := b.Move(b.rita, tenant, b.root.ID)
			must(t, err)
		}
	}
}

func TestSuspendingHoldsForAllBelow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub, own := b.create("Sub", b.home), b.create("Own", b.home)
	_, err := b.Suspend(b.rita, own.ID, "its own reason")
	must(t, err)
	held, err := b.Suspend(b.rita, b.home.ID, "unpaid")
	must(t, err)
	if held.Status != tenancy.Suspended || held.SuspendedReason != "unpaid" || b.status(sub) != tenancy.Suspended {
		t.Errorf("%+v, below: %s", held, b.status(sub))
	}
	_, err = b.Resume(b.rita, sub.ID)
	wants(t, err, fault.Conflict, "resuming below")
	late := b.create("Late", b.home)
	if late.Status != tenancy.Suspended {
		t.Errorf("a new tenant below a suspended one is %s", late.Status)
	}
	if _, err := b.Resume(b.rita, b.home.ID); err != nil {
		t.Fatal(err)
	}
	if b.status(sub) != tenancy.Active || b.status(late) != tenancy.Active || b.status(own) != tenancy.Suspended {
		t.Errorf("after resuming: %s, %s, %s", b.status(sub), b.status(late), b.status(own))
	}
	_, err = b.Resume(b.rita, b.home.ID)
	wants(t, err, fault.Conflict, "resuming twice")
	_, err = b.Suspend(b.rita, b.home.ID, " ")
	wants(t, err, fault.Invalid, "without a reason")
	_, err = b.Suspend(b.hal, b.home.ID, "why not")
	wants(t, err, fault.Forbidden, "oneself")
	_, err = b.Suspend(b.rita, b.root.ID, "why not")
	wants(t, err, fault.Conflict, "the root")
	if b.recorded("core", "tenancy.tenant.suspended") != 2 || b.recorded(db.TenantSchema(b.home.ID), "tenancy.tenant.suspended") != 1 || !b.told("tenant.resumed") {
		t.Error("suspending was not recorded and told")
	}
}

func TestDeletingAndRestoring(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub, gone := b.create("Sub", b.home), b.create("Gone", b.home)
	_, err := b.Delete(b.rita, gone.ID)
	must(t, err)
	deleted, err := b.Delete(b.rita, b.home.ID)
	must(t, err)
	if deleted.DeletedAt == nil || deleted.PurgeAt.Sub(*deleted.DeletedAt) != 30*24*time.Hour || b.status(sub) != tenancy.Deleted {
		t.Errorf("%+v, below: %s", deleted, b.status(sub))
	}
	listed, err := b.List(b.rita)
	must(t, err)
	all, err := b.ListAll(b.rita)
	must(t, err)
	if len(listed) != 1 || len(all) != 4 {
		t.Errorf("%d listed, %d with the deleted", len(listed), len(all))
	}
	_, err = b.Restore(b.rita, sub.ID)
	wants(t, err, fault.Conflict, "below a deleted one")
	_, err = b.Restore(b.rita, gone.ID)
	wants(t, err, fault.Conflict, "deleted itself, below a deleted one")
	_, err = b.Delete(b.rita, b.home.ID)
	wants(t, err, fault.Conflict, "deleting twice")
	_, err = b.Suspend(b.rita, b.home.ID, "late")
	wants(t, err, fault.Conflict, "suspending what is deleted")
	_, err = b.Create(b.rita, tenancy.Tenant{Name: "New", ParentID: b.home.ID})
	wants(t, err, fault.Invalid, "a tenant below a deleted one")
	b.create("Home", b.root) // the name is free
	_, err = b.Restore(b.rita, b.home.ID)
	wants(t, err, fault.Conflict, "a name that was given away")
	name := "Home again"
	_, err = b.Update(b.rita, b.home.ID, tenancy.Change{Name: &name})
	must(t, err)
	back, err := b.Restore(b.rita, b.home.ID)
	must(t, err)
	if back.Status != tenancy.Active || b.status(sub) != tenancy.Active || b.status(gone) != tenancy.Deleted {
		t.Errorf("after restoring: %s, %s, %s", back.Status, b.status(sub), b.status(gone))
	}
	_, err = b.Restore(b.rita, b.home.ID)
	wants(t, err, fault.Conflict, "restoring twice")
	if !b.told("tenant.deleted") || !b.told("tenant.restored") || b.recorded("core", "tenancy.tenant.restored") != 1 {
		t.Error("it was not recorded and told")
	}
}

// TestForeignTenantsLookMissing tries every operation on a foreign tenant and
// on a missing one.
func TestForeignTenantsLookMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.create("Other", b.root)
	name := "x"
	for what, do := range map[string]func(ctx context.Context, tenant id.ID) error{
		"get": func(ctx context.Context, t id.ID) error { _, err := b.Get(ctx, t); return err },
		"update": func(ctx context.Context, t id.ID) error {
			_, err := b.Update(ctx, t, tenancy.Change{Name: &name})
			return err
		},
		"move": func(ctx context.Context, t id.ID) error { _, err := b.Move(ctx, t, b.home.ID); return err },
		"move to": func(ctx context.Context, to id.ID) error {
			_, err := b.Move(ctx, b.create("S"+id.New().Hex(), b.home).ID, to)
			return err
		},
		"suspend":  func(ctx context.Context, t id.ID) error { _, err := b.Suspend(ctx, t, "x"); return err },
		"resume":   func(ctx context.Context, t id.ID) error { _, err := b.Resume(ctx, t); return err },
		"delete":   func(ctx context.Context, t id.ID) error { _, err := b.Delete(ctx, t); return err },
		"restore":  func(ctx context.Context, t id.ID) error { _, err := b.Restore(ctx, t); return err },
		"purge":    func(ctx context.Context, t id.ID) error { _, err := b.Purge(ctx, t, "Other"); return err },
		"export":   func(ctx context.Context, t id.ID) error { _, _, err := b.Export(ctx, t); return err },
		"settings": func(ctx context.Context, t id.ID) error { _, err := b.Settings(ctx, t); return err },
		"set":      func(ctx context.Context, t id.ID) error { return b.SetSettings(ctx, t, tenancy.DefaultSettings()) },
		"quotas":   func(ctx context.Context, t id.ID) error { _, err := b.Quotas(ctx, t); return err },
		"quota":    func(ctx context.Context, t id.ID) error { _, err := b.SetQuotas(ctx, t, nil); return err },
		"domains":  func(ctx context.Context, t id.ID) error { _, err := b.Domains(ctx, t); return err },
		"domain":   func(ctx context.Context, t id.ID) error { _, err := b.AddDomain(ctx, t, "example.com"); return err },
		"verify":   func(ctx context.Context, t id.ID) error { _, err := b.VerifyDomain(ctx, t, "example.com"); return err },
		"remove":   func(ctx context.Context, t id.ID) error { return b.RemoveDomain(ctx, t, "example.com") },
		"check":    func(ctx context.Context, t id.ID) error { _, err := b.Checklist(ctx, t); return err },
		"onboard": func(ctx context.Context, t id.ID) error {
			_, err := b.OnboardTenant(ctx, tenancy.Onboarding{Tenant: tenancy.Tenant{Name: "x", ParentID: t}})
			return err
		},
	} {
		foreign, missing := do(b.hal, other.ID), do(b.hal, id.New())
		if !fault.Is(foreign, fault.NotFound) || fault.Message(foreign) != fault.Message(missing) {
			t.Errorf("%s: %v for a foreign one, %v for a missing one", what, foreign, missing)
		}
	}
}

func TestInterruptedMakingIsFinished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	half, old, young := id.New(), id.New(), id.New()
	for tenant, onboarding := range map[id.ID]bool{half: false, old: true, young: true} {
		b.exec(`insert into core.tenant (id, name, parent_id, status, onboarding) values ($1, $2, $3, 'creating', $4)`, tenant, tenant.Hex(), b.root.ID, onboarding)
	}
	b.exec(`update core.tenant set created_at = now() - interval '1 hour' where id = $1`, old)
	must(t, b.Load(t.Context()))
	made, err := b.Get(b.rita, half)
	must(t, err)
	if made.Status != tenancy.Active {
		t.Errorf("%+v", made)
	}
	if n := b.count(`select count(*) from core.tenant where id = $1`, old); n != 0 {
		t.Error("an abandoned onboarding is still there")
	}
	if n := b.count(`select count(*) from core.tenant where id = $1 and status = 'creating'`, young); n != 1 {
		t.Error("an onboarding that another node is doing was touched")
	}
}

func TestSettingsHaveDefaultsAndBounds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set, err := b.Settings(b.hal, b.home.ID)
	must(t, err)
	if set != tenancy.DefaultSettings() {
		t.Errorf("%+v", set)
	}
	set.LocalSignIn, set.RetentionDays, set.TimeZone, set.Locale, set.MFA.RequiredFor = false, 7, "Europe/Vienna", "de-AT", tenancy.MFAEverybody
	must(t, b.SetSettings(b.hal, b.home.ID, set))
	stored, err := b.SettingsOf(t.Context(), b.home.ID)
	must(t, err)
	if stored != set || b.recorded(db.TenantSchema(b.home.ID), "tenancy.settings.updated") != 1 || !b.told("tenant.settings_changed") {
		t.Errorf("%+v", stored)
	}
	for field, change := range map[string]func(*tenancy.Settings){
		"approval_policy":      func(s *tenancy.Settings) { s.ApprovalPolicy = "nobody" },
		"retention_days":       func(s *tenancy.Settings) { s.RetentionDays = 0 },
		"session.max_per_user": func(s *tenancy.Settings) { s.Session.MaxPerUser = 0 },
		"session.idle_minutes": func(s *tenancy.Settings) { s.Session.IdleMinutes = 1 },
		"session.max_hours":    func(s *tenancy.Settings) { s.Session.MaxHours = 1 << 20 },
		"password.min_length":  func(s *tenancy.Settings) { s.Password.MinLength = 7 },
		"password.history":     func(s *tenancy.Settings) { s.Password.History = -1 },
		"mfa.required_for":     func(s *tenancy.Settings) { s.MFA.RequiredFor = "some" },
		"mfa.step_up_minutes":  func(s *tenancy.Settings) { s.MFA.StepUpMinutes = 0 },
		"time_zone":            func(s *tenancy.Settings) { s.TimeZone = "../etc/passwd" },
		"locale":               func(s *tenancy.Settings) { s.Locale = "de_AT; x" },
	} {
		bad := tenancy.DefaultSettings()
		change(&bad)
		err := b.SetSettings(b.hal, b.home.ID, bad)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fieldOf(err), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
