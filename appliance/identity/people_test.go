package identity_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

var (
	disabled = identity.Disabled
	active   = identity.Active
)

func TestPeoplePageByPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 7 {
		b.person(fmt.Sprintf("Same Name %d", i/3), fmt.Sprintf("person%d@example.org", i), b.tenant)
	}
	staff := b.group("Staff")
	found, err := b.People(b.as(b.ann), identity.Filter{Search: "PERSON6@"})
	b.must(err)
	if len(found.Items) != 1 {
		t.Fatalf("found %+v", found.Items)
	}
	b.must(b.AddMember(b.as(b.ann), staff.ID, user(found.Items[0].ID)))
	seen := map[id.ID]identity.User{}
	f := identity.Filter{Limit: 3}
	for pages := 1; ; pages++ {
		page, err := b.People(b.as(b.ann), f)
		b.must(err)
		for _, u := range page.Items {
			seen[u.ID] = u
		}
		if f.After = page.Next; f.After == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	six := seen[found.Items[0].ID]
	if len(seen) != 8 || len(six.Groups) != 1 || six.Groups[0].Name != "Staff" || six.Source != identity.Local || six.Emergency {
		t.Errorf("%d people, one is %+v", len(seen), six)
	}
	if ann := seen[b.ann.ID]; !ann.Emergency || len(ann.Roles) != 1 {
		t.Errorf("%+v", ann)
	}
	_, err = b.People(b.as(b.ann), identity.Filter{After: "nonsense"})
	b.refused("a cursor of somebody else", err, fault.Invalid)
}

// TestRobustness27DisabledPeopleAreOutAtOnce disables a person with a session,
// an API token and sockets.
func TestRobustness27DisabledPeopleAreOutAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Eve", "eve@example.org", b.tenant, "Reader")
	token, eve := b.signIn("eve@example.org")
	secret, _, err := b.CreateToken(b.as(eve), identity.NewToken{Name: "x", Days: 1})
	b.must(err)
	after, err := b.UpdateUser(b.as(b.ann), eve.ID, nil, &disabled)
	b.must(err)
	if after.Status != identity.Disabled {
		t.Errorf("%+v", after)
	}
	_, err = b.Authenticate(t.Context(), token)
	b.refused("the session", err, fault.Unauthenticated)
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.refused("the API token", err, fault.Unauthenticated)
	_, _, err = b.SignIn(t.Context(), "eve@example.org", password, home, "")
	b.refused("signing in again", err, fault.Forbidden)
	if !b.cut(eve.ID, eve.Session) {
		t.Error("the sockets stay")
	}
	_, err = b.UpdateUser(b.as(b.ann), eve.ID, nil, &active)
	b.must(err)
	_, err = b.Authenticate(t.Context(), token)
	b.refused("the old session after enabling", err, fault.Unauthenticated)
	b.signIn("eve@example.org")
}

func TestTenantsDisableForThemselvesOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := b.anotherTenant("Away")
	eve := b.person("Eve", "eve@example.org", b.tenant, "Reader")
	bea := b.person("Bea", "bea@example.org", away, permission.TenantAdministrator)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, eve.ID, away)
	atHome, _, err := b.StartSession(t.Context(), identity.SignedIn{User: eve.ID, Tenant: b.tenant, Method: identity.ByPassword})
	b.must(err)
	atAway, _, err := b.StartSession(t.Context(), identity.SignedIn{User: eve.ID, Tenant: away, Method: identity.ByPassword})
	b.must(err)
	_, err = b.UpdateUser(b.as(bea), eve.ID, nil, &disabled)
	b.must(err)
	_, err = b.Authenticate(t.Context(), atAway)
	b.refused("the session where she is disabled", err, fault.Unauthenticated)
	a, err := b.Authenticate(t.Context(), atHome)
	b.must(err)
	_, err = b.UseTenant(b.as(a), away)
	b.refused("switching to where she is disabled", err, fault.NotFound)
	name := "Mallory"
	_, err = b.UpdateUser(b.as(bea), eve.ID, &name, nil)
	b.refused("renaming somebody of two tenants", err, fault.Forbidden)
	_, err = b.ResetPassword(b.as(bea), eve.ID)
	b.refused("resetting the password of somebody of two tenants", err, fault.Forbidden)
	_, err = b.UpdateUser(b.as(b.ann), id.New(), nil, &disabled)
	b.refused("nobody", err, fault.NotFound)
	_, err = b.UpdateUser(b.as(b.ann), bea.ID, nil, &disabled)
	b.refused("another tenant's", err, fault.NotFound)
	_, err = b.UpdateUser(b.as(bea), bea.ID, nil, &disabled)
	b.refused("herself", err, fault.Conflict)
}

// TestRobustness22NothingWaitsForWhoComesBack removes a person who has
// everything and lets the same id in again.
func TestRobustness22NothingWaitsForWhoComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := b.anotherTenant("Away")
	bob := b.person("Bob", "bob@example.org", b.tenant, permission.TenantAdministrator)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, bob.ID, away)
	staff := b.group("Staff")
	b.must(b.AddMember(b.as(b.ann), staff.ID, user(bob.ID)))
	token, _, err := b.StartSession(t.Context(), identity.SignedIn{User: bob.ID, Tenant: b.tenant, Method: identity.ByPassword})
	b.must(err)
	elsewhere, _, err := b.StartSession(t.Context(), identity.SignedIn{User: bob.ID, Tenant: away, Method: identity.ByPassword})
	b.must(err)
	a, err := b.Authenticate(t.Context(), token)
	b.must(err)
	secret, _, err := b.CreateToken(b.as(a), identity.NewToken{Name: "x", Days: 1})
	b.must(err)
	_, err = b.Groups(b.as(a), identity.Filter{})
	b.must(err)

	b.must(b.DeleteUser(b.as(b.ann), bob.ID))
	gone := func(when string) {
		t.Helper()
		_, err = b.Authenticate(t.Context(), token)
		b.refused(when+": the session", err, fault.Unauthenticated)
		_, err = b.AuthenticateToken(t.Context(), secret)
		b.refused(when+": the API token", err, fault.Unauthenticated)
		_, err = b.Groups(b.as(a), identity.Filter{})
		b.refused(when+": the rights", err, fault.Forbidden)
		if in, err := b.GroupsOf(t.Context(), b.tenant, user(bob.ID)); err != nil || len(in) != 0 {
			t.Errorf("%s: the groups %v, %v", when, in, err)
		}
	}
	gone("removed")
	_, err = b.Authenticate(t.Context(), elsewhere)
	b.must(err)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, bob.ID, b.tenant)
	gone("back again")

	eve := b.person("Eve", "eve@example.org", b.tenant, "Reader")
	b.must(b.DeleteUser(b.as(b.ann), eve.ID))
	if n := query[int](b, `select count(*) from core.account where id = $1`, eve.ID); n != 0 {
		t.Error("the account of nobody's member stays")
	}
	again := b.person("Eve", "eve@example.org", away)
	if again.ID == eve.ID {
		t.Error("the id is used again")
	}
	b.refused("oneself", b.DeleteUser(b.as(a), bob.ID), fault.Forbidden)
	b.refused("nobody", b.DeleteUser(b.as(b.ann), id.New()), fault.NotFound)
}

func TestEmergencyAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	boss := b.person("Boss", "boss@example.org", b.root, permission.ProviderAdministrator)
	tenant := b.person("Tina", "tina@example.org", b.tenant, permission.TenantAdministrator)
	name := "Somebody"
	for _, by := range []actor.Actor{boss, tenant} {
		ctx := b.as(by)
		_, err := b.UpdateUser(ctx, b.ann.ID, nil, &disabled)
		b.refused(by.Name+" disables", err, fault.Forbidden)
		_, err = b.UpdateUser(ctx, b.ann.ID, &name, nil)
		b.refused(by.Name+" renames", err, fault.Forbidden)
		_, err = b.ResetPassword(ctx, b.ann.ID)
		b.refused(by.Name+" resets the password", err, fault.Forbidden)
		b.refused(by.Name+" removes", b.DeleteUser(ctx, b.ann.ID), fault.Forbidden)
	}
	role := permission.SystemRoleID(b.root, permission.ProviderAdministrator)
	b.refused("demoting", b.permissions.Unassign(b.as(boss), b.ann.ID, role), fault.Forbidden)
	b.must(b.permissions.Unassign(b.as(boss), boss.ID, role))
	console := actor.With(t.Context(), actor.Actor{Kind: actor.Console, Name: "console", TenantID: b.root})
	_, err := b.UpdateUser(console, b.ann.ID, nil, &disabled)
	b.refused("even the console disables", err, fault.Forbidden)
	_, err = b.UpdateUser(console, b.ann.ID, &name, nil)
	b.must(err)
	if yes, err := b.Emergency(t.Context(), boss.ID); err != nil || yes {
		t.Errorf("the boss: %v, %v", yes, err)
	}
	if yes, err := b.Emergency(t.Context(), b.ann.ID); err != nil || !yes {
		t.Errorf("Ann: %v, %v", yes, err)
	}
}

func TestClosedTenantsAreShut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Eve", "eve@example.org", b.tenant, "Reader")
	token, eve := b.signIn("eve@example.org")
	secret, made, err := b.CreateToken(b.as(eve), identity.NewToken{Name: "x", Days: 1})
	b.must(err)
	b.exec(`alter table core.tenant drop constraint tenant_status_check`)
	b.exec(`update core.tenant set status = 'suspended' where id = $1`, b.tenant)
	_, err = b.Authenticate(t.Context(), token)
	b.refused("the session before anybody was told", err, fault.Unauthenticated)
	b.must(b.Start(t.Context()))
	defer func() { b.must(b.Stop(context.Background())) }()
	b.must(b.Events.Publish(t.Context(), event.Event{Type: "tenant.suspended", ID: b.tenant, Tenant: b.tenant}, nil))
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.refused("the API token", err, fault.Unauthenticated)
	_, _, err = b.SignIn(t.Context(), "eve@example.org", password, home, "")
	b.refused("signing in", err, fault.Forbidden)
	for end := time.Now().Add(time.Second); !b.cut(eve.ID, eve.Session) || !b.cut(eve.ID, made.ID); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sockets stay for more than a second")
		}
	}
	_, ann := b.signIn("ann@example.org")
	_, err = b.UseTenant(b.as(ann), b.tenant)
	b.refused("switching to it", err, fault.NotFound)
	b.exec(`update core.tenant set status = 'active' where id = $1`, b.tenant)
	_, err = b.Authenticate(t.Context(), token)
	b.refused("the old session after it is resumed", err, fault.Unauthenticated)
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.must(err)
}

func TestSessionsOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := b.anotherTenant("Away")
	eve := b.person("Eve", "eve@example.org", b.tenant, "Reader")
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, eve.ID, away)
	bea := b.person("Bea", "bea@example.org", away, permission.TenantAdministrator)
	for _, tenant := range []id.ID{b.tenant, away} {
		_, _, err := b.StartSession(t.Context(), identity.SignedIn{User: eve.ID, Tenant: tenant, Method: identity.ByPassword})
		b.must(err)
	}
	seen, err := b.UserSessions(b.as(bea), eve.ID)
	b.must(err)
	if len(seen) != 1 || seen[0].TenantID != away {
		t.Errorf("a tenant's administrator sees %+v", seen)
	}
	b.must(b.EndUserSessions(b.as(bea), eve.ID))
	mine, err := b.Sessions(b.as(eve))
	b.must(err)
	if len(mine) != 1 || mine[0].TenantID != b.tenant || !b.cut(eve.ID, seen[0].ID) {
		t.Errorf("left: %+v", mine)
	}
	b.refused("without the permission", b.EndUserSessions(b.as(eve), eve.ID), fault.Forbidden)
	b.refused("another tenant's", b.EndUserSessions(b.as(bea), b.ann.ID), fault.NotFound)
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, _ := b.signIn("ann@example.org")
	second, ann := b.signIn("ann@example.org")
	b.must(b.EndSessions(b.as(ann), true))
	_, err := b.Authenticate(t.Context(), first)
	b.refused("the other session", err, fault.Unauthenticated)
	_, err = b.Authenticate(t.Context(), second)
	b.must(err)
	b.must(b.EndSessions(b.as(ann), false))
	_, err = b.Authenticate(t.Context(), second)
	b.refused("the last session", err, fault.Unauthenticated)
	b.refused("somebody else's session", b.EndSession(b.as(b.person("Eve", "eve@example.org", b.tenant)), ann.Session), fault.NotFound)
}

func TestSwitchingTakesTheStricterLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	before := query[int](b, `select idle_seconds from core.session where id = $1`, ann.Session)
	b.sessions = identity.SessionPolicy{Idle: 60e9, Longest: 3600e9}
	a, err := b.UseTenant(b.as(ann), b.tenant)
	b.must(err)
	idle := query[int](b, `select idle_seconds from core.session where id = $1`, ann.Session)
	short := query[bool](b, `select expires_at <= signed_in_at + interval '1 hour' from core.session where id = $1`, ann.Session)
	if a.TenantID != b.tenant || idle != 60 || before <= 60 || !short {
		t.Errorf("idle %d after %d, short: %v", idle, before, short)
	}
	b.sessions = identity.SessionPolicy{Idle: 7200e9}
	_, err = b.UseTenant(b.as(a), b.root)
	b.must(err)
	if idle := query[int](b, `select idle_seconds from core.session where id = $1`, ann.Session); idle != 60 {
		t.Errorf("going back gives %d seconds", idle)
	}
	_, err = b.UseTenant(b.as(ann), b.anotherTenant("Away"))
	b.refused("a tenant that is not hers", err, fault.NotFound)
}

// TestRolesAreForMembers: a role given to somebody of another tenant, or to
// nobody, would wait for them.
func TestRolesAreForMembers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bea := b.person("Bea", "bea@example.org", b.anotherTenant("Away"))
	reader := permission.SystemRoleID(b.tenant, "Reader")
	b.refused("somebody of another tenant", b.permissions.Assign(b.as(b.ann), bea.ID, reader), fault.NotFound)
	b.refused("nobody", b.permissions.Assign(b.as(b.ann), id.New(), reader), fault.NotFound)
	if n := query[int](b, `select count(*) from `+schema(b.tenant)+`.role_assignment where role_id = $1`, reader); n != 0 {
		t.Errorf("%d assignments were stored", n)
	}
}

// TestSwitchingCutsTheSocketsOfTheTenantBefore: what they tell belongs to it.
func TestSwitchingCutsTheSocketsOfTheTenantBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	_, err := b.UseTenant(b.as(ann), ann.TenantID)
	b.must(err)
	if b.cut(ann.ID, ann.Session) {
		t.Error("staying where one is cuts sockets")
	}
	_, err = b.UseTenant(b.as(ann), b.tenant)
	b.must(err)
	if !b.cut(ann.ID, ann.Session) {
		t.Error("the sockets of the tenant before stay")
	}
}
