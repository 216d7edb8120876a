package permission

import (
	"context"
	"slices"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// world is what was given in a tenant, or the part of it that concerns some
// subjects. Rights are compiled from it, and so is what they would be.
type world struct {
	roles       map[id.ID]Role
	assignments []Assignment
	grants      []DirectGrant
	groups      map[Subject][]id.ID
}

// compile reads what a subject holds, itself and through groups, and compiles it.
func (s *Service) compile(ctx context.Context, tenant id.ID, subject Subject) (rights *Rights, err error) {
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		w, err := s.world(ctx, tenant, []Subject{subject})
		if err == nil {
			rights, err = Compile(w.sources(subject))
		}
		return err
	})
	return rights, err
}

// world reads what concerns some subjects, in a transaction of their tenant.
func (s *Service) world(ctx context.Context, tenant id.ID, subjects []Subject) (world, error) {
	w := world{groups: map[Subject][]id.ID{}}
	var ids []id.ID
	for _, subject := range subjects {
		groups, err := s.groupsOf(ctx, tenant, subject)
		if err != nil {
			return w, err
		}
		w.groups[subject] = groups
		ids = append(append(ids, subject.ID), groups...)
	}
	var err error
	if w.assignments, w.grants, err = s.store.held(ctx, ids); err != nil {
		return w, err
	}
	wanted := make([]id.ID, len(w.assignments))
	for i, n := range w.assignments {
		wanted[i] = n.RoleID
	}
	w.roles, err = s.rolesWith(ctx, tenant, wanted)
	return w, err
}

// wholeWorld reads all that was given in a tenant.
func (s *Service) wholeWorld(ctx context.Context, tenant id.ID) (w world, err error) {
	w.groups = map[Subject][]id.ID{}
	if w.assignments, err = s.store.assignments(ctx, Filter{}); err != nil {
		return w, err
	}
	if w.grants, err = s.store.grants(ctx, Filter{}); err != nil {
		return w, err
	}
	roles, err := s.store.roles(ctx)
	w.roles = s.byID(tenant, roles)
	return w, err
}

func (s *Service) groupsOf(ctx context.Context, tenant id.ID, subject Subject) ([]id.ID, error) {
	if s.Groups == nil {
		return nil, nil
	}
	return s.Groups(ctx, tenant, subject)
}

// rolesWith reads roles with all that they inherit.
func (s *Service) rolesWith(ctx context.Context, tenant id.ID, wanted []id.ID) (map[id.ID]Role, error) {
	if len(wanted) == 0 {
		return map[id.ID]Role{}, nil
	}
	roles, err := s.store.rolesWith(ctx, wanted)
	return s.byID(tenant, roles), err
}

func (s *Service) byID(tenant id.ID, roles []Role) map[id.ID]Role {
	all := make(map[id.ID]Role, len(roles))
	for _, r := range roles {
		all[r.ID] = s.filled(tenant, r)
	}
	return all
}

// sourcesOf is what an assignment gives. A role that does not exist is
// fault.NotFound.
func (s *Service) sourcesOf(ctx context.Context, tenant id.ID, n Assignment) ([]Source, error) {
	roles, err := s.rolesWith(ctx, tenant, []id.ID{n.RoleID})
	if err != nil {
		return nil, err
	}
	if _, ok := roles[n.RoleID]; !ok {
		return nil, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	w := world{roles: roles, assignments: []Assignment{n}}
	return w.sources(n.Subject), nil
}

// sources is all that a subject holds.
func (w world) sources(subject Subject) []Source {
	var all []Source
	groups := w.groups[subject]
	for _, n := range w.assignments {
		if through, ok := held(n.Subject, subject, groups); ok {
			all = w.inherited(all, n, n.RoleID, through, map[id.ID]bool{})
		}
	}
	for _, g := range w.grants {
		if through, ok := held(g.Subject, subject, groups); ok {
			all = append(all, source(g.Grant, origin{group: through}))
		}
	}
	return all
}

// held says whether something given to one is held by a subject, and through
// which group.
func held(given, subject Subject, groups []id.ID) (through id.ID, ok bool) {
	if given == subject {
		return id.ID{}, true
	}
	return given.ID, given.Kind == GroupSubject && slices.Contains(groups, given.ID)
}

// inherited appends the grants of a role and of those it inherits, each role
// once, narrowed to where and when the assignment holds.
func (w world) inherited(all []Source, n Assignment, role id.ID, through id.ID, seen map[id.ID]bool) []Source {
	r, ok := w.roles[role]
	if !ok || seen[role] {
		return all
	}
	seen[role] = true
	from := origin{role: r.Name, group: through}
	if role != n.RoleID {
		from.held = w.roles[n.RoleID].Name
	}
	for _, g := range r.Grants {
		if narrowed, holds := n.narrow(g); holds {
			s := source(narrowed, from)
			s.Within = n.Compartment
			all = append(all, s)
		}
	}
	for _, parent := range r.Inherits {
		all = w.inherited(all, n, parent, through, seen)
	}
	return all
}

func source(g Grant, from origin) Source {
	return Source{Grant: g, Role: from.role, Via: from.text(nil), through: from}
}

// narrow limits a grant to the time of the assignment; false when nothing of
// it remains.
func (n Assignment) narrow(g Grant) (Grant, bool) {
	if g.NotBefore.Before(n.NotBefore) {
		g.NotBefore = n.NotBefore
	}
	if g.ExpiresAt.IsZero() || !n.ExpiresAt.IsZero() && n.ExpiresAt.Before(g.ExpiresAt) {
		g.ExpiresAt = n.ExpiresAt
	}
	return g, g.ExpiresAt.IsZero() || g.NotBefore.Before(g.ExpiresAt)
}

func subjectsIn(assignments []Assignment, grants []DirectGrant) []Subject {
	seen := map[Subject]bool{}
	all := []Subject{}
	add := func(s Subject) {
		if !seen[s] {
			seen[s], all = true, append(all, s)
		}
	}
	for _, n := range assignments {
		add(n.Subject)
	}
	for _, g := range grants {
		add(g.Subject)
	}
	return all
}

// ended reports whether something is over.
func ended(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
