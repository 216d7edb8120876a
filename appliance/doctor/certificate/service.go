package certificate

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// Front is what serves the port.
type Front struct {
	Current    func() *x509.Certificate
	Set        func(certPEM, keyPEM []byte) error
	SelfSign   func(names ...string) error
	AnswerTLS  func(name string, answer *tls.Certificate) (done func())
	AnswerHTTP func(path, answer string) (done func())
}

// Config is what the service needs.
type Config struct {
	Front Front
	// URL is the address of the appliance.
	URL func() string
	// Load and Save keep the state in the local store: the certificate must be
	// there before the database is.
	Load func(ctx context.Context, to *State) error
	Save func(ctx context.Context, s State) error
	// Seal and Open keep the account's key out of copies of the local store.
	Seal, Open func(ctx context.Context, purpose string, data []byte) ([]byte, error)
	Outbound   *web.Outbound
	// Record writes into the provider's audit chain.
	Record    func(ctx context.Context, e audit.Entry) error
	Authorise actor.Check
	Logger    *slog.Logger
	Version   string
}

// State is what is kept beside the certificate itself.
type State struct {
	Source    Source    `json:"source"`
	ACME      *ACME     `json:"acme,omitempty"`
	Account   []byte    `json:"account,omitempty"` // the account's key, sealed
	LastError string    `json:"last_error,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
}

// Service looks after the certificate. Make it with New.
type Service struct {
	Config
	mu sync.Mutex // one change at a time
}

// New returns the service.
func New(cfg Config) *Service { return &Service{Config: cfg} }

// obtainTimeout is how long an authority may take.
const obtainTimeout = 2 * time.Minute

const accountPurpose = "acme account"

// Certificate describes the certificate in use. Fault: Forbidden.
func (s *Service) Certificate(ctx context.Context) (Info, error) {
	if err := s.Authorise(ctx, Read); err != nil {
		return Info{}, err
	}
	return s.info(ctx)
}

func (s *Service) info(ctx context.Context) (Info, error) {
	leaf := s.Front.Current()
	if leaf == nil {
		return Info{}, fault.New(fault.Unavailable, "There is no certificate yet. Nimbus is starting.")
	}
	var st State
	if err := s.Load(ctx, &st); err != nil {
		return Info{}, err
	}
	i := describe(leaf)
	if st.Source == ByACME {
		at := renewAt(leaf).UTC()
		i.Source, i.ACME, i.LastError, i.RenewAt = ByACME, st.ACME, st.LastError, &at
	}
	return i, nil
}

// Automatic tells whether the certificate is renewed by itself.
func (s *Service) Automatic(ctx context.Context) bool {
	var st State
	return s.Load(ctx, &st) == nil && st.Source == ByACME
}

// Change says which certificate to use. Certificate and key belong to Own, the
// rest to ByACME.
type Change struct {
	Source          Source
	CertPEM, KeyPEM string
	ACME            *ACME
}

// Change puts another certificate into use at once; when that fails nothing
// changes. Faults: Forbidden, Invalid, and Unavailable when an authority gave none.
func (s *Service) Change(ctx context.Context, c Change) (Info, error) {
	if err := s.Authorise(ctx, Update); err != nil {
		return Info{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := s.info(ctx)
	if err != nil {
		return Info{}, err
	}
	if err := s.change(ctx, c); err != nil {
		return Info{}, errors.Join(err, s.record(ctx, "system.certificate.updated", before, Info{}, err))
	}
	after, err := s.info(ctx)
	if err != nil {
		return after, err
	}
	return after, s.record(ctx, "system.certificate.updated", before, after, nil)
}

func (s *Service) change(ctx context.Context, c Change) error {
	switch c.Source {
	case SelfSigned:
		if err := s.Front.SelfSign(hostOf(s.URL())); err != nil {
			return err
		}
	case Own:
		if err := s.use([]byte(c.CertPEM), []byte(c.KeyPEM)); err != nil {
			return err
		}
	case ByACME:
		return s.first(ctx, c.ACME)
	default:
		return fault.BadField("body.source", "The source is self-signed, own or acme.")
	}
	return s.Save(ctx, State{Source: c.Source})
}

// use checks a certificate and puts it into use.
func (s *Service) use(certPEM, keyPEM []byte) error {
	if err := check(certPEM, keyPEM, s.URL(), time.Now()); err != nil {
		return err
	}
	return s.Front.Set(certPEM, keyPEM)
}

// first asks an authority for the first time. The account's key is kept when the
// authority stays the same.
func (s *Service) first(ctx context.Context, a *ACME) error {
	if a == nil {
		return fault.BadField("body.acme", "Say which authority is asked for which names.")
	}
	if err := a.validate(s.URL()); err != nil {
		return err
	}
	var st State
	if err := s.Load(ctx, &st); err != nil {
		return err
	}
	if st.ACME == nil || st.ACME.Directory != a.Directory {
		st.Account = nil
	}
	st.Source, st.ACME, st.LastError, st.FailedAt = ByACME, a, "", time.Time{}
	if err := s.give(ctx, &st); err != nil {
		return err
	}
	return s.Save(ctx, st)
}

// give gets a certificate from the authority and puts it into use. One that could not
// be used, because the address is another now, is not asked for: authorities count.
func (s *Service) give(ctx context.Context, st *State) error {
	if err := st.ACME.validate(s.URL()); err != nil {
		return err
	}
	account, err := s.account(ctx, st)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	certPEM, keyPEM, err := s.obtain(ctx, *st.ACME, account)
	if err != nil {
		return err
	}
	return s.use(certPEM, keyPEM)
}

// account opens the account's key, or makes one.
func (s *Service) account(ctx context.Context, st *State) (crypto.Signer, error) {
	if len(st.Account) > 0 {
		raw, err := s.Open(ctx, accountPurpose, st.Account)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, errors.New("the key of the account at the authority cannot be read")
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return key.(*ecdsa.PrivateKey), nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	st.Account, err = s.Seal(ctx, accountPurpose, raw)
	return key, err
}

// Renew renews the certificate when it is time. When that fails the old one
// stays, what went wrong is kept and recorded, and the next run tries again.
func (s *Service) Renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var st State
	if err := s.Load(ctx, &st); err != nil {
		return err
	}
	leaf := s.Front.Current()
	if st.Source != ByACME || st.ACME == nil || leaf == nil || time.Now().Before(renewAt(leaf)) {
		return nil
	}
	before := describe(leaf)
	failed := s.give(ctx, &st)
	if failed != nil {
		return s.notRenewed(ctx, st, before, failed)
	}
	st.LastError, st.FailedAt = "", time.Time{}
	if err := s.Save(ctx, st); err != nil {
		return err
	}
	return s.record(ctx, "system.certificate.renewed", before, describe(s.Front.Current()), nil)
}

// notRenewed keeps what went wrong. It is recorded when it is new, not every hour.
func (s *Service) notRenewed(ctx context.Context, st State, before Info, failed error) error {
	message := fault.Message(failed)
	known := st.LastError == message
	st.LastError, st.FailedAt = message, time.Now().UTC()
	s.Logger.Error("the certificate was not renewed", "error", failed)
	err := s.Save(ctx, st)
	if !known {
		err = errors.Join(err, s.record(ctx, "system.certificate.renewed", before, Info{}, failed))
	}
	return errors.Join(failed, err)
}

func (s *Service) record(ctx context.Context, event string, before, after Info, failed error) error {
	e := audit.Entry{Event: event, Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "certificate"}, Before: before}
	if failed != nil {
		e.Outcome, e.Reason = audit.Failure, fault.Message(failed)
	} else {
		e.After = after
	}
	return s.Record(ctx, e)
}
