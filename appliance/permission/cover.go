package permission

import (
	"context"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// above gives, for compartments, their path: the compartment itself and those
// above it. One that is missing has no path and lies in nothing.
type above map[id.ID][]id.ID

// covers reports whether its holder has all that a gift would give: a grant at
// least as wide allows it in as many places, under no narrower condition and
// for as long, and no denial that may ever hold there overlaps it.
func (r *Rights) covers(gift entry, at time.Time, paths above) bool {
	allowed := false
	for i := range r.all {
		e := &r.all[i]
		if e.Effect == Deny && e.touches(gift, at, paths) {
			return false
		}
		allowed = allowed || e.Effect == Allow && e.includes(gift, at, paths)
	}
	return allowed
}

// includes reports whether an allowance gives its holder all of a gift.
func (e *entry) includes(gift entry, at time.Time, paths above) bool {
	for _, mine := range e.scopes {
		inside := func(theirs id.ID) bool { return slices.Contains(paths[theirs], mine) }
		if !slices.ContainsFunc(gift.scopes, inside) {
			return false
		}
	}
	begins := max(gift.from, at.UnixNano())
	lasts := e.from <= begins && (e.to == 0 || gift.to != 0 && gift.to <= e.to && e.to > at.UnixNano())
	return lasts && e.parts.contains(gift.parts) && (e.Condition == "" || e.Condition == gift.Condition && impersonal(e.Condition))
}

// impersonal conditions mean the same for whoever holds the grant. One about
// the actor may be false for the giver and true for the receiver.
func impersonal(condition string) bool { return !strings.Contains(condition, "actor") }

// touches reports whether a denial may take away some of a gift, now or later.
func (e *entry) touches(gift entry, at time.Time, paths above) bool {
	if !e.parts.overlaps(gift.parts) || e.to != 0 && e.to <= at.UnixNano() || gift.to != 0 && e.from >= gift.to {
		return false
	}
	for _, mine := range e.scopes {
		for _, theirs := range gift.scopes {
			if apart(mine, theirs, paths) {
				return false
			}
		}
	}
	return true
}

// apart reports whether two compartments have nothing in common.
func apart(a, b id.ID, paths above) bool {
	return len(paths[a]) > 0 && len(paths[b]) > 0 && !slices.Contains(paths[a], b) && !slices.Contains(paths[b], a)
}

// within refuses to give away what the actor does not hold: otherwise the
// right to make or assign roles would be every right. Giving somebody a denial
// needs nothing; taking one away is giving what it denies.
func (s *Service) within(ctx context.Context, gifts, released []Source) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	all, err := s.given(gifts, released)
	if err != nil {
		return err
	}
	for _, g := range all {
		if !scopesCover(a, g.parts) {
			return fault.New(fault.Forbidden, "You cannot give %s to anybody with this API token: its scopes do not include it.", g.Permission)
		}
	}
	if a.Kind.Trusted() || !a.BreakGlass.IsZero() || len(all) == 0 {
		return nil
	}
	return s.holdsAll(ctx, a, all)
}

// given are the allowances of gifts and, as allowances, the denials that are
// taken away. What ended already gives nothing.
func (s *Service) given(gifts, released []Source) ([]entry, error) {
	var all []entry
	now := s.now().UnixNano()
	for i, sources := range [][]Source{gifts, released} {
		wanted := []Effect{Allow, Deny}[i]
		for _, source := range sources {
			if source.Effect != wanted {
				continue
			}
			e, err := prepare(source)
			if err != nil {
				return nil, err
			}
			if e.to == 0 || e.to > now {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

func (s *Service) holdsAll(ctx context.Context, a actor.Actor, all []entry) error {
	rights, err := s.of(ctx, a.TenantID, subjectOf(a))
	if err != nil {
		return err
	}
	paths, err := s.paths(ctx, a.TenantID, rights.all, all)
	if err != nil {
		return err
	}
	now := s.now()
	for _, g := range all {
		if !rights.covers(g, now, paths) {
			return fault.New(fault.Forbidden, "You cannot give %s to anybody because you do not hold it yourself.", g.Permission)
		}
	}
	return nil
}

// paths looks up the compartments that the grants speak of.
func (s *Service) paths(ctx context.Context, tenant id.ID, lists ...[]entry) (above, error) {
	paths := above{}
	for _, list := range lists {
		for i := range list {
			for _, c := range list[i].scopes {
				if _, done := paths[c]; done {
					continue
				}
				path, err := s.path(ctx, tenant, c)
				if err != nil {
					return nil, err
				}
				paths[c] = path
			}
		}
	}
	return paths, nil
}

// path is a compartment of a tenant and those above it, nearest first.
func (s *Service) path(ctx context.Context, tenant, compartment id.ID) (path []id.ID, err error) {
	if compartment.IsZero() {
		return nil, nil
	}
	if s.Ancestors == nil {
		return []id.ID{compartment}, nil
	}
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		path, err = s.Ancestors(ctx, compartment)
		if fault.Is(err, fault.NotFound) {
			path, err = nil, nil
		}
		return err
	})
	return path, err
}

// inScope reports whether the actor's API token covers a permission. Who has
// no scopes is not narrowed; a scope that cannot be read covers nothing.
func inScope(a *actor.Actor, q parts) bool {
	if len(a.Scopes) == 0 {
		return true
	}
	for _, scope := range a.Scopes {
		if p, err := parse(scope); err == nil && p.contains(q) {
			return true
		}
	}
	return false
}

// scopesCover reports whether the actor's API token covers everything that a
// pattern matches.
func scopesCover(a actor.Actor, pattern parts) bool { return inScope(&a, pattern) }

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
			gift, err := s.sourcesOf(ctx, a.TenantID, Assignment{RoleID: role})
			if err != nil {
				return err
			}
			if err := s.within(ctx, gift, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Somewhere reports whether a subject of a tenant is allowed something at all, by
// place or condition or everywhere. What is denied to it is not looked at.
func (s *Service) Somewhere(ctx context.Context, tenant id.ID, subject Subject, permission string) (bool, error) {
	q, err := question(permission)
	if err != nil {
		return false, err
	}
	rights, err := s.of(ctx, tenant, subject)
	if err != nil {
		return false, err
	}
	return rights.somewhere(q, s.now()), nil
}

// Releases fails with fault.Forbidden unless the actor may do everything that is
// denied to a subject of its tenant: whoever takes somebody out of a group, or the
// group away, gives back what it denies.
func (s *Service) Releases(ctx context.Context, holder Subject) error {
	a, err := actor.Require(ctx)
	if err != nil || a.Kind.Trusted() {
		return err
	}
	denied, err := s.heldBy(ctx, a.TenantID, holder)
	if err != nil {
		return err
	}
	if err := s.within(ctx, nil, denied); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "You cannot do this because it would give back what is denied, and you may not do that yourself. Ask somebody who may do more.")
	}
	return nil
}

// CouldGive fails with fault.Forbidden unless somebody who is not here may give
// these roles, and what these groups hold, by the rights they have now: the rule
// of MayGive for what was promised earlier. It runs in a transaction of the
// tenant. A role that is gone gives nothing.
func (s *Service) CouldGive(ctx context.Context, tenant id.ID, giver Subject, roles []id.ID, groups []Subject) error {
	gifts, err := s.promised(ctx, tenant, roles, groups)
	if err != nil || len(gifts) == 0 {
		return err
	}
	all, err := s.given(gifts, nil)
	if err != nil {
		return err
	}
	rights, err := s.of(ctx, tenant, giver)
	if err != nil {
		return err
	}
	assigning, err := question(AssignRole)
	if err != nil {
		return err
	}
	if len(roles) > 0 && !rights.somewhere(assigning, s.now()) {
		return fault.New(fault.Forbidden, "Whoever promised these roles may not assign roles any more.")
	}
	return s.holdsAll(ctx, actor.Actor{Kind: actor.Kind(giver.Kind), ID: giver.ID, TenantID: tenant}, all)
}

// promised is all that roles and groups give.
func (s *Service) promised(ctx context.Context, tenant id.ID, roles []id.ID, groups []Subject) ([]Source, error) {
	var all []Source
	for _, role := range roles {
		gives, err := s.sourcesOf(ctx, tenant, Assignment{RoleID: role})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		all = append(all, gives...)
	}
	for _, group := range groups {
		holds, err := s.heldBy(ctx, tenant, group)
		if err != nil {
			return nil, err
		}
		all = append(all, holds...)
	}
	return all, nil
}

// heldBy is all that a subject was given and denied.
func (s *Service) heldBy(ctx context.Context, tenant id.ID, holder Subject) ([]Source, error) {
	rights, err := s.of(ctx, tenant, holder)
	if err != nil {
		return nil, err
	}
	all := make([]Source, len(rights.all))
	for i := range rights.all {
		all[i] = rights.all[i].Source
	}
	return all, nil
}

// Covers fails with fault.Forbidden unless the actor itself may do everything
// that a subject of its tenant may: otherwise whoever resets a password, adds
// to a group or makes a token would gain what was never given to them.
func (s *Service) Covers(ctx context.Context, holder Subject) error {
	a, err := actor.Require(ctx)
	if err != nil || a.Kind.Trusted() {
		return err
	}
	gifts, err := s.heldBy(ctx, a.TenantID, holder)
	if err != nil {
		return err
	}
	if err := s.within(ctx, gifts, nil); err != nil {
		return tooFar(err)
	}
	return nil
}

func tooFar(err error) error {
	return fault.Wrap(fault.KindOf(err), err, "You cannot do this because it would reach further than your own rights. Ask somebody who may do more.")
}

// CoversEverybody is Covers for all to whom anything was given in the actor's
// tenant: for what could make the actor any of them.
func (s *Service) CoversEverybody(ctx context.Context) error {
	a, err := actor.Require(ctx)
	if err != nil || a.Kind.Trusted() {
		return err
	}
	var gifts []Source
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		w, err := s.wholeWorld(ctx, a.TenantID)
		for _, n := range w.assignments {
			gifts = w.inherited(gifts, n, n.RoleID, id.ID{}, map[id.ID]bool{})
		}
		for _, g := range w.grants {
			gifts = append(gifts, g.sources()...)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.within(ctx, gifts, nil); err != nil {
		return tooFar(err)
	}
	return nil
}
