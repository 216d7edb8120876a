package identity_test

import (
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, a := b.signIn("ANN@example.org ")
	if a.ID != b.ann.ID || a.TenantID != b.root || a.AuthenticatedAt.IsZero() || a.MFA {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct{ email, password string }{{"ann@example.org", "wrong"}, {"nobody@example.org", password}} {
		_, _, err := b.SignIn(t.Context(), c.email, c.password, home, "")
		b.refused(c.email, err, fault.Unauthenticated)
	}
	b.must(b.SignOut(b.as(a)))
	_, err := b.Authenticate(t.Context(), token)
	b.refused("after signing out", err, fault.Unauthenticated)
	if !b.cut(a.ID, a.Session) {
		t.Error("the sockets stay")
	}
	if hashed := query[bool](b, `select not exists (select from core.session where position($1::bytea in token_hash) > 0)`, []byte(token)); !hashed {
		t.Error("the token is stored")
	}
}

func TestSessionLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sessions = identity.SessionPolicy{MaxPerUser: 2, Idle: time.Hour, Longest: 8 * time.Hour}
	first, a := b.signIn("ann@example.org")
	second, _ := b.signIn("ann@example.org")
	third, c := b.signIn("ann@example.org")
	_, err := b.Authenticate(t.Context(), first)
	b.refused("the first of three", err, fault.Unauthenticated)
	if !b.cut(a.ID, a.Session) {
		t.Error("the first session's sockets stay")
	}
	_, err = b.Authenticate(t.Context(), second)
	b.must(err)
	b.exec(`update core.session set last_seen_at = now() - interval '61 minutes' where id = $1`, c.Session)
	_, err = b.Authenticate(t.Context(), third)
	b.refused("an idle session", err, fault.Unauthenticated)
	b.exec(`update core.session set last_seen_at = now() + interval '1 day' where id = $1`, c.Session)
	_, err = b.Authenticate(t.Context(), third)
	b.refused("a session seen in the future", err, fault.Unauthenticated)
	b.exec(`update core.session set last_seen_at = now(), expires_at = now() where id = $1`, c.Session)
	_, err = b.Authenticate(t.Context(), third)
	b.refused("a session over its length", err, fault.Unauthenticated)
	all, err := b.Sessions(b.as(c))
	b.must(err)
	if len(all) != 1 {
		t.Errorf("%d sessions are listed", len(all))
	}
}

func TestStartSessionRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, _, err := b.StartSession(t.Context(), identity.SignedIn{User: b.ann.ID, Method: identity.BySAML})
	b.refused("the emergency administrator through a provider", err, fault.Forbidden)
	bob := b.person("Bob", "bob@example.org", b.tenant)
	_, _, err = b.StartSession(t.Context(), identity.SignedIn{User: bob.ID, Tenant: b.root, Method: identity.ByOIDC})
	b.refused("a tenant that is not his", err, fault.Forbidden)
	_, _, err = b.StartSession(t.Context(), identity.SignedIn{User: id.New(), Method: identity.ByOIDC})
	b.refused("nobody", err, fault.NotFound)
	token, s, err := b.StartSession(t.Context(), identity.SignedIn{User: bob.ID, Tenant: b.tenant, Method: identity.ByOIDC, MFA: true, Address: home})
	b.must(err)
	a, err := b.Authenticate(t.Context(), token)
	b.must(err)
	if a.Session != s.ID || !a.MFA || s.Method != identity.ByOIDC || s.ExpiresAt.IsZero() {
		t.Errorf("%+v in %+v", a, s)
	}
}

// TestTimeCutsSockets ends sessions and API tokens whose time is over though
// nobody sends a request.
func TestTimeCutsSockets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, idle := b.signIn("ann@example.org")
	_, good := b.signIn("ann@example.org")
	_, token, err := b.CreateToken(b.as(good), identity.NewToken{Name: "x", Days: 1})
	b.must(err)
	b.exec(`update core.session set last_seen_at = now() - interval '13 hours' where id = $1`, idle.Session)
	b.exec(`update core.api_token set expires_at = now()`)
	b.must(b.Start(t.Context()))
	b.must(b.Start(t.Context()))
	for end := time.Now().Add(20 * time.Second); !b.cut(idle.ID, idle.Session) || !b.cut(good.ID, token.ID); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sockets stay")
		}
	}
	b.must(b.Ready(t.Context()))
	b.must(b.Stop(t.Context()))
	b.must(b.Stop(t.Context()))
	if b.cut(good.ID, good.Session) {
		t.Error("a good session was cut")
	}
	if n := query[int](b, `select count(*) from core.session`); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestProviderOnly keeps passwords out of tenants that have a provider for it,
// at sign-in and when switching, but not the emergency administrator.
func TestProviderOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bob := b.person("Bob", "bob@example.org", b.tenant)
	closed := b.anotherTenant("Works")
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, bob.ID, closed)
	_, a := b.signIn("bob@example.org")

	b.sessions = identity.SessionPolicy{ProviderOnly: true}
	_, _, err := b.SignIn(t.Context(), "bob@example.org", password, home, "a browser")
	b.refused("a password", err, fault.Forbidden)
	_, err = b.UseTenant(b.as(a), closed)
	b.refused("switching with a password's session", err, fault.Forbidden)
	_, _, err = b.StartSession(t.Context(), identity.SignedIn{User: bob.ID, Tenant: b.tenant, Method: identity.ByOIDC, Address: home})
	b.must(err)
	b.signIn("ann@example.org")
}
