package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/cli"
	"nimbus/appliance/permission"
)

// TestTheConsoleRecoversALostAdministrator takes everything from the emergency
// administrator that a mistake or a manipulated database can take.
func TestTheConsoleRecoversALostAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	b.app(ann)
	b.exec(`update core.account set status = 'disabled' where emergency`)
	b.exec(`update core.membership set status = 'disabled' where user_id = $1`, ann.ID)
	b.exec(`delete from `+db.TenantSchema(b.root)+`.role_assignment where subject_id = $1`, ann.ID)

	said := b.recover()
	if _, err := b.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the session of before goes on: %v", err)
	}
	link := linkIn(said)
	b.must(b.FinishReset(t.Context(), tokenOf(t, link, "/reset-password"), "a password she remembers", home))
	b.refused("the link again", b.FinishReset(t.Context(), tokenOf(t, link, "/reset-password"), "another password of hers", home), fault.Gone)
	session, _, err := b.SignIn(t.Context(), "ann@example.org", "a password she remembers", home, "a browser")
	b.must(err)
	back, err := b.Authenticate(t.Context(), session)
	b.must(err)
	back.TenantID = b.root
	b.must(b.permissions.Check(b.as(back), identity.CreateUser))
	if who := query[string](b, `select convert_from(body, 'UTF8')::jsonb #>> '{actor,name}' from core.audit_record where event = 'identity.user.recovered'`); who != "console" {
		t.Errorf("recorded as %q", who)
	}
	if again := b.recover(); !strings.Contains(again, "/reset-password#") {
		t.Errorf("a second time: %q", again)
	}
}

// TestRecoveryGivesNoRights: whoever is not the emergency administrator gets a
// new password and nothing else.
func TestRecoveryGivesNoRights(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rita := b.person("Rita", "rita@example.org", b.tenant)
	b.recover("rita@example.org")
	b.refused("rights", b.permissions.Check(b.as(rita), identity.CreateUser), fault.Forbidden)
	bob := b.person("Bob", "bob@example.org", b.root, permission.ProviderAdministrator)
	bob.AuthenticatedAt = time.Now()
	disabled := identity.Disabled
	b.must(func() error {
		_, err := b.UpdateUser(b.as(bob), b.person("Dan", "dan@example.org", b.root).ID, nil, &disabled)
		return err
	}())
	console := actor.Actor{Kind: actor.Console, Name: "console"}
	for email, kind := range map[string]fault.Kind{"dan@example.org": fault.Conflict, "nobody@example.org": fault.NotFound} {
		_, err := b.Recover(b.as(console), b.root, email)
		b.refused(email, err, kind)
	}
	_, err := b.Recover(b.as(bob), b.root, "")
	b.refused("another administrator", err, fault.Forbidden)
}

// recover runs `nimbus user recover` and returns what it says.
func (b *bench) recover(args ...string) string {
	b.t.Helper()
	var out strings.Builder
	c := cli.Commands(func(context.Context) (cli.Machine, error) {
		return cli.Machine{People: b.Service, Root: b.root, Close: func() {}}, nil
	})
	c.SetArgs(append([]string{"recover"}, args...))
	c.SetOut(&out)
	b.must(c.ExecuteContext(b.t.Context()))
	return out.String()
}

// linkIn finds the link in what a command says.
func linkIn(said string) string {
	for _, word := range strings.Fields(said) {
		if strings.HasPrefix(word, "https://") {
			return word
		}
	}
	return ""
}
