package identity_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	otp "github.com/pquerna/otp/totp"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

const elsewhere = "198.51.100.9"

// code is the app's code of now. Used steps are forgotten before, so that a
// test can prove itself more than once in half a minute.
func (b *bench) code(secret string) string {
	b.t.Helper()
	b.exec(`update core.totp set last_step = 0`)
	return b.codeAgain(secret)
}

func (b *bench) codeAgain(secret string) string {
	b.t.Helper()
	code, err := otp.GenerateCode(secret, time.Now())
	b.must(err)
	return code
}

// wrong is a code that no step near now has.
func (b *bench) wrong(secret string) string {
	b.t.Helper()
	right := map[string]bool{}
	for step := -2; step <= 2; step++ {
		code, err := otp.GenerateCode(secret, time.Now().Add(time.Duration(step)*30*time.Second))
		b.must(err)
		right[code] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !right[code] {
			return code
		}
	}
}

// again is the actor as their session is now.
func (b *bench) again(token string) actor.Actor {
	b.t.Helper()
	a, err := b.Authenticate(b.t.Context(), token)
	b.must(err)
	a.Address = home
	return a
}

// app gives a signed-in person an authenticator app.
func (b *bench) app(a actor.Actor) (secret string, codes []string) {
	b.t.Helper()
	made, err := b.BeginTOTP(b.as(a))
	b.must(err)
	codes, err = b.ConfirmTOTP(b.as(a), b.codeAgain(made.Secret))
	b.must(err)
	return made.Secret, codes
}

// passkey gives a signed-in person a passkey.
func (b *bench) passkey(a actor.Actor) *authenticator {
	b.t.Helper()
	device := newAuthenticator(b.t)
	options, state, err := b.BeginPasskey(b.as(a))
	b.must(err)
	_, _, err = b.FinishPasskey(b.as(a), state, "laptop", device.create(options))
	b.must(err)
	return device
}

// first is the first step of a sign-in that has a second one.
func (b *bench) first(email, address string) *identity.SecondFactor {
	b.t.Helper()
	token, _, err := b.SignIn(b.t.Context(), email, password, address, "a browser")
	var next *identity.SecondFactor
	if !errors.As(err, &next) || token != "" {
		b.t.Fatalf("the password alone gives %q, %v", token, err)
	}
	return next
}

func (b *bench) second(next *identity.SecondFactor, p identity.Proof) (string, error) {
	token, _, err := b.FinishSignIn(b.t.Context(), next.Token, p, home, "a browser")
	return token, err
}

func (b *bench) recorded(event string) int {
	b.t.Helper()
	return query[int](b, `select count(*) from core.audit_record where event = $1`, event)
}

func (b *bench) sessionsOf(user id.ID) int {
	b.t.Helper()
	return query[int](b, `select count(*) from core.session where user_id = $1`, user)
}

func TestSignInInTwoSteps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	secret, codes := b.app(ann)
	if len(codes) != 10 || !b.again(token).MFA {
		t.Fatalf("%d recovery codes, mfa %v", len(codes), b.again(token).MFA)
	}
	before := b.sessionsOf(ann.ID)
	next := b.first("ann@example.org", home)
	if b.sessionsOf(ann.ID) != before {
		t.Error("a session exists before the second factor")
	}
	if len(next.Token) != 43 || !slices.Equal(next.Methods, []string{"totp", "recovery_code"}) || next.Options != nil {
		t.Errorf("second step %+v", next)
	}
	if _, err := b.Authenticate(t.Context(), next.Token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the pending token is a session: %v", err)
	}
	hash := sha256.Sum256([]byte(next.Token))
	if n := query[int](b, `select count(*) from core.mfa_ceremony where token_hash = $1 and expires_at - created_at = interval '5 minutes'`, hash[:]); n != 1 {
		t.Error("the pending token is not stored as its hash for five minutes")
	}
	fresh, err := b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.must(err)
	if a := b.again(fresh); !a.MFA || a.ID != ann.ID {
		t.Errorf("session %+v", a)
	}
	if sealed := query[[]byte](b, `select secret from core.totp`); strings.Contains(string(sealed), secret) {
		t.Error("the secret lies in the database")
	}
}

func TestReplays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, _ := b.app(ann)
	next, later := b.first("ann@example.org", home), b.first("ann@example.org", home)
	code := b.code(secret)
	_, err := b.second(next, identity.Proof{TOTP: code})
	b.must(err)
	_, err = b.second(later, identity.Proof{TOTP: code})
	b.refused("a code a second time", err, fault.Unauthenticated)
	_, err = b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("a pending token a second time", err, fault.Unauthenticated)
	// The clock is set back: the code's step lies before the last one used.
	code = b.code(secret)
	b.exec(`update core.totp set last_step = $1`, time.Now().Unix()/30+120)
	_, err = b.second(later, identity.Proof{TOTP: code})
	b.refused("a code from before", err, fault.Unauthenticated)
	_, err = b.second(later, identity.Proof{TOTP: b.code(secret)})
	b.must(err)
	if n := b.recorded("identity.second-factor.refused"); n != 2 {
		t.Errorf("%d refusals are recorded", n)
	}
}

func TestOneCodeOneSessionAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, _ := b.app(ann)
	before := b.sessionsOf(ann.ID)
	steps := []*identity.SecondFactor{b.first("ann@example.org", home), b.first("ann@example.org", home), b.first("ann@example.org", home)}
	code := b.code(secret)
	var g sync.WaitGroup
	for _, next := range slices.Concat(steps, steps[:1]) {
		g.Go(func() { _, _ = b.second(next, identity.Proof{TOTP: code}) })
	}
	g.Wait()
	if n := b.sessionsOf(ann.ID) - before; n != 1 {
		t.Errorf("one code began %d sessions", n)
	}
}

func TestPendingSignInIsBoundAndShort(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, codes := b.app(ann)
	next := b.first("ann@example.org", home)
	_, _, err := b.FinishSignIn(t.Context(), next.Token, identity.Proof{TOTP: b.code(secret)}, elsewhere, "a browser")
	b.refused("from another address", err, fault.Unauthenticated)
	for _, p := range []identity.Proof{{}, {TOTP: "000000", RecoveryCode: codes[0]}, {Password: password}} {
		_, err = b.second(next, p)
		b.refused("not exactly one factor", err, fault.Invalid)
	}
	b.exec(`update core.mfa_ceremony set expires_at = now() - interval '1 second'`)
	_, err = b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("after five minutes", err, fault.Unauthenticated)

	next = b.first("ann@example.org", home)
	b.exec(`update core.mfa_ceremony set created_at = now() + interval '1 hour', expires_at = now() + interval '65 minutes'`)
	_, err = b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("after the clock was set back", err, fault.Unauthenticated)

	next = b.first("ann@example.org", home)
	b.exec(`update core.account set status = 'disabled'`)
	_, err = b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("a disabled account", err, fault.Unauthenticated)
}

func TestWrongCodesEndTheSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, _ := b.app(ann)
	next := b.first("ann@example.org", home)
	for range 5 {
		_, err := b.second(next, identity.Proof{TOTP: b.wrong(secret)})
		b.refused("a wrong code", err, fault.Unauthenticated)
	}
	_, err := b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("the sixth try, with the right code", err, fault.Unauthenticated)
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{TOTP: b.code(secret)})
	b.refused("a new sign-in, at once", err, fault.TooMany)
	time.Sleep(1100 * time.Millisecond)
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{TOTP: b.code(secret)})
	b.must(err) // a new sign-in goes on
	if n := b.recorded("identity.second-factor.refused"); n != 5 {
		t.Errorf("%d refusals are recorded", n)
	}
}

func TestRobustnessGuessingCodesDoesNotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, codes := b.app(ann)
	device := b.passkey(b.factor(ann))
	b.besiege("ann@example.org", secret)
	away := func(p func(*identity.SecondFactor) identity.Proof) error {
		next := b.first("ann@example.org", elsewhere)
		_, _, err := b.FinishSignIn(t.Context(), next.Token, p(next), elsewhere, "")
		return err
	}
	b.refused("a code from a strange address", away(func(*identity.SecondFactor) identity.Proof { return identity.Proof{TOTP: b.code(secret)} }), fault.TooMany)
	b.must(away(func(*identity.SecondFactor) identity.Proof { return identity.Proof{RecoveryCode: codes[3]} }))
	b.must(away(func(n *identity.SecondFactor) identity.Proof {
		return identity.Proof{Credential: device.get(n.Options)}
	}))
	_, err := b.second(b.first("ann@example.org", home), identity.Proof{TOTP: b.code(secret)})
	b.must(err) // the owner's own address does not wait
}

// besiege guesses codes with the password, from ever new addresses, until the
// next guess would wait more than three seconds.
func (b *bench) besiege(email, secret string) {
	b.t.Helper()
	for i := range 200 {
		address := fmt.Sprintf("203.0.113.%d", i)
		next := b.first(email, address)
		for range 4 {
			_, _, err := b.FinishSignIn(b.t.Context(), next.Token, identity.Proof{TOTP: b.wrong(secret)}, address, "")
			var f *fault.Error
			if errors.As(err, &f) && f.RetryAfter > 3*time.Second {
				return
			}
			if fault.Is(err, fault.TooMany) {
				time.Sleep(f.RetryAfter)
			}
		}
	}
	b.t.Fatal("nobody who guesses has to wait")
}

// factor is the actor in a session that has proven a second factor just now.
func (b *bench) factor(a actor.Actor) actor.Actor { a.MFA = true; return a }

func TestRecoveryCodesWorkOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	_, err := b.RecoveryCodes(b.as(ann))
	b.refused("codes without a factor", err, fault.Conflict)
	_, codes := b.app(ann)
	ann = b.again(token)
	used, err := b.second(b.first("ann@example.org", home), identity.Proof{RecoveryCode: strings.ToUpper(codes[0])})
	b.must(err)
	if m := query[string](b, `select method from core.session where id = $1`, b.again(used).Session); m != "recovery" {
		t.Errorf("method %s", m)
	}
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{RecoveryCode: codes[0]})
	b.refused("a code a second time", err, fault.Unauthenticated)
	f, err := b.Factors(b.as(ann))
	b.must(err)
	if f.RecoveryCodesLeft != 9 || !f.TOTP || f.Required {
		t.Errorf("factors %+v", f)
	}
	fresh, err := b.RecoveryCodes(b.as(ann))
	b.must(err)
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{RecoveryCode: codes[1]})
	b.refused("a code that was replaced", err, fault.Unauthenticated)
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{RecoveryCode: fresh[1]})
	b.must(err)
	if b.recorded("identity.recovery-code.used") != 2 {
		t.Error("the use of recovery codes is not recorded")
	}
	for _, code := range slices.Concat(codes, fresh) {
		if n := query[int](b, `select count(*) from core.audit_record where convert_from(body, 'utf8') like '%' || $1 || '%'`, code); n > 0 {
			t.Error("a recovery code lies in the audit")
		}
	}
}

func TestEnforcement(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.person("Rita", "rita@example.org", b.tenant, "Reader")
	annToken, ann := b.signIn("ann@example.org")
	_, rita := b.signIn("rita@example.org")
	ann.TenantID = b.tenant
	limited := func(a actor.Actor) bool {
		yes, err := b.Limited(t.Context(), a)
		b.must(err)
		return yes
	}
	for policy, want := range map[string][2]bool{
		"": {false, false}, identity.MFANobody: {false, false}, identity.MFAAdministrators: {true, false}, identity.MFAEverybody: {true, true},
	} {
		b.mfa.RequiredFor = policy
		if got := [2]bool{limited(ann), limited(rita)}; got != want {
			t.Errorf("required for %q: administrator, reader are limited %v", policy, got)
		}
	}
	b.mfa.RequiredFor = identity.MFAEverybody
	token, apiToken := rita, rita
	token.AuthenticatedAt = time.Time{}
	apiToken.Kind = actor.ServiceAccount
	if limited(token) || limited(apiToken) || limited(b.factor(ann)) {
		t.Error("API tokens, programs or people with a factor are limited")
	}
	secret, _ := b.app(ann)
	ann = b.again(annToken)
	if limited(ann) {
		t.Error("still limited with a factor")
	}
	b.refused("the last factor", b.RemoveTOTP(b.as(ann)), fault.Conflict)
	if f, _ := b.Factors(b.as(ann)); !f.TOTP || f.RecoveryCodesLeft != 10 || !f.Required {
		t.Errorf("factors %+v", f)
	}
	b.mfa.RequiredFor = identity.MFANobody
	b.must(b.RemoveTOTP(b.as(ann)))
	b.refused("a factor that is not there", b.RemoveTOTP(b.as(ann)), fault.NotFound)
	if _, err := b.ConfirmTOTP(b.as(ann), b.codeAgain(secret)); !fault.Is(err, fault.Gone) {
		t.Errorf("a removed secret comes back: %v", err)
	}
}

func TestWithoutTheRootKeyCodesWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	secret, codes := b.app(ann)
	b.sealed = true
	next := b.first("ann@example.org", home)
	_, err := b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.refused("a code", err, fault.Unavailable)
	_, err = b.second(next, identity.Proof{RecoveryCode: codes[0]})
	b.must(err) // needs no key
}

// TestTheLastFactorStaysWhenTwoGoAtOnce: each removal alone leaves one.
func TestTheLastFactorStaysWhenTwoGoAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	b.mfa.RequiredFor = identity.MFAEverybody
	b.app(ann)
	ann = b.again(token)
	b.passkey(ann)
	ann = b.again(token)
	f, err := b.Factors(b.as(ann))
	b.must(err)
	var errs [2]error
	var wait sync.WaitGroup
	wait.Go(func() { errs[0] = b.RemoveTOTP(b.as(ann)) })
	wait.Go(func() { errs[1] = b.RemovePasskey(b.as(ann), f.Passkeys[0].ID) })
	wait.Wait()
	left, err := b.Factors(b.as(ann))
	b.must(err)
	if !left.Any() || errs[0] == nil && errs[1] == nil {
		t.Errorf("%+v is left: %v", left, errs)
	}
}
