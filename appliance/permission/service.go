package permission

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain.
const (
	ReadRole   = "permission:role:read"
	CreateRole = "permission:role:create"
	DeleteRole = "permission:role:delete"
	AssignRole = "permission:role:assign"
	ExplainAny = "permission:policy:explain"
)

// changed is the event that tells every node that rights are stale.
const changed = "permission.changed"

// Role is a named set of grants in one tenant.
type Role struct {
	ID          id.ID   `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	System      bool    `json:"system"`
	Grants      []Grant `json:"grants"`
}

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
}

// Service keeps roles and answers questions.
type Service struct {
	Config
	store store

	mu      sync.RWMutex
	version uint64
	rights  map[holder]*Rights
}

type holder struct{ tenant, user id.ID }

// New returns a service that forgets compiled rights when any node changes them.
func New(cfg Config) *Service {
	s := &Service{Config: cfg, rights: map[holder]*Rights{}}
	cfg.Events.Subscribe(func(e event.Event) {
		if e.Type == changed {
			s.forget(e.Tenant)
		}
	})
	return s
}

// Check authorises the context's actor in its tenant. A refusal is recorded
// and returned as fault.Forbidden with the reason. The appliance itself, the
// first-run wizard and the machine's console may do everything; so may a
// person during a break-glass session.
func (s *Service) Check(ctx context.Context, permission string) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	d, err := s.decide(ctx, a, permission)
	if err != nil || d.Allowed {
		return err
	}
	s.refused(ctx, a, d)
	return fault.New(fault.Forbidden, "You may not do this: it needs %s. %s", permission, d.Reason)
}

// Allowed is Check for decorations such as `can_decide`: nothing is recorded.
func (s *Service) Allowed(ctx context.Context, permission string) bool {
	a, ok := actor.From(ctx)
	if !ok {
		return false
	}
	d, err := s.decide(ctx, a, permission)
	return err == nil && d.Allowed
}

func (s *Service) decide(ctx context.Context, a actor.Actor, permission string) (Decision, error) {
	if !inScope(a, permission) {
		return Decision{Permission: permission, Reason: "The API token's scopes do not include it."}, nil
	}
	if a.Kind.Trusted() || !a.BreakGlass.IsZero() {
		return Decision{Allowed: true, Permission: permission}, nil
	}
	if a.TenantID.IsZero() {
		return Decision{Permission: permission, Reason: "No tenant is chosen."}, nil
	}
	rights, err := s.of(ctx, a.TenantID, a.ID)
	if err != nil {
		return Decision{}, err
	}
	by, allowed, err := rights.decide(permission)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Allowed: allowed, Permission: permission, DecidedBy: by, Reason: reason(by, allowed)}, nil
}

// refused records a refusal. When even that fails the log has it; the refusal
// stands.
func (s *Service) refused(ctx context.Context, a actor.Actor, d Decision) {
	if _, inside := db.Scope(ctx); inside {
		return // the transaction that asked is rolled back, and its record with it
	}
	err := s.Audit.RecordAlone(ctx, a.TenantID, audit.Entry{
		Event: "permission.check.denied", Outcome: audit.Denied, Priority: audit.Notice,
		Target: audit.Target{Kind: "permission", ID: d.Permission}, Reason: d.Reason,
	})
	if err != nil {
		s.Logger.Error("a refusal could not be recorded", "permission", d.Permission, "error", err)
	}
}

// of returns the compiled rights of a user in a tenant. Rights compiled while
// they were being changed are used for this question and not kept.
func (s *Service) of(ctx context.Context, tenant, user id.ID) (*Rights, error) {
	h := holder{tenant, user}
	s.mu.RLock()
	rights, ok := s.rights[h]
	version := s.version
	s.mu.RUnlock()
	if ok {
		return rights, nil
	}
	rights, err := s.compile(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == version {
		s.rights[h] = rights
	}
	return rights, nil
}

func (s *Service) compile(ctx context.Context, tenant, user id.ID) (*Rights, error) {
	var roles []Role
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		var err error
		roles, err = s.store.rolesOf(ctx, user)
		return err
	})
	if err != nil {
		return nil, err
	}
	var sources []Source
	for _, r := range roles {
		for _, g := range s.complete(tenant, r).Grants {
			sources = append(sources, Source{Grant: g, Role: r.Name})
		}
	}
	return Compile(sources)
}

// complete gives a system role its grants.
func (s *Service) complete(tenant id.ID, r Role) Role {
	if r.System {
		r.Grants = systemGrants(s.IsRoot(tenant), r.Name)
	}
	return r
}

func (s *Service) forget(tenant id.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	for h := range s.rights {
		if h.tenant == tenant {
			delete(s.rights, h)
		}
	}
}

// stale tells every node, after the commit, to compile a tenant's rights anew.
func (s *Service) stale(ctx context.Context, tenant id.ID) error {
	return s.Events.Publish(ctx, event.Event{Type: changed, Tenant: tenant, Watched: "nobody"}, nil)
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
	rights, err := s.of(ctx, a.TenantID, a.ID)
	if err != nil {
		return nil, err
	}
	return rights.List(), nil
}

// Explain tells whether a user (zero: the actor) may do something, and why.
// About others it needs permission:policy:explain.
func (s *Service) Explain(ctx context.Context, user id.ID, permission string) (Decision, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Decision{}, err
	}
	if user.IsZero() {
		user = a.ID
	}
	if user != a.ID {
		if err := s.Check(ctx, ExplainAny); err != nil {
			return Decision{}, err
		}
	}
	rights, err := s.of(ctx, a.TenantID, user)
	if err != nil {
		return Decision{}, err
	}
	return rights.Explain(permission)
}

// Seed writes the system roles of a tenant; done again it changes nothing.
func (s *Service) Seed(ctx context.Context, tenant id.ID) error {
	root := s.IsRoot(tenant)
	return s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		for _, r := range systemRoles {
			if r.root != root {
				continue
			}
			role := Role{ID: SystemRoleID(tenant, r.name), Name: r.name, Description: r.description}
			if err := s.store.seedRole(ctx, role); err != nil {
				return err
			}
		}
		return nil
	})
}

// Roles lists the roles of the actor's tenant.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	a, err := s.authorise(ctx, ReadRole)
	if err != nil {
		return nil, err
	}
	var roles []Role
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		var err error
		roles, err = s.store.roles(ctx)
		return err
	})
	for i := range roles {
		roles[i] = s.complete(a.TenantID, roles[i])
	}
	return roles, err
}

// RolesOf lists the roles of a user in the tenant of the surrounding
// transaction, without asking: for services that have authorised already.
func (s *Service) RolesOf(ctx context.Context, user id.ID) ([]Role, error) {
	return s.store.rolesOf(ctx, user)
}

// CreateRole makes a role of the tenant's own.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	a, err := s.authorise(ctx, CreateRole)
	if err != nil {
		return Role{}, err
	}
	if r, err = validRole(r); err != nil {
		return Role{}, err
	}
	if err := s.within(ctx, r.Grants); err != nil {
		return Role{}, err
	}
	return r, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.addRole(ctx, r); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Event: "permission.role.created", Priority: audit.Notice, Target: target(r), After: r})
	})
}

func validRole(r Role) (Role, error) {
	r.ID, r.System, r.Name = id.New(), false, strings.TrimSpace(r.Name)
	if r.Name == "" {
		return r, fault.BadField("body.name", "Give the role a name.")
	}
	if len(r.Grants) == 0 {
		return r, fault.BadField("body.grants", "A role needs at least one grant.")
	}
	for _, g := range r.Grants {
		if err := g.Validate(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// within refuses to give away what the actor does not hold: otherwise the
// right to make or assign roles would be every right.
func (s *Service) within(ctx context.Context, grants []Grant) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.Effect == Allow && !scopesCover(a, g.Permission) {
			return fault.New(fault.Forbidden, "You cannot give %s to anybody with this API token: its scopes do not include it.", g.Permission)
		}
	}
	if a.Kind.Trusted() || !a.BreakGlass.IsZero() {
		return nil
	}
	rights, err := s.of(ctx, a.TenantID, a.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.Effect == Allow && !rights.covers(g.Permission) {
			return fault.New(fault.Forbidden, "You cannot give %s to anybody because you do not hold it yourself.", g.Permission)
		}
	}
	return nil
}

// covers reports whether everything that a pattern matches is allowed: a grant
// at least as wide allows it, and no denial overlaps it.
func (r *Rights) covers(pattern string) bool {
	want, err := parse(pattern)
	if err != nil {
		return false
	}
	allowed := false
	for _, s := range r.all {
		p, _ := parse(s.Permission)
		if s.Effect == Deny && p.overlaps(want) {
			return false
		}
		allowed = allowed || s.Effect == Allow && p.contains(want)
	}
	return allowed
}

func (p parts) contains(q parts) bool {
	for i := range 3 {
		if p[i] != "*" && p[i] != q[i] {
			return false
		}
	}
	return p[3] == "" || p[3] == "*" && q[3] != "" || p[3] == q[3]
}

func (p parts) overlaps(q parts) bool {
	for i := range 4 {
		literal := p[i] != "*" && p[i] != "" && q[i] != "*" && q[i] != ""
		if literal && p[i] != q[i] {
			return false
		}
	}
	return true
}

// DeleteRole removes a role that is not a system role and that nobody holds.
func (s *Service) DeleteRole(ctx context.Context, role id.ID) error {
	a, err := s.authorise(ctx, DeleteRole)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		r, err := s.store.role(ctx, role)
		if err != nil {
			return err
		}
		if r.System {
			return fault.New(fault.Conflict, "System roles cannot be deleted.")
		}
		n, err := s.store.holders(ctx, role)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "%d people hold this role. Take it from them first.", n)
		}
		if err := s.store.removeRole(ctx, role); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Event: "permission.role.deleted", Priority: audit.Notice, Target: target(r), Before: r})
	})
}

// Assign gives a user of the actor's tenant a role. Giving it twice is fine.
func (s *Service) Assign(ctx context.Context, user, role id.ID) error {
	return s.change(ctx, user, role, "permission.role.assigned", s.store.assign)
}

// Unassign takes a role from a user. Taking what is not there is fine.
func (s *Service) Unassign(ctx context.Context, user, role id.ID) error {
	if s.Keep != nil {
		if err := s.Keep(ctx, Subject{UserSubject, user}, role); err != nil {
			return err
		}
	}
	return s.change(ctx, user, role, "permission.role.unassigned", s.store.unassign)
}

func (s *Service) change(ctx context.Context, user, role id.ID, what string, do func(context.Context, id.ID, id.ID) (bool, error)) error {
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		r, err := s.store.role(ctx, role)
		if err != nil {
			return err
		}
		if err := s.within(ctx, s.complete(a.TenantID, r).Grants); err != nil {
			return err
		}
		done, err := do(ctx, user, role)
		if err != nil || !done {
			return err
		}
		if err := s.lastAdministrator(ctx, a.TenantID, r); err != nil {
			return err
		}
		if err := s.stale(ctx, a.TenantID); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: what, Priority: audit.Notice, Target: audit.Target{Kind: "user", ID: user.String()},
			Details: map[string]any{"role_id": r.ID, "role": r.Name},
		})
	})
}

// lastAdministrator refuses a change that leaves the provider without anybody
// who may do everything.
func (s *Service) lastAdministrator(ctx context.Context, tenant id.ID, r Role) error {
	if !s.IsRoot(tenant) || !r.System || r.Name != ProviderAdministrator {
		return nil
	}
	n, err := s.store.holders(ctx, r.ID)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "This is the last Provider Administrator. Make somebody else one first.")
	}
	return err
}

func target(r Role) audit.Target {
	return audit.Target{Kind: "role", ID: r.ID.String(), Name: r.Name}
}

func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Check(ctx, permission)
}

// MarshalJSON keeps the list of grants a list.
func (r Role) MarshalJSON() ([]byte, error) {
	type plain Role
	if r.Grants == nil {
		r.Grants = []Grant{}
	}
	return json.Marshal(plain(r))
}
