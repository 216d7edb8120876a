package identity_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

// tokenOf takes the secret out of a link that must be one of ours.
func tokenOf(t testing.TB, link, page string) string {
	t.Helper()
	token, ok := strings.CutPrefix(link, "https://nimbus.example.org:8443"+page+"#")
	if !ok || len(token) != 43 {
		t.Fatalf("the link is %q", link)
	}
	return token
}

func (b *bench) invite(n identity.NewInvitation) (identity.Invitation, string) {
	b.t.Helper()
	i, link, err := b.Invite(b.as(b.ann), n)
	b.must(err)
	return i, tokenOf(b.t, link, "/accept-invitation")
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	staff := b.group("Staff")
	n := identity.NewInvitation{
		Name: "Bob", Email: "bob@example.org", Groups: []id.ID{staff.ID},
		Roles: []id.ID{permission.SystemRoleID(b.tenant, "Auditor")},
	}
	i, token := b.invite(n)
	open, err := b.Invitations(b.as(b.ann))
	b.must(err)
	if len(open) != 1 || open[0].ID != i.ID || open[0].InvitedBy != "Ann" || len(open[0].RoleIDs) != 1 || len(open[0].GroupIDs) != 1 {
		t.Errorf("%+v", open)
	}
	shown, err := b.InspectInvitation(t.Context(), token, home)
	b.must(err)
	if shown != (identity.Invited{Tenant: "Home", Name: "Bob", Email: "bob@example.org", NeedsPassword: true}) {
		t.Errorf("%+v", shown)
	}
	_, err = b.AcceptInvitation(t.Context(), token, "password1234", home)
	b.refused("a common password", err, fault.Invalid)
	email, err := b.AcceptInvitation(t.Context(), token, password, home)
	b.must(err)
	_, bob := b.signIn(email)
	if bob.TenantID != b.tenant {
		t.Errorf("%+v", bob)
	}
	_, err = b.Groups(b.as(bob), identity.Filter{}) // an auditor reads
	b.must(err)
	if in, err := b.GroupsOf(t.Context(), b.tenant, user(bob.ID)); err != nil || len(in) != 1 {
		t.Errorf("in %v, %v", in, err)
	}
	given := query[string](b, `select convert_from(body, 'UTF8') from `+db.TenantSchema(b.tenant)+`.audit_record where event = 'permission.role.assigned' order by id desc limit 1`)
	if !strings.Contains(given, `"actor":{"kind":"system","name":"invitation"`) || !strings.Contains(given, `"on_behalf_of":{"kind":"user","id":"`+b.ann.ID.String()+`","name":"Ann"}`) {
		t.Errorf("who invited is not who gave the role: %s", given)
	}
	if !strings.Contains(given, `"target":{"kind":"user","id":"`+bob.ID.String()+`","name":"`+bob.Name+`"}`) {
		t.Errorf("the record does not name who was given the role: %s", given)
	}
	_, err = b.AcceptInvitation(t.Context(), token, password, home)
	b.refused("the second time", err, fault.Gone)
	_, _, err = b.Invite(b.as(b.ann), n)
	b.refused("a member", err, fault.Conflict)
}

// TestRobustness35InvitationsAreTheRecipientsOnly tries links that are not
// good, and to take an account over that exists.
func TestRobustness35InvitationsAreTheRecipientsOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := b.anotherTenant("Away")
	bea := b.person("Bea", "bea@example.org", away, permission.TenantAdministrator)
	b.person("Eve", "eve@example.org", b.tenant, "Reader")
	_, inviter := b.signIn("bea@example.org")
	_, eve := b.signIn("eve@example.org")

	_, link, err := b.Invite(b.as(bea), identity.NewInvitation{Name: "Ann", Email: "ann@example.org"})
	b.must(err)
	token := tokenOf(t, link, "/accept-invitation")
	stored := query[string](b, `select string_agg(i::text, ' ') from core.invitation i`)
	if strings.Contains(stored, token) {
		t.Error("the secret is stored")
	}
	shown, err := b.InspectInvitation(t.Context(), token, home)
	b.must(err)
	if shown.NeedsPassword {
		t.Error("an account that exists could be given a password")
	}
	for name, ctx := range map[string]context.Context{"nobody": t.Context(), "the inviter": b.as(inviter), "somebody else": b.as(eve)} {
		for _, p := range []string{"", "a password of the inviter"} {
			_, err = b.AcceptInvitation(ctx, token, p, "203.0.113."+name)
			b.refused("accepted by "+name, err, fault.Unauthenticated)
		}
	}
	_, _, err = b.SignIn(t.Context(), "ann@example.org", password, home, "")
	b.must(err)
	_, ann := b.signIn("ann@example.org")
	_, err = b.AcceptInvitation(b.as(ann), token, "", home)
	b.must(err)
	_, err = b.UseTenant(b.as(ann), away)
	b.must(err)

	_, replaced := b.invite(identity.NewInvitation{Name: "Bob", Email: "bob@example.org"})
	i, newest := b.invite(identity.NewInvitation{Name: "Bob", Email: "BOB@example.org"})
	_, err = b.InspectInvitation(t.Context(), replaced, home)
	b.refused("a link that was replaced", err, fault.Gone)
	b.refused("withdrawn by another tenant", b.DeleteInvitation(b.as(bea), i.ID), fault.NotFound)
	b.must(b.DeleteInvitation(b.as(b.ann), i.ID))
	_, err = b.AcceptInvitation(t.Context(), newest, password, home)
	b.refused("a link that was withdrawn", err, fault.Gone)
	late, last := b.invite(identity.NewInvitation{Name: "Bob", Email: "bob@example.org"})
	b.exec(`update core.invitation set expires_at = now() where id = $1`, late.ID)
	_, err = b.AcceptInvitation(t.Context(), last, password, home)
	b.refused("a link that has expired", err, fault.Gone)
}

// TestInvitationWorksOnce accepts from many sides at once.
func TestInvitationWorksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, token := b.invite(identity.NewInvitation{Name: "Bob", Email: "bob@example.org"})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.AcceptInvitation(t.Context(), token, password, home) })
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
		} else if !fault.Is(err, fault.Gone) && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unauthenticated) {
			t.Error(err)
		}
	}
	if n := query[int](b, `select count(*) from core.account where email = 'bob@example.org'`); accepted != 1 || n != 1 {
		t.Errorf("accepted %d times, %d accounts: %v", accepted, n, errs)
	}
}

// TestGuessingLinksWaits guesses links without making anybody's sign-in wait.
func TestGuessingLinksWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for what, try := range map[string]func(address string) error{
		"invitations": func(address string) error { _, err := b.InspectInvitation(t.Context(), "guess", address); return err },
		"resets":      func(address string) error { return b.FinishReset(t.Context(), "guess", "a long new password", address) },
	} {
		for range 5 {
			b.refused(what, try("203.0.113.9"), fault.Gone)
		}
		b.refused(what+" after five", try("203.0.113.9"), fault.TooMany)
		b.refused(what+" from elsewhere", try("203.0.113.10"), fault.Gone)
	}
	_, _, err := b.SignIn(t.Context(), "ann@example.org", password, "203.0.113.9", "")
	b.must(err)
}

func TestRobustness35ResetLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	eve := b.person("Eve", "eve@example.org", b.tenant, "Reader")
	session, _ := b.signIn("eve@example.org")
	first, err := b.ResetPassword(b.as(b.ann), eve.ID)
	b.must(err)
	second, err := b.ResetPassword(b.as(b.ann), eve.ID)
	b.must(err)
	token := tokenOf(t, second.Link, "/reset-password")
	if stored := query[string](b, `select string_agg(r::text, ' ') from core.password_reset r`); strings.Contains(stored, token) {
		t.Error("the secret is stored")
	}
	_, err = b.Authenticate(t.Context(), session)
	b.must(err)
	b.refused("the first link", b.FinishReset(t.Context(), tokenOf(t, first.Link, "/reset-password"), "a new sentence of hers", home), fault.Gone)
	b.refused("a common password", b.FinishReset(t.Context(), token, "password1234", home), fault.Invalid)
	b.refused("the old password", b.FinishReset(t.Context(), token, password, home), fault.Invalid)
	b.must(b.FinishReset(t.Context(), token, "a new sentence of hers", home))
	b.refused("the second time", b.FinishReset(t.Context(), token, "another new sentence", home), fault.Gone)
	_, err = b.Authenticate(t.Context(), session)
	b.refused("the session before", err, fault.Unauthenticated)
	_, _, err = b.SignIn(t.Context(), "eve@example.org", password, home, "")
	b.refused("the old password", err, fault.Unauthenticated)
	_, _, err = b.SignIn(t.Context(), "eve@example.org", "a new sentence of hers", home, "")
	b.must(err)

	late, err := b.ResetPassword(b.as(b.ann), eve.ID)
	b.must(err)
	b.exec(`update core.password_reset set expires_at = now()`)
	b.refused("after an hour", b.FinishReset(t.Context(), tokenOf(t, late.Link, "/reset-password"), "another new sentence", "192.0.2.7"), fault.Gone)
	_, err = b.ResetPassword(b.as(eve), eve.ID)
	b.refused("without the permission", err, fault.Forbidden)
	_, err = b.ResetPassword(b.as(b.ann), id.New())
	b.refused("nobody", err, fault.NotFound)
}

// TestQuotaOfPeople asks before a member is made, on every way in.
func TestQuotaOfPeople(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, token := b.invite(identity.NewInvitation{Name: "Bob", Email: "bob@example.org"})
	b.Reserve = func(_ context.Context, tenant id.ID, n int64) error {
		if tenant == b.tenant && n == 1 {
			return fault.New(fault.Conflict, "The tenant is full.")
		}
		return nil
	}
	_, err := b.CreateUser(actor.AsSystem(t.Context(), "test", b.tenant), identity.NewUser{Name: "X", Email: "x@example.org", Password: password})
	b.refused("creating", err, fault.Conflict)
	_, err = b.AcceptInvitation(t.Context(), token, password, home)
	b.refused("accepting", err, fault.Conflict)
	b.Reserve = nil
	_, err = b.AcceptInvitation(t.Context(), token, password, home)
	b.must(err)
}

// TestInvitationsEndWithTheRightsOfWhoInvited: whoever loses their rights keeps
// none through an invitation that they made before.
func TestInvitationsEndWithTheRightsOfWhoInvited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	admin := permission.SystemRoleID(b.tenant, permission.TenantAdministrator)
	n := 0
	invited := func(by actor.Actor) string {
		n++
		_, link, err := b.Invite(b.as(by), identity.NewInvitation{Name: "X", Email: fmt.Sprintf("x%d@example.org", n), Roles: []id.ID{admin}})
		b.must(err)
		return tokenOf(t, link, "/accept-invitation")
	}
	gone := func(what, token string) {
		t.Helper()
		_, err := b.AcceptInvitation(t.Context(), token, password, home)
		b.refused(what, err, fault.Gone)
	}
	bob := b.person("Bob", "bob@example.org", b.tenant, permission.TenantAdministrator)
	before, kept := invited(bob), invited(b.ann)
	b.must(b.permissions.Unassign(b.as(b.ann), bob.ID, admin))
	gone("of somebody who was demoted", before)
	b.must(b.permissions.Assign(b.as(b.ann), bob.ID, admin))
	disabled, removed := invited(bob), invited(bob)
	off, on := identity.Disabled, identity.Active
	_, err := b.UpdateUser(b.as(b.ann), bob.ID, nil, &off)
	b.must(err)
	gone("of somebody who is disabled", disabled)
	_, err = b.UpdateUser(b.as(b.ann), bob.ID, nil, &on)
	b.must(err)
	b.must(b.DeleteUser(b.as(b.ann), bob.ID))
	gone("of somebody who left", removed)
	from := actor.Actor{Kind: actor.System, Name: "onboarding", TenantID: b.tenant, OnBehalfOf: b.person("Pia", "pia@example.org", b.root).Principal()}
	for what, token := range map[string]string{"of an administrator": kept, "from above": invited(from)} {
		if _, err := b.AcceptInvitation(t.Context(), token, password, home); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestResetLinksEndWhenThePersonJoinsAnotherTenant: the administrator of the
// first one has the link, and with it would come into the other.
func TestResetLinksEndWhenThePersonJoinsAnotherTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := b.anotherTenant("Away")
	bea := b.person("Bea", "bea@example.org", away, permission.TenantAdministrator)
	carl := b.person("Carl", "carl@example.org", b.tenant)
	r, err := b.ResetPassword(b.as(b.ann), carl.ID)
	b.must(err)
	_, link, err := b.Invite(b.as(bea), identity.NewInvitation{Name: "Carl", Email: "carl@example.org"})
	b.must(err)
	_, err = b.AcceptInvitation(t.Context(), tokenOf(t, link, "/accept-invitation"), password, home)
	b.must(err)
	b.refused("a link of the first tenant", b.FinishReset(t.Context(), tokenOf(t, r.Link, "/reset-password"), "a password of the administrator", home), fault.Gone)
	b.signIn("carl@example.org")
}

// TestHelpersOfTheProviderTakeNobodyOver: who may change people at the provider,
// and not everything, does not come into a tenant as its administrator.
func TestHelpersOfTheProviderTakeNobodyOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	system := actor.AsSystem(t.Context(), "test", b.root)
	role, err := b.permissions.CreateRole(system, permission.Role{Name: "Helper", Grants: []permission.Grant{
		{Permission: "identity:*:*", Effect: permission.Allow}}})
	b.must(err)
	hugo := b.person("Hugo", "hugo@example.org", b.root)
	b.must(b.permissions.Assign(system, hugo.ID, role.ID))
	hugo.AuthenticatedAt = time.Now()
	rita := b.person("Rita", "rita@example.org", b.root)
	_, err = b.ResetPassword(b.as(hugo), rita.ID)
	b.must(err)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, rita.ID, b.tenant)
	b.must(b.permissions.Assign(b.as(b.ann), rita.ID, permission.SystemRoleID(b.tenant, permission.TenantAdministrator)))
	_, err = b.ResetPassword(b.as(hugo), rita.ID)
	b.refused("the password of a tenant's administrator", err, fault.Forbidden)
	b.refused("their second factors", b.ResetFactors(b.as(hugo), rita.ID), fault.Forbidden)
	_, err = b.ResetPassword(b.as(b.acting(b.ann.ID, "Ann", b.root)), rita.ID)
	b.must(err)
}
