package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// StepUpAtIdP is a provider at which the actor can prove that it is still them.
type StepUpAtIdP struct {
	Kind string // oidc or saml
	// Redirect is a path of ours that sends the browser to the provider with
	// prompt=login and max_age=0, or ForceAuthn, and comes back.
	Redirect string
}

// StepUp is how the actor can prove again who they are.
type StepUp struct {
	Methods  []string
	Options  any    // WebAuthn request options when a passkey is among the methods
	State    string // what a passkey's answer is sent back with
	Redirect string // where to go for oidc or saml
}

// RequireFresh returns fault.StepUp unless the actor proved who they are
// within the given time; zero means what the tenant's settings say. Parts of
// the appliance and its console have nothing to prove. Programs and API tokens
// cannot: fault.Forbidden.
func (s *Service) RequireFresh(ctx context.Context, within time.Duration) error {
	a, err := actor.Require(ctx)
	if err != nil || a.Kind.Trusted() {
		return err
	}
	if a.Kind != actor.User || a.AuthenticatedAt.IsZero() {
		return fault.New(fault.Forbidden, "This needs a person who just proved who they are. An API token cannot do it.")
	}
	if within <= 0 {
		p, err := s.policy(ctx, a.TenantID)
		if err != nil {
			return err
		}
		within = p.StepUp
	}
	if !fresh(a.AuthenticatedAt, time.Now(), within) {
		return fault.New(fault.StepUp, "Prove again that it is you, then repeat this.")
	}
	return nil
}

// StepUp tells how the actor can prove again who they are, and makes a
// challenge for their passkeys. Whoever only signs in at their organisation's
// provider is sent there. A session that lacks a factor the person has is
// asked for that one, not for the password.
func (s *Service) StepUp(ctx context.Context) (StepUp, error) {
	a, acc, err := s.person(ctx)
	if err != nil {
		return StepUp{}, err
	}
	f, err := s.factors(ctx, a.ID)
	if err != nil {
		return StepUp{}, err
	}
	u := StepUp{Methods: []string{}}
	if acc.Hash != "" && (a.MFA || !f.Any()) {
		u.Methods = append(u.Methods, ProofPassword)
	}
	if f.TOTP {
		u.Methods = append(u.Methods, ProofTOTP)
	}
	if len(f.Passkeys) > 0 {
		if err := s.stepUpPasskey(ctx, a, acc, &u); err != nil {
			return u, err
		}
	}
	return u, s.stepUpElsewhere(ctx, &u)
}

// stepUpPasskey adds a challenge, where passkeys work at all.
func (s *Service) stepUpPasskey(ctx context.Context, a actor.Actor, acc account, u *StepUp) error {
	rp, err := relyingParty(s.address())
	if err != nil {
		return nil //nolint:nilerr // without a name there are no passkeys, and the other ways remain
	}
	u.State = newToken()
	u.Methods = append(u.Methods, ProofPasskey)
	return s.DB.Core(ctx, func(ctx context.Context) error {
		options, challenge, err := s.challenge(ctx, rp, acc)
		if err != nil {
			return err
		}
		u.Options = options
		return s.store.addCeremony(ctx, hashToken(u.State), ceremony{
			Kind: reauthenticate, User: a.ID, Session: a.Session, Address: a.Address, Challenge: challenge,
		}, challengeLife)
	})
}

// stepUpElsewhere adds the providers.
func (s *Service) stepUpElsewhere(ctx context.Context, u *StepUp) error {
	if s.StepUpProviders == nil {
		return nil
	}
	elsewhere, err := s.StepUpProviders(ctx)
	for _, p := range elsewhere {
		u.Methods = append(u.Methods, p.Kind)
		if u.Redirect == "" {
			u.Redirect = p.Redirect
		}
	}
	return err
}

// Reauthenticate proves again that the actor is who signed in, for operations
// that want a fresh proof: by password, code or passkey. A wrong one is
// fault.Unauthenticated and counts towards the throttle. A second factor also
// lifts the limits of a session that lacked one. A session that lacks a factor
// the person has is not proven by the password: fault.Invalid.
func (s *Service) Reauthenticate(ctx context.Context, p Proof) error {
	a, acc, err := s.person(ctx)
	if err != nil {
		return err
	}
	method, err := p.method(ProofPassword, ProofTOTP, ProofPasskey)
	if err != nil {
		return err
	}
	if method == ProofPassword {
		err = s.reprovePassword(ctx, a, p.Password)
	} else {
		err = s.reproveFactor(ctx, a, acc, method, p)
	}
	if err != nil {
		return err
	}
	return s.provedAgain(ctx, a, method, method != ProofPassword)
}

func (s *Service) reprovePassword(ctx context.Context, a actor.Actor, password string) error {
	if !a.MFA {
		f, err := s.factors(ctx, a.ID)
		if err == nil && f.Any() {
			err = fault.New(fault.Invalid, "This session has not seen your second factor. Prove that one, by code or passkey.")
		}
		if err != nil {
			return err
		}
	}
	return s.VerifyPassword(ctx, password)
}

func (s *Service) reproveFactor(ctx context.Context, a actor.Actor, acc account, method string, p Proof) error {
	if err := s.mayGuess(ctx, acc, a.Address, method); err != nil {
		return err
	}
	var c ceremony
	if method == ProofPasskey {
		var err error
		if c, err = s.take(ctx, p.State, reauthenticate, func(c ceremony) bool { return c.User == a.ID && c.Session == a.Session }); err != nil {
			return err
		}
	}
	if err := s.proveFactor(ctx, acc, method, p, c.Challenge); err != nil {
		return s.refuseFactor(ctx, acc, a.Address, method, err)
	}
	s.guessedRight(acc, a.Address, method)
	return nil
}

// IdPProof is what a provider told when it was asked again who somebody is.
type IdPProof struct {
	User, Session id.ID     // who was sent there, and from which session
	Kind          string    // oidc or saml
	At            time.Time // when they proved it there: auth_time, AuthnInstant
	MFA           bool      // the provider tells of a second factor
	Address       string
}

// ProvedAtIdP notes a fresh proof at a person's provider in the session they
// were sent from. The caller has checked the answer as at a sign-in, that it is
// about the same person, and that it came back to the browser that was sent. A
// proof that the provider did not ask for just now is fault.Unauthenticated.
func (s *Service) ProvedAtIdP(ctx context.Context, p IdPProof) error {
	// Clocks of two machines differ; a proof may seem a little in the future.
	if age := time.Since(p.At); age > challengeLife || age < -time.Minute {
		return fault.New(fault.Unauthenticated, "Your organisation's sign-in did not ask you again who you are. Sign in there and try again.")
	}
	acc, err := s.account(ctx, p.User)
	if err != nil {
		return err
	}
	a := person(acc, Session{ID: p.Session, Address: p.Address})
	return s.provedAgain(actor.With(ctx, a), a, p.Kind, p.MFA)
}

func (s *Service) provedAgain(ctx context.Context, a actor.Actor, method string, mfa bool) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		there, err := s.store.proved(ctx, a.ID, a.Session, mfa)
		if err != nil {
			return err
		}
		if !there {
			return fault.New(fault.Unauthenticated, "Your session has ended. Sign in again.")
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event:  "identity.session.reauthenticated",
			Target: audit.Target{Kind: "user", ID: a.ID.String(), Name: a.Name}, Details: map[string]any{"method": method},
		})
	})
}
