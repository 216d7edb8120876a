package identity

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/identity/saml"
)

// purpose is why somebody is sent to a provider.
type purpose string

const (
	toSignIn         purpose = "sign-in"
	toTest           purpose = "test"
	toReauthenticate purpose = "reauthenticate"
)

// attemptLife is how long a sign-in at a provider may take.
const attemptLife = 10 * time.Minute

// Browser is who comes with a request that is not signed in. Secret is a
// random value in a cookie of its own: what one browser begins no other ends.
type Browser struct {
	Secret, Address, UserAgent string

	answer string // what the throttle counts under
}

// NewBrowserSecret makes a browser's secret.
func NewBrowserSecret() string { return newToken() }

// pending is what is sealed in an attempt.
type pending struct {
	OIDC    *oidc.Pending `json:"oidc,omitempty"`
	Started time.Time     `json:"started"`
}

// Start sends a browser to a provider and returns the address. returnTo is
// where it goes afterwards; another place than a page of ours is
// fault.Invalid. A provider that is not there, or not in use, is
// fault.NotFound. fresh asks the person again and only renews the proof of the
// actor's own session.
func (f *Federation) Start(ctx context.Context, kind ProviderKind, provider id.ID, b Browser, returnTo string, fresh bool) (string, error) {
	back, err := ReturnTo(returnTo)
	if err != nil {
		return "", err
	}
	p, err := f.public(ctx, provider)
	if err != nil {
		return "", err
	}
	if !p.Enabled || p.Kind != kind {
		return "", errNoProvider
	}
	a := attempt{Provider: provider, Purpose: toSignIn, ReturnTo: back}
	if fresh {
		who, err := inSession(ctx)
		if err != nil {
			return "", err
		}
		a.Purpose, a.Session = toReauthenticate, who.Session
	}
	return f.depart(ctx, p, a, b)
}

// Test begins a sign-in that makes no session, at a provider that may still be
// out of use. TestResult shows what a login would yield.
func (f *Federation) Test(ctx context.Context, provider id.ID, b Browser, returnTo string) (redirect string, test id.ID, err error) {
	a, err := f.Identity.authorise(ctx, UpdateProvider)
	if err != nil {
		return "", test, err
	}
	back, err := ReturnTo(returnTo)
	if err != nil {
		return "", test, err
	}
	p, err := f.get(ctx, a.TenantID, provider)
	if err != nil {
		return "", test, err
	}
	test = id.New()
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := f.store.addTest(ctx, test, provider); err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{Event: "identity.provider.test-started", Target: providerTarget(p.Provider), Details: map[string]any{"test": test}})
	})
	if err != nil {
		return "", test, err
	}
	redirect, err = f.depart(ctx, p, attempt{Provider: provider, Purpose: toTest, Test: test, ReturnTo: back}, b)
	return redirect, test, err
}

// depart makes the request to the provider and keeps what its answer is
// checked against.
func (f *Federation) depart(ctx context.Context, p sealedProvider, a attempt, b Browser) (string, error) {
	at, key, kept, err := f.request(ctx, p, a.Purpose == toReauthenticate)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return "", err
	}
	hash := hashToken(key)
	if a.Sealed, err = f.Keyring.Seal(ctx, p.tenant, "sign-in/"+hex.EncodeToString(hash), text); err != nil {
		return "", err
	}
	a.Address = b.Address
	err = f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		room, err := f.store.addAttempt(ctx, a, hash, hashToken(b.Secret))
		if err == nil && !room {
			err = fault.New(fault.TooMany, "Too many sign-ins were begun from your address. Wait ten minutes and try again.")
		}
		return err
	})
	return at, err
}

func (f *Federation) request(ctx context.Context, p sealedProvider, fresh bool) (at, key string, kept pending, err error) {
	kept.Started = time.Now()
	if p.Kind == SAML {
		sp, err := f.serviceProvider(ctx, p)
		if err != nil {
			return "", "", kept, err
		}
		at, key, err = sp.Start(p.ID.Hex(), fresh)
		return at, key, kept, err
	}
	issuer, err := f.issuer(ctx, p)
	if err != nil {
		return "", "", kept, err
	}
	at, started := issuer.Start(fresh, kept.Started)
	kept.OIDC = &started
	return at, started.State, kept, nil
}

// Arrival is how a sign-in at a provider ended.
type Arrival struct {
	// Token of a new session; empty when none was begun.
	Token string
	// SecondFactor is the token of a sign-in that waits for a second factor.
	SecondFactor string
	// ReturnTo is the page to go to.
	ReturnTo string
}

var errNoAttempt = &signInError{"expired", fault.New(fault.Unauthenticated, "This sign-in was not begun here, took too long, or is over. Begin again.")}

// signInError carries the code that the sign-in page explains.
type signInError struct {
	code string
	err  *fault.Error
}

func (e *signInError) Error() string { return e.err.Error() }
func (e *signInError) Unwrap() error { return e.err }

// SignInCode is a short code for why a sign-in at a provider failed: expired,
// invalid, refused, unavailable, not_allowed or failed.
func SignInCode(err error) string {
	var known *signInError
	if errors.As(err, &known) {
		return known.code
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.Invalid:
		return "invalid"
	case fault.Forbidden:
		return "refused"
	case fault.Unavailable:
		return "unavailable"
	case fault.NotFound:
		return "not_found"
	}
	return "failed"
}

func notAllowed(format string, args ...any) error {
	return &signInError{"not_allowed", fault.New(fault.Forbidden, format, args...)}
}

// take ends an attempt of this browser: a second answer finds nothing, whatever
// becomes of this one.
func (f *Federation) take(ctx context.Context, key string, b Browser) (attempt, sealedProvider, pending, error) {
	var a attempt
	var kept pending
	hash := hashToken(key)
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		a, err = f.store.takeAttempt(ctx, hash, hashToken(b.Secret))
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && (key == "" || b.Secret == "") {
		return a, sealedProvider{}, kept, errNoAttempt
	}
	if err != nil {
		return a, sealedProvider{}, kept, err
	}
	p, err := f.public(ctx, a.Provider)
	if err != nil {
		return a, p, kept, err
	}
	if !p.Enabled && a.Purpose != toTest {
		return a, p, kept, errNoProvider
	}
	text, err := f.Keyring.Open(ctx, p.tenant, "sign-in/"+hex.EncodeToString(hash), a.Sealed)
	if err != nil {
		return a, p, kept, err
	}
	return a, p, kept, json.Unmarshal(text, &kept)
}

// answering is what the throttle counts an answer of a provider under: each by
// itself, because it cannot be guessed. Only the address counts over all of them,
// and others may share it.
func answering(answer string) string { return systemName + " " + hex.EncodeToString(hashToken(answer)) }

// FinishOIDC takes the answer that a browser brings from an issuer.
func (f *Federation) FinishOIDC(ctx context.Context, response url.Values, b Browser) (Arrival, error) {
	b.answer = answering(response.Get("state"))
	if err := f.Identity.throttle.allow(b.answer, b.Address); err != nil {
		return Arrival{}, err
	}
	a, p, kept, err := f.take(ctx, response.Get("state"), b)
	if err != nil {
		f.Identity.throttle.failed(b.answer, b.Address)
		return Arrival{}, err
	}
	if kept.OIDC == nil {
		return Arrival{}, errNoAttempt
	}
	who, err := f.redeem(ctx, p, *kept.OIDC, response)
	return f.arrive(ctx, p, a, who, b, err)
}

func (f *Federation) redeem(ctx context.Context, p sealedProvider, kept oidc.Pending, response url.Values) (vouched, error) {
	issuer, err := f.issuer(ctx, p)
	if err != nil {
		return vouched{}, err
	}
	r, err := issuer.Finish(ctx, kept, response)
	if err != nil {
		return vouched{}, err
	}
	return fromOIDC(p.Provider, r), nil
}

// FinishSAML takes the answer that a browser posts from an identity provider.
// relay is used only when nobody asked, and then as a page of ours or not at
// all.
func (f *Federation) FinishSAML(ctx context.Context, provider id.ID, response, relay string, b Browser) (Arrival, error) {
	b.answer = answering(response)
	if err := f.Identity.throttle.allow(b.answer, b.Address); err != nil {
		return Arrival{}, err
	}
	p, err := f.public(ctx, provider)
	if err != nil {
		return Arrival{}, err
	}
	if p.Kind != SAML {
		return Arrival{}, errNoProvider
	}
	sp, err := f.serviceProvider(ctx, p)
	if err != nil {
		return Arrival{}, err
	}
	r, err := sp.Finish(response)
	if err != nil {
		return Arrival{}, f.refuse(ctx, p, vouched{}, b, err)
	}
	a, err := f.askedFor(ctx, p, r, relay, b)
	if err != nil {
		return Arrival{}, f.refuse(ctx, p, fromSAML(p.Provider, r), b, err)
	}
	return f.arrive(ctx, p, a, fromSAML(p.Provider, r), b, f.once(ctx, p, "assertion "+r.AssertionID, r.Expires))
}

// askedFor finds the request that a response answers. One that answers none is
// taken only where that is allowed.
func (f *Federation) askedFor(ctx context.Context, p sealedProvider, r saml.Result, relay string, b Browser) (attempt, error) {
	if r.InResponseTo == "" {
		if !p.Enabled {
			return attempt{}, errNoProvider
		}
		if !p.SAML.AllowIdPInitiated {
			return attempt{}, notAllowed("Nobody began this sign-in here. Begin at the sign-in page.")
		}
		back, err := ReturnTo(relay)
		if err != nil {
			back = "/"
		}
		return attempt{Provider: p.ID, Purpose: toSignIn, ReturnTo: back, Address: b.Address}, nil
	}
	a, owner, kept, err := f.take(ctx, r.InResponseTo, b)
	switch {
	case err != nil:
		return attempt{}, err
	case owner.ID != p.ID:
		return attempt{}, errNoAttempt
	case a.Purpose == toReauthenticate && r.Authenticated.Before(kept.Started.Add(-2*time.Minute)):
		return attempt{}, notAllowed("The sign-in provider did not ask you again. Sign out there and try again.")
	}
	return a, nil
}

// once refuses a message that was accepted before.
func (f *Federation) once(ctx context.Context, p sealedProvider, message string, expires time.Time) error {
	return f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		first, err := f.store.firstUse(ctx, p.ID, hashToken(message), expires.Add(time.Minute))
		if err == nil && !first {
			err = &signInError{"expired", fault.New(fault.Unauthenticated, "This answer of the sign-in provider was used before. Begin again.")}
		}
		return err
	})
}

// arrive does what the attempt was for with who the provider vouches for, or
// with why it does not.
func (f *Federation) arrive(ctx context.Context, p sealedProvider, a attempt, who vouched, b Browser, err error) (Arrival, error) {
	ctx = actor.With(ctx, actor.Actor{Kind: actor.System, Name: systemName, TenantID: p.tenant, Address: b.Address})
	if a.Purpose == toTest {
		f.Identity.throttle.succeeded(b.answer, b.Address) // an administrator tries the settings out
		return f.tested(ctx, p, a, who, err)
	}
	if err != nil {
		return Arrival{}, f.refuse(ctx, p, who, b, err)
	}
	if a.Purpose == toReauthenticate {
		if err := f.again(ctx, p, a, who); err != nil {
			return Arrival{}, f.refuse(ctx, p, who, b, err)
		}
		f.Identity.throttle.succeeded(b.answer, b.Address)
		return Arrival{ReturnTo: a.ReturnTo}, nil
	}
	arrived, err := f.enter(ctx, p, who, b)
	if err != nil {
		return Arrival{}, f.refuse(ctx, p, who, b, err)
	}
	f.Identity.throttle.succeeded(b.answer, b.Address)
	arrived.ReturnTo = a.ReturnTo
	return arrived, nil
}

// enter admits the person and begins the session, or asks people who have one
// for their second factor first.
func (f *Federation) enter(ctx context.Context, p sealedProvider, who vouched, b Browser) (a Arrival, err error) {
	kept := IdPSession{Subject: who.Raw, RefreshAt: who.refreshAt(), Ends: who.ends()}
	if kept.Sealed, err = f.sealTokens(ctx, p, who.Raw, who.tokens); err != nil {
		return a, err
	}
	err = f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		admitted, err := f.admit(ctx, p, who)
		if err != nil {
			return err
		}
		a.Token, _, err = f.Identity.StartSession(ctx, SignedIn{
			User: admitted.User, Tenant: p.tenant, Address: b.Address, UserAgent: b.UserAgent,
			Method: Method(p.Kind), Provider: p.ID, MFA: who.MFA && p.TrustMFA, IdPSession: who.Session, IdP: &kept,
		})
		var second *SecondFactor
		if errors.As(err, &second) {
			a.SecondFactor = second.Token
			return nil
		}
		if fault.Is(err, fault.Forbidden) {
			return notAllowed("%s", fault.Message(err))
		}
		return err
	})
	return a, err
}

// again renews the proof of the session that the attempt came from, when the
// provider vouches for the same person.
func (f *Federation) again(ctx context.Context, p sealedProvider, a attempt, who vouched) error {
	var own federatedSession
	var user id.ID
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if user, err = f.store.identityOf(ctx, p.ID, who.Subject); err != nil {
			return err
		}
		own, err = f.store.session(ctx, a.Session)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return errNoAttempt
	}
	if err != nil {
		return err
	}
	if own.User != user || own.Provider != p.ID {
		return notAllowed("You signed in as somebody else. Sign in as who you are here.")
	}
	return f.Identity.ProvedAtIdP(ctx, IdPProof{
		User: own.User, Session: own.Session, Kind: string(p.Kind), At: who.Authenticated, MFA: who.MFA && p.TrustMFA, Address: a.Address,
	})
}

// refuse records a sign-in that failed and returns why.
func (f *Federation) refuse(ctx context.Context, p sealedProvider, who vouched, b Browser, why error) error {
	if k := fault.KindOf(why); k == fault.Internal || k == fault.Unavailable {
		return why
	}
	f.Identity.throttle.failed(b.answer, b.Address)
	ctx = actor.With(ctx, actor.Actor{Kind: actor.System, Name: systemName, TenantID: p.tenant, Address: b.Address})
	err := f.Identity.Audit.RecordAlone(ctx, p.tenant, audit.Entry{
		Event: "identity.session.refused", Outcome: audit.Denied, Priority: audit.Warning, Target: providerTarget(p.Provider), Reason: fault.Message(why),
		Details: map[string]any{"subject": trimmed(who.Subject, 255), "email": trimmed(who.Email, 254), "cause": trimmed(causeOf(why), 300)},
	})
	if err != nil {
		return err
	}
	return why
}

// causeOf is what the administrator may know and the person need not.
func causeOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Cause != nil {
		return f.Cause.Error()
	}
	return ""
}
