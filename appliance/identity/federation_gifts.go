package identity

import (
	"context"
	"slices"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// give brings the roles and groups that the claims give up to date: what is
// new is given, what the claims no longer give is taken. What was given by
// hand stays. It returns what could not be done, in words.
func (f *Federation) give(ctx context.Context, p sealedProvider, user id.ID, c claims) ([]string, error) {
	wanted, missing, err := f.wanted(ctx, p, c)
	if err != nil {
		return nil, err
	}
	had, err := f.store.gifts(ctx, p.ID, user)
	if err != nil {
		return nil, err
	}
	for _, g := range had {
		if slices.Contains(wanted, g) {
			continue
		}
		if err := f.takeBack(ctx, p.ID, user, g); err != nil {
			return nil, err
		}
	}
	for _, g := range wanted {
		there, err := f.exists(ctx, g)
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, "A "+string(g.Kind)+" of the mapping does not exist any more.")
			continue
		}
		if err := f.giveOne(ctx, p, user, g); err != nil {
			return nil, err
		}
	}
	return missing, f.Identity.Permissions.Changed(ctx, p.tenant)
}

// exists tells whether there still is what a rule gives: a role that was
// deleted does not lock everybody out.
func (f *Federation) exists(ctx context.Context, g gift) (bool, error) {
	if g.Kind == groupGift {
		return f.store.hasGroup(ctx, g.Target)
	}
	roles, err := f.Identity.Permissions.Roles(ctx)
	return slices.ContainsFunc(roles, func(r permission.Role) bool { return r.ID == g.Target }), err
}

// wanted is what the claims give now.
func (f *Federation) wanted(ctx context.Context, p sealedProvider, c claims) (all []gift, missing []string, err error) {
	add := func(g gift) {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, role := range p.DefaultRoleIDs {
		add(gift{roleGift, role})
	}
	for _, r := range p.Mapping {
		switch {
		case !r.matches(c):
		case r.RoleID.IsZero():
			add(gift{groupGift, r.GroupID})
		default:
			add(gift{roleGift, r.RoleID})
		}
	}
	if !p.JIT.Groups {
		return all, nil, nil
	}
	for _, name := range c.values(p.GroupsClaim) {
		group, why, err := f.groupFor(ctx, p, name)
		if err != nil {
			return nil, nil, err
		}
		missing = append(missing, why...)
		if !group.IsZero() {
			add(gift{groupGift, group})
		}
	}
	return all, missing, nil
}

// groupFor finds or makes the group that stands for one of the provider's. It
// never takes a group that is there for another reason, whatever its name.
func (f *Federation) groupFor(ctx context.Context, p sealedProvider, name string) (id.ID, []string, error) {
	shown := firstRunes(strings.TrimSpace(name), 80)
	if shown == "" || len(name) > 200 {
		return id.ID{}, []string{"A group without a usable name was left out."}, nil
	}
	group, err := f.store.providerGroup(ctx, p.Kind, external(p.Provider, name))
	if err != nil || !group.IsZero() {
		return group, nil, err
	}
	group = id.New()
	for _, try := range []string{shown, shown + " (" + firstRunes(p.Name, 60) + ")"} {
		made, err := f.store.addProviderGroup(ctx, group, try, p.Kind, external(p.Provider, name))
		if err != nil {
			return id.ID{}, nil, err
		}
		if made {
			return group, nil, f.Identity.Audit.Record(ctx, audit.Entry{
				Event: "identity.group.created", Priority: audit.Notice, Target: audit.Target{Kind: "group", ID: group.String(), Name: try},
				Details: map[string]any{"provider": p.ID, "external": name},
			})
		}
	}
	return id.ID{}, []string{"The group " + shown + " was left out: its name is taken."}, nil
}

// giveOne gives a role or group, and remembers that it was not given by hand.
func (f *Federation) giveOne(ctx context.Context, p sealedProvider, user id.ID, g gift) error {
	there, err := f.holds(ctx, user, g)
	if err != nil {
		return err
	}
	byProvider, err := f.store.given(ctx, user, g)
	if err != nil || there && !byProvider {
		return err
	}
	if !there && g.Kind == roleGift {
		err = f.Identity.Permissions.Assign(ctx, user, g.Target)
	} else if !there {
		err = f.enterGroup(ctx, p.tenant, user, g.Target)
	}
	if err != nil {
		return err
	}
	return f.store.addGift(ctx, p.ID, user, g)
}

func (f *Federation) holds(ctx context.Context, user id.ID, g gift) (bool, error) {
	if g.Kind == groupGift {
		groups, err := f.store.groupsOf(ctx, user)
		return slices.ContainsFunc(groups, func(n GivenGroup) bool { return n.ID == g.Target }), err
	}
	whole, err := f.wholeRole(ctx, user, g.Target)
	return !whole.IsZero(), err
}

// wholeRole is the assignment by which a person holds a role everywhere and for
// ever, as claims give it; zero when there is none. One that is limited to a place
// or a time was given by hand.
func (f *Federation) wholeRole(ctx context.Context, user, role id.ID) (id.ID, error) {
	all, err := f.Identity.Permissions.Assignments(ctx, permission.Filter{Kind: permission.UserSubject, Subject: user, Role: role})
	for _, n := range all {
		if n.Compartment.IsZero() && n.NotBefore.IsZero() && n.ExpiresAt.IsZero() {
			return n.ID, nil
		}
	}
	return id.ID{}, err
}

func (f *Federation) enterGroup(ctx context.Context, tenant, user, group id.ID) error {
	g, err := f.Identity.store.group(ctx, group)
	if err != nil {
		return err
	}
	if _, err := f.Identity.enter(ctx, tenant, g, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
		return err
	}
	return f.membershipChanged(ctx, "identity.group.member-added", user, group)
}

func (f *Federation) membershipChanged(ctx context.Context, what string, user, group id.ID) error {
	return f.Identity.Audit.Record(ctx, audit.Entry{
		Event: what, Priority: audit.Notice, Target: audit.Target{Kind: "group", ID: group.String()},
		Details: map[string]any{"member_kind": "user", "member_id": user},
	})
}

// takeBack takes a gift away unless another provider gives it too.
func (f *Federation) takeBack(ctx context.Context, provider, user id.ID, g gift) error {
	if err := f.store.removeGift(ctx, provider, user, g); err != nil {
		return err
	}
	other, err := f.store.given(ctx, user, g)
	if err != nil || other {
		return err
	}
	there, err := f.exists(ctx, g)
	if err != nil || !there {
		return err // what is gone gives nothing any more
	}
	if g.Kind == roleGift {
		whole, err := f.wholeRole(ctx, user, g.Target)
		if err != nil || whole.IsZero() {
			return err
		}
		return f.Identity.Permissions.UnassignOne(ctx, whole)
	}
	if err := f.store.leave(ctx, g.Target, user); err != nil {
		return err
	}
	return f.membershipChanged(ctx, "identity.group.member-removed", user, g.Target)
}

// takeAll takes away all that a provider gave.
func (f *Federation) takeAll(ctx context.Context, tenant, provider id.ID) error {
	ctx = actor.AsSystem(ctx, systemName, tenant)
	users, err := f.store.receivers(ctx, provider)
	for _, user := range users {
		var had []gift
		if err == nil {
			had, err = f.store.gifts(ctx, provider, user)
		}
		for _, g := range had {
			if err == nil {
				err = f.takeBack(ctx, provider, user, g)
			}
		}
	}
	if err != nil {
		return err
	}
	return f.Identity.Permissions.Changed(ctx, tenant)
}
