package identity

import (
	"context"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Method is how a session was begun.
type Method string

// The methods.
const (
	ByPassword Method = "password"
	ByOIDC     Method = "oidc"
	BySAML     Method = "saml"
	ByPasskey  Method = "passkey"
	ByRecovery Method = "recovery"
)

// Session is one sign-in of a browser.
type Session struct {
	ID              id.ID     `json:"id"`
	UserID          id.ID     `json:"-"`
	TenantID        id.ID     `json:"-"`
	Address         string    `json:"address"`
	UserAgent       string    `json:"user_agent"`
	Method          Method    `json:"method" enum:"password,oidc,saml,passkey,recovery"`
	MFA             bool      `json:"mfa" doc:"A second factor was proven."`
	SignedInAt      time.Time `json:"signed_in_at"`
	AuthenticatedAt time.Time `json:"-"`
	LastSeenAt      time.Time `json:"last_seen_at"`
	ExpiresAt       time.Time `json:"expires_at"`
}

// SessionPolicy limits the sessions of a person in one tenant.
type SessionPolicy struct {
	MaxPerUser int           // the oldest end when there are more
	Idle       time.Duration // without a request
	Longest    time.Duration // in any case
	// ProviderOnly: people sign in at the tenant's provider, not with what this
	// appliance keeps. The emergency administrator is not bound by it.
	ProviderOnly bool
}

var defaultSessions = SessionPolicy{MaxPerUser: 20, Idle: 12 * time.Hour, Longest: 7 * 24 * time.Hour}

// sessionPolicy is what a tenant asks, with the defaults for what it left open.
func (s *Service) sessionPolicy(ctx context.Context, tenant id.ID) (SessionPolicy, error) {
	p := SessionPolicy{}
	if s.SessionPolicy != nil {
		var err error
		if p, err = s.SessionPolicy(ctx, tenant); err != nil {
			return p, err
		}
	}
	if p.MaxPerUser <= 0 {
		p.MaxPerUser = defaultSessions.MaxPerUser
	}
	if p.Idle <= 0 {
		p.Idle = defaultSessions.Idle
	}
	if p.Longest <= 0 {
		p.Longest = defaultSessions.Longest
	}
	return p, nil
}

// SignedIn is somebody who has proven who they are, and how.
type SignedIn struct {
	User   id.ID
	Tenant id.ID // zero: the person's first, the root tenant before the others
	// Address and UserAgent are the browser's.
	Address, UserAgent string
	Method             Method
	Provider           id.ID  // that vouched, for OIDC and SAML
	MFA                bool   // a second factor was proven
	IdPSession         string // the provider's name for the session, for its logout
	// IdP is what the provider gave for the session, for its refresh and end.
	IdP *IdPSession
}

// StartSession begins a session: the one path that makes any. It returns the
// token, which is shown to the browser only. It refuses with fault.Forbidden
// people who are disabled or belong to no tenant that is open, and the
// emergency administrator when a provider vouches. Sessions beyond the
// tenant's limit end, the longest unused first. Without a proven second factor
// people who have one are asked for it: the error is a *SecondFactor then, and
// FinishSignIn begins the session.
func (s *Service) StartSession(ctx context.Context, in SignedIn) (string, Session, error) {
	if !in.MFA {
		if err := s.secondStep(ctx, in); err != nil {
			return "", Session{}, err
		}
	}
	token := newToken()
	session := Session{
		ID: id.New(), UserID: in.User, TenantID: in.Tenant, Address: in.Address, UserAgent: trimmed(in.UserAgent, 300),
		Method: in.Method, MFA: in.MFA,
	}
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := s.store.lock(ctx, in.User)
		if err != nil {
			return err
		}
		if err := in.acceptable(acc); err != nil {
			return err
		}
		if session.TenantID, err = s.entry(ctx, acc, in); err != nil {
			return err
		}
		return s.begin(actor.With(ctx, person(acc, session)), in, &session, token)
	})
	return token, session, err
}

func (in SignedIn) acceptable(acc account) error {
	if acc.Status != Active {
		return fault.New(fault.Forbidden, "This account is disabled. Ask an administrator.")
	}
	if acc.Emergency && (in.Method == ByOIDC || in.Method == BySAML) {
		return fault.New(fault.Forbidden, "The emergency administrator signs in here, with a password, and never through a provider.")
	}
	return nil
}

// entry is the tenant in which a session begins: the one asked for, or the
// first that is open to this way of signing in.
func (s *Service) entry(ctx context.Context, acc account, in SignedIn) (id.ID, error) {
	tenants, err := s.store.tenantsOf(ctx, in.User)
	switch {
	case err != nil:
		return id.ID{}, err
	case len(tenants) == 0:
		return id.ID{}, fault.New(fault.Forbidden, "Your account belongs to no tenant that is open to you. Ask an administrator to add you to one.")
	case !in.Tenant.IsZero() && !slices.Contains(tenants, in.Tenant):
		return id.ID{}, fault.New(fault.Forbidden, "Your account does not belong to this tenant. Ask an administrator to add you.")
	case !in.Tenant.IsZero():
		tenants = []id.ID{in.Tenant}
	}
	for _, tenant := range tenants {
		if err = s.opens(ctx, acc, tenant, in.Method); !fault.Is(err, fault.Forbidden) {
			return tenant, err
		}
	}
	return id.ID{}, err
}

// opens is fault.Forbidden when a tenant has its people sign in elsewhere.
func (s *Service) opens(ctx context.Context, acc account, tenant id.ID, by Method) error {
	policy, err := s.sessionPolicy(ctx, tenant)
	if err != nil || !policy.ProviderOnly || acc.Emergency || by == ByOIDC || by == BySAML {
		return err
	}
	return fault.New(fault.Forbidden, "This tenant's people sign in at its provider. Enter your e-mail address on the sign-in page to get there.")
}

func (s *Service) begin(ctx context.Context, in SignedIn, session *Session, token string) error {
	policy, err := s.sessionPolicy(ctx, session.TenantID)
	if err != nil {
		return err
	}
	if err := s.store.addSession(ctx, session, in, policy, hashToken(token)); err != nil {
		return err
	}
	if in.IdP != nil {
		if err := (federationStore{}).addSession(ctx, session.ID, in.Provider, *in.IdP); err != nil {
			return err
		}
	}
	ended, err := s.store.endOldest(ctx, in.User, policy.MaxPerUser)
	if err != nil {
		return err
	}
	if err := s.cut(ctx, in.User, ended); err != nil {
		return err
	}
	if err := s.store.signedIn(ctx, in.User); err != nil {
		return err
	}
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.session.created", Target: audit.Target{Kind: "user", ID: in.User.String(), Name: a.Name},
		Details: map[string]any{
			"session": session.ID, "user_agent": session.UserAgent, "method": in.Method, "mfa": in.MFA,
			"provider": in.Provider, "sessions_ended": len(ended),
		},
	})
}

// Authenticate returns who a session token belongs to, or
// fault.Unauthenticated when the session has ended, the person is disabled or
// removed, or the tenant is closed. It takes one query.
func (s *Service) Authenticate(ctx context.Context, token string) (actor.Actor, error) {
	return s.authenticate(ctx, token, s.store.liveSession, "Your session has ended. Sign in again.")
}

// AuthenticateToken returns who an API token belongs to, with its scopes, or
// fault.Unauthenticated. It takes one query.
func (s *Service) AuthenticateToken(ctx context.Context, token string) (actor.Actor, error) {
	return s.authenticate(ctx, token, s.store.liveToken, "This API token is not valid, or it has expired.")
}

// finder finds who a token belongs to and, when it may write, keeps when it was used.
type finder func(ctx context.Context, hash []byte, write bool) (actor.Actor, error)

// authenticate goes on on a full disk: when a token was used is not kept then.
func (s *Service) authenticate(ctx context.Context, token string, find finder, refusal string) (actor.Actor, error) {
	a, err := s.found(ctx, token, find, true)
	if fault.Is(err, fault.Unavailable) {
		a, err = s.found(ctx, token, find, false)
	}
	if fault.Is(err, fault.NotFound) {
		return actor.Actor{}, fault.New(fault.Unauthenticated, "%s", refusal)
	}
	return a, err
}

func (s *Service) found(ctx context.Context, token string, find finder, write bool) (a actor.Actor, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		a, err = find(ctx, hashToken(token), write)
		return err
	})
	return a, err
}

// Lives is fault.Unauthenticated when the session or API token that let an actor
// in has ended since, whatever ended it.
func (s *Service) Lives(ctx context.Context, a actor.Actor) error {
	lives := false
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		lives, err = s.store.lives(ctx, a.Session)
		return err
	})
	if err == nil && !lives {
		err = fault.New(fault.Unauthenticated, "Your session has ended. Sign in again.")
	}
	return err
}

// inSession returns the actor when it is a person in a browser session. An
// API token is fault.Forbidden: who finds one must not be able to keep access
// with it, or to leave its scopes.
func inSession(ctx context.Context) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err == nil && (a.Kind != actor.User || a.AuthenticatedAt.IsZero()) {
		err = fault.New(fault.Forbidden, "An API token cannot do this. Sign in with a browser.")
	}
	return a, err
}

// unnarrowed returns the actor unless it is an API token with scopes: no scope
// includes its owner's sessions and other tokens.
func unnarrowed(ctx context.Context) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err == nil && len(a.Scopes) > 0 {
		err = fault.New(fault.Forbidden, "The API token's scopes do not include it.")
	}
	return a, err
}

// SignOut ends the actor's session.
func (s *Service) SignOut(ctx context.Context) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.EndSession(ctx, a.Session)
}

// Sessions lists the actor's own sessions, the last used first.
func (s *Service) Sessions(ctx context.Context) ([]Session, error) {
	a, err := unnarrowed(ctx)
	if err != nil {
		return nil, err
	}
	return s.sessions(ctx, a.ID, id.ID{})
}

func (s *Service) sessions(ctx context.Context, user, tenant id.ID) ([]Session, error) {
	var all []Session
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.sessionsOf(ctx, user, tenant)
		return err
	})
	return all, err
}

// EndSession ends one of the actor's own sessions; its sockets are cut.
func (s *Service) EndSession(ctx context.Context, session id.ID) error {
	a, err := unnarrowed(ctx)
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
		if err := s.cut(ctx, a.ID, []id.ID{session}); err != nil {
			return err
		}
		return s.Audit.Record(ctx, sessionsEnded(a.ID, a.Name, []id.ID{session}))
	})
}

// EndSessions signs the actor out everywhere; keep says whether the session it
// acts in stays.
func (s *Service) EndSessions(ctx context.Context, keep bool) error {
	a, err := inSession(ctx)
	if err != nil {
		return err
	}
	kept := id.ID{}
	if keep {
		kept = a.Session
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		return s.endOthers(ctx, a.ID, a.Name, kept)
	})
}

// endOthers ends all sessions of a person but one.
func (s *Service) endOthers(ctx context.Context, user id.ID, name string, kept id.ID) error {
	ended, err := s.store.endAllBut(ctx, user, kept)
	if err != nil || len(ended) == 0 {
		return err
	}
	if err := s.cut(ctx, user, ended); err != nil {
		return err
	}
	return s.Audit.Record(ctx, sessionsEnded(user, name, ended))
}

func sessionsEnded(user id.ID, name string, ended []id.ID) audit.Entry {
	return audit.Entry{
		Event: "identity.session.ended", Target: audit.Target{Kind: "user", ID: user.String(), Name: name},
		Details: map[string]any{"sessions": ended},
	}
}

// UserSessions lists the sessions of a member: those in the actor's tenant,
// and for the provider all.
func (s *Service) UserSessions(ctx context.Context, user id.ID) ([]Session, error) {
	a, err := s.authorise(ctx, ReadSession)
	if err != nil {
		return nil, err
	}
	if _, err := s.member(ctx, a.TenantID, user); err != nil {
		return nil, err
	}
	return s.sessions(ctx, user, s.reach(a.TenantID))
}

// EndUserSessions ends the sessions of a member: those in the actor's tenant,
// and for the provider all. API tokens stay.
func (s *Service) EndUserSessions(ctx context.Context, user id.ID) error {
	a, err := s.authorise(ctx, EndSession)
	if err != nil {
		return err
	}
	acc, err := s.member(ctx, a.TenantID, user)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		ended, err := s.endIn(ctx, user, s.reach(a.TenantID))
		if err != nil || len(ended) == 0 {
			return err
		}
		entry := sessionsEnded(user, acc.Name, ended)
		entry.Priority = audit.Notice
		return s.Audit.Record(ctx, entry)
	})
}

// reach is the tenant whose sessions an administrator sees; zero means all.
func (s *Service) reach(tenant id.ID) id.ID {
	if s.Permissions.IsRoot(tenant) {
		return id.ID{}
	}
	return tenant
}

// endIn ends a person's sessions in one tenant (zero: in all) and cuts their
// sockets.
func (s *Service) endIn(ctx context.Context, user, tenant id.ID) (ended []id.ID, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if ended, err = s.store.endIn(ctx, user, tenant); err != nil {
			return err
		}
		return s.cut(ctx, user, ended)
	})
	return ended, err
}

// SessionEnded is the event that cuts sockets, because a session ended or went to
// another tenant; its ID is the session or API token, or zero for all of the user's.
const SessionEnded = "session.ended"

func (s *Service) sessionEnded(ctx context.Context, user, session id.ID) error {
	return s.Events.Publish(ctx, event.Event{Type: SessionEnded, ID: session, User: user}, nil)
}

func (s *Service) cut(ctx context.Context, user id.ID, sessions []id.ID) error {
	for _, session := range sessions {
		if err := s.sessionEnded(ctx, user, session); err != nil {
			return err
		}
	}
	return nil
}

// TenantsOf lists the tenants the actor belongs to, the root tenant first; for
// a service account, its own.
func (s *Service) TenantsOf(ctx context.Context) ([]id.ID, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	if a.Kind == actor.ServiceAccount {
		return []id.ID{a.TenantID}, nil
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
// the person does not belong to is fault.NotFound. The session's limits become
// those of the stricter tenant. Its sockets, which act in the tenant before, are
// cut: browsers come back in the new one.
func (s *Service) UseTenant(ctx context.Context, tenant id.ID) (actor.Actor, error) {
	a, err := inSession(ctx)
	if err != nil {
		return a, err
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		mine, err := s.store.tenantsOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if !slices.Contains(mine, tenant) {
			return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
		}
		if err := s.mayUse(ctx, a, tenant); err != nil {
			return err
		}
		policy, err := s.sessionPolicy(ctx, tenant)
		if err != nil {
			return err
		}
		if err := s.store.useTenant(ctx, a.Session, tenant, policy); err != nil || tenant == a.TenantID {
			return err
		}
		return s.sessionEnded(ctx, a.ID, a.Session)
	})
	a.TenantID = tenant
	return a, err
}
