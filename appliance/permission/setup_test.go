package permission_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
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

// world is the service over a database of its own with a root tenant and a
// tenant. Groups and compartments are maps: other domains own them.
type world struct {
	*permission.Service
	t            *testing.T
	db           *db.DB
	bus          *event.Bus
	root, tenant id.ID

	mu        sync.Mutex
	groups    map[permission.Subject][]id.ID
	above     map[id.ID]id.ID
	names     map[permission.Subject]string
	kept      id.ID
	offset    time.Duration
	log       bytes.Buffer
	changes   []time.Time // when nodes were told that rights changed, by the world's clock
	cfg       permission.Config
	auditable *audit.Service
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, bus: event.NewBus(slog.New(slog.DiscardHandler)), root: id.New(), tenant: id.New(),
		groups: map[permission.Subject][]id.ID{}, above: map[id.ID]id.ID{}, names: map[permission.Subject]string{}}
	d, history := dbtest.Open(t, audit.Migrations, permission.Migrations)
	w.db = d
	isRoot := func(tenant id.ID) bool { return tenant == w.root }
	check := func(ctx context.Context, p string) error { return w.Check(ctx, p) }
	w.auditable = audit.New(audit.Config{DB: d, Logger: slog.New(slog.DiscardHandler), Check: check, IsRoot: isRoot})
	w.cfg = permission.Config{
		DB: d, Audit: w.auditable, Events: w.bus, Logger: slog.New(slog.NewTextHandler(w, nil)), IsRoot: isRoot,
		Keep: w.keep, Groups: w.groupsOf, Ancestors: w.path, Names: w.named, Clock: w.now,
	}
	w.bus.Subscribe(w.note)
	w.Service = permission.New(w.cfg)
	for _, tenant := range []id.ID{w.root, w.tenant} {
		must(t, d.AddTenant(t.Context(), tenant, history))
		must(t, w.Seed(t.Context(), tenant))
	}
	return w
}

func (w *world) note(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Type == permission.ChangedEvent {
		w.changes = append(w.changes, time.Now().Add(w.offset))
	}
}

// toldSince reports whether nodes were told of a change at or after a moment.
func (w *world) toldSince(at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changes) > 0 && !w.changes[len(w.changes)-1].Before(at)
}

// Write takes the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset)
}

// later lets time pass.
func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += d
}

func (w *world) groupsOf(_ context.Context, _ id.ID, subject permission.Subject) ([]id.ID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.groups[subject], nil
}

func (w *world) path(_ context.Context, c id.ID) (path []id.ID, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for parent, ok := w.above[c]; ok; parent, ok = w.above[c] {
		path = append(path, c)
		c = parent
	}
	return path, nil
}

func (w *world) named(_ context.Context, _ id.ID, subjects []permission.Subject) (map[permission.Subject]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[permission.Subject]string{}
	for _, s := range subjects {
		if name, ok := w.names[s]; ok {
			all[s] = name
		}
	}
	return all, nil
}

func (w *world) keep(_ context.Context, holder permission.Subject, role id.ID) error {
	if holder.ID == w.kept && role == permission.SystemRoleID(w.root, permission.ProviderAdministrator) {
		return fault.New(fault.Forbidden, "This one stays.")
	}
	return nil
}

// subject makes somebody with a name, in groups.
func (w *world) subject(kind permission.SubjectKind, name string, groups ...permission.Subject) permission.Subject {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := permission.Subject{Kind: kind, ID: id.New()}
	w.names[s] = name
	for _, g := range groups {
		w.groups[s] = append(w.groups[s], g.ID)
	}
	return s
}

// compartment makes one inside another; zero is outermost.
func (w *world) compartment(in id.ID) id.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := id.New()
	w.above[c] = in
	return c
}

func (w *world) as(s permission.Subject) context.Context { return w.in(w.tenant, s) }

func (w *world) in(tenant id.ID, s permission.Subject) context.Context {
	kind := actor.User
	if s.Kind == permission.ServiceAccountSubject {
		kind = actor.ServiceAccount
	}
	return actor.With(w.t.Context(), actor.Actor{Kind: kind, ID: s.ID, Name: w.names[s], TenantID: tenant, AuthenticatedAt: time.Now(), Address: "192.0.2.7"})
}

func (w *world) system() context.Context { return actor.AsSystem(w.t.Context(), "test", w.tenant) }

func (w *world) systemRoot() context.Context { return actor.AsSystem(w.t.Context(), "test", w.root) }

func (w *world) role(inherits []id.ID, grants ...permission.Grant) permission.Role {
	w.t.Helper()
	r, err := w.CreateRole(w.system(), permission.Role{Name: "Role " + id.New().String(), Grants: grants, Inherits: inherits})
	must(w.t, err)
	return r
}

func (w *world) give(n permission.Assignment) permission.Assignment {
	w.t.Helper()
	made, err := w.AssignTo(w.system(), n)
	must(w.t, err)
	return made
}

func (w *world) grant(to permission.Subject, g permission.Grant) permission.DirectGrant {
	w.t.Helper()
	made, err := w.CreateGrant(w.system(), permission.DirectGrant{Subject: to, Grant: g})
	must(w.t, err)
	return made
}

// may holds what somebody may do against what is expected, by Allowed and by
// explanation.
func (w *world) may(s permission.Subject, p string, on permission.Resource, want bool) {
	w.t.Helper()
	if got := w.AllowedOn(w.as(s), p, on); got != want {
		w.t.Errorf("%s is %v about %+v", p, got, on)
	}
	d, err := w.ExplainFor(w.as(s), permission.Question{Permission: p, Resource: on})
	if err != nil || d.Allowed != want {
		w.t.Errorf("%s is explained with %+v, %v", p, d, err)
	}
}

func (w *world) recorded(tenant id.ID, what string) int {
	w.t.Helper()
	n := 0
	in := func(fn func(context.Context) error) error { return w.db.Tenant(w.t.Context(), tenant, fn) }
	if tenant == w.root {
		in = func(fn func(context.Context) error) error { return w.db.Core(w.t.Context(), fn) }
	}
	must(w.t, in(func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_record where event = $1`, what).Scan(&n)
	}))
	return n
}

func allow(p string) permission.Grant {
	return permission.Grant{Permission: p, Effect: permission.Allow}
}
func deny(p string) permission.Grant { return permission.Grant{Permission: p, Effect: permission.Deny} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%v is not %s", err, kind)
	}
}

var everywhere = permission.Resource{}
