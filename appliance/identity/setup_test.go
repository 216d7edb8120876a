package identity_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
)

const (
	password = "four words of hers"
	home     = "192.0.2.1"
)

// bench is the service with everything below it, a database of its own and the
// first administrator, Ann, in the root tenant and in the tenant Home.
type bench struct {
	*identity.Service
	t            testing.TB
	dsn          string
	permissions  *permission.Service
	tenants      *tenancy.Service
	root, tenant id.ID
	ann          actor.Actor
	sessions     identity.SessionPolicy
	passwords    identity.PasswordPolicy
	mfa          identity.MFAPolicy
	elsewhere    []identity.StepUpAtIdP
	address      string
	sealed       bool // the root key is not open

	mu     sync.Mutex
	events []event.Event
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, address: "https://nimbus.example.org:8443", passwords: identity.PasswordPolicy{MinLength: 12, History: 3, Breached: true}}
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
	database, history, dsn := dbtest.OpenDSN(t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	b.dsn = dsn
	b.wire(database, history, bus)
	b.settle()
	return b
}

func (b *bench) wire(database *db.DB, history []db.Migration, bus *event.Bus) {
	quiet := slog.New(slog.DiscardHandler)
	isRoot := func(tenant id.ID) bool { return b.tenants.IsRoot(tenant) }
	check := func(ctx context.Context, p string) error { return b.permissions.Check(ctx, p) }
	trail := audit.New(audit.Config{DB: database, Logger: quiet, Check: check, IsRoot: isRoot})
	b.permissions = permission.New(permission.Config{DB: database, Audit: trail, Events: bus, Logger: quiet, IsRoot: isRoot,
		Keep: func(ctx context.Context, holder permission.Subject, role id.ID) error {
			return b.Keep(ctx, holder, role)
		},
		Groups: func(ctx context.Context, tenant id.ID, subject permission.Subject) ([]id.ID, error) {
			return b.GroupsOf(ctx, tenant, subject)
		},
		People: func(ctx context.Context, tenant id.ID) ([]permission.Subject, error) { return b.Everybody(ctx, tenant) },
		Names:  b.names})
	b.tenants = tenancy.New(tenancy.Config{DB: database, History: history, Audit: trail, Check: check, Logger: quiet,
		Seed: func(ctx context.Context, tenant id.ID) error { return b.permissions.Seed(ctx, tenant) }})
	b.Service = identity.New(identity.Config{
		DB: database, Audit: trail, Permissions: b.permissions, Events: bus, Logger: quiet,
		URL:             func() string { return b.address },
		Keyring:         b.keyring(database),
		MFAPolicy:       func(context.Context, id.ID) (identity.MFAPolicy, error) { return b.mfa, nil },
		StepUpProviders: func(context.Context) ([]identity.StepUpAtIdP, error) { return b.elsewhere, nil },
		SessionPolicy:   func(context.Context, id.ID) (identity.SessionPolicy, error) { return b.sessions, nil },
		Policy:          func(context.Context, id.ID) (identity.PasswordPolicy, error) { return b.passwords, nil },
	})
}

func (b *bench) names(ctx context.Context, tenant id.ID, subjects []permission.Subject) (map[permission.Subject]string, error) {
	all, err := b.Named(ctx, tenant, subjects)
	names := make(map[permission.Subject]string, len(all))
	for _, m := range all {
		names[permission.Subject{Kind: m.Kind, ID: m.ID}] = m.Name
	}
	return names, err
}

// keyring is over a key in a file, or nil while the bench is sealed.
func (b *bench) keyring(database *db.DB) func() *secret.Keyring {
	b.t.Helper()
	key, err := secret.OpenFileRoot(filepath.Join(b.t.TempDir(), "root.key"))
	b.must(err)
	ring := secret.NewKeyring(key, tenancy.Keys{DB: database}, nil)
	return func() *secret.Keyring {
		if b.sealed {
			return nil
		}
		return ring
	}
}

func (b *bench) settle() {
	ctx := actor.With(b.t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	root, err := b.tenants.CreateRoot(ctx)
	b.must(err)
	b.root = root.ID
	tenant, err := b.tenants.Create(ctx, tenancy.Tenant{Name: "Home", ParentID: root.ID})
	b.must(err)
	b.tenant = tenant.ID
	ann, err := b.CreateFirst(ctx, identity.NewUser{Name: "Ann", Email: "ann@example.org", Password: password}, root.ID, tenant.ID)
	b.must(err)
	b.ann = b.acting(ann.ID, "Ann", b.tenant)
}

// anotherTenant makes a tenant beside Home.
func (b *bench) anotherTenant(name string) id.ID {
	b.t.Helper()
	ctx := actor.With(b.t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: b.root})
	tenant, err := b.tenants.Create(ctx, tenancy.Tenant{Name: name, ParentID: b.root})
	b.must(err)
	return tenant.ID
}

// person makes a member of a tenant with a role, or none.
func (b *bench) person(name, email string, tenant id.ID, roles ...string) actor.Actor {
	b.t.Helper()
	u := identity.NewUser{Name: name, Email: email, Password: password}
	for _, role := range roles {
		u.Roles = append(u.Roles, permission.SystemRoleID(tenant, role))
	}
	made, err := b.CreateUser(actor.AsSystem(b.t.Context(), "test", tenant), u)
	b.must(err)
	return b.acting(made.ID, name, tenant)
}

func (b *bench) acting(user id.ID, name string, tenant id.ID) actor.Actor {
	return actor.Actor{Kind: actor.User, ID: user, Name: name, TenantID: tenant, Address: home}
}

func (b *bench) as(a actor.Actor) context.Context { return actor.With(b.t.Context(), a) }

// signIn begins a session and returns its token and who acts in it.
func (b *bench) signIn(email string) (string, actor.Actor) {
	b.t.Helper()
	token, _, err := b.SignIn(b.t.Context(), email, password, home, "a browser")
	b.must(err)
	a, err := b.Authenticate(b.t.Context(), token)
	b.must(err)
	a.Address = home
	return token, a
}

// exec runs SQL as the database's superuser.
func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(b.t.Context(), sql, args...)
	b.must(err)
}

// query reads one value as the database's superuser.
func query[T any](b *bench, sql string, args ...any) T {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(context.Background())
	var v T
	b.must(conn.QueryRow(b.t.Context(), sql, args...).Scan(&v))
	return v
}

// cut tells whether sockets of a session (zero: all) of somebody were ended.
func (b *bench) cut(user, session id.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type == identity.SessionEnded && e.User == user && (e.ID == session || e.ID.IsZero()) {
			return true
		}
	}
	return false
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// refused expects a kind of fault.
func (b *bench) refused(what string, err error, kind fault.Kind) {
	b.t.Helper()
	if !fault.Is(err, kind) {
		b.t.Errorf("%s: %v instead of %s", what, err, kind)
	}
}

// holding makes a member of the tenant who holds some permissions.
func (b *bench) holding(name, email string, permissions ...string) actor.Actor {
	b.t.Helper()
	role := permission.Role{Name: "Role of " + name}
	for _, p := range permissions {
		role.Grants = append(role.Grants, permission.Grant{Permission: p, Effect: permission.Allow})
	}
	role, err := b.permissions.CreateRole(b.as(b.ann), role)
	b.must(err)
	a := b.person(name, email, b.tenant)
	b.must(b.permissions.Assign(b.as(b.ann), a.ID, role.ID))
	return a
}

// assign gives a group or a service account of the tenant a system role.
func (b *bench) assign(to permission.Subject, role string) {
	b.t.Helper()
	_, err := b.permissions.AssignTo(b.as(b.ann), permission.Assignment{Subject: to, RoleID: permission.SystemRoleID(b.tenant, role)})
	b.must(err)
}

func schema(tenant id.ID) string { return db.TenantSchema(tenant) }
