package permission

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain.
const (
	ReadRole    = "permission:role:read"
	CreateRole  = "permission:role:create"
	UpdateRole  = "permission:role:update"
	DeleteRole  = "permission:role:delete"
	AssignRole  = "permission:role:assign"
	ReadGrant   = "permission:grant:read"
	CreateGrant = "permission:grant:create"
	DeleteGrant = "permission:grant:delete"
	ExplainAny  = "permission:policy:explain"
)

// ChangedEvent tells every node that rights of a tenant are stale: they were
// changed, or one began or ended.
const ChangedEvent = "permission.changed"

// Config is what the service needs.
type Config struct {
	DB     *db.DB
	Audit  *audit.Service
	Events *event.Bus
	Logger *slog.Logger
	// IsRoot tells the root tenant.
	IsRoot func(tenant id.ID) bool
	// Keep fails with fault.Forbidden when a role must never be taken from its
	// holder; nil keeps nothing.
	Keep func(ctx context.Context, holder Subject, role id.ID) error
	// Groups lists all groups that a subject is in, those in groups too, in a
	// transaction of the tenant; nil means none.
	Groups func(ctx context.Context, tenant id.ID, subject Subject) ([]id.ID, error)
	// Ancestors lists a compartment and those above it, nearest first, in a
	// transaction of its tenant; nil means that compartments lie in nothing.
	Ancestors func(ctx context.Context, compartment id.ID) ([]id.ID, error)
	// Names names those of the subjects that are of the tenant; nil names
	// nobody and takes every subject for the tenant's.
	Names func(ctx context.Context, tenant id.ID, subjects []Subject) (map[Subject]string, error)
	// People lists the people and service accounts of a tenant, for who may do
	// something; nil means those to whom something was given.
	People func(ctx context.Context, tenant id.ID) ([]Subject, error)
	// Clock tells the time; nil is the machine's clock, which never goes back.
	Clock func() time.Time
}

// Service keeps roles and grants and answers questions.
type Service struct {
	Config
	store store
	began time.Time

	mu      sync.RWMutex
	version uint64
	rights  map[holder]kept
	edges   map[id.ID]*edge
}

// New returns a service that forgets compiled rights when any node changes them.
func New(cfg Config) *Service {
	s := &Service{Config: cfg, began: time.Now(), rights: map[holder]kept{}, edges: map[id.ID]*edge{}}
	cfg.Events.Subscribe(func(e event.Event) {
		switch e.Type {
		case ChangedEvent:
			s.forget(e.Tenant)
		case event.MissedEvent:
			s.forgetAll()
		}
	})
	return s
}

// now never goes back while the process runs: when the machine's clock is set
// back, what has ended does not begin again.
func (s *Service) now() time.Time {
	if s.Clock != nil {
		return s.Clock()
	}
	wall := time.Now()
	return steady(s.began.Round(0), wall.Round(0), wall.Sub(s.began))
}

// steady is the wall's time, or what it must be at least: when it began and
// how long that is ago by a clock that nobody sets.
func steady(began, wall time.Time, since time.Duration) time.Time {
	if least := began.Add(since); least.After(wall) {
		return least
	}
	return wall
}

// Check authorises the context's actor in its tenant. A refusal is recorded
// and returned as fault.Forbidden with the reason. The appliance itself, the
// first-run wizard and the machine's console may do everything; so may a
// person during a break-glass session.
func (s *Service) Check(ctx context.Context, permission string) error {
	return s.CheckOn(ctx, permission, Resource{})
}

// CheckOn is Check about one resource: grants of its compartment, and of those
// above it, count, and conditions can ask about it.
func (s *Service) CheckOn(ctx context.Context, permission string, on Resource) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	v, err := s.decide(ctx, &a, permission, &on)
	if err != nil || v.allowed {
		return err
	}
	reason := v.reason()
	s.refused(ctx, a, permission, reason)
	return fault.Needs(permission, reason)
}

// CheckSomewhere is Check for lists: it is also nil when the actor is allowed it
// for some resources only, by place or condition. The list asks about each one
// with AllowedOn.
func (s *Service) CheckSomewhere(ctx context.Context, permission string) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	q, err := question(permission)
	if err != nil {
		return err
	}
	if _, over := s.beforeGrants(&a, q); over {
		return s.Check(ctx, permission)
	}
	rights, err := s.of(ctx, a.TenantID, subjectOf(a))
	if err != nil {
		return err
	}
	if rights.somewhere(q, s.now()) {
		return nil
	}
	return s.Check(ctx, permission)
}

// Allowed is Check for decorations such as `can_decide`: nothing is recorded.
func (s *Service) Allowed(ctx context.Context, permission string) bool {
	return s.AllowedOn(ctx, permission, Resource{})
}

// AllowedOn is CheckOn for decorations: nothing is recorded.
func (s *Service) AllowedOn(ctx context.Context, permission string, on Resource) bool {
	a, ok := actor.From(ctx)
	if !ok {
		return false
	}
	v, err := s.decide(ctx, &a, permission, &on)
	return err == nil && v.allowed
}

// verdict is a decision whose sentence is made only when somebody wants it.
type verdict struct {
	allowed bool
	by      int
	rights  *Rights
	because string // when no grant was asked
}

func (v verdict) reason() string {
	if v.rights == nil {
		return v.because
	}
	return v.rights.reason(v.by, v.allowed)
}

func (s *Service) decide(ctx context.Context, a *actor.Actor, permission string, on *Resource) (verdict, error) {
	q, err := question(permission)
	if err != nil {
		return verdict{}, err
	}
	if v, over := s.beforeGrants(a, q); over {
		return v, nil
	}
	rights, err := s.of(ctx, a.TenantID, subjectOf(*a))
	if err != nil {
		return verdict{}, err
	}
	ask := asked{parts: q, text: permission, actor: a, on: on}
	if err := s.complete(ctx, a.TenantID, rights, &ask); err != nil {
		return verdict{}, err
	}
	by, allowed := rights.decide(&ask)
	if len(ask.failed) > 0 {
		s.unanswered(ask.failed, permission)
	}
	return verdict{allowed: allowed, by: by, rights: rights}, nil
}

// beforeGrants decides what no grant decides: what a token's scopes leave out,
// and those whom permissions do not bind.
func (s *Service) beforeGrants(a *actor.Actor, q parts) (verdict, bool) {
	switch {
	case !inScope(a, q):
		return verdict{because: "The API token's scopes do not include it."}, true
	case a.Kind.Trusted():
		return verdict{allowed: true, because: "The appliance itself may do everything."}, true
	case !a.BreakGlass.IsZero():
		return verdict{allowed: true, because: "The break-glass session allows everything."}, true
	case a.TenantID.IsZero():
		return verdict{because: "No tenant is chosen."}, true
	}
	return verdict{}, false
}

// complete gives a question the time and the place that the rights depend on.
func (s *Service) complete(ctx context.Context, tenant id.ID, rights *Rights, ask *asked) (err error) {
	if rights.clocked && ask.at.IsZero() {
		ask.at = s.now()
	}
	if rights.scoped && ask.on != nil && !ask.on.Compartment.IsZero() {
		ask.path, err = s.path(ctx, tenant, ask.on.Compartment)
	}
	return err
}

// unanswered puts into the log which condition had no answer, and why.
func (s *Service) unanswered(failed []failure, permission string) {
	for _, f := range failed {
		s.Logger.Warn("a condition had no answer and counts against who asked", "permission", permission,
			"grant", f.source.Permission, "effect", f.source.Effect, "via", f.source.Via, "condition", f.source.Condition, "error", f.err)
	}
}

// refused records a refusal. When even that fails the log has it; the refusal
// stands.
func (s *Service) refused(ctx context.Context, a actor.Actor, permission, reason string) {
	if _, inside := db.Scope(ctx); inside {
		return // the transaction that asked is rolled back, and its record with it
	}
	err := s.Audit.RecordAlone(ctx, a.TenantID, audit.Entry{
		Event: "permission.check.denied", Outcome: audit.Denied, Priority: audit.Notice,
		Target: audit.Target{Kind: "permission", ID: permission}, Reason: reason,
	})
	if err != nil {
		s.Logger.Error("a refusal could not be recorded", "permission", permission, "error", err)
	}
}

func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Check(ctx, permission)
}

// Mine lists the patterns that the actor holds in its tenant.
func (s *Service) Mine(ctx context.Context) ([]string, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	if !a.BreakGlass.IsZero() || a.Kind.Trusted() {
		return []string{"*:*:*"}, nil
	}
	rights, err := s.of(ctx, a.TenantID, subjectOf(a))
	if err != nil {
		return nil, err
	}
	return rights.List(s.now()), nil
}
