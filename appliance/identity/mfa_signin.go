package identity

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// errFactor is what a wrong second factor is told, whatever was wrong with it.
var errFactor = fault.New(fault.Unauthenticated, "This does not prove your second factor. Try the next code, or another way.")

// errPending is a sign-in whose second step came too late, too often, or from
// somewhere else.
var errPending = fault.New(fault.Unauthenticated, "This sign-in took too long, or was tried too often. Begin again.")

// secondStep stops a sign-in that is right so far when the person has a second
// factor: it returns a *SecondFactor. Nil means that there is none to ask for.
func (s *Service) secondStep(ctx context.Context, in SignedIn) error {
	f, err := s.factors(ctx, in.User)
	if err != nil || !f.Any() {
		return err
	}
	acc, err := s.account(ctx, in.User)
	if err != nil {
		return err
	}
	next := &SecondFactor{Token: newToken()}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		challenge, err := s.ask(ctx, acc, f, next)
		if err != nil {
			return err
		}
		return s.store.addCeremony(ctx, hashToken(next.Token), ceremony{
			Kind: secondFactor, User: in.User, Address: in.Address, SignIn: &in, Challenge: challenge,
		}, pendingLife)
	})
	if err != nil {
		return err
	}
	return next
}

// ask fills in what proves the second step, with a challenge for passkeys.
func (s *Service) ask(ctx context.Context, acc account, f Factors, next *SecondFactor) (challenge *webauthn.SessionData, err error) {
	rp, noPasskeys := relyingParty(s.address())
	next.Methods = f.methods(noPasskeys == nil)
	if len(f.Passkeys) > 0 && noPasskeys == nil {
		next.Options, challenge, err = s.challenge(ctx, rp, acc)
	}
	return challenge, err
}

// SecondStep tells a page that has the token only, because a provider's
// redirect brought it there, what proves the second step. An earlier challenge
// of the same sign-in is void then.
func (s *Service) SecondStep(ctx context.Context, token, address string) (*SecondFactor, error) {
	next := &SecondFactor{Token: token}
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		c, err := s.store.ceremony(ctx, hashToken(token), secondFactor)
		if fault.Is(db.Fault(err), fault.NotFound) || err == nil && c.Address != address {
			return errPending
		}
		if err != nil {
			return err
		}
		acc, err := s.store.byID(ctx, c.User)
		if err != nil {
			return err
		}
		f, err := s.store.factorsOf(ctx, c.User)
		if err != nil {
			return err
		}
		challenge, err := s.ask(ctx, acc, f, next)
		if err != nil {
			return err
		}
		return s.store.askAgain(ctx, hashToken(token), challenge)
	})
	return next, err
}

// challenge makes the options with which a person's browser uses one of their passkeys.
func (s *Service) challenge(ctx context.Context, rp *webauthn.WebAuthn, acc account) (any, *webauthn.SessionData, error) {
	keys, err := s.store.keysOf(ctx, acc.ID)
	if err != nil {
		return nil, nil, err
	}
	return beginLogin(rp, holder{acc, keys})
}

// FinishSignIn proves the second factor of a sign-in and begins its session. A
// wrong proof is fault.Unauthenticated and can be tried again a few times; so
// is a token that is not valid any more, which cannot. The token serves the
// address that began the sign-in only.
func (s *Service) FinishSignIn(ctx context.Context, token string, p Proof, address, userAgent string) (string, Session, error) {
	method, err := p.method(ProofTOTP, ProofRecoveryCode, ProofPasskey)
	if err != nil {
		return "", Session{}, err
	}
	c, acc, err := s.pending(ctx, hashToken(token), address, method)
	if err != nil {
		return "", Session{}, err
	}
	who := actor.Actor{Kind: actor.User, ID: acc.ID, Name: acc.Name, Address: address}
	ctx = actor.With(ctx, who)
	err = s.proveFactor(ctx, acc, method, p, c.Challenge)
	if err != nil {
		return "", Session{}, s.refuseFactor(ctx, acc, address, method, err)
	}
	// Who takes the ceremony away begins the session: one, however often it is asked.
	if _, err := s.take(ctx, token, secondFactor, func(ceremony) bool { return true }); err != nil {
		return "", Session{}, errPending
	}
	s.guessedRight(acc, address, method)
	in := *c.SignIn
	in.MFA, in.UserAgent = true, userAgent
	if method == ProofRecoveryCode {
		in.Method = ByRecovery
	}
	return s.StartSession(ctx, in)
}

// pending reads a sign-in that waits for its second step and counts a try.
func (s *Service) pending(ctx context.Context, hash []byte, address, method string) (c ceremony, acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if c, err = s.store.ceremony(ctx, hash, secondFactor); err != nil {
			return err
		}
		acc, err = s.store.byID(ctx, c.User)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && (c.Address != address || acc.Status != Active || c.Tries >= pendingTries) {
		return c, acc, errPending
	}
	if err != nil {
		return c, acc, err
	}
	if err := s.mayGuess(ctx, acc, address, method); err != nil {
		return c, acc, err
	}
	left := false
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		left, err = s.store.tryCeremony(ctx, hash)
		return err
	})
	if err == nil && !left {
		err = errPending
	}
	return c, acc, err
}

// proveFactor checks one second factor and spends it. fault.Unauthenticated
// means that it is wrong.
func (s *Service) proveFactor(ctx context.Context, acc account, method string, p Proof, challenge *webauthn.SessionData) error {
	switch method {
	case ProofTOTP:
		return s.proveTOTP(ctx, acc, p.TOTP)
	case ProofRecoveryCode:
		return s.proveRecoveryCode(ctx, acc, p.RecoveryCode)
	case ProofPasskey:
		if challenge == nil {
			return errFactor
		}
		_, err := s.provePasskey(ctx, *challenge, p.Credential)
		return err
	}
	return errFactor
}

func (s *Service) proveTOTP(ctx context.Context, acc account, code string) error {
	var t totp
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		t, err = s.store.totpOf(ctx, acc.ID)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && t.Secret == nil {
		return errFactor
	}
	if err != nil {
		return err
	}
	secret, err := s.openTOTP(ctx, acc.ID, t.Secret)
	if err != nil {
		return err
	}
	step, ok := matchStep(secret, code, time.Now(), t.LastStep)
	if !ok {
		return errFactor
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		used, err := s.store.useStep(ctx, acc.ID, step)
		if err == nil && !used {
			err = errFactor
		}
		return err
	})
}

func (s *Service) proveRecoveryCode(ctx context.Context, acc account, code string) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		used, err := s.store.useCode(ctx, acc.ID, hashRecoveryCode(acc.ID, code))
		if err != nil {
			return err
		}
		if !used {
			return errFactor
		}
		f, err := s.store.factorsOf(ctx, acc.ID)
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.recovery-code.used", Priority: audit.Warning,
			Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name}, Details: map[string]any{"left": f.RecoveryCodesLeft},
		})
	})
}

// errCounter is a passkey whose counter did not rise.
var errCounter = errors.New("the sign counter did not rise")

// provePasskey checks the answer to a challenge and notes the new counter. A
// counter that does not rise means that somebody copied the authenticator: it
// is refused and recorded.
func (s *Service) provePasskey(ctx context.Context, challenge webauthn.SessionData, answer json.RawMessage) (acc account, err error) {
	rp, err := relyingParty(s.address())
	if err != nil {
		return acc, err
	}
	var used *webauthn.Credential
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var h holder
		h, used, err = verifyAssertion(rp, challenge, answer, func(handle []byte) (holder, error) { return s.holder(ctx, handle) })
		acc = h.account
		if err != nil {
			return err
		}
		if used.Authenticator.CloneWarning {
			return fault.Wrap(fault.Unauthenticated, errCounter, "This passkey was not accepted: its counter went back, so it may have been copied. Remove it, and use another way.")
		}
		return s.store.usedKey(ctx, used)
	})
	if errors.Is(err, errCounter) {
		return acc, errors.Join(err, s.copied(ctx, acc, used))
	}
	return acc, err
}

// holder finds the account of a user handle. Who may not sign in is not there.
func (s *Service) holder(ctx context.Context, handle []byte) (holder, error) {
	if len(handle) != len(id.ID{}) {
		return holder{}, errFactor
	}
	acc, err := s.store.byID(ctx, id.ID(handle))
	if err != nil {
		return holder{}, err
	}
	if acc.Status != Active {
		return holder{}, errFactor
	}
	keys, err := s.store.keysOf(ctx, acc.ID)
	return holder{acc, keys}, err
}

// copied records a passkey that may have been copied. It stays when the
// transaction that found it is rolled back.
func (s *Service) copied(ctx context.Context, acc account, key *webauthn.Credential) error {
	a, _ := actor.From(ctx)
	if a.Kind == "" {
		a = actor.Actor{Kind: actor.User, ID: acc.ID, Name: acc.Name}
	}
	return s.Audit.RecordAlone(actor.With(db.Apart(ctx), a), id.ID{}, audit.Entry{
		Event: "identity.passkey.copied", Outcome: audit.Denied, Priority: audit.Critical,
		Target:  audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"counter": key.Authenticator.SignCount, "authenticator": key.Authenticator.AAGUID},
	})
}

// BeginPasskeySignIn makes the options with which a browser offers the passkeys
// it has for this appliance, and the state FinishPasskeySignIn wants back. It
// tells nothing about who has an account.
func (s *Service) BeginPasskeySignIn(ctx context.Context, address string) (options any, state string, err error) {
	rp, err := relyingParty(s.address())
	if err != nil {
		return nil, "", err
	}
	options, challenge, err := beginAlone(rp)
	if err != nil {
		return nil, "", err
	}
	state = newToken()
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		return s.store.addCeremony(ctx, hashToken(state), ceremony{Kind: passkeySignIn, Address: address, Challenge: challenge}, challengeLife)
	})
	return options, state, err
}

// FinishPasskeySignIn signs in by a passkey alone. The authenticator has to
// have verified the person, by a PIN or a finger, so it proves both factors.
// Whatever is wrong is fault.Unauthenticated.
func (s *Service) FinishPasskeySignIn(ctx context.Context, state string, answer json.RawMessage, address, userAgent string) (string, Session, error) {
	// Signatures cannot be guessed: only the address counts, because others may share it.
	if err := s.guesses.allow(state, address); err != nil {
		return "", Session{}, err
	}
	c, err := s.take(ctx, state, passkeySignIn, func(c ceremony) bool { return c.Address == address })
	if err != nil {
		return "", Session{}, err
	}
	acc, err := s.provePasskey(ctx, *c.Challenge, answer)
	if err != nil {
		if acc.ID.IsZero() {
			acc.Name = "passkey"
		}
		s.guesses.failed(state, address)
		return "", Session{}, s.refusePasskey(ctx, acc, address, err)
	}
	s.guesses.succeeded(state, address)
	return s.StartSession(ctx, SignedIn{User: acc.ID, Address: address, UserAgent: userAgent, Method: ByPasskey, MFA: true})
}

func (s *Service) refusePasskey(ctx context.Context, acc account, address string, why error) error {
	if !fault.Is(why, fault.Unauthenticated) {
		return why
	}
	who := actor.Actor{Kind: actor.User, ID: acc.ID, Name: acc.Name, Address: address}
	err := s.Audit.RecordAlone(actor.With(ctx, who), id.ID{}, audit.Entry{
		Event: "identity.session.refused", Outcome: audit.Denied, Priority: audit.Warning,
		Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name}, Details: map[string]any{"method": ByPasskey},
	})
	if err != nil {
		return err
	}
	return why
}
