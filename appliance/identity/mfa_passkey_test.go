package identity_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

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
