package permission

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Role is a named set of grants in one tenant. It has the grants of the roles
// it inherits too.
type Role struct {
	ID          id.ID   `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	System      bool    `json:"system"`
	Grants      []Grant `json:"grants"`
	Inherits    []id.ID `json:"inherits" doc:"Roles whose grants it has too."`
	Holders     int     `json:"holders" doc:"To how many people, groups and service accounts it is assigned."`
}

// MarshalJSON keeps lists lists.
func (r Role) MarshalJSON() ([]byte, error) {
	type plain Role
	if r.Grants == nil {
		r.Grants = []Grant{}
	}
	if r.Inherits == nil {
		r.Inherits = []id.ID{}
	}
	return json.Marshal(plain(r))
}

// The bounds of a role.
const (
	mostGrants   = 1000
	mostInherits = 50
)

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

// filled gives a system role its grants.
func (s *Service) filled(tenant id.ID, r Role) Role {
	if r.System {
		r.Grants = systemGrants(s.IsRoot(tenant), r.Name)
	}
	return r
}

// Roles lists the roles of the actor's tenant.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	a, err := s.authorise(ctx, ReadRole)
	if err != nil {
		return nil, err
	}
	var roles []Role
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		roles, err = s.store.roles(ctx)
		return err
	})
	for i := range roles {
		roles[i] = s.filled(a.TenantID, roles[i])
	}
	return roles, err
}

// Role returns one role of the actor's tenant, or fault.NotFound.
func (s *Service) Role(ctx context.Context, role id.ID) (r Role, err error) {
	a, err := s.authorise(ctx, ReadRole)
	if err != nil {
		return Role{}, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		r, err = s.store.role(ctx, role)
		return err
	})
	return s.filled(a.TenantID, r), err
}

// RolesOf lists the roles of a user in the tenant of the surrounding
// transaction, without asking: for services that have authorised already.
func (s *Service) RolesOf(ctx context.Context, user id.ID) ([]Role, error) {
	return s.store.rolesOf(ctx, Subject{UserSubject, user})
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
	r.ID = id.New()
	return r, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.addRole(ctx, r); err != nil {
			return roleTaken(err)
		}
		if err := s.store.setInherits(ctx, a.TenantID, r); err != nil {
			return err
		}
		gifts, err := s.sourcesOf(ctx, a.TenantID, Assignment{RoleID: r.ID})
		if err != nil {
			return err
		}
		if err := s.within(ctx, gifts, nil); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Event: "permission.role.created", Priority: audit.Notice, Target: target(r), After: r})
	})
}

// UpdateRole replaces a role of the tenant's own. System roles are
// fault.Conflict, and so is a role that would inherit itself.
func (s *Service) UpdateRole(ctx context.Context, r Role) (after Role, err error) {
	a, err := s.authorise(ctx, UpdateRole)
	if err != nil {
		return Role{}, err
	}
	return after, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.store.role(ctx, r.ID)
		if err != nil {
			return err
		}
		if before.System {
			return fault.New(fault.Conflict, "System roles cannot be changed. Make a role that inherits this one.")
		}
		if r, err = validRole(r); err != nil {
			return err
		}
		if err := s.replace(ctx, a.TenantID, r); err != nil {
			return err
		}
		if after, err = s.store.role(ctx, r.ID); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Event: "permission.role.updated", Priority: audit.Notice, Target: target(after), Before: before, After: after})
	})
}

// replace writes a role and looks what its holders gain by it: what is added,
// and what no longer is denied.
func (s *Service) replace(ctx context.Context, tenant id.ID, r Role) error {
	had, err := s.sourcesOf(ctx, tenant, Assignment{RoleID: r.ID})
	if err != nil {
		return err
	}
	if err := s.store.replaceRole(ctx, r); err != nil {
		return roleTaken(err)
	}
	if err := s.store.setInherits(ctx, tenant, r); err != nil {
		return err
	}
	have, err := s.sourcesOf(ctx, tenant, Assignment{RoleID: r.ID})
	if err != nil {
		return err
	}
	if err := s.within(ctx, without(have, had), without(had, have)); err != nil {
		return err
	}
	if err := s.stillAdministered(ctx, tenant, have); err != nil {
		return err
	}
	return s.Changed(ctx, tenant)
}

// without are those of all whose grant is not in the other list.
func without(all, other []Source) []Source {
	return slices.DeleteFunc(slices.Clone(all), func(s Source) bool {
		return slices.ContainsFunc(other, func(o Source) bool { return o.Grant.equal(s.Grant) && o.Within == s.Within })
	})
}

func (g Grant) equal(h Grant) bool {
	times := g.NotBefore.Equal(h.NotBefore) && g.ExpiresAt.Equal(h.ExpiresAt)
	g.NotBefore, g.ExpiresAt, h.NotBefore, h.ExpiresAt = noTime, noTime, noTime, noTime
	return times && g == h
}

func roleTaken(err error) error {
	if fault.Is(err, fault.Conflict) {
		return fault.New(fault.Conflict, "There is a role with this name already. Choose another name.")
	}
	return err
}

func validRole(r Role) (Role, error) {
	r.System, r.Name = false, strings.TrimSpace(r.Name)
	if r.Name == "" {
		return r, fault.BadField("body.name", "Give the role a name.")
	}
	if len(r.Grants) == 0 && len(r.Inherits) == 0 {
		return r, fault.BadField("body.grants", "A role needs at least one grant, or another role to inherit.")
	}
	if len(r.Grants) > mostGrants || len(r.Inherits) > mostInherits {
		return r, fault.BadField("body.grants", "A role has at most %d grants and inherits at most %d roles. Split it.", mostGrants, mostInherits)
	}
	for _, g := range r.Grants {
		if err := g.Validate(); err != nil {
			return r, err
		}
	}
	slices.SortFunc(r.Inherits, func(a, b id.ID) int { return strings.Compare(a.String(), b.String()) })
	r.Inherits = slices.Compact(r.Inherits)
	return r, nil
}

// DeleteRole removes a role that is not a system role, that nobody holds and
// that no role inherits.
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
		if err := s.deletable(ctx, r); err != nil {
			return err
		}
		if err := s.store.removeRole(ctx, role); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Event: "permission.role.deleted", Priority: audit.Notice, Target: target(r), Before: r})
	})
}

func (s *Service) deletable(ctx context.Context, r Role) error {
	if r.System {
		return fault.New(fault.Conflict, "System roles cannot be deleted.")
	}
	if r.Holders > 0 {
		return fault.New(fault.Conflict, "%d people hold this role. Take it from them first.", r.Holders)
	}
	children, err := s.store.inheritedBy(ctx, r.ID)
	if err == nil && len(children) > 0 {
		err = fault.New(fault.Conflict, "The role %s inherits this role. Change that one first.", strings.Join(children, ", "))
	}
	return err
}

func target(r Role) audit.Target {
	return audit.Target{Kind: "role", ID: r.ID.String(), Name: r.Name}
}
