package permission

import (
	"context"
	"slices"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// inScope reports whether the actor's API token covers a permission. Who has
// no scopes is not narrowed; a scope that cannot be read covers nothing.
func inScope(a actor.Actor, permission string) bool {
	if len(a.Scopes) == 0 {
		return true
	}
	q, err := question(permission)
	return err == nil && slices.ContainsFunc(a.Scopes, func(scope string) bool {
		p, err := parse(scope)
		return err == nil && p.matches(q)
	})
}

// scopesCover reports whether the actor's API token covers everything that a
// pattern matches.
func scopesCover(a actor.Actor, pattern string) bool {
	if len(a.Scopes) == 0 {
		return true
	}
	want, err := parse(pattern)
	return err == nil && slices.ContainsFunc(a.Scopes, func(scope string) bool {
		p, err := parse(scope)
		return err == nil && p.contains(want)
	})
}

// ValidScope checks a pattern that narrows an API token. It returns fault.Invalid.
func ValidScope(pattern string) error {
	_, err := parse(pattern)
	return err
}

// MayGive fails with fault.Forbidden unless the actor may assign these roles
// of its tenant: the rule of Assign, for gifts that take effect later.
func (s *Service) MayGive(ctx context.Context, roles []id.ID) error {
	if len(roles) == 0 {
		return nil
	}
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		for _, role := range roles {
			r, err := s.store.role(ctx, role)
			if err != nil {
				return err
			}
			if err := s.within(ctx, s.complete(a.TenantID, r).Grants); err != nil {
				return err
			}
		}
		return nil
	})
}

// Covers fails with fault.Forbidden unless the actor itself may do everything
// that a subject of its tenant may: otherwise whoever resets a password, adds
// to a group or makes a token would gain what was never given to them.
func (s *Service) Covers(ctx context.Context, holder Subject) error {
	a, err := actor.Require(ctx)
	if err != nil || a.Kind.Trusted() {
		return err
	}
	theirs, err := s.of(ctx, a.TenantID, holder.ID)
	if err != nil {
		return err
	}
	var grants []Grant
	for _, source := range theirs.all {
		grants = append(grants, source.Grant)
	}
	if err := s.within(ctx, grants); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "You cannot do this because it would reach further than your own rights. Ask somebody who may do more.")
	}
	return nil
}

// Changed tells every node, after the commit, that the rights of a tenant are
// stale: somebody joined or left a group.
func (s *Service) Changed(ctx context.Context, tenant id.ID) error { return s.stale(ctx, tenant) }

// Removed takes everything from a subject that is no more, in the transaction
// of its tenant and without asking. It fails with fault.Conflict when the
// provider would be left without an administrator.
func (s *Service) Removed(ctx context.Context, tenant id.ID, gone Subject) error {
	roles, err := s.store.rolesOf(ctx, gone.ID)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if _, err := s.store.unassign(ctx, gone.ID, r.ID); err != nil {
			return err
		}
		if err := s.lastAdministrator(ctx, tenant, r); err != nil {
			return err
		}
	}
	return s.stale(ctx, tenant)
}
