package identity_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
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
	"nimbus/appliance/identity/cli"
	"nimbus/appliance/permission"
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

func TestPasskeyAsSecondFactor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	device := b.passkey(ann)
	device.verified = false // presence is enough beside a password
	next := b.first("ann@example.org", home)
	if !slices.Contains(next.Methods, "passkey") || len(device.read(next.Options).AllowCredentials) != 1 {
		t.Fatalf("second step %+v", next)
	}
	answer := device.get(next.Options)
	_, err := b.second(next, identity.Proof{Credential: answer})
	b.must(err)
	_, err = b.second(next, identity.Proof{Credential: answer})
	b.refused("an answer a second time", err, fault.Unauthenticated)
	_, err = b.second(b.first("ann@example.org", home), identity.Proof{Credential: answer})
	b.refused("an answer to another challenge", err, fault.Unauthenticated)

	next = b.first("ann@example.org", home)
	again, err := b.SecondStep(t.Context(), next.Token, home)
	b.must(err)
	if !slices.Equal(again.Methods, next.Methods) {
		t.Errorf("asked again for %v", again.Methods)
	}
	_, err = b.second(next, identity.Proof{Credential: device.get(next.Options)})
	b.refused("an answer to the challenge before", err, fault.Unauthenticated)
	_, err = b.second(next, identity.Proof{Credential: device.get(again.Options)})
	b.must(err)
	_, err = b.SecondStep(t.Context(), next.Token, home)
	b.refused("a sign-in that is over", err, fault.Unauthenticated)
	_, err = b.SecondStep(t.Context(), b.first("ann@example.org", home).Token, elsewhere)
	b.refused("a sign-in of another address", err, fault.Unauthenticated)

	lies := map[string]func(*authenticator){
		"another origin":    func(a *authenticator) { a.origin = "https://nimbus.example.com:8443" },
		"another port":      func(a *authenticator) { a.origin = "https://nimbus.example.org" },
		"plain HTTP":        func(a *authenticator) { a.origin = "http://nimbus.example.org:8443" },
		"another RP":        func(a *authenticator) { a.rpID = "evil.example.org" },
		"nobody present":    func(a *authenticator) { a.present = false },
		"another key":       func(a *authenticator) { a.key = newAuthenticator(t).key },
		"another passkey":   func(a *authenticator) { a.id = newAuthenticator(t).id },
		"another person":    func(a *authenticator) { other := id.New(); a.handle = other[:] },
		"a counter as last": func(a *authenticator) { a.counter -= 1 },
	}
	for what, lie := range lies {
		b.exec(`delete from core.mfa_ceremony`)
		copied := *device
		lie(&copied)
		address := "203.0.113." + fmt.Sprint(len(what))
		next := b.first("ann@example.org", address)
		_, _, err := b.FinishSignIn(t.Context(), next.Token, identity.Proof{Credential: copied.get(next.Options)}, address, "")
		b.refused(what, err, fault.Unauthenticated)
	}
	if b.recorded("identity.passkey.copied") != 1 {
		t.Error("a counter that went back is not recorded")
	}
	next = b.first("ann@example.org", home)
	_, err = b.second(next, identity.Proof{Credential: device.get(next.Options)})
	b.must(err) // the true one works on
}

func TestPasskeyAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ann := b.signIn("ann@example.org")
	device := b.passkey(ann)
	begin := func() (any, string) {
		options, state, err := b.BeginPasskeySignIn(t.Context(), home)
		b.must(err)
		return options, state
	}
	finish := func(state string, answer json.RawMessage) (string, error) {
		token, _, err := b.FinishPasskeySignIn(t.Context(), state, answer, home, "a browser")
		return token, err
	}
	options, state := begin()
	if o := device.read(options); o.UserVerification != "required" || len(o.AllowCredentials) != 0 || o.RPID != "nimbus.example.org" {
		t.Errorf("options %+v", o)
	}
	answer := device.get(options)
	token, err := finish(state, answer)
	b.must(err)
	if a := b.again(token); a.ID != ann.ID || !a.MFA {
		t.Errorf("session %+v", a)
	}
	if m := query[string](b, `select method from core.session where id = $1`, b.again(token).Session); m != "passkey" {
		t.Errorf("method %s", m)
	}
	_, err = finish(state, answer)
	b.refused("a state a second time", err, fault.Gone)
	_, other := begin()
	_, err = finish(other, answer)
	b.refused("an answer to another challenge", err, fault.Unauthenticated)
	_, err = finish(other, answer)
	b.refused("a challenge that was answered wrongly", err, fault.Gone)

	device.verified = false
	options, state = begin()
	_, err = finish(state, device.get(options))
	b.refused("without user verification", err, fault.Unauthenticated)
	device.verified = true

	options, state = begin()
	_, _, err = b.FinishPasskeySignIn(t.Context(), state, device.get(options), elsewhere, "")
	b.refused("from another address", err, fault.Gone)

	options, state = begin()
	risen := device.counter
	device.counter = 1 // the next is 2, the last that was accepted
	_, err = finish(state, device.get(options))
	b.refused("a counter that went back", err, fault.Unauthenticated)
	device.counter = risen
	if b.recorded("identity.passkey.copied") != 1 {
		t.Error("it is not recorded")
	}

	options, state = begin()
	b.exec(`update core.account set status = 'disabled' where id = $1`, ann.ID)
	_, err = finish(state, device.get(options))
	b.refused("a disabled account", err, fault.Unauthenticated)
}

func TestPasskeyRegistration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	begin := func(a actor.Actor) (any, string) {
		options, state, err := b.BeginPasskey(b.as(a))
		b.must(err)
		return options, state
	}
	for what, lie := range map[string]func(*authenticator){
		"another origin": func(a *authenticator) { a.origin = "https://evil.example.org" },
		"another RP":     func(a *authenticator) { a.rpID = "evil.example.org" },
		"nobody present": func(a *authenticator) { a.present = false },
	} {
		device := newAuthenticator(t)
		lie(device)
		options, state := begin(ann)
		_, _, err := b.FinishPasskey(b.as(ann), state, "x", device.create(options))
		b.refused(what, err, fault.Invalid)
	}
	device := newAuthenticator(t)
	options, state := begin(ann)
	_, _, err := b.FinishPasskey(b.as(ann), state, " ", device.create(options))
	b.refused("without a name", err, fault.Invalid)
	other := ann
	other.Session = id.New()
	_, _, err = b.FinishPasskey(b.as(other), state, "x", device.create(options))
	b.refused("in another session", err, fault.Gone)
	_, _, err = b.FinishPasskey(b.as(ann), state, "x", device.create(options))
	b.refused("a state that was tried", err, fault.Gone)

	options, state = begin(ann)
	p, codes, err := b.FinishPasskey(b.as(ann), state, "phone", device.create(options))
	b.must(err)
	if p.Name != "phone" || len(codes) != 10 {
		t.Errorf("passkey %+v, %d codes", p, len(codes))
	}
	ann = b.again(token)
	options, state = begin(ann)
	if excluded := device.read(options).ExcludeCredentials; len(excluded) != 1 || excluded[0].ID != b64(device.id) {
		t.Errorf("excluded %+v", excluded)
	}
	_, _, err = b.FinishPasskey(b.as(ann), state, "phone again", device.create(options))
	b.refused("the same passkey again", err, fault.Conflict)

	b.person("Bob", "bob@example.org", b.tenant)
	_, bob := b.signIn("bob@example.org")
	b.refused("somebody else's passkey", b.RemovePasskey(b.as(bob), p.ID), fault.NotFound)
	b.must(b.RemovePasskey(b.as(ann), p.ID))
	if f, _ := b.Factors(b.as(ann)); f.Any() || f.RecoveryCodesLeft != 0 {
		t.Errorf("left %+v", f)
	}
	b.signIn("ann@example.org") // in one step again
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

func TestOpenCeremoniesOfAnAddressAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`insert into core.mfa_ceremony (token_hash, kind, address, created_at, expires_at)
		select sha256(n::text::bytea), 'passkey', $1, now() - n * interval '1 second', now() + interval '1 minute' from generate_series(1, 300) n`, elsewhere)
	b.exec(`insert into core.mfa_ceremony (token_hash, kind, address, expires_at) values ('old', 'passkey', $1, now() - interval '1 second')`, home)
	_, _, err := b.BeginPasskeySignIn(t.Context(), elsewhere)
	b.must(err)
	if n := query[int](b, `select count(*) from core.mfa_ceremony`); n != 100 {
		t.Errorf("%d ceremonies are kept", n)
	}
}

func TestWithoutANameThereAreNoPasskeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token, ann := b.signIn("ann@example.org")
	b.passkey(ann)
	secret, _ := b.app(b.again(token))
	b.address = "https://192.0.2.7:8443"
	_, _, err := b.BeginPasskeySignIn(t.Context(), home)
	b.refused("a passkey for a number", err, fault.Conflict)
	next := b.first("ann@example.org", home)
	if slices.Contains(next.Methods, "passkey") || next.Options != nil {
		t.Errorf("methods %v", next.Methods)
	}
	_, err = b.second(next, identity.Proof{TOTP: b.code(secret)})
	b.must(err)
	up, err := b.StepUp(b.as(b.again(token)))
	b.must(err)
	if slices.Contains(up.Methods, "passkey") {
		t.Errorf("methods %v", up.Methods)
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
