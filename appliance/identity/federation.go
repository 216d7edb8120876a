package identity

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/secret"
	"nimbus/appliance/web"
)

// Permissions of sign-in providers.
const (
	ReadProvider   = "identity:provider:read"
	CreateProvider = "identity:provider:create"
	UpdateProvider = "identity:provider:update"
	DeleteProvider = "identity:provider:delete"
)

// FederationConfig is what signing in elsewhere needs.
type FederationConfig struct {
	Identity *Service
	Keyring  *secret.Keyring
	Outbound *web.Outbound
	// TenantForEmail tells which tenant an address's domain belongs to; nil
	// means that no domain belongs to any.
	TenantForEmail func(ctx context.Context, email string) (id.ID, bool, error)
}

// Federation signs people in at the providers of their tenants.
type Federation struct {
	FederationConfig
	store federationStore

	mu     sync.Mutex
	issues map[id.ID]discovered
}

// discovered is an issuer whose document was read.
type discovered struct {
	revision int64
	at       time.Time
	issuer   *oidc.Provider
}

// discoveryAge is how long a discovery document is believed.
const discoveryAge = time.Hour

// NewFederation returns the service.
func NewFederation(cfg FederationConfig) *Federation {
	if cfg.TenantForEmail == nil {
		cfg.TenantForEmail = func(context.Context, string) (id.ID, bool, error) { return id.ID{}, false, nil }
	}
	return &Federation{FederationConfig: cfg, issues: map[id.ID]discovered{}}
}

// sealed is a provider with its secrets, as it is stored.
type sealedProvider struct {
	Provider
	secret, keys []byte
}

// Providers lists the sign-in providers of the actor's tenant.
func (f *Federation) Providers(ctx context.Context) ([]Provider, error) {
	a, err := f.Identity.authorise(ctx, ReadProvider)
	if err != nil {
		return nil, err
	}
	all := []Provider{}
	stored, err := f.list(ctx, a.TenantID)
	for _, p := range stored {
		all = append(all, f.shown(p))
	}
	return all, err
}

func (f *Federation) list(ctx context.Context, tenant id.ID) (all []sealedProvider, err error) {
	err = f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		all, err = f.store.providers(ctx)
		return err
	})
	return all, err
}

// HasProvider tells, in a transaction of a tenant, whether people can sign in
// at a provider of it. It does not authorise.
func (f *Federation) HasProvider(ctx context.Context) (bool, error) {
	all, err := f.store.providers(ctx)
	return slices.ContainsFunc(all, func(p sealedProvider) bool { return p.Enabled }), err
}

func (f *Federation) shown(p sealedProvider) Provider {
	p.complete()
	p.address(f.Identity.URL())
	if p.OIDC != nil {
		p.OIDC.HasSecret = len(p.secret) > 0
	}
	return p.Provider
}

// Provider returns one provider of the actor's tenant.
func (f *Federation) Provider(ctx context.Context, provider id.ID) (Provider, error) {
	a, err := f.Identity.authorise(ctx, ReadProvider)
	if err != nil {
		return Provider{}, err
	}
	p, err := f.get(ctx, a.TenantID, provider)
	return f.shown(p), err
}

func (f *Federation) get(ctx context.Context, tenant, provider id.ID) (p sealedProvider, err error) {
	err = f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		p, err = f.store.provider(ctx, provider)
		return err
	})
	return p, err
}

func (f *Federation) client(p Provider) (*http.Client, error) {
	if p.OIDC != nil {
		return f.Outbound.Client(p.OIDC.CAPEM)
	}
	return f.Outbound.Client(p.SAML.CAPEM)
}

// endSessions ends every session that the provider began.
func (f *Federation) endSessions(ctx context.Context, provider id.ID) error {
	return f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := f.store.endSessions(ctx, provider)
		return errors.Join(err, f.cut(ctx, ended))
	})
}

func (f *Federation) cut(ctx context.Context, ended []credential) error {
	for _, c := range ended {
		if err := f.Identity.sessionEnded(ctx, c.Owner, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// check looks whether the provider answers and stores what was seen.
func (f *Federation) check(ctx context.Context, p sealedProvider) Provider {
	now := time.Now().UTC()
	p.Status = ProviderStatus{OK: true, Message: "It answers as expected.", CheckedAt: &now}
	if p.Kind == SAML {
		p.Status.Message = "The settings are complete. A test sign-in shows whether they fit."
	} else if _, err := f.issuer(ctx, p); err != nil {
		p.Status.OK, p.Status.Message = false, fault.Message(err)
	}
	f.note(ctx, p)
	return f.shown(p)
}

// note stores the status; it is for show, so that a failure is only logged.
func (f *Federation) note(ctx context.Context, p sealedProvider) {
	err := f.Identity.DB.Tenant(context.WithoutCancel(ctx), p.tenant, func(ctx context.Context) error { return f.store.status(ctx, p.ID, p.Status) })
	if err != nil {
		f.Identity.Logger.Error("the status of a sign-in provider could not be stored", "provider", p.ID, "error", err)
	}
}

// issuer is the provider's issuer, discovered at most once an hour.
func (f *Federation) issuer(ctx context.Context, p sealedProvider) (*oidc.Provider, error) {
	f.mu.Lock()
	known, ok := f.issues[p.ID]
	f.mu.Unlock()
	if ok && known.revision == p.revision && time.Since(known.at) < discoveryAge {
		return known.issuer, nil
	}
	client, err := f.client(p.Provider)
	if err != nil {
		return nil, err
	}
	cfg := oidc.Config{Issuer: p.OIDC.Issuer, ClientID: p.OIDC.ClientID, Scopes: p.OIDC.Scopes, Client: client}
	if len(p.secret) > 0 {
		text, err := f.Keyring.Open(ctx, p.tenant, "identity-provider/"+p.ID.String()+"/secret", p.secret)
		if err != nil {
			return nil, err
		}
		cfg.ClientSecret = string(text)
	}
	shown := f.shown(p)
	cfg.RedirectURI = shown.OIDC.RedirectURI
	found, err := oidc.Discover(ctx, cfg)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issues[p.ID] = discovered{revision: p.revision, at: time.Now(), issuer: found}
	return found, nil
}

var errNoProvider = fault.New(fault.NotFound, "There is no such sign-in provider.")

// systemName is who acts when a provider's word changes something.
const systemName = "sign-in"
