package identity

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// Permissions of this domain.
const (
	ReadUser   = "identity:user:read"
	CreateUser = "identity:user:create"
	UpdateUser = "identity:user:update"
)

// Config is what the service needs.
type Config struct {
	DB          *db.DB
	Audit       *audit.Service
	Permissions *permission.Service
	Events      *event.Bus
	Logger      *slog.Logger
}

// Service manages people and signs them in.
type Service struct {
	Config
	store    store
	throttle *throttle
}

// New returns a service.
func New(cfg Config) *Service { return &Service{Config: cfg, throttle: newThrottle()} }

// SignIn checks a password and begins a session in the person's first tenant.
// It returns the session's token, which is shown to the browser only. A wrong
// address, a wrong password and a disabled account are the same
// fault.Unauthenticated; too many failures are fault.TooMany.
func (s *Service) SignIn(ctx context.Context, email, password, address, userAgent string) (string, Session, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if err := s.throttle.allow(email, address); err != nil {
		return "", Session{}, err
	}
	acc, err := s.prove(ctx, email, password)
	if err != nil {
		return "", Session{}, s.refuse(ctx, acc, email, address, err)
	}
	s.throttle.succeeded(email, address)
	session := Session{ID: id.New(), UserID: acc.ID, Address: address, UserAgent: trimmed(userAgent, 300)}
	token := newToken()
	err = s.begin(actor.With(ctx, person(acc, session)), acc, &session, token)
	return token, session, err
}

func person(acc account, session Session) actor.Actor {
	return actor.Actor{Kind: actor.User, ID: acc.ID, Name: acc.Name, Session: session.ID, Address: session.Address}
}

var errWrongPassword = fault.New(fault.Unauthenticated, "E-mail address or password is wrong.")

// prove finds the account and checks its password, in the same time for
// accounts that do not exist.
func (s *Service) prove(ctx context.Context, email, password string) (account, error) {
	var acc account
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		acc, err = s.store.byEmail(ctx, email)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		passwordMatches(nobody, password)
		return account{}, errWrongPassword
	}
	if err != nil {
		return account{}, err
	}
	if !passwordMatches(acc.Hash, password) || acc.Status != Active {
		return acc, errWrongPassword
	}
	return acc, nil
}

// refuse counts and records a failed sign-in and returns why it failed.
func (s *Service) refuse(ctx context.Context, acc account, email, address string, why error) error {
	if !fault.Is(why, fault.Unauthenticated) {
		return why
	}
	s.throttle.failed(email, address)
	who := actor.Actor{Kind: actor.User, ID: acc.ID, Name: trimmed(email, 254), Address: address}
	err := s.Audit.RecordAlone(actor.With(ctx, who), id.ID{}, audit.Entry{
		Event: "identity.session.refused", Outcome: audit.Denied, Priority: audit.Warning,
		Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: trimmed(email, 254)},
	})
	if err != nil {
		return err
	}
	return why
}

func (s *Service) begin(ctx context.Context, acc account, session *Session, token string) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		tenants, err := s.store.tenantsOf(ctx, acc.ID)
		if err != nil {
			return err
		}
		if len(tenants) == 0 {
			return fault.New(fault.Forbidden, "Your account belongs to no tenant. Ask an administrator to add you to one.")
		}
		session.TenantID = tenants[0]
		if err := s.store.addSession(ctx, *session, hashToken(token)); err != nil {
			return err
		}
		if err := s.store.signedIn(ctx, acc.ID); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.session.created", Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
			Details: map[string]any{"session": session.ID, "user_agent": session.UserAgent},
		})
	})
}

// Authenticate returns who a session token belongs to, or
// fault.Unauthenticated when the session has ended.
func (s *Service) Authenticate(ctx context.Context, token string) (actor.Actor, error) {
	var l live
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if l, err = s.store.liveSession(ctx, hashToken(token)); err != nil {
			return err
		}
		if time.Since(l.LastSeenAt) > time.Minute {
			return s.store.seen(ctx, l.ID)
		}
		return nil
	})
	return l.actor(err, "Your session has ended. Sign in again.")
}

// AuthenticateToken returns who an API token belongs to.
func (s *Service) AuthenticateToken(ctx context.Context, token string) (actor.Actor, error) {
	var l live
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		l, err = s.store.liveToken(ctx, hashToken(token))
		return err
	})
	return l.actor(err, "This API token is not valid, or it has expired.")
}

func (l live) actor(err error, refusal string) (actor.Actor, error) {
	if fault.Is(err, fault.NotFound) || err == nil && l.Status != Active {
		return actor.Actor{}, fault.New(fault.Unauthenticated, "%s", refusal)
	}
	if err != nil {
		return actor.Actor{}, err
	}
	return actor.Actor{
		Kind: actor.User, ID: l.UserID, Name: l.Name, TenantID: l.TenantID,
		Session: l.ID, AuthenticatedAt: l.AuthenticatedAt,
	}, nil
}

// SignOut ends the actor's session.
func (s *Service) SignOut(ctx context.Context) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.EndSession(ctx, a.Session)
}

// Me returns the actor's e-mail address and the session it acts in; for an API
// token that session is empty.
func (s *Service) Me(ctx context.Context) (email string, session Session, err error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return "", Session{}, err
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := s.store.byID(ctx, a.ID)
		if err != nil {
			return err
		}
		email = acc.Email
		mine, err := s.store.sessionsOf(ctx, a.ID)
		if i := slices.IndexFunc(mine, func(m Session) bool { return m.ID == a.Session }); i >= 0 {
			session = mine[i]
		}
		return err
	})
	return email, session, err
}

// Sessions lists the actor's own sessions, the last used first.
func (s *Service) Sessions(ctx context.Context) ([]Session, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	var all []Session
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.sessionsOf(ctx, a.ID)
		return err
	})
	return all, err
}

// EndSession ends one of the actor's own sessions; its sockets are cut.
func (s *Service) EndSession(ctx context.Context, session id.ID) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := s.store.endSession(ctx, a.ID, session)
		if err != nil {
			return err
		}
		if !ended {
			return fault.New(fault.NotFound, "This session does not exist, or it has ended.")
		}
		if err := s.sessionEnded(ctx, a.ID, session); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.session.ended", Target: audit.Target{Kind: "user", ID: a.ID.String(), Name: a.Name},
			Details: map[string]any{"session": session},
		})
	})
}

// SessionEnded is the event that cuts sockets; its ID is the session, or zero
// for all of the user's.
const SessionEnded = "session.ended"

func (s *Service) sessionEnded(ctx context.Context, user, session id.ID) error {
	return s.Events.Publish(ctx, event.Event{Type: SessionEnded, ID: session, User: user}, nil)
}

// TenantsOf lists the tenants the actor belongs to, the root tenant first.
func (s *Service) TenantsOf(ctx context.Context) ([]id.ID, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	var all []id.ID
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.tenantsOf(ctx, a.ID)
		return err
	})
	return all, err
}

// UseTenant makes another tenant the active one of the actor's session. One
// the person does not belong to is fault.NotFound.
func (s *Service) UseTenant(ctx context.Context, tenant id.ID) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		member, err := s.store.isMember(ctx, a.ID, tenant)
		if err != nil {
			return err
		}
		if !member {
			return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
		}
		return s.store.useTenant(ctx, a.Session, tenant)
	})
	a.TenantID = tenant
	return a, err
}

// Reauthenticate proves again that the actor is who signed in, for operations
// that want a fresh proof. Failures count towards the throttle.
func (s *Service) Reauthenticate(ctx context.Context, password string) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	if err := s.VerifyPassword(ctx, password); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.authenticatedAgain(ctx, a.Session); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.session.reauthenticated", Target: audit.Target{Kind: "user", ID: a.ID.String(), Name: a.Name},
		})
	})
}

// VerifyPassword checks the actor's own password: fault.Unauthenticated when
// it is wrong, fault.TooMany after too many failures.
func (s *Service) VerifyPassword(ctx context.Context, password string) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	var acc account
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		acc, err = s.store.byID(ctx, a.ID)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.throttle.allow(acc.Email, a.Address); err != nil {
		return err
	}
	if _, err := s.prove(ctx, acc.Email, password); err != nil {
		return s.refuse(ctx, acc, acc.Email, a.Address, err)
	}
	s.throttle.succeeded(acc.Email, a.Address)
	return nil
}

func trimmed(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}
