package permission_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// TestGrantsReachEverySubject gives to a user, to nested groups and to a
// service account, by role and directly.
func TestGrantsReachEverySubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outer := w.subject(permission.GroupSubject, "Everybody")
	inner := w.subject(permission.GroupSubject, "Operations", outer)
	ann := w.subject(permission.UserSubject, "Ann", inner, outer)
	robot := w.subject(permission.ServiceAccountSubject, "ci-robot")
	role := w.role(nil, allow("cmdb:ci:read"))
	w.give(permission.Assignment{Subject: outer, RoleID: role.ID})
	w.give(permission.Assignment{Subject: robot, RoleID: role.ID})
	w.grant(inner, allow("cmdb:ci:create:virtualmachine"))
	w.grant(ann, deny("cmdb:ci:delete"))
	w.may(ann, "cmdb:ci:read", everywhere, true)
	w.may(ann, "cmdb:ci:create:virtualmachine", everywhere, true)
	w.may(ann, "cmdb:ci:create:network", everywhere, false)
	w.may(robot, "cmdb:ci:read", everywhere, true)
	w.may(robot, "cmdb:ci:create:virtualmachine", everywhere, false)
	d, err := w.ExplainFor(w.as(ann), permission.Question{Permission: "cmdb:ci:read"})
	if err != nil || d.DecidedBy == nil || d.DecidedBy.Via != "role "+role.Name+" through group Everybody" {
		t.Errorf("%+v, %v", d, err)
	}
	user := permission.Subject{Kind: permission.UserSubject, ID: robot.ID} // the same id is somebody else as a user
	w.may(user, "cmdb:ci:read", everywhere, false)
}

// TestScopeIsASubtree holds a role and a grant in a compartment and below it.
func TestScopeIsASubtree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.compartment(id.ID{})
	test := w.compartment(shop)
	bank := w.compartment(id.ID{})
	ann := w.subject(permission.UserSubject, "Ann")
	role := w.role(nil, allow("deployment:*:*"), permission.Grant{Permission: "cmdb:ci:read", Effect: permission.Allow, Compartment: test})
	w.give(permission.Assignment{Subject: ann, RoleID: role.ID, Compartment: shop})
	on := func(c id.ID) permission.Resource { return permission.Resource{Compartment: c} }
	w.may(ann, "deployment:stack:read", on(shop), true)
	w.may(ann, "deployment:stack:read", on(test), true)
	w.may(ann, "deployment:stack:read", on(bank), false)
	w.may(ann, "deployment:stack:read", on(id.New()), false)
	w.may(ann, "deployment:stack:read", everywhere, false)
	w.may(ann, "cmdb:ci:read", on(test), true)
	w.may(ann, "cmdb:ci:read", on(shop), false) // the grant's own place is narrower
	w.grant(ann, permission.Grant{Permission: "deployment:*:*", Effect: permission.Deny, Compartment: test})
	w.may(ann, "deployment:stack:read", on(test), false)
	w.may(ann, "deployment:stack:read", on(shop), true)
	_, err := w.AssignTo(w.system(), permission.Assignment{Subject: ann, RoleID: role.ID, Compartment: id.New()})
	refused(t, err, fault.Invalid)
}

// TestRightsBeginAndEndByTheClock decides by the moment of the question, and
// wakes this node's listeners when the moment comes.
func TestRightsBeginAndEndByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.subject(permission.UserSubject, "Ann")
	role := w.role(nil, allow("cmdb:ci:read"))
	begin, end := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	w.give(permission.Assignment{Subject: ann, RoleID: role.ID, NotBefore: begin, ExpiresAt: end})
	w.may(ann, "cmdb:ci:read", everywhere, false)
	w.later(61 * time.Minute)
	w.may(ann, "cmdb:ci:read", everywhere, true) // the rights were kept; the answer is new
	w.later(time.Hour)
	w.may(ann, "cmdb:ci:read", everywhere, false)
	end = w.now().Add(500 * time.Millisecond)
	w.grant(ann, permission.Grant{Permission: "cmdb:ci:read", Effect: permission.Allow, ExpiresAt: end})
	w.may(ann, "cmdb:ci:read", everywhere, true)
	deadline := time.Now().Add(5 * time.Second)
	for !w.toldSince(end) {
		if time.Now().After(deadline) {
			t.Fatal("nobody was told that a right ended")
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.may(ann, "cmdb:ci:read", everywhere, false)
	_, err := w.CreateGrant(w.system(), permission.DirectGrant{Subject: ann, Grant: permission.Grant{Permission: "a:b:c", Effect: permission.Allow, ExpiresAt: w.now().Add(-time.Second)}})
	refused(t, err, fault.Invalid)
}

// TestRobustness26NoAnswerDeniesAndIsLogged asks conditions through the
// service, with what only a resource knows missing.
func TestRobustness26NoAnswerDeniesAndIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.subject(permission.UserSubject, "Ann")
	own := `resource.attributes.owner_id == actor.id`
	w.grant(ann, permission.Grant{Permission: "cmdb:ci:read", Effect: permission.Allow, Condition: own})
	w.grant(ann, permission.Grant{Permission: "cmdb:ci:update", Effect: permission.Deny, Condition: `resource.attributes.locked`})
	w.grant(ann, allow("cmdb:ci:update"))
	with := func(key string, value any) permission.Resource {
		return permission.Resource{Kind: "ci", Attributes: map[string]any{key: value}}
	}
	w.may(ann, "cmdb:ci:read", with("owner_id", ann.ID.String()), true)
	w.may(ann, "cmdb:ci:read", with("owner_id", id.New().String()), false)
	w.may(ann, "cmdb:ci:update", with("locked", false), true)
	w.may(ann, "cmdb:ci:update", with("locked", true), false)
	if w.logged() != "" {
		t.Errorf("logged before anything was wrong: %s", w.logged())
	}
	w.may(ann, "cmdb:ci:read", everywhere, false)
	w.may(ann, "cmdb:ci:read", with("owner_id", 4), false)
	w.may(ann, "cmdb:ci:update", everywhere, false)
	w.may(ann, "cmdb:ci:update", with("locked", "maybe"), false)
	if !strings.Contains(w.logged(), "no answer") || !strings.Contains(w.logged(), "cmdb:ci:update") {
		t.Errorf("not logged: %s", w.logged())
	}
	err := w.CheckOn(w.as(ann), "cmdb:ci:read", with("owner_id", "x"))
	refused(t, err, fault.Forbidden)
	if w.recorded(w.tenant, "permission.check.denied") != 1 {
		t.Error("the refusal is not recorded")
	}
}

// TestRolesInherit takes grants from other roles, follows their changes, and
// refuses circles with the way they would go.
func TestRolesInherit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.subject(permission.UserSubject, "Ann")
	bottom := w.role(nil, allow("a:b:c"))
	middle := w.role([]id.ID{bottom.ID}, allow("a:b:d"))
	top := w.role([]id.ID{middle.ID, permission.SystemRoleID(w.tenant, "Reader")})
	w.give(permission.Assignment{Subject: ann, RoleID: top.ID})
	for _, p := range []string{"a:b:c", "a:b:d", "cmdb:ci:read"} {
		w.may(ann, p, everywhere, true)
	}
	bottom.Inherits = []id.ID{top.ID}
	_, err := w.UpdateRole(w.system(), bottom)
	refused(t, err, fault.Conflict)
	if !strings.Contains(fault.Message(err), middle.Name+" → "+bottom.Name) {
		t.Errorf("the way is not told: %s", fault.Message(err))
	}
	bottom.Inherits = []id.ID{bottom.ID}
	_, err = w.UpdateRole(w.system(), bottom)
	refused(t, err, fault.Invalid)
	bottom.Inherits, bottom.Grants = nil, []permission.Grant{allow("a:b:e")}
	_, err = w.UpdateRole(w.system(), bottom)
	must(t, err)
	w.may(ann, "a:b:c", everywhere, false)
	w.may(ann, "a:b:e", everywhere, true)
	refused(t, w.DeleteRole(w.system(), bottom.ID), fault.Conflict)
	reader, err := w.Role(w.system(), permission.SystemRoleID(w.tenant, "Reader"))
	must(t, err)
	_, err = w.UpdateRole(w.system(), reader)
	refused(t, err, fault.Conflict)
}

// TestRobustness27RevokingIsImmediate takes rights away in each way; the next
// question on this node is a no, and on another node after the event.
func TestRobustness27RevokingIsImmediate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := permission.New(w.cfg) // shares the bus, as pub/sub makes nodes do
	ann := w.subject(permission.UserSubject, "Ann")
	role := w.role(nil, allow("a:b:c"))
	check := func(want bool) {
		t.Helper()
		w.may(ann, "a:b:c", everywhere, want)
		if other.Allowed(w.as(ann), "a:b:c") != want {
			t.Errorf("the other node does not say %v", want)
		}
	}
	check(false)
	must(t, w.Assign(w.system(), ann.ID, role.ID))
	check(true)
	must(t, w.Unassign(w.system(), ann.ID, role.ID))
	check(false)
	n := w.give(permission.Assignment{Subject: ann, RoleID: role.ID})
	check(true)
	must(t, w.UnassignOne(w.system(), n.ID))
	check(false)
	refused(t, w.UnassignOne(w.system(), n.ID), fault.NotFound)
	g := w.grant(ann, allow("a:b:c"))
	check(true)
	must(t, w.DeleteGrant(w.system(), g.ID))
	check(false)
	group := w.subject(permission.GroupSubject, "Group")
	w.grant(group, allow("a:b:c"))
	check(false)
	w.mu.Lock()
	w.groups[ann] = []id.ID{group.ID}
	w.mu.Unlock()
	must(t, w.Changed(t.Context(), w.tenant))
	check(true)
	must(t, w.db.Tenant(w.system(), w.tenant, func(ctx context.Context) error { return w.Removed(ctx, w.tenant, group) }))
	check(false)
}

// TestRightsOfATransactionAreNotKept asks inside a transaction that gives a
// right and is rolled back.
func TestRightsOfATransactionAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.subject(permission.UserSubject, "Ann")
	role := w.role(nil, allow("a:b:c"))
	boom := errors.New("boom")
	err := w.db.Tenant(w.system(), w.tenant, func(ctx context.Context) error {
		if err := w.Assign(ctx, ann.ID, role.ID); err != nil {
			return err
		}
		a, _ := actor.From(w.as(ann))
		if !w.Allowed(actor.With(ctx, a), "a:b:c") {
			t.Error("the transaction does not see its own change")
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	w.may(ann, "a:b:c", everywhere, false)
}

// TestNobodyGivesAwayWhatTheyDoNotHold tries to, in each way there is.
func TestNobodyGivesAwayWhatTheyDoNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.compartment(id.ID{})
	test := w.compartment(shop)
	bank := w.compartment(id.ID{})
	mia := w.subject(permission.UserSubject, "Mia")
	bob := w.subject(permission.UserSubject, "Bob")
	w.grant(mia, allow("permission:*:*"))
	w.grant(mia, permission.Grant{Permission: "deployment:*:*", Effect: permission.Allow, Compartment: shop})
	w.grant(mia, permission.Grant{Permission: "cmdb:*:*", Effect: permission.Allow, Condition: `actor.kind == "user"`})
	w.grant(mia, permission.Grant{Permission: "audit:*:*", Effect: permission.Allow, ExpiresAt: w.now().Add(time.Hour)})
	w.grant(mia, permission.Grant{Permission: "cost:*:*", Effect: permission.Allow, Condition: `address != ""`})
	w.grant(mia, deny("permission:secret:read"))
	give := func(g permission.Grant) error {
		_, err := w.CreateGrant(w.as(mia), permission.DirectGrant{Subject: bob, Grant: g})
		return err
	}
	in := func(p string, c id.ID) permission.Grant {
		return permission.Grant{Permission: p, Effect: permission.Allow, Compartment: c}
	}
	until := func(d time.Duration) permission.Grant {
		return permission.Grant{Permission: "audit:record:read", Effect: permission.Allow, ExpiresAt: w.now().Add(d)}
	}
	when := func(p, c string) permission.Grant {
		return permission.Grant{Permission: p, Effect: permission.Allow, Condition: c}
	}
	for name, g := range map[string]permission.Grant{
		"everywhere":             allow("deployment:stack:read"),
		"elsewhere":              in("deployment:stack:read", bank),
		"without its condition":  allow("cmdb:ci:read"),
		"a condition on oneself": when("cmdb:ci:read", `actor.kind == "user"`),
		"for ever":               allow("audit:record:read"),
		"for longer":             until(2 * time.Hour),
		"denied to her":          allow("permission:*:read"),
		"another condition":      when("cost:report:read", `true`),
	} {
		if err := give(g); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, g := range map[string]permission.Grant{
		"inside": in("deployment:stack:read", test), "the same place": in("deployment:*:*", shop), "shorter": until(time.Minute),
		"same condition": when("cost:report:read", `address != ""`), "a denial": deny("cmdb:ci:read"), "plain": allow("permission:role:read"),
	} {
		if err := give(g); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.givesByRole(mia, bob, shop)
}

// givesByRole goes the ways of roles: make, inherit, assign, change, take.
func (w *world) givesByRole(mia, bob permission.Subject, shop id.ID) {
	w.t.Helper()
	strong := w.role(nil, allow("deployment:*:*"))
	limits := w.role(nil, deny("provider:*:*"))
	_, err := w.CreateRole(w.as(mia), permission.Role{Name: "Inherits", Inherits: []id.ID{strong.ID}})
	refused(w.t, err, fault.Forbidden)
	refused(w.t, w.Assign(w.as(mia), bob.ID, strong.ID), fault.Forbidden)
	refused(w.t, w.MayGive(w.as(mia), []id.ID{strong.ID}), fault.Forbidden)
	n, err := w.AssignTo(w.as(mia), permission.Assignment{Subject: bob, RoleID: strong.ID, Compartment: shop})
	must(w.t, err)
	must(w.t, w.UnassignOne(w.as(mia), n.ID))
	own, err := w.CreateRole(w.as(mia), permission.Role{Name: "Own", Grants: []permission.Grant{allow("permission:role:read")}})
	must(w.t, err)
	own.Grants = append(own.Grants, allow("provider:*:*"))
	_, err = w.UpdateRole(w.as(mia), own)
	refused(w.t, err, fault.Forbidden)
	kept := w.give(permission.Assignment{Subject: bob, RoleID: limits.ID})
	refused(w.t, w.UnassignOne(w.as(mia), kept.ID), fault.Forbidden) // what it denies would be given back
	limits.Grants = []permission.Grant{deny("provider:node:*")}
	_, err = w.UpdateRole(w.as(mia), limits)
	refused(w.t, err, fault.Forbidden)
	refused(w.t, w.Covers(w.as(bob), mia), fault.Forbidden)
	must(w.t, w.Covers(w.as(mia), w.subject(permission.UserSubject, "Nobody")))
}

// TestTokenScopesNarrow holds a token's scopes in answers, explanations and gifts.
func TestTokenScopesNarrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.subject(permission.UserSubject, "Ann")
	bob := w.subject(permission.UserSubject, "Bob")
	w.grant(ann, allow("*:*:*"))
	a, _ := actor.From(w.as(ann))
	a.Scopes = []string{"cmdb:*:read", "permission:*:*"}
	ctx := actor.With(t.Context(), a)
	for p, want := range map[string]bool{"cmdb:ci:read": true, "cmdb:ci:update": false, "permission:grant:create": true} {
		d, err := w.ExplainFor(ctx, permission.Question{Permission: p})
		if got := w.Allowed(ctx, p); got != want || err != nil || d.Allowed != want {
			t.Errorf("%s: %v, explained %+v, %v", p, got, d, err)
		}
	}
	_, err := w.CreateGrant(ctx, permission.DirectGrant{Subject: bob, Grant: allow("cmdb:ci:update")})
	refused(t, err, fault.Forbidden)
	_, err = w.CreateGrant(ctx, permission.DirectGrant{Subject: bob, Grant: allow("cmdb:ci:read")})
	must(t, err)
}

// TestTheProviderKeepsAnAdministrator refuses to take the last one's role and
// to deny them anything, and to deny anything to the one who must stay.
func TestTheProviderKeepsAnAdministrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.subject(permission.UserSubject, "Ada")
	bob := w.subject(permission.UserSubject, "Bob")
	admin := permission.SystemRoleID(w.root, permission.ProviderAdministrator)
	must(t, w.Assign(w.systemRoot(), ada.ID, admin))
	refused(t, w.Unassign(w.systemRoot(), ada.ID, admin), fault.Conflict)
	_, err := w.AssignTo(w.systemRoot(), permission.Assignment{Subject: bob, RoleID: admin, ExpiresAt: w.now().Add(time.Hour)})
	must(t, err)
	refused(t, w.Unassign(w.systemRoot(), ada.ID, admin), fault.Conflict) // Bob's ends
	denial := permission.DirectGrant{Subject: ada, Grant: permission.Grant{Permission: "permission:*:*", Effect: permission.Deny, Hard: true}}
	_, err = w.CreateGrant(w.systemRoot(), denial)
	refused(t, err, fault.Conflict)
	must(t, w.Assign(w.systemRoot(), bob.ID, admin))
	_, err = w.CreateGrant(w.systemRoot(), denial)
	must(t, err)
	refused(t, w.Unassign(w.systemRoot(), bob.ID, admin), fault.Conflict) // Ada may not do everything any more
	w.kept = bob.ID
	denial.Subject = bob
	_, err = w.CreateGrant(w.systemRoot(), denial)
	refused(t, err, fault.Forbidden)
}

// TestWhoMayAndWhatIf asks who may do something and what a change would do.
func TestWhoMayAndWhatIf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ops := w.subject(permission.GroupSubject, "Operations")
	ann := w.subject(permission.UserSubject, "Ann", ops)
	bob := w.subject(permission.UserSubject, "Bob")
	gone := permission.Subject{Kind: permission.UserSubject, ID: id.New()}
	role := w.role(nil, allow("deployment:stack:approve"))
	w.give(permission.Assignment{Subject: ops, RoleID: role.ID})
	w.grant(ann, permission.Grant{Permission: "deployment:stack:approve", Effect: permission.Deny, Condition: `!actor.mfa`})
	g := w.grant(bob, allow("deployment:*:*"))
	holders, err := w.Holders(w.system(), "deployment:stack:approve", everywhere)
	must(t, err)
	if len(holders) != 2 || holders[0].Name != "Operations" && holders[1].Name != "Operations" {
		t.Errorf("%+v", holders)
	}
	refused(t, w.mayAsk(bob), fault.Forbidden)
	outcomes, err := w.Simulate(w.system(), permission.Change{
		GrantsRemove: []id.ID{g.ID}, Assign: []permission.Assignment{{Subject: gone, RoleID: role.ID}},
		Role: &permission.Role{ID: role.ID, Name: role.Name, Grants: []permission.Grant{allow("deployment:stack:approve"), allow("audit:record:read")}},
	}, []permission.Question{
		{Subject: bob, Permission: "deployment:stack:approve"}, {Subject: gone, Permission: "audit:record:read"},
		{Subject: ann, Permission: "deployment:stack:approve", MFA: true}, {Subject: ann, Permission: "deployment:stack:approve"},
	})
	must(t, err)
	for i, want := range [][2]bool{{true, false}, {false, true}, {true, true}, {false, false}} {
		if o := outcomes[i]; o.Before.Allowed != want[0] || o.After.Allowed != want[1] {
			t.Errorf("%d: %+v", i, o)
		}
	}
	w.may(bob, "deployment:stack:approve", everywhere, true) // nothing was changed
	mine, err := w.Effective(w.as(bob), permission.Subject{})
	if err != nil || len(mine) != 1 || mine[0].Via != "direct grant" {
		t.Errorf("%+v, %v", mine, err)
	}
}

func (w *world) mayAsk(s permission.Subject) error {
	_, err := w.Holders(w.as(s), "deployment:stack:approve", everywhere)
	return err
}

// TestOldRowsAreKept brings a tenant of the first release to this one: who had
// a role has it, and a role's grants are as they were.
func TestOldRowsAreKept(t *testing.T) {
	t.Parallel()
	d, history := dbtest.Open(t, audit.Migrations, permission.Migrations)
	old := history[:0:0]
	for _, m := range history {
		if m.Version < "20261126" {
			old = append(old, m)
		}
	}
	if len(old) == len(history) {
		t.Fatal("there is nothing to upgrade")
	}
	tenant, user, role := id.New(), id.New(), id.New()
	must(t, d.AddTenant(t.Context(), tenant, old))
	must(t, d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
		for _, sql := range []string{`insert into role (id, name) values ('R', 'Old')`,
			`insert into role_grant (role_id, permission, effect, hard) values ('R', 'a:b:c', 'allow', false), ('R', 'a:b:c', 'deny', true), ('R', 'a:b:d', 'allow', false)`,
			`insert into role_assignment (user_id, role_id) values ('U', 'R')`} {
			if _, err := db.Tx(ctx).Exec(ctx, strings.NewReplacer("'R'", "'"+role.String()+"'", "'U'", "'"+user.String()+"'").Replace(sql)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, d.Migrate(t.Context(), history))
	w := newWorld(t)
	cfg := w.cfg
	cfg.DB, cfg.Clock = d, nil
	s := permission.New(cfg)
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.User, ID: user, TenantID: tenant})
	if s.Allowed(ctx, "a:b:c") || !s.Allowed(ctx, "a:b:d") {
		t.Error("the rights of the first release are not those of this one")
	}
}
