package notification

import (
	"context"
	"log/slog"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

// Permissions of this domain. They count at the provider level only: the mail
// server is the whole appliance's.
const (
	ReadMail   = "system:mail:read"
	UpdateMail = "system:mail:update"
)

const mailPurpose = "mail password"

// Config is what the service needs.
type Config struct {
	DB     *db.DB
	Audit  *audit.Service
	Logger *slog.Logger
	Check  actor.Check
	// IsRoot tells the root tenant.
	IsRoot func(tenant id.ID) bool
	// Keyring seals the password; nil before the root key is open.
	Keyring func() *secret.Keyring
}

// Service sends messages.
type Service struct {
	Config
	store store
}

// New returns the service.
func New(cfg Config) *Service { return &Service{Config: cfg} }

// Mail returns how the mail server is reached, without its password.
func (s *Service) Mail(ctx context.Context) (Mail, error) {
	if err := s.authorise(ctx, ReadMail); err != nil {
		return Mail{}, err
	}
	m, _, err := s.settings(ctx)
	return m, err
}

// SetMail changes how the mail server is reached. A nil password keeps the one
// that is stored, unless host, port, security or user name change: it is never sent to
// another server than the one it was entered for.
func (s *Service) SetMail(ctx context.Context, m Mail, password *string) (Mail, error) {
	if err := s.authorise(ctx, UpdateMail); err != nil {
		return Mail{}, err
	}
	if err := m.validate(); err != nil {
		return Mail{}, err
	}
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		before, sealed, err := s.store.mail(ctx)
		if err != nil {
			return err
		}
		if sealed, err = s.sealed(ctx, before, m, sealed, password); err != nil {
			return err
		}
		m.HasPassword = sealed != nil
		if err := s.store.setMail(ctx, m, sealed); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "system.mail.updated", Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "mail"}, Before: before, After: m,
		})
	})
	return m, err
}

// RemoveMail forgets the mail server: nothing is sent from then on.
func (s *Service) RemoveMail(ctx context.Context) error {
	if err := s.authorise(ctx, UpdateMail); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		before, _, err := s.store.mail(ctx)
		if err != nil || !before.Configured() {
			return err
		}
		if err := s.store.removeMail(ctx); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "system.mail.removed", Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "mail"}, Before: before,
		})
	})
}

// sealed is the password to store: the new one, or the one that is kept.
func (s *Service) sealed(ctx context.Context, before, after Mail, kept []byte, password *string) ([]byte, error) {
	switch {
	case after.Username == "" || password != nil && *password == "":
		return nil, nil
	case password != nil:
		k, err := s.keyring()
		if err != nil {
			return nil, err
		}
		return k.Seal(ctx, id.ID{}, mailPurpose, []byte(*password))
	case kept != nil && (before.Host != after.Host || before.Port != after.Port || before.Security != after.Security || before.Username != after.Username):
		return nil, fault.BadField("body.password", "Enter the password again: the stored one belongs to another server or user.")
	}
	return kept, nil
}

// Test sends a message to an address, to see whether the settings work.
func (s *Service) Test(ctx context.Context, to string) error {
	if err := s.authorise(ctx, UpdateMail); err != nil {
		return err
	}
	err := s.Send(ctx, Message{To: []string{to}, Subject: "Nimbus can send e-mail", Text: "This message shows that the mail settings of Nimbus work.\n"})
	e := audit.Entry{Event: "system.mail.tested", Target: audit.Target{Kind: "settings", Name: "mail"}, Details: map[string]any{"to": to}}
	if err != nil {
		e.Outcome, e.Reason = audit.Failure, fault.Message(err)
	}
	if recorded := s.Audit.RecordAlone(ctx, id.ID{}, e); recorded != nil {
		return recorded
	}
	return err
}

// Send hands a message to the mail server. It is fault.Conflict when none is
// set up, and fault.Unavailable with what the server said when it refuses.
func (s *Service) Send(ctx context.Context, message Message) error {
	m, sealed, err := s.settings(ctx)
	if err != nil {
		return err
	}
	if !m.Configured() {
		return fault.New(fault.Conflict, "There is no mail server yet. The provider sets one up under System, Mail.")
	}
	password, err := s.open(ctx, sealed)
	if err != nil {
		return err
	}
	return deliver(ctx, m, password, message)
}

// Configured reports whether a mail server is set up.
func (s *Service) Configured(ctx context.Context) bool {
	m, _, err := s.settings(ctx)
	return err == nil && m.Configured()
}

func (s *Service) settings(ctx context.Context) (m Mail, sealed []byte, err error) {
	err = s.DB.Core(db.Apart(ctx), func(ctx context.Context) error {
		m, sealed, err = s.store.mail(ctx)
		return err
	})
	return m, sealed, err
}

func (s *Service) open(ctx context.Context, sealed []byte) (string, error) {
	if sealed == nil {
		return "", nil
	}
	k, err := s.keyring()
	if err != nil {
		return "", err
	}
	password, err := k.Open(ctx, id.ID{}, mailPurpose, sealed)
	return string(password), err
}

func (s *Service) keyring() (*secret.Keyring, error) {
	if k := s.Keyring(); k != nil {
		return k, nil
	}
	return nil, fault.New(fault.Unavailable, "The root key is not open, so the mail password cannot be used now. See System health.")
}

func (s *Service) authorise(ctx context.Context, permission string) error {
	who, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	if err := s.Check(ctx, permission); err != nil {
		return err
	}
	if !who.TenantID.IsZero() && !s.IsRoot(who.TenantID) {
		return fault.New(fault.Forbidden, "Only the provider can do this. Switch to the root tenant.")
	}
	return nil
}
