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
	"nimbus/appliance/secret"
)

// Permissions of this domain.
const (
	ReadUser   = "identity:user:read"
	CreateUser = "identity:user:create"
	UpdateUser = "identity:user:update"
	DeleteUser = "identity:user:delete"

	ReadSession = "identity:session:read"
	EndSession  = "identity:session:end"

	ReadGroup   = "identity:group:read"
	CreateGroup = "identity:group:create"
	UpdateGroup = "identity:group:update"
	DeleteGroup = "identity:group:delete"

	ReadServiceAccount   = "identity:service-account:read"
	CreateServiceAccount = "identity:service-account:create"
	UpdateServiceAccount = "identity:service-account:update"
	DeleteServiceAccount = "identity:service-account:delete"

	ReadInvitation   = "identity:invitation:read"
	CreateInvitation = "identity:invitation:create"
	DeleteInvitation = "identity:invitation:delete"
)

// Config is what the service needs.
type Config struct {
	DB          *db.DB
	Audit       *audit.Service
	Permissions *permission.Service
	Events      *event.Bus
	Logger      *slog.Logger
	// SessionPolicy and Policy are what a tenant asks of sessions and of
	// passwords; nil means the defaults.
	SessionPolicy func(ctx context.Context, tenant id.ID) (SessionPolicy, error)
	Policy        func(ctx context.Context, tenant id.ID) (PasswordPolicy, error)
	// URL is the configured address of the appliance, without a final slash:
	// links are made from it, never from what a request says.
	URL func() string
	// Mail sends a text to addresses: fault.Conflict when there is no mail
	// server. nil mails nothing.
	Mail func(ctx context.Context, to []string, subject, text string) error
	// Zone is where a tenant is, for times in mails; nil: UTC.
	Zone func(ctx context.Context, tenant id.ID) *time.Location
	// Reserve fails with fault.Conflict when a tenant may have no more people;
	// it is called in the tenant's transaction. nil is no limit.
	Reserve func(ctx context.Context, tenant id.ID, people int64) error
	// TenantForEmail tells which tenant an address's domain belongs to; nil: none.
	TenantForEmail func(ctx context.Context, email string) (id.ID, bool, error)
	// Keyring seals second factors; it returns nil before the root key is open.
	Keyring func() *secret.Keyring
	// MFAPolicy is what a tenant asks of second factors; nil means nothing.
	MFAPolicy func(ctx context.Context, tenant id.ID) (MFAPolicy, error)
	// StepUpProviders tells where the actor, who signed in at a provider, can
	// prove there that it is still them; nil means nowhere.
	StepUpProviders func(ctx context.Context) ([]StepUpAtIdP, error)
}

// Service manages people and signs them in.
type Service struct {
	Config
	store    store
	throttle *throttle
	guesses  *throttle // of second factors
	watch    watch
}

// New returns a service.
func New(cfg Config) *Service {
	return &Service{Config: cfg, throttle: newThrottle(), guesses: newThrottle(), watch: watch{wake: make(chan struct{}, 1)}}
}

// SignIn checks a password and begins a session in the person's first tenant.
// It returns the session's token, which is shown to the browser only. A wrong
// address, a wrong password and a disabled account are the same
// fault.Unauthenticated; too many failures are fault.TooMany. Whoever has a
// second factor is asked for it first: see SecondFactor.
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
	return s.StartSession(ctx, SignedIn{User: acc.ID, Address: address, UserAgent: userAgent, Method: ByPassword})
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
	hash := acc.Hash
	if hash == "" {
		hash = nobody // who has no password takes as long to refuse
	}
	if matches := passwordMatches(hash, password); !matches || acc.Hash == "" || acc.Status != Active {
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

// Me returns the actor's e-mail address and the session it acts in; for an API
// token that session is empty.
func (s *Service) Me(ctx context.Context) (email string, session Session, err error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return "", Session{}, err
	}
	if a.Kind != actor.User {
		return "", Session{}, nil
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := s.store.byID(ctx, a.ID)
		if err != nil {
			return err
		}
		email = acc.Email
		mine, err := s.store.sessionsOf(ctx, a.ID, id.ID{})
		if i := slices.IndexFunc(mine, func(m Session) bool { return m.ID == a.Session }); i >= 0 {
			session = mine[i]
		}
		return err
	})
	return email, session, err
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
