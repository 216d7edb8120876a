package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const resetLife = time.Hour

// Reset is a link with which a person chooses a new password, once.
type Reset struct {
	Link      string    `json:"link" doc:"Shown once. Give it to the person and to nobody else."`
	ExpiresAt time.Time `json:"expires_at"`
	Name      string    `json:"-"`
	Email     string    `json:"-"`
}

// link is a page of ours with a secret behind the #, which browsers send to
// nobody. It is made from the configured address only.
func (s *Service) link(page, token string) string {
	base := ""
	if s.URL != nil {
		base = s.URL()
	}
	return base + page + "#" + token
}

// ResetPassword makes a link with which a member chooses a new password. It
// lives an hour, works once and ends an earlier one. It is refused for people
// of other tenants, for whoever may do more than the actor, and for the
// emergency administrator. It ends when the person joins another tenant.
func (s *Service) ResetPassword(ctx context.Context, user id.ID) (Reset, error) {
	a, err := s.authorise(ctx, UpdateUser)
	if err != nil {
		return Reset{}, err
	}
	if _, err := s.member(ctx, a.TenantID, user); err != nil {
		return Reset{}, err
	}
	if err := s.coversPerson(ctx, a.TenantID, user); err != nil {
		return Reset{}, err
	}
	token := newToken()
	r := Reset{Link: s.link("/reset-password", token)}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		acc, err := s.resettable(ctx, a.TenantID, user)
		if err != nil {
			return err
		}
		r.Name, r.Email = acc.Name, acc.Email
		err = s.DB.Core(ctx, func(ctx context.Context) error {
			r.ExpiresAt, err = s.store.addReset(ctx, user, hashToken(token), resetLife)
			return err
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.password.reset-requested", Priority: audit.Warning,
			Target: audit.Target{Kind: "user", ID: user.String(), Name: acc.Name}, Details: map[string]any{"expires_at": r.ExpiresAt},
		})
	})
	return r, err
}

func (s *Service) resettable(ctx context.Context, tenant, user id.ID) (acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		// Who joins a tenant meanwhile waits, and ends the link: see accept.
		if _, err := s.store.lock(ctx, user); err != nil {
			return err
		}
		if acc, err = s.mayChange(ctx, tenant, user); err != nil {
			return err
		}
		if err := acc.guard(ctx); err != nil {
			return err
		}
		m, err := s.store.membership(ctx, user, tenant)
		if err == nil && acc.Hash == "" && m.Source != Local {
			err = fault.New(fault.Conflict, "This person signs in through a provider and has no password here. It is reset there.")
		}
		return err
	})
	return acc, err
}

var errReset = fault.New(fault.Gone, "This link was used, replaced or has expired. Ask an administrator for a new one.")

// FinishReset sets the password of whoever a reset's token is for, and ends
// all their sessions. A token that is not good is fault.Gone, and counts
// towards the throttle; a password that does not fit is fault.Invalid and
// leaves the token good.
func (s *Service) FinishReset(ctx context.Context, token, password, address string) error {
	if err := s.throttle.allow(resetSecrets, address); err != nil {
		return err
	}
	acc, err := s.resetOf(ctx, token)
	if err != nil {
		return s.wrongSecret(ctx, resetSecrets, address, err)
	}
	s.throttle.succeeded(resetSecrets, address)
	hash, err := s.newHash(ctx, acc, password)
	if err != nil {
		return err
	}
	ctx = actor.With(ctx, person(acc, Session{Address: address}))
	return s.DB.Core(ctx, func(ctx context.Context) error {
		good, err := s.store.useReset(ctx, acc.ID, hashToken(token))
		if err != nil {
			return err
		}
		if !good {
			return errReset
		}
		return s.changed(ctx, acc, hash, id.ID{}, "identity.password.reset")
	})
}

func (s *Service) resetOf(ctx context.Context, token string) (acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err = s.store.resetOf(ctx, hashToken(token))
		return err
	})
	if fault.Is(err, fault.NotFound) {
		err = errReset
	}
	return acc, err
}

// changed stores a password, ends the person's sessions but one and sign-ins
// that wait for a second factor, and forgets resets that are still open.
func (s *Service) changed(ctx context.Context, acc account, hash string, kept id.ID, what string) error {
	if err := s.setPassword(ctx, acc, hash); err != nil {
		return err
	}
	if err := s.store.dropReset(ctx, acc.ID); err != nil {
		return err
	}
	if err := s.store.forgetPending(ctx, acc.ID); err != nil {
		return err
	}
	if err := s.endOthers(ctx, acc.ID, acc.Name, kept); err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: what, Priority: audit.Notice, Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
	})
}

// ChangePassword sets the actor's own password after the present one, and ends
// the actor's other sessions.
func (s *Service) ChangePassword(ctx context.Context, current, password string) error {
	a, err := inSession(ctx)
	if err != nil {
		return err
	}
	if err := s.VerifyPassword(ctx, current); err != nil {
		return err
	}
	var acc account
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err = s.store.byID(ctx, a.ID)
		return err
	})
	if err != nil {
		return err
	}
	hash, err := s.newHash(ctx, acc, password)
	if err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		return s.changed(ctx, acc, hash, a.Session, "identity.password.changed")
	})
}

// What the throttle counts links under, so that guessing them does not make
// anybody's sign-in wait.
const (
	resetSecrets      = "reset links"
	invitationSecrets = "invitation links"
)

// wrongSecret counts and records a link that is not good.
func (s *Service) wrongSecret(ctx context.Context, what, address string, why error) error {
	if !fault.Is(why, fault.Gone) {
		return why
	}
	s.throttle.failed(what, address)
	who := actor.Actor{Kind: actor.User, Name: "somebody", Address: address}
	err := s.Audit.RecordAlone(actor.With(ctx, who), id.ID{}, audit.Entry{
		Event: "identity.link.refused", Outcome: audit.Denied, Priority: audit.Warning,
		Target: audit.Target{Kind: "link", Name: what},
	})
	if err != nil {
		return err
	}
	return why
}
