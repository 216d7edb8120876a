package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc/oidctest"
	"nimbus/appliance/permission"
)

// roles are the names of a user's roles in Home, by id.
func (b *bench) roles(user string) string {
	b.t.Helper()
	var names []string
	b.must(b.database.Tenant(b.system(), b.home, func(ctx context.Context) error {
		held, err := b.permissions.RolesOf(ctx, id.MustParse(user))
		for _, r := range held {
			names = append(names, r.Name)
		}
		return err
	}))
	return strings.Join(names, ",")
}

func TestRolesFollowTheClaims(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) {
		in["mapping"] = []body{
			{"claim": "groups", "value": "engineers", "role_id": b.role("Operator")},
			{"claim": "realm_access.roles", "pattern": "*-deploy", "role_id": b.role("Deployer")},
		}
		in["default_role_ids"] = []string{b.role("Reader")}
		in["jit"].(body)["groups"] = true
	})
	c := b.browser()
	c.come(p)
	me, _ := c.me()
	if got := b.roles(me.User.ID); got != "Operator,Reader" {
		t.Errorf("first: %s", got)
	}
	// By hand she gets a role that claims give too, later.
	b.must(b.permissions.Assign(b.system(), id.MustParse(me.User.ID), permission.SystemRoleID(b.home, "Deployer")))
	i.Person(oidctest.Claims{"groups": []string{"sales"}, "realm_access": map[string]any{"roles": []string{"prod-deploy"}}})
	b.browser().come(p)
	if got := b.roles(me.User.ID); got != "Deployer,Reader" {
		t.Errorf("after the claim is gone: %s", got)
	}
	i.Person(oidctest.Claims{"groups": nil, "realm_access": nil})
	b.browser().come(p)
	if got := b.roles(me.User.ID); got != "Deployer,Reader" {
		t.Errorf("what was given by hand: %s", got)
	}
	if n := value[int](b, `select count(*) from tenant_`+b.home.Hex()+`.group_member where member_id = $1`, me.User.ID); n != 0 {
		t.Errorf("still in %d groups", n)
	}
	b.admin.call(http.MethodDelete, p.path(), nil, http.StatusNoContent, nil)
	if got := b.roles(me.User.ID); got != "Deployer" {
		t.Errorf("after the provider is gone: %s", got)
	}
	if _, ok := c.me(); ok {
		t.Error("the provider is gone and its session is not")
	}
}

// TestLimitedRolesAreNotTheProviders: a role that was given by hand for a time
// neither keeps the claims from giving the whole role nor goes with it.
func TestLimitedRolesAreNotTheProviders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) {
		in["mapping"] = []body{{"claim": "groups", "value": "engineers", "role_id": b.role("Operator")}}
	})
	i.Person(oidctest.Claims{"groups": nil})
	c := b.browser()
	c.come(p)
	me, _ := c.me()
	operator := permission.SystemRoleID(b.home, "Operator")
	_, err := b.permissions.AssignTo(b.system(), permission.Assignment{
		Subject: permission.Subject{Kind: permission.UserSubject, ID: id.MustParse(me.User.ID)}, RoleID: operator, ExpiresAt: time.Now().Add(time.Hour)})
	b.must(err)
	held := func() (whole, limited int) {
		const count = `select count(*) from tenant_%s.role_assignment where subject_id = $1 and expires_at is %s null`
		return value[int](b, fmt.Sprintf(count, b.home.Hex(), ""), me.User.ID), value[int](b, fmt.Sprintf(count, b.home.Hex(), "not"), me.User.ID)
	}
	for _, groups := range [][]string{{"engineers"}, nil} {
		i.Person(oidctest.Claims{"groups": groups})
		b.browser().come(p)
		if whole, limited := held(); whole != len(groups) || limited != 1 {
			t.Errorf("with the groups %v: %d whole, %d limited", groups, whole, limited)
		}
	}
}

func TestGroupsAreMatchedByIDNeverByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	schema := "tenant_" + b.home.Hex()
	local := id.New()
	b.exec(`insert into `+schema+`.user_group (id, name) values ($1, 'engineers')`, local)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) { in["jit"].(body)["groups"] = true; in["name"] = "Login" })
	b.browser().come(p)
	if n := value[int](b, `select count(*) from `+schema+`.group_member where group_id = $1`, local); n != 0 {
		t.Error("a local group was entered by its name")
	}
	if name := value[string](b, `select name from `+schema+`.user_group where source = 'oidc'`); name != "engineers (Login)" {
		t.Errorf("the provider's group is called %q", name)
	}
}

func TestConflictRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	never := b.issuer(i.Server, func(in body) { in["name"] = "never" })
	verified := b.issuer(i.Server, func(in body) {
		in["name"] = "verified"
		in["jit"] = body{"users": false, "groups": false, "link_by_email": "verified"}
	})
	lia := b.member("lia@example.com", b.home)
	both := b.member("both@example.com", b.home)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, both, b.beta)
	b.member("bea@example.com", b.beta)
	off := b.member("off@example.com", b.home)
	foreign := b.member("far@beta.example", b.home)
	b.exec(`update core.account set status = 'disabled' where id = $1`, off)

	for name, c := range map[string]struct {
		p        provider
		claims   oidctest.Claims
		refused  bool
		linkedTo id.ID
	}{
		"never linked":           {never, oidctest.Claims{"sub": "1", "email": "lia@example.com"}, true, id.ID{}},
		"not verified":           {verified, oidctest.Claims{"sub": "2", "email": "lia@example.com", "email_verified": false}, true, id.ID{}},
		"nothing said":           {verified, oidctest.Claims{"sub": "3", "email": "lia@example.com", "email_verified": nil}, true, id.ID{}},
		"verified":               {verified, oidctest.Claims{"sub": "4", "email": "LIA@example.com"}, false, lia},
		"domain of others":       {verified, oidctest.Claims{"sub": "5", "email": "far@beta.example"}, true, foreign},
		"in two tenants":         {verified, oidctest.Claims{"sub": "6", "email": "both@example.com"}, true, both},
		"of another tenant":      {verified, oidctest.Claims{"sub": "7", "email": "bea@example.com"}, true, id.ID{}},
		"emergency":              {verified, oidctest.Claims{"sub": "8", "email": "ann@example.com"}, true, id.ID{}},
		"disabled":               {verified, oidctest.Claims{"sub": "9", "email": "off@example.com"}, true, off},
		"no account, no JIT":     {verified, oidctest.Claims{"sub": "10", "email": "absent@example.com"}, true, id.ID{}},
		"JIT":                    {never, oidctest.Claims{"sub": "11", "email": "new@example.com"}, false, id.ID{}},
		"JIT, not verified":      {never, oidctest.Claims{"sub": "12", "email": "new2@example.com", "email_verified": false}, true, id.ID{}},
		"JIT, other's domain":    {never, oidctest.Claims{"sub": "13", "email": "x@beta.example"}, true, id.ID{}},
		"JIT, nobody's domain":   {never, oidctest.Claims{"sub": "14", "email": "x@free.example"}, false, id.ID{}},
		"JIT, nobody says so":    {never, oidctest.Claims{"sub": "15", "email": "y@free.example", "email_verified": nil}, true, id.ID{}},
		"JIT, no address":        {never, oidctest.Claims{"sub": "16", "email": nil}, true, id.ID{}},
		"JIT, no honest address": {never, oidctest.Claims{"sub": "17", "email": "x@example.com, y@example.com"}, true, id.ID{}},
	} {
		i.Person(oidctest.Claims{"email_verified": true})
		i.Person(c.claims)
		person := b.browser()
		to := person.come(c.p)
		me, ok := person.me()
		if ok == c.refused || c.refused && to != "/sign-in?error=not_allowed" || !c.refused && to != "/stacks" {
			t.Errorf("%s: ends at %s, signed in %v", name, to, ok)
		}
		if ok && !c.linkedTo.IsZero() && me.User.ID != c.linkedTo.String() {
			t.Errorf("%s: signed in as %+v", name, me)
		}
	}
	if b.audited(b.home, "identity.user.linked") != 1 || b.audited(b.home, "identity.session.refused") < 10 {
		t.Error("links and refusals are not recorded in the tenant")
	}
}

// TestEmergencyAdministratorIsOutOfReach forces a link to it, as a provider of
// the root tenant, and still gets nowhere.
func TestEmergencyAdministratorIsOutOfReach(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	ann := value[string](b, `select id::text from core.account where emergency`)
	b.exec(`insert into core.federated_identity (provider_id, subject, user_id, tenant_id) values ($1, 'ada', $2, $3)`, p.ID, ann, b.home)
	before := b.roles(ann)
	c := b.browser()
	if to := c.come(p); to != "/sign-in?error=not_allowed" {
		t.Errorf("leads to %s", to)
	}
	if _, ok := c.me(); ok || b.roles(ann) != before {
		t.Error("the emergency administrator was taken over or changed")
	}
}

func TestAProvidersWordStaysInItsTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	c := b.browser()
	c.come(p)
	me, _ := c.me()
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, me.User.ID, b.beta)
	c.call(http.MethodPut, "/v1/session/tenant", body{"tenant_id": b.beta}, http.StatusForbidden, nil)
	if to := b.browser().come(p); to != "/sign-in?error=not_allowed" {
		t.Errorf("an account of two tenants: %s", to)
	}
}

// TestMappingGivesNothingThatItsAuthorLacks is about administrators who may
// set up providers and little else.
func TestMappingGivesNothingThatItsAuthorLacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) {
		in["mapping"] = []body{{"claim": "groups", "value": "engineers", "role_id": b.role(permission.TenantAdministrator)}}
	})
	role, err := b.permissions.CreateRole(b.system(), permission.Role{Name: "Sign-in setter", Grants: []permission.Grant{
		{Permission: "identity:provider:*", Effect: permission.Allow}, {Permission: "permission:role:assign", Effect: permission.Allow},
	}})
	b.must(err)
	user := b.member("setter@example.com", b.home)
	b.must(b.permissions.Assign(b.system(), user, role.ID))
	c := b.signIn("setter@example.com", b.home)
	grab := body{"mapping": []body{{"claim": "sub", "pattern": "*", "role_id": b.role(permission.TenantAdministrator)}}}
	c.call(http.MethodPatch, p.path(), grab, http.StatusForbidden, nil)
	c.call(http.MethodPatch, p.path(), body{"oidc": body{"issuer": "https://evil.example"}}, http.StatusForbidden, nil)
	c.call(http.MethodPatch, p.path(), body{"name": "Ours"}, http.StatusOK, nil)
	c.call(http.MethodPatch, p.path(), body{"enabled": false}, http.StatusOK, nil)
	c.call(http.MethodPatch, p.path(), body{"enabled": true}, http.StatusForbidden, nil)
	grab["kind"], grab["name"], grab["oidc"] = "oidc", "Mine", body{"issuer": i.URL, "client_id": "x"}
	c.call(http.MethodPost, "/v1/identity-providers", grab, http.StatusForbidden, nil)

	// A provider of their own that says whatever they want would link them to an
	// administrator's account.
	steal := body{"kind": "oidc", "name": "Mine", "oidc": body{"issuer": i.URL, "client_id": "x"}, "jit": body{"users": false, "groups": false, "link_by_email": "verified"}}
	c.call(http.MethodPost, "/v1/identity-providers", steal, http.StatusForbidden, nil)
	steal["jit"] = body{"users": false, "groups": false, "link_by_email": "never"}
	var mine struct{ ID string }
	c.call(http.MethodPost, "/v1/identity-providers", steal, http.StatusCreated, &mine)
	c.call(http.MethodPatch, "/v1/identity-providers/"+mine.ID, body{"jit": body{"users": false, "groups": false, "link_by_email": "verified"}}, http.StatusForbidden, nil)
	b.admin.call(http.MethodPatch, "/v1/identity-providers/"+mine.ID, body{"jit": body{"users": false, "groups": false, "link_by_email": "verified"}}, http.StatusOK, nil)
	c.call(http.MethodPatch, "/v1/identity-providers/"+mine.ID, body{"oidc": body{"issuer": "https://evil.example"}}, http.StatusForbidden, nil)

	// Whom a provider vouches for is as sensitive: linked people have rights.
	b.admin.call(http.MethodPatch, p.path(), body{"enabled": true, "mapping": []body{}}, http.StatusOK, nil)
	ada := b.browser()
	ada.come(p)
	me, _ := ada.me()
	b.must(b.permissions.Assign(b.system(), id.MustParse(me.User.ID), permission.SystemRoleID(b.home, permission.TenantAdministrator)))
	c.call(http.MethodPatch, p.path(), body{"oidc": body{"client_id": "mine"}}, http.StatusForbidden, nil)
	b.admin.call(http.MethodPatch, p.path(), body{"oidc": body{"issuer": oidctest.New(t).URL}}, http.StatusOK, nil)
	if n := value[int](b, `select count(*) from core.federated_identity where provider_id = $1`, p.ID); n != 0 {
		t.Error("another issuer's subjects are still linked")
	}
	if _, ok := ada.me(); ok {
		t.Error("a session of the issuer before goes on")
	}
}
