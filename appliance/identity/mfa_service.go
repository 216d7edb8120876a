package identity

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
)

// keyring is what seals TOTP secrets: fault.Unavailable before the appliance
// has opened its root key.
func (s *Service) keyring() (*secret.Keyring, error) {
	if s.Keyring != nil {
		if k := s.Keyring(); k != nil {
			return k, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "The root key is not open, so second factors cannot be used now. See System health.")
}

// totpPurpose binds a sealed TOTP secret to its owner. Accounts live at the
// provider level, and so does the key that seals what belongs to them.
func totpPurpose(user id.ID) string { return "totp/" + user.String() }

func (s *Service) sealTOTP(ctx context.Context, user id.ID, secret string) ([]byte, error) {
	k, err := s.keyring()
	if err != nil {
		return nil, err
	}
	return k.Seal(ctx, id.ID{}, totpPurpose(user), []byte(secret))
}

func (s *Service) openTOTP(ctx context.Context, user id.ID, sealed []byte) (string, error) {
	k, err := s.keyring()
	if err != nil {
		return "", err
	}
	secret, err := k.Open(ctx, id.ID{}, totpPurpose(user), sealed)
	return string(secret), err
}

// address is the appliance's configured address.
func (s *Service) address() string {
	if s.URL == nil {
		return ""
	}
	return s.URL()
}

// issuer is what authenticator apps show above the code.
func (s *Service) issuer() string {
	if u, err := url.Parse(s.address()); err == nil && u.Hostname() != "" {
		return "Nimbus " + u.Hostname()
	}
	return "Nimbus"
}

// Factors tells which second factors the actor has and whether one is required.
func (s *Service) Factors(ctx context.Context) (Factors, error) {
	a, err := inSession(ctx)
	if err != nil {
		return Factors{}, err
	}
	f, err := s.factors(ctx, a.ID)
	if err != nil {
		return f, err
	}
	f.Required, err = s.required(ctx, a)
	return f, err
}

func (s *Service) factors(ctx context.Context, user id.ID) (f Factors, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		f, err = s.store.factorsOf(ctx, user)
		return err
	})
	return f, err
}

// withFactors tells who of some people has a second factor.
func (s *Service) withFactors(ctx context.Context, users []id.ID) (have map[id.ID]bool, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		have, err = s.store.withFactors(ctx, users)
		return err
	})
	return have, err
}

// required tells whether the actor's active tenant asks them for a second
// factor. Administrators are those who can give rights or change other
// people's accounts, by whatever role.
func (s *Service) required(ctx context.Context, a actor.Actor) (bool, error) {
	p, err := s.policy(ctx, a.TenantID)
	if err != nil || p.RequiredFor == MFAEverybody {
		return err == nil, err
	}
	if p.RequiredFor != MFAAdministrators {
		return false, nil
	}
	ctx = actor.With(ctx, a)
	return s.Permissions.Allowed(ctx, permission.AssignRole) || s.Permissions.Allowed(ctx, UpdateUser), nil
}

// Limited tells whether the actor's session lacks a second factor that its
// tenant requires. Such a session may call what MayBeLimited allows.
func (s *Service) Limited(ctx context.Context, a actor.Actor) (bool, error) {
	if a.Kind != actor.User || a.MFA || a.AuthenticatedAt.IsZero() {
		return false, nil
	}
	return s.required(ctx, a)
}

// BeginTOTP makes a secret for an authenticator app. It is in use once
// ConfirmTOTP has seen a code of it; until then an older one stays valid.
func (s *Service) BeginTOTP(ctx context.Context) (NewTOTP, error) {
	a, acc, err := s.enrolling(ctx)
	if err != nil {
		return NewTOTP{}, err
	}
	made := NewTOTP{Secret: newTOTPSecret()}
	made.URI = totpURI(s.issuer(), acc.Email, made.Secret)
	if made.QRSVG, err = qrSVG(made.URI); err != nil {
		return NewTOTP{}, err
	}
	sealed, err := s.sealTOTP(ctx, a.ID, made.Secret)
	if err != nil {
		return NewTOTP{}, err
	}
	return made, s.DB.Core(ctx, func(ctx context.Context) error { return s.store.offerTOTP(ctx, a.ID, sealed) })
}

// enrolling is the start of every change to factors: a fresh proof, so that a
// session left open, or stolen, does not become a lasting way in. Whoever has a
// factor proves it first: a session from before there was one is not enough.
func (s *Service) enrolling(ctx context.Context) (actor.Actor, account, error) {
	a, acc, err := s.person(ctx)
	if err == nil {
		err = s.RequireFresh(ctx, 0)
	}
	if err != nil || a.MFA {
		return a, acc, err
	}
	f, err := s.factors(ctx, a.ID)
	if err == nil && f.Any() {
		err = fault.New(fault.StepUp, "Prove your second factor, then repeat this.")
	}
	return a, acc, err
}

// person is the signed-in actor with their account.
func (s *Service) person(ctx context.Context) (actor.Actor, account, error) {
	a, err := inSession(ctx)
	if err != nil {
		return a, account{}, err
	}
	acc, err := s.account(ctx, a.ID)
	return a, acc, err
}

func (s *Service) account(ctx context.Context, user id.ID) (acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err = s.store.byID(ctx, user)
		return err
	})
	return acc, err
}

// ConfirmTOTP puts the secret of BeginTOTP into use. Whoever had no recovery
// codes gets some, shown this once. A wrong code is fault.Invalid, a secret
// that was shown too long ago fault.Gone.
func (s *Service) ConfirmTOTP(ctx context.Context, code string) (codes []string, err error) {
	a, acc, err := s.person(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.mayGuess(ctx, acc, a.Address, ProofTOTP); err != nil {
		return nil, err
	}
	var t totp
	err = s.DB.Core(ctx, func(ctx context.Context) error { t, err = s.store.totpOf(ctx, a.ID); return err })
	if fault.Is(err, fault.NotFound) || err == nil && t.Pending == nil {
		return nil, fault.New(fault.Gone, "There is no new authenticator app to confirm, or it took too long. Begin again.")
	}
	if err != nil {
		return nil, err
	}
	text, err := s.openTOTP(ctx, a.ID, t.Pending)
	if err != nil {
		return nil, err
	}
	step, ok := matchStep(text, code, time.Now(), 0)
	if !ok {
		s.guessedWrong(acc, a.Address)
		return nil, fault.BadField("body.code", "This code does not belong to the new authenticator app. Wait for the next one, and check that the clock of your device is right.")
	}
	s.guessedRight(acc, a.Address, ProofTOTP)
	return s.enrol(ctx, a, audit.Entry{Event: "identity.totp.enrolled"}, func(ctx context.Context) error {
		confirmed, err := s.store.confirmTOTP(ctx, a.ID, t.Pending, step)
		if err == nil && !confirmed {
			err = fault.New(fault.Conflict, "Another authenticator app was begun since. Scan that code instead.")
		}
		return err
	})
}

// enrol stores a factor that was just proven, in one transaction with its
// record and, when there are none, recovery codes. The session counts as one
// with a second factor from now on.
func (s *Service) enrol(ctx context.Context, a actor.Actor, e audit.Entry, add func(context.Context) error) (codes []string, err error) {
	e.Priority, e.Target.Kind = audit.Notice, "user"
	e.Target.ID, e.Target.Name = a.ID.String(), a.Name
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if err := add(ctx); err != nil {
			return err
		}
		f, err := s.store.factorsOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if f.RecoveryCodesLeft == 0 {
			codes = newRecoveryCodes()
			if err := s.keepCodes(ctx, a, codes); err != nil {
				return err
			}
		}
		if _, err := s.store.proved(ctx, a.ID, a.Session, true); err != nil {
			return err
		}
		return s.Audit.Record(ctx, e)
	})
	return codes, err
}

func (s *Service) keepCodes(ctx context.Context, a actor.Actor, codes []string) error {
	hashes := make([][]byte, len(codes))
	for i, code := range codes {
		hashes[i] = hashRecoveryCode(a.ID, code)
	}
	if err := s.store.replaceCodes(ctx, a.ID, hashes); err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.recovery-codes.created", Priority: audit.Notice,
		Target: audit.Target{Kind: "user", ID: a.ID.String(), Name: a.Name}, Details: map[string]any{"count": len(codes)},
	})
}

// RecoveryCodes replaces the actor's recovery codes by ten new ones, shown this
// once. Without a second factor they would prove nothing: fault.Conflict. It
// needs a fresh proof.
func (s *Service) RecoveryCodes(ctx context.Context) ([]string, error) {
	a, _, err := s.enrolling(ctx)
	if err != nil {
		return nil, err
	}
	codes := newRecoveryCodes()
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		f, err := s.store.factorsOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if !f.Any() {
			return fault.New(fault.Conflict, "Recovery codes stand in for a second factor, and you have none. Add an authenticator app or a passkey first.")
		}
		return s.keepCodes(ctx, a, codes)
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveTOTP ends the use of the authenticator app. It needs a fresh proof, and
// fails with fault.Conflict when it is the last factor and one is required.
func (s *Service) RemoveTOTP(ctx context.Context) error {
	return s.removeFactor(ctx, audit.Entry{Event: "identity.totp.removed"}, func(ctx context.Context, a actor.Actor, _ *audit.Entry) error {
		removed, err := s.store.removeTOTP(ctx, a.ID)
		if err == nil && !removed {
			err = fault.New(fault.NotFound, "You have no authenticator app.")
		}
		return err
	})
}

// RemovePasskey ends the use of one of the actor's passkeys, as RemoveTOTP does.
func (s *Service) RemovePasskey(ctx context.Context, key id.ID) error {
	return s.removeFactor(ctx, audit.Entry{Event: "identity.passkey.removed"}, func(ctx context.Context, a actor.Actor, e *audit.Entry) error {
		name, err := s.store.removeKey(ctx, a.ID, key)
		e.Details = map[string]any{"passkey": key, "name": name}
		return err
	})
}

func (s *Service) removeFactor(ctx context.Context, e audit.Entry, do func(context.Context, actor.Actor, *audit.Entry) error) error {
	a, _, err := s.enrolling(ctx)
	if err != nil {
		return err
	}
	required, err := s.required(ctx, a)
	if err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		// Two removals at the same moment would each see the other's factor.
		if _, err := s.store.lock(ctx, a.ID); err != nil {
			return err
		}
		if err := do(ctx, a, &e); err != nil {
			return err
		}
		left, err := s.store.factorsOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if required && !left.Any() {
			return fault.New(fault.Conflict, "Your organisation asks you for a second factor, and this is your last one. Add another first.")
		}
		if !left.Any() {
			err = s.store.forgetFactors(ctx, a.ID) // recovery codes stand in for nothing now
		}
		if err != nil {
			return err
		}
		e.Priority, e.Target = audit.Warning, audit.Target{Kind: "user", ID: a.ID.String(), Name: a.Name}
		return s.Audit.Record(ctx, e)
	})
}

// BeginPasskey makes the options with which a browser creates a passkey, and
// the state that FinishPasskey wants back.
func (s *Service) BeginPasskey(ctx context.Context) (options any, state string, err error) {
	a, acc, err := s.enrolling(ctx)
	if err != nil {
		return nil, "", err
	}
	rp, err := relyingParty(s.address())
	if err != nil {
		return nil, "", err
	}
	state = newToken()
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		keys, err := s.store.keysOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if len(keys) >= maxPasskeys {
			return fault.New(fault.Conflict, "You have %d passkeys, and more are not kept. Remove one first.", len(keys))
		}
		made, challenge, err := beginRegistration(rp, holder{acc, keys})
		if err != nil {
			return err
		}
		options = made
		return s.store.addCeremony(ctx, hashToken(state), ceremony{
			Kind: register, User: a.ID, Session: a.Session, Address: a.Address, Challenge: challenge,
		}, challengeLife)
	})
	return options, state, err
}

// FinishPasskey stores the passkey that a browser made for BeginPasskey. A
// state that was used, is too old or belongs to another session is fault.Gone.
func (s *Service) FinishPasskey(ctx context.Context, state, name string, answer json.RawMessage) (p Passkey, codes []string, err error) {
	a, acc, err := s.person(ctx)
	if err != nil {
		return p, nil, err
	}
	if name = strings.TrimSpace(name); name == "" || utf8.RuneCountInString(name) > 100 {
		return p, nil, fault.BadField("body.name", "Give the passkey a name of at most 100 characters, such as the device it is on.")
	}
	c, err := s.take(ctx, state, register, func(c ceremony) bool { return c.User == a.ID && c.Session == a.Session })
	if err != nil {
		return p, nil, err
	}
	rp, err := relyingParty(s.address())
	if err != nil {
		return p, nil, err
	}
	key, err := finishRegistration(rp, holder{account: acc}, *c.Challenge, answer)
	if err != nil {
		return p, nil, fault.Wrap(fault.Invalid, err, "The browser's passkey was not accepted. Try again from the address %s.", s.address())
	}
	p = Passkey{ID: id.New(), Name: name, CreatedAt: time.Now().UTC()}
	e := audit.Entry{Event: "identity.passkey.enrolled", Details: map[string]any{"passkey": p.ID, "name": name}}
	codes, err = s.enrol(ctx, a, e, func(ctx context.Context) error { return s.store.addKey(ctx, a.ID, p, key) })
	if fault.Is(err, fault.Conflict) {
		err = fault.Wrap(fault.Conflict, err, "This passkey is registered already.")
	}
	return p, codes, err
}

// take ends a ceremony for good and returns it when it is the one expected;
// whatever is wrong with it, it cannot be answered again.
func (s *Service) take(ctx context.Context, state, kind string, expected func(ceremony) bool) (c ceremony, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		c, err = s.store.takeCeremony(ctx, hashToken(state), kind)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && !expected(c) {
		err = fault.New(fault.Gone, "This took too long, or it was answered already. Begin again.")
	}
	return c, err
}

// ResetFactors takes all second factors of a member of the actor's tenant away
// and ends their sessions, for somebody who lost them. It needs a fresh proof.
// Nobody but the machine's console resets the emergency administrator, nobody
// themselves, and nobody a person who may do more.
func (s *Service) ResetFactors(ctx context.Context, user id.ID) error {
	a, err := s.authorise(ctx, ResetMFA)
	if err != nil {
		return err
	}
	if user == a.ID {
		return fault.New(fault.Conflict, "Change your own second factors in your profile.")
	}
	if err := s.RequireFresh(ctx, 0); err != nil {
		return err
	}
	if err := s.mayReset(ctx, a, user); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := s.store.lock(ctx, user)
		if err != nil {
			return err
		}
		if a.Kind != actor.Console { // nobody joined another tenant since
			if _, err := s.mayChange(ctx, a.TenantID, user); err != nil {
				return err
			}
		}
		had, err := s.store.factorsOf(ctx, user)
		if err != nil {
			return err
		}
		return s.reset(ctx, acc, had)
	})
}

// mayReset is nil when the actor may reset a person; one of another tenant is
// fault.NotFound.
func (s *Service) mayReset(ctx context.Context, a actor.Actor, user id.ID) error {
	if a.Kind == actor.Console {
		return nil
	}
	acc, err := s.member(ctx, a.TenantID, user)
	if err != nil {
		return err
	}
	if err := acc.guard(ctx); err != nil {
		return err
	}
	if err := s.coversPerson(ctx, a.TenantID, user); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		_, err := s.mayChange(ctx, a.TenantID, user)
		return err
	})
}

// ResetFactorsOf is ResetFactors by e-mail address, for the machine's console.
func (s *Service) ResetFactorsOf(ctx context.Context, email string) error {
	var acc account
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		acc, err = s.store.byEmail(ctx, email)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "Nobody has an account with the address %s.", email)
	}
	if err != nil {
		return err
	}
	return s.ResetFactors(ctx, acc.ID)
}

func (s *Service) reset(ctx context.Context, acc account, had Factors) error {
	if err := s.store.forgetFactors(ctx, acc.ID); err != nil {
		return err
	}
	if err := s.endOthers(ctx, acc.ID, acc.Name, id.ID{}); err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.second-factor.reset", Priority: audit.Warning, Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"totp": had.TOTP, "passkeys": len(had.Passkeys), "recovery_codes": had.RecoveryCodesLeft},
	})
}
