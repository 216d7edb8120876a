package identity_test

import (
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

func TestAPITokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Eve", "eve@example.org", b.tenant, permission.TenantAdministrator)
	_, eve := b.signIn("eve@example.org")
	secret, token, err := b.CreateToken(b.as(eve), identity.NewToken{Name: "CI", Days: 30, Scopes: []string{"identity:*:read", "cmdb:ci:*"}})
	b.must(err)
	if !strings.HasPrefix(secret, identity.TokenPrefix) || len(secret) < 40 {
		t.Errorf("the secret is %q", secret)
	}
	a, err := b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	if a.ID != eve.ID || a.Kind != actor.User || a.TenantID != b.tenant || len(a.Scopes) != 2 || !a.AuthenticatedAt.IsZero() || a.Session != token.ID {
		t.Errorf("%+v", a)
	}
	stored := query[string](b, `select string_agg(k::text, ' ') from core.api_token k`)
	if strings.Contains(stored, secret[len(identity.TokenPrefix):]) {
		t.Error("the secret is stored")
	}
	if listed, err := b.Tokens(b.as(eve)); err != nil || len(listed) != 1 || listed[0].LastUsedAt == nil || len(listed[0].Scopes) != 2 {
		t.Errorf("%+v, %v", listed, err)
	}

	_, err = b.Groups(b.as(a), identity.Filter{})
	b.must(err)
	_, err = b.CreateGroup(b.as(a), "Outside the scopes", "")
	b.refused("outside its scopes", err, fault.Forbidden)
	_, _, err = b.CreateToken(b.as(a), identity.NewToken{Name: "more", Days: 365})
	b.refused("a token that makes a token", err, fault.Forbidden)
	_, err = b.UseTenant(b.as(a), b.tenant)
	b.refused("a token that switches", err, fault.Forbidden)

	b.exec(`update core.api_token set expires_at = now() where id = $1`, token.ID)
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.refused("after it expired", err, fault.Unauthenticated)
	b.must(b.DeleteToken(b.as(eve), token.ID))
	if !b.cut(eve.ID, token.ID) {
		t.Error("the sockets of the token stay")
	}
	b.refused("deleting it again", b.DeleteToken(b.as(eve), token.ID), fault.NotFound)
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	for name, n := range map[string]identity.NewToken{
		"no name": {Days: 1}, "no end": {Name: "x"}, "too long": {Name: "x", Days: 366},
		"a scope that is none": {Name: "x", Days: 1, Scopes: []string{"everything"}},
		"too many scopes":      {Name: "x", Days: 1, Scopes: make([]string, 101)},
	} {
		_, _, err := b.CreateToken(b.as(ann), n)
		b.refused(name, err, fault.Invalid)
	}
	for _, secret := range []string{"", "nbt_", "nbt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		_, err := b.AuthenticateToken(t.Context(), secret)
		b.refused("the token "+secret, err, fault.Unauthenticated)
	}
}

// TestScopesNarrowWhatIsGiven keeps a token from giving away what its scopes
// leave out, though its owner could.
func TestScopesNarrowWhatIsGiven(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Eve", "eve@example.org", b.tenant, permission.TenantAdministrator)
	bob := b.person("Bob", "bob@example.org", b.tenant, "Reader")
	_, eve := b.signIn("eve@example.org")
	secret, _, err := b.CreateToken(b.as(eve), identity.NewToken{Name: "people", Days: 1, Scopes: []string{"identity:*:*", "permission:*:*"}})
	b.must(err)
	a, err := b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	_, err = b.ResetPassword(b.as(a), bob.ID)
	b.refused("taking over who may read the inventory", err, fault.Forbidden)
	b.refused("giving a role", b.permissions.Assign(b.as(a), bob.ID, permission.SystemRoleID(b.tenant, permission.TenantAdministrator)), fault.Forbidden)
	_, err = b.CreateGroup(b.as(a), "Inside the scopes", "")
	b.must(err)
}

func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := b.as(b.ann)
	sa, err := b.CreateServiceAccount(ctx, "terraform", "Makes stacks")
	b.must(err)
	_, err = b.CreateServiceAccount(ctx, "Terraform", "")
	b.refused("a name that is taken", err, fault.Conflict)
	secret, token, err := b.CreateServiceAccountToken(ctx, sa.ID, identity.NewToken{Name: "CI", Days: 90})
	b.must(err)
	a, err := b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	if a.Kind != actor.ServiceAccount || a.ID != sa.ID || a.Name != "terraform" || a.TenantID != b.tenant || a.Maker != b.ann.ID {
		t.Errorf("%+v", a)
	}
	_, err = b.Groups(b.as(a), identity.Filter{})
	b.refused("without rights", err, fault.Forbidden)
	_, _, err = b.CreateToken(b.as(a), identity.NewToken{Name: "x", Days: 1})
	b.refused("a token of its own", err, fault.Forbidden)
	if email, _, err := b.Me(b.as(a)); err != nil || email != "" {
		t.Errorf("about itself: %q, %v", email, err)
	}
	if tenants, err := b.TenantsOf(b.as(a)); err != nil || len(tenants) != 1 {
		t.Errorf("its tenants: %v, %v", tenants, err)
	}
	b.must(b.AddMember(ctx, b.group("Robots").ID, permission.Subject{Kind: permission.ServiceAccountSubject, ID: sa.ID}))

	other := b.anotherTenant("Away")
	bea := b.person("Bea", "bea@example.org", other, permission.TenantAdministrator)
	_, _, err = b.CreateServiceAccountToken(b.as(bea), sa.ID, identity.NewToken{Name: "x", Days: 1})
	b.refused("another tenant's", err, fault.NotFound)
	b.refused("another tenant's token", b.DeleteServiceAccountToken(b.as(bea), sa.ID, token.ID), fault.NotFound)

	status := identity.Disabled
	_, err = b.UpdateServiceAccount(ctx, sa.ID, identity.ServiceAccountChange{Status: &status})
	b.must(err)
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.refused("while disabled", err, fault.Unauthenticated)
	if !b.cut(sa.ID, id.ID{}) {
		t.Error("its sockets stay")
	}
	status = identity.Active
	_, err = b.UpdateServiceAccount(ctx, sa.ID, identity.ServiceAccountChange{Status: &status})
	b.must(err)
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	b.must(b.DeleteServiceAccount(ctx, sa.ID))
	_, err = b.AuthenticateToken(t.Context(), secret)
	b.refused("after it is gone", err, fault.Unauthenticated)
	if n := query[int](b, `select count(*) from `+schema(b.tenant)+`.group_member`); n != 0 {
		t.Errorf("it is still in %d groups", n)
	}
}

func TestServiceAccountsHoldRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sa, err := b.CreateServiceAccount(b.as(b.ann), "auditor", "")
	b.must(err)
	b.assign(permission.Subject{Kind: permission.ServiceAccountSubject, ID: sa.ID}, "Auditor")
	secret, _, err := b.CreateServiceAccountToken(b.as(b.ann), sa.ID, identity.NewToken{Name: "x", Days: 1})
	b.must(err)
	a, err := b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	a.RequestID = time.Now().String()
	_, err = b.Groups(b.as(a), identity.Filter{})
	b.must(err)
	_, err = b.CreateGroup(b.as(a), "x", "")
	b.refused("beyond its role", err, fault.Forbidden)
}

// TestNarrowTokensReachNoSessions: whoever finds a token with scopes learns and
// ends nothing of its owner's but itself.
func TestNarrowTokensReachNoSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	_, other, err := b.CreateToken(b.as(ann), identity.NewToken{Name: "Other", Days: 1})
	b.must(err)
	secret, mine, err := b.CreateToken(b.as(ann), identity.NewToken{Name: "CI", Days: 1, Scopes: []string{"cmdb:ci:read"}})
	b.must(err)
	found, err := b.AuthenticateToken(t.Context(), secret)
	b.must(err)
	_, err = b.Sessions(b.as(found))
	b.refused("listing sessions", err, fault.Forbidden)
	_, err = b.Tokens(b.as(found))
	b.refused("listing tokens", err, fault.Forbidden)
	b.refused("ending a session", b.EndSession(b.as(found), ann.Session), fault.Forbidden)
	b.refused("ending another token", b.DeleteToken(b.as(found), other.ID), fault.Forbidden)
	b.must(b.DeleteToken(b.as(found), mine.ID))
}
