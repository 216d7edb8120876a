package breakglass_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/breakglass/hsm/hsmtest"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
)

func TestMain(m *testing.M) { hsmtest.Main(m) }

// bench is the service with everything below it, a database of its own, and
// three people in one tenant: Ann and Bob administer it, Eve reads.
type bench struct {
	*breakglass.Service
	t             *testing.T
	dsn           string
	db            *db.DB
	audit         *audit.Service
	people        *identity.Service
	permissions   *permission.Service
	bus           *event.Bus
	tenants       *tenancy.Service
	tenant        id.ID
	ann, bob, eve actor.Actor

	mu     sync.Mutex
	events []event.Event
	log    bytes.Buffer
}

// Write takes the log.
func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func newBench(t *testing.T, signer breakglass.Signer) *bench {
	t.Helper()
	b := &bench{t: t, bus: event.NewBus(slog.New(slog.DiscardHandler))}
	b.bus.Subscribe(func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
	history := b.openDatabase()
	isRoot := func(tenant id.ID) bool { return b.tenants.IsRoot(tenant) }
	check := func(ctx context.Context, p string) error { return b.permissions.Check(ctx, p) }
	quiet := slog.New(slog.DiscardHandler)
	b.audit = audit.New(audit.Config{DB: b.db, Logger: quiet, Check: check, IsRoot: isRoot})
	b.permissions = permission.New(permission.Config{DB: b.db, Audit: b.audit, Events: b.bus, Logger: quiet, IsRoot: isRoot})
	b.tenants = tenancy.New(tenancy.Config{DB: b.db, History: history, Audit: b.audit, Check: check, Logger: quiet,
		Seed: func(ctx context.Context, tenant id.ID) error { return b.permissions.Seed(ctx, tenant) }})
	b.people = identity.New(identity.Config{DB: b.db, Audit: b.audit, Permissions: b.permissions, Events: b.bus, Logger: quiet})
	b.settle()
	b.Service = b.service(signer)
	must(t, b.Start(t.Context()))
	return b
}

// service is one more over the same database, as another node has it.
func (b *bench) service(signer breakglass.Signer) *breakglass.Service {
	if signer == nil {
		signer = breakglass.NewFileSigner(filepath.Join(b.t.TempDir(), "keys", "breakglass.ed25519"))
	}
	s := breakglass.New(breakglass.Config{
		DB: b.db, Audit: b.audit, Permissions: b.permissions, Identity: b.people, Events: b.bus,
		Signer: signer, Root: b.tenants.Root, Logger: slog.New(slog.NewTextHandler(b, nil)),
	})
	b.t.Cleanup(func() { must(b.t, s.Stop(context.Background())) })
	return s
}

func (b *bench) openDatabase() (history []db.Migration) {
	b.db, history, b.dsn = dbtest.OpenDSN(b.t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations, breakglass.Migrations)
	return history
}

const password = "four words of hers"

// settle makes the root tenant, a tenant and the three people.
func (b *bench) settle() {
	ctx := actor.With(b.t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	root, err := b.tenants.CreateRoot(ctx)
	must(b.t, err)
	tenant, err := b.tenants.Create(ctx, tenancy.Tenant{Name: "Home", ParentID: root.ID})
	must(b.t, err)
	b.tenant = tenant.ID
	_, err = b.people.CreateFirst(ctx, identity.NewUser{Name: "Ann", Email: "ann@example.org", Password: password}, root.ID, tenant.ID)
	must(b.t, err)
	b.join("Bob", permission.TenantAdministrator)
	b.join("Eve", "Reader")
	b.ann, b.bob, b.eve = b.sign("ann"), b.sign("bob"), b.sign("eve")
}

func (b *bench) join(name, role string) {
	ctx := actor.AsSystem(b.t.Context(), "test", b.tenant)
	_, err := b.people.CreateUser(ctx, identity.NewUser{Name: name, Email: name + "@example.org", Password: password,
		Roles: []id.ID{permission.SystemRoleID(b.tenant, role)}})
	must(b.t, err)
}

// sign returns a person as they act in the tenant.
func (b *bench) sign(name string) actor.Actor {
	a, err := b.people.VerifyCredentials(b.t.Context(), name+"@example.org", password, "192.0.2.1")
	must(b.t, err)
	a.TenantID = b.tenant
	return a
}

func (b *bench) as(a actor.Actor) context.Context { return actor.With(b.t.Context(), a) }

func (b *bench) request(a actor.Actor) breakglass.Request {
	b.t.Helper()
	r, err := b.Request(b.as(a), breakglass.Ask{Reason: "the cluster burns", Minutes: 30})
	must(b.t, err)
	return r
}

// opened is a session for Ann that she and Bob approved.
func (b *bench) opened() breakglass.Request {
	b.t.Helper()
	r := b.request(b.ann)
	for _, a := range []actor.Actor{b.ann, b.bob} {
		var err error
		r, err = b.Approve(b.as(a), r.ID, password)
		must(b.t, err)
	}
	return r
}

func (b *bench) exec(query string, args ...any) {
	b.t.Helper()
	must(b.t, b.db.Core(b.t.Context(), func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, query, args...)
		return err
	}))
}

// status is what everybody would read now.
func (b *bench) status(request id.ID) breakglass.Status {
	b.t.Helper()
	v, err := b.View(b.as(b.ann))
	must(b.t, err)
	for _, r := range v.Requests {
		if r.ID == request {
			return r.Status
		}
	}
	b.t.Fatal("the request is not listed")
	return ""
}

func (b *bench) becomes(request id.ID, want breakglass.Status) {
	b.t.Helper()
	for range 250 {
		if b.status(request) == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("the request is %s, want %s", b.status(request), want)
}

func (b *bench) published(kind string) (tenants []id.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type == kind {
			tenants = append(tenants, e.Tenant)
		}
	}
	return tenants
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("error %v, want one of kind %s", err, kind)
	}
}
