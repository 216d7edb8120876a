package identity_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/cli"
	"nimbus/appliance/permission"
)

func TestEnrolmentNeedsAFreshProof(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	old := ann
	old.AuthenticatedAt = time.Now().Add(-11 * time.Minute)
	_, err := b.BeginTOTP(b.as(old))
	b.refused("an old session", err, fault.StepUp)
	_, _, err = b.BeginPasskey(b.as(old))
	b.refused("an old session", err, fault.StepUp)
	made, err := b.BeginTOTP(b.as(ann))
	b.must(err)
	_, err = b.ConfirmTOTP(b.as(ann), b.wrong(made.Secret))
	b.refused("a wrong code", err, fault.Invalid)
	if f, _ := b.Factors(b.as(ann)); f.Any() {
		t.Error("a factor nobody proved is in use")
	}
	_, err = b.ConfirmTOTP(b.as(ann), b.codeAgain(made.Secret))
	b.must(err)
	// A session from before has no second factor, however fresh.
	_, err = b.RecoveryCodes(b.as(ann))
	b.refused("without the factor", err, fault.StepUp)
	b.refused("without the factor", b.RemoveTOTP(b.as(ann)), fault.StepUp)
	b.must(b.Reauthenticate(b.as(ann), identity.Proof{TOTP: b.code(made.Secret)}))
	_, err = b.RecoveryCodes(b.as(b.again(token)))
	b.must(err)
	// A new app does not end the old one before it is confirmed.
	_, err = b.BeginTOTP(b.as(b.again(token)))
	b.must(err)
	b.must(b.Reauthenticate(b.as(ann), identity.Proof{TOTP: b.code(made.Secret)}))
	b.exec(`update core.totp set pending_at = now() - interval '31 minutes'`)
	_, err = b.ConfirmTOTP(b.as(ann), "123456")
	b.refused("half an hour later", err, fault.Gone)
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	b.must(b.RequireFresh(b.as(ann), 0))
	old, future := ann, ann
	old.AuthenticatedAt, future.AuthenticatedAt = ann.AuthenticatedAt.Add(-6*time.Minute), time.Now().Add(time.Hour)
	b.must(b.RequireFresh(b.as(old), 0))
	b.refused("older than asked", b.RequireFresh(b.as(old), 5*time.Minute), fault.StepUp)
	b.refused("after the clock was set back", b.RequireFresh(b.as(future), 0), fault.StepUp)
	b.mfa.StepUp = 5 * time.Minute
	b.refused("older than the tenant allows", b.RequireFresh(b.as(old), 0), fault.StepUp)
	apiToken := ann
	apiToken.AuthenticatedAt = time.Time{}
	b.refused("an API token", b.RequireFresh(b.as(apiToken), 0), fault.Forbidden)
	b.must(b.RequireFresh(actor.AsSystem(t.Context(), "test", b.tenant), 0))

	proves := func(what string, p identity.Proof) {
		t.Helper()
		b.exec(`update core.session set authenticated_at = now() - interval '1 hour' where id = $1`, ann.Session)
		b.refused("before "+what, b.RequireFresh(b.as(b.again(token)), 0), fault.StepUp)
		b.must(b.Reauthenticate(b.as(ann), p))
		b.must(b.RequireFresh(b.as(b.again(token)), 0))
	}
	proves("the password", identity.Proof{Password: password})
	if b.again(token).MFA {
		t.Error("a password is a second factor")
	}
	secret, _ := b.app(ann)
	ann = b.again(token)
	proves("the code", identity.Proof{TOTP: b.code(secret)})
	device := b.passkey(b.again(token))
	up, err := b.StepUp(b.as(ann))
	b.must(err)
	if !slices.Equal(up.Methods, []string{"password", "totp", "passkey"}) {
		t.Errorf("methods %v", up.Methods)
	}
	answer := device.get(up.Options)
	proves("the passkey", identity.Proof{Credential: answer, State: up.State})
	b.refused("an answer again", b.Reauthenticate(b.as(ann), identity.Proof{Credential: answer, State: up.State}), fault.Gone)
	b.refused("a wrong code", b.Reauthenticate(b.as(ann), identity.Proof{TOTP: b.wrong(secret)}), fault.Unauthenticated)
	b.refused("nothing", b.Reauthenticate(b.as(ann), identity.Proof{}), fault.Invalid)
	up, err = b.StepUp(b.as(ann))
	b.must(err)
	other := ann
	other.Session = id.New()
	b.refused("in another session", b.Reauthenticate(b.as(other), identity.Proof{Credential: device.get(up.Options), State: up.State}), fault.Gone)
	ended := ann
	ended.Session = id.New()
	b.refused("in no session", b.Reauthenticate(b.as(ended), identity.Proof{Password: password}), fault.Unauthenticated)
}

// TestASessionFromBeforeTheFactorIsNotProvenByThePassword: else a session and a
// password that are stolen are enough, though there is a factor now.
func TestASessionFromBeforeTheFactorIsNotProvenByThePassword(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, stolen := b.signIn("ann@example.org")
	_, ann := b.signIn("ann@example.org")
	secret, _ := b.app(ann)
	b.exec(`update core.session set authenticated_at = now() - interval '1 hour'`)
	b.refused("the password", b.Reauthenticate(b.as(stolen), identity.Proof{Password: password}), fault.Invalid)
	b.refused("afterwards", b.RequireFresh(b.as(b.again(token)), 0), fault.StepUp)
	b.must(b.Reauthenticate(b.as(stolen), identity.Proof{TOTP: b.code(secret)}))
	b.must(b.Reauthenticate(b.as(b.again(token)), identity.Proof{Password: password}))
}

// TestANewPasswordEndsSignInsThatWait: who came in with the old one and waits
// for the second factor begins anew.
func TestANewPasswordEndsSignInsThatWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, _ := b.app(ann)
	waiting := b.first("ann@example.org", home)
	b.must(b.ChangePassword(b.as(ann), password, "four other words of hers"))
	_, err := b.second(waiting, identity.Proof{TOTP: b.code(secret)})
	b.refused("with the old password", err, fault.Unauthenticated)
}

// TestPeopleWithSSOOnlyPassAStepUp is for those who have no password here.
func TestPeopleWithSSOOnlyPassAStepUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Sam", "sam@example.org", b.tenant)
	token, sam := b.signIn("sam@example.org")
	b.exec(`update core.account set password_hash = '' where id = $1`, sam.ID)
	b.elsewhere = []identity.StepUpAtIdP{{Kind: "oidc", Redirect: "/v1/session/oidc/p/start?step_up=1"}}
	up, err := b.StepUp(b.as(sam))
	b.must(err)
	if !slices.Equal(up.Methods, []string{"oidc"}) || up.Redirect != "/v1/session/oidc/p/start?step_up=1" {
		t.Fatalf("step-up %+v", up)
	}
	b.exec(`update core.session set authenticated_at = now() - interval '1 hour' where id = $1`, sam.Session)
	proof := func(at time.Time, mfa bool) identity.IdPProof {
		return identity.IdPProof{User: sam.ID, Session: sam.Session, Kind: "oidc", At: at, MFA: mfa, Address: home}
	}
	strange := proof(time.Now(), true)
	strange.Session = id.New()
	b.refused("another session", b.ProvedAtIdP(t.Context(), strange), fault.Unauthenticated)
	for what, at := range map[string]time.Time{"an old answer": time.Now().Add(-10 * time.Minute), "none": {}, "one of tomorrow": time.Now().Add(24 * time.Hour)} {
		b.refused(what, b.ProvedAtIdP(t.Context(), proof(at, false)), fault.Unauthenticated)
	}
	b.refused("before", b.RequireFresh(b.as(b.again(token)), 0), fault.StepUp)
	b.must(b.ProvedAtIdP(t.Context(), proof(time.Now(), false)))
	b.must(b.RequireFresh(b.as(b.again(token)), 0))
	if b.again(token).MFA {
		t.Error("the provider told of no second factor")
	}
	b.must(b.ProvedAtIdP(t.Context(), proof(time.Now(), true)))
	if !b.again(token).MFA {
		t.Error("the provider's second factor does not count")
	}
}

func TestAdministratorsReset(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Bob", "bob@example.org", b.tenant, permission.TenantAdministrator)
	b.person("Rita", "rita@example.org", b.tenant, "Reader")
	annToken, ann := b.signIn("ann@example.org")
	_, bob := b.signIn("bob@example.org")
	ritaToken, rita := b.signIn("rita@example.org")
	b.app(ann)
	b.app(rita)
	other := b.anotherTenant("Away")
	stranger := b.person("Sue", "sue@example.org", other, permission.TenantAdministrator)
	stranger.AuthenticatedAt = time.Now()
	tired := bob
	tired.AuthenticatedAt = time.Now().Add(-time.Hour)
	b.refused("without the permission", b.ResetFactors(b.as(rita), bob.ID), fault.Forbidden)
	b.refused("an old session", b.ResetFactors(b.as(tired), rita.ID), fault.StepUp)
	b.refused("another tenant's person", b.ResetFactors(b.as(stranger), rita.ID), fault.NotFound)
	b.refused("nobody", b.ResetFactors(b.as(bob), id.New()), fault.NotFound)
	b.refused("oneself", b.ResetFactors(b.as(bob), bob.ID), fault.Conflict)
	for _, tenant := range []id.ID{b.root, b.tenant} {
		admin := b.person("Pat "+tenant.String()[:8], "pat"+tenant.String()+"@example.org", tenant, map[bool]string{true: permission.ProviderAdministrator, false: permission.TenantAdministrator}[tenant == b.root])
		admin.AuthenticatedAt = time.Now()
		b.refused("the emergency administrator", b.ResetFactors(b.as(admin), ann.ID), fault.Forbidden)
	}
	with := map[string]bool{}
	all, err := b.Users(b.as(bob))
	b.must(err)
	for _, u := range all {
		with[u.Name] = u.MFA
	}
	if !with["Ann"] || !with["Rita"] || with["Bob"] {
		t.Errorf("who has a second factor: %v", with)
	}
	b.must(b.ResetFactors(b.as(bob), rita.ID))
	if _, err := b.Authenticate(t.Context(), ritaToken); !fault.Is(err, fault.Unauthenticated) || !b.cut(rita.ID, rita.Session) {
		t.Errorf("her session goes on: %v", err)
	}
	b.signIn("rita@example.org") // in one step
	if b.recorded("identity.second-factor.reset") != 1 {
		t.Error("it is not recorded")
	}
	if f, err := b.Factors(b.as(b.again(annToken))); err != nil || !f.TOTP {
		t.Errorf("the emergency administrator's factors: %+v %v", f, err)
	}
}

// TestTheConsoleResetsTheEmergencyAdministrator runs the command.
func TestTheConsoleResetsTheEmergencyAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	b.app(ann)
	closed := 0
	run := func(args ...string) error {
		var out strings.Builder
		c := cli.Commands(func(context.Context) (cli.Machine, error) {
			return cli.Machine{People: b.Service, Root: b.root, Close: func() { closed++ }}, nil
		})
		c.SetArgs(args)
		c.SetOut(&out)
		c.SetErr(&out)
		err := c.ExecuteContext(t.Context())
		if said := strings.HasPrefix(out.String(), "ann@example.org has no second factor"); said == (err != nil) {
			t.Errorf("it says %q, %v", out.String(), err)
		}
		return err
	}
	b.refused("nobody", run("reset-mfa", "nobody@example.org"), fault.NotFound)
	b.first("ann@example.org", home)
	b.must(run("reset-mfa", "ann@example.org"))
	b.signIn("ann@example.org")
	if who := query[string](b, `select convert_from(body, 'UTF8')::jsonb #>> '{actor,name}' from core.audit_record where event = 'identity.second-factor.reset'`); who != "console" || closed != 2 {
		t.Errorf("recorded as %q, closed %d times", who, closed)
	}
}
