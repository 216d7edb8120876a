package approval

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

const approveStack = "deployment:stack:approve"

// bench is a service over a database of its own.
type bench struct {
	*Service
	tenant id.ID
	may    map[id.ID]bool
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{tenant: id.New(), may: map[id.ID]bool{alice.ID: true, bob.ID: true}, now: noon}
	database := openDatabase(t, b.tenant)
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	check := func(ctx context.Context, _ string) error {
		if a, _ := actor.From(ctx); !b.may[a.ID] {
			return fault.New(fault.Forbidden, "You may not do this.")
		}
		return nil
	}
	b.Service = New(Config{
		DB: database, Events: bus, Now: func() time.Time { return b.now },
		CheckOn:   func(ctx context.Context, p string, _ permission.Resource) error { return check(ctx, p) },
		AllowedOn: func(ctx context.Context, p string, _ permission.Resource) bool { return check(ctx, p) == nil },
		Audit:     audit.New(audit.Config{DB: database, Check: check, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }}),
	})
	return b
}

// openDatabase makes the tables of one tenant.
func openDatabase(t *testing.T, tenant id.ID) *db.DB {
	t.Helper()
	database, history := dbtest.Open(t, audit.Migrations, Migrations)
	require(t, database.AddTenant(t.Context(), tenant, history))
	return database
}

func require(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is a context in which somebody acts in the bench's tenant.
func (b *bench) as(t *testing.T, a actor.Actor) context.Context {
	a.TenantID = b.tenant
	return actor.With(t.Context(), a)
}

func (b *bench) open(t *testing.T, subject id.ID, digest string, policy Policy) Request {
	t.Helper()
	var r Request
	ctx := b.as(t, alice)
	require(t, b.DB.Tenant(ctx, b.tenant, func(ctx context.Context) (err error) {
		r, err = b.Open(ctx, Ask{
			SubjectKind: "deployment", SubjectID: subject, SubjectName: "web", Digest: digest, Policy: policy,
			Permission: approveStack, Needed: 1, Lifetime: time.Hour,
		})
		return err
	}))
	return r
}

func (b *bench) of(t *testing.T, subject id.ID) Request {
	t.Helper()
	var r Request
	ctx := b.as(t, alice)
	require(t, b.DB.Tenant(ctx, b.tenant, func(ctx context.Context) (err error) {
		r, err = b.Of(ctx, "deployment", subject)
		return err
	}))
	return r
}

func TestSomebodyElseApproves(t *testing.T) {
	t.Parallel()
	b, subject := newBench(t), id.New()
	woken := []Status{}
	b.OnEnd("deployment", func(_ context.Context, r Request) { woken = append(woken, r.Status) })
	b.open(t, subject, "d1", SecondPerson)

	_, err := b.Decide(b.as(t, alice), "deployment", subject, Approve, "d1", "")
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("the requester: %v", err)
	}
	_, err = b.Decide(b.as(t, carol), "deployment", subject, Approve, "d1", "")
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
	if got := b.of(t, subject); got.Status != Pending || len(got.Decisions) != 0 || len(woken) != 0 {
		t.Fatalf("a refused decision left %+v, woke %v", got, woken)
	}
	_, err = b.Decide(b.as(t, bob), "deployment", subject, Approve, "d1", "looks right")
	require(t, err)
	got := b.of(t, subject)
	if !got.Allows("d1") || got.SelfConfirmed() || got.Decisions[0].Comment != "looks right" || got.Decisions[0].ActorName != "Bob" {
		t.Errorf("got %+v", got)
	}
	if len(woken) != 1 || woken[0] != Approved {
		t.Errorf("woke %v", woken)
	}
}

func TestSelfConfirmationIsMarked(t *testing.T) {
	t.Parallel()
	b, subject := newBench(t), id.New()
	b.open(t, subject, "d1", ConfirmSelf)
	if _, err := b.Decide(b.as(t, alice), "deployment", subject, Approve, "d1", ""); !fault.Is(err, fault.StepUp) {
		t.Fatalf("an hour after signing in: %v", err)
	}
	_, err := b.Decide(b.as(t, signedIn(alice, time.Minute)), "deployment", subject, Approve, "d1", "")
	require(t, err)
	got := b.of(t, subject)
	if !got.SelfConfirmed() || !got.Decisions[0].ReauthenticatedAt.Equal(noon.Add(-time.Minute)) {
		t.Errorf("got %+v", got)
	}
}

func TestAnotherDigestVoids(t *testing.T) {
	t.Parallel()
	b, subject := newBench(t), id.New()
	first := b.open(t, subject, "d1", SecondPerson)
	if again := b.open(t, subject, "d1", SecondPerson); again.ID != first.ID {
		t.Error("the same digest made a second request")
	}
	second := b.open(t, subject, "d2", SecondPerson)
	if _, err := b.Decide(b.as(t, bob), "deployment", subject, Approve, "d1", ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("the old digest: %v", err)
	}
	ctx := b.as(t, bob)
	require(t, b.DB.Tenant(ctx, b.tenant, func(ctx context.Context) error {
		waiting, err := b.Waiting(ctx, "deployment")
		if len(waiting) != 1 || waiting[0].ID != second.ID || !b.CanDecide(ctx, waiting[0]) {
			t.Errorf("waiting: %+v", waiting)
		}
		if b.CanDecide(b.as(t, alice), waiting[0]) {
			t.Error("the requester is told that she can decide")
		}
		return err
	}))
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	b, subject := newBench(t), id.New()
	b.open(t, subject, "d1", SecondPerson)
	b.now = noon.Add(time.Hour)
	if _, err := b.Decide(b.as(t, bob), "deployment", subject, Approve, "d1", ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("after its time: %v", err)
	}
	ctx := b.as(t, alice)
	require(t, b.DB.Tenant(ctx, b.tenant, func(ctx context.Context) error {
		return b.End(ctx, "deployment", subject, Expired)
	}))
	if got := b.of(t, subject); got.Status != Expired {
		t.Errorf("got %s", got.Status)
	}
}

func TestOmissionsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	whole := Ask{SubjectKind: "deployment", SubjectID: id.New(), Digest: "d", Permission: approveStack, Needed: 1, Lifetime: time.Hour}
	for name, change := range map[string]func(*Ask){
		"needed": func(a *Ask) { a.Needed = 0 }, "digest": func(a *Ask) { a.Digest = "" },
		"permission": func(a *Ask) { a.Permission = "" }, "lifetime": func(a *Ask) { a.Lifetime = 0 },
	} {
		ask := whole
		change(&ask)
		ctx := b.as(t, alice)
		err := b.DB.Tenant(ctx, b.tenant, func(ctx context.Context) error {
			_, err := b.Open(ctx, ask)
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
