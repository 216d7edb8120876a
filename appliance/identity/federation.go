package identity

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/identity/saml"
	"nimbus/appliance/permission"
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

// ProviderChange is what a person enters; nil leaves things as they are.
type ProviderChange struct {
	Name           *string     `json:"name,omitempty" maxLength:"100"`
	Enabled        *bool       `json:"enabled,omitempty"`
	OIDC           *OIDCChange `json:"oidc,omitempty"`
	SAML           *SAMLChange `json:"saml,omitempty"`
	JIT            *JIT        `json:"jit,omitempty"`
	Mapping        *[]Rule     `json:"mapping,omitempty" maxItems:"200"`
	DefaultRoleIDs *[]id.ID    `json:"default_role_ids,omitempty" maxItems:"200"`
	SubjectClaim   *string     `json:"subject_claim,omitempty" maxLength:"200"`
	EmailClaim     *string     `json:"email_claim,omitempty" maxLength:"200"`
	NameClaim      *string     `json:"name_claim,omitempty" maxLength:"200"`
	GroupsClaim    *string     `json:"groups_claim,omitempty" maxLength:"200"`
	TrustMFA       *bool       `json:"trust_mfa,omitempty"`
}

// OIDCChange is the part of a ProviderChange about an issuer.
type OIDCChange struct {
	Issuer       *string   `json:"issuer,omitempty" maxLength:"500"`
	ClientID     *string   `json:"client_id,omitempty" maxLength:"500"`
	ClientSecret *string   `json:"client_secret,omitempty" maxLength:"2000" doc:"Stored encrypted and never shown."`
	Scopes       *[]string `json:"scopes,omitempty" maxItems:"30"`
	CAPEM        *string   `json:"ca_pem,omitempty" maxLength:"65536"`
}

// SAMLChange is the part of a ProviderChange about an identity provider.
type SAMLChange struct {
	MetadataXML            *string   `json:"metadata_xml,omitempty" maxLength:"1048576"`
	MetadataURL            *string   `json:"metadata_url,omitempty" maxLength:"1000"`
	CAPEM                  *string   `json:"ca_pem,omitempty" maxLength:"65536"`
	IdPEntityID            *string   `json:"idp_entity_id,omitempty" maxLength:"1024"`
	SSOURL                 *string   `json:"sso_url,omitempty" maxLength:"1000"`
	Certificates           *[]string `json:"certificates,omitempty" maxItems:"10"`
	SignRequests           *bool     `json:"sign_requests,omitempty"`
	RequireEncrypted       *bool     `json:"require_encrypted,omitempty"`
	RequireSignedAssertion *bool     `json:"require_signed_assertion,omitempty"`
	AllowIdPInitiated      *bool     `json:"allow_idp_initiated,omitempty"`
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func (c ProviderChange) apply(p *Provider) {
	set(&p.Name, c.Name)
	set(&p.Enabled, c.Enabled)
	set(&p.JIT, c.JIT)
	set(&p.Mapping, c.Mapping)
	set(&p.DefaultRoleIDs, c.DefaultRoleIDs)
	set(&p.SubjectClaim, c.SubjectClaim)
	set(&p.EmailClaim, c.EmailClaim)
	set(&p.NameClaim, c.NameClaim)
	set(&p.GroupsClaim, c.GroupsClaim)
	set(&p.TrustMFA, c.TrustMFA)
	if o := c.OIDC; o != nil {
		p.OIDC = clone(p.OIDC)
		set(&p.OIDC.Issuer, o.Issuer)
		set(&p.OIDC.ClientID, o.ClientID)
		set(&p.OIDC.Scopes, o.Scopes)
		set(&p.OIDC.CAPEM, o.CAPEM)
	}
	if s := c.SAML; s != nil {
		p.SAML = clone(p.SAML)
		set(&p.SAML.MetadataURL, s.MetadataURL)
		set(&p.SAML.CAPEM, s.CAPEM)
		set(&p.SAML.IdPEntityID, s.IdPEntityID)
		set(&p.SAML.SSOURL, s.SSOURL)
		set(&p.SAML.Certificates, s.Certificates)
		set(&p.SAML.SignRequests, s.SignRequests)
		set(&p.SAML.RequireEncrypted, s.RequireEncrypted)
		set(&p.SAML.RequireSignedAssertion, s.RequireSignedAssertion)
		set(&p.SAML.AllowIdPInitiated, s.AllowIdPInitiated)
	}
}

func clone[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	c := *v
	return &c
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

// CreateProvider adds a provider to the actor's tenant. Its rules can only
// give what the actor may give (fault.Forbidden). One that does not answer is
// stored all the same; its status says why.
func (f *Federation) CreateProvider(ctx context.Context, kind ProviderKind, c ProviderChange) (Provider, error) {
	a, err := f.Identity.authorise(ctx, CreateProvider)
	if err != nil {
		return Provider{}, err
	}
	p := sealedProvider{Provider: Provider{ID: id.New(), Kind: kind, Enabled: true, tenant: a.TenantID, revision: 1}}
	if err := f.change(ctx, &p, c); err != nil {
		return Provider{}, err
	}
	if err := f.mayGive(ctx, p.Provider); err != nil {
		return Provider{}, err
	}
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := f.add(ctx, p); err != nil {
			return err
		}
		if err := f.Identity.DB.Core(ctx, func(ctx context.Context) error { return f.store.own(ctx, p.ID, a.TenantID) }); err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{
			Event: "identity.provider.created", Priority: audit.Warning, Target: providerTarget(p.Provider), After: p.settings(),
		})
	})
	if err != nil {
		return Provider{}, taken(err)
	}
	return f.check(ctx, p), nil
}

func (f *Federation) add(ctx context.Context, p sealedProvider) error {
	if err := f.store.addProvider(ctx, p); err != nil {
		return err
	}
	n, err := f.store.countProviders(ctx)
	if err == nil && n > maxProviders {
		err = fault.New(fault.Conflict, "There are %d sign-in providers already. Delete one first.", maxProviders)
	}
	return err
}

// taken says so when the database refused a name; conflicts of our own have
// their sentence already.
func taken(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Conflict && f.Cause != nil {
		return fault.BadField("body.name", "A sign-in provider with this name exists already.")
	}
	return err
}

func providerTarget(p Provider) audit.Target {
	return audit.Target{Kind: "identity_provider", ID: p.ID.String(), Name: p.Name}
}

// settings are what an audit record says of a provider.
func (p Provider) settings() map[string]any {
	return map[string]any{"name": p.Name, "kind": p.Kind, "enabled": p.Enabled, "settings": p.ProviderSettings}
}

// change applies what was entered, fetches metadata where asked, seals the
// secrets and validates the whole.
func (f *Federation) change(ctx context.Context, p *sealedProvider, c ProviderChange) error {
	c.apply(&p.Provider)
	if err := f.takeMetadata(ctx, &p.Provider, c.SAML); err != nil {
		return err
	}
	p.complete()
	p.address(f.Identity.URL())
	if err := p.validate(); err != nil {
		return err
	}
	if c.OIDC != nil && c.OIDC.ClientSecret != nil {
		if err := f.sealSecret(ctx, p, *c.OIDC.ClientSecret); err != nil {
			return err
		}
	}
	if p.Kind == SAML && len(p.keys) == 0 {
		return f.addKey(ctx, p)
	}
	_, err := f.client(p.Provider)
	return err
}

func (f *Federation) sealSecret(ctx context.Context, p *sealedProvider, text string) (err error) {
	p.secret = []byte{}
	if text != "" {
		p.secret, err = f.Keyring.Seal(ctx, p.tenant, "identity-provider/"+p.ID.String()+"/secret", []byte(text))
	}
	return err
}

// takeMetadata reads metadata that were pasted, or fetches them when their
// address was entered.
func (f *Federation) takeMetadata(ctx context.Context, p *Provider, c *SAMLChange) error {
	if c == nil || p.SAML == nil {
		return nil
	}
	if c.MetadataXML != nil {
		found, err := saml.ParseMetadata([]byte(*c.MetadataXML), time.Now())
		if err == nil {
			p.SAML.take(found)
		}
		return err
	}
	if c.MetadataURL == nil || *c.MetadataURL == "" {
		return nil
	}
	found, err := f.fetchMetadata(ctx, *p)
	if err == nil {
		p.SAML.take(found)
	}
	return err
}

func (f *Federation) fetchMetadata(ctx context.Context, p Provider) (saml.IdP, error) {
	client, err := f.client(p)
	if err != nil {
		return saml.IdP{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.SAML.MetadataURL, nil)
	if err != nil {
		return saml.IdP{}, fault.BadField("body.saml.metadata_url", "The address of the metadata begins with https://.")
	}
	res, err := client.Do(req)
	if err != nil {
		return saml.IdP{}, fault.Wrap(fault.Invalid, err, "The metadata cannot be fetched: %s", web.OutboundProblem(err))
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return saml.IdP{}, fault.Wrap(fault.Invalid, err, "The metadata cannot be fetched: the server answers %s.", res.Status)
	}
	return saml.ParseMetadata(text, time.Now())
}

func (f *Federation) client(p Provider) (*http.Client, error) {
	if p.OIDC != nil {
		return f.Outbound.Client(p.OIDC.CAPEM)
	}
	return f.Outbound.Client(p.SAML.CAPEM)
}

// mayGive fails unless the actor may give everything that the provider gives.
func (f *Federation) mayGive(ctx context.Context, p Provider) error {
	roles, groups := p.gifts()
	if err := f.Identity.Permissions.MayGive(ctx, roles); err != nil {
		if fault.Is(err, fault.NotFound) {
			return fault.BadField("body.mapping", "A role of the mapping does not exist.")
		}
		return err
	}
	for _, g := range groups {
		if err := f.mayAddTo(ctx, p.tenant, g); err != nil {
			return err
		}
	}
	return nil
}

func (f *Federation) mayAddTo(ctx context.Context, tenant, group id.ID) error {
	if err := f.Identity.Permissions.Check(ctx, UpdateGroup); err != nil {
		return err
	}
	var g Group
	err := f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		var err error
		g, err = f.Identity.store.group(ctx, group)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return fault.BadField("body.mapping", "A group of the mapping does not exist.")
	}
	if err == nil {
		err = g.ours()
	}
	if err != nil {
		return err
	}
	return f.Identity.Permissions.Covers(ctx, g.subject())
}

// gifts are the roles and groups that the provider can give.
func (p Provider) gifts() (roles, groups []id.ID) {
	roles = slices.Clone(p.DefaultRoleIDs)
	for _, r := range p.Mapping {
		if r.RoleID.IsZero() {
			groups = append(groups, r.GroupID)
		} else {
			roles = append(roles, r.RoleID)
		}
	}
	return unique(roles), unique(groups)
}

func unique(ids []id.ID) []id.ID {
	slices.SortFunc(ids, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// ChangeProvider changes a provider of the actor's tenant. Who changes more
// than its name must be allowed to give what it gives; who changes whom it
// vouches for must not thereby become somebody with more rights than their own
// (fault.Forbidden). Subjects of another issuer are other people: they are
// linked anew. Disabling ends the sessions that it began.
func (f *Federation) ChangeProvider(ctx context.Context, provider id.ID, c ProviderChange) (Provider, error) {
	a, err := f.Identity.authorise(ctx, UpdateProvider)
	if err != nil {
		return Provider{}, err
	}
	before, err := f.get(ctx, a.TenantID, provider)
	if err != nil {
		return Provider{}, err
	}
	after := before
	if err := f.change(ctx, &after, c); err != nil {
		return Provider{}, err
	}
	if err := f.mayChange(ctx, before.Provider, after.Provider, c); err != nil {
		return Provider{}, err
	}
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		return f.save(ctx, before.Provider, after)
	})
	if err != nil {
		return Provider{}, taken(err)
	}
	after.revision++
	return f.check(ctx, after), nil
}

// mayChange keeps a change within what the actor may do.
func (f *Federation) mayChange(ctx context.Context, before, after Provider, c ProviderChange) error {
	harmless := ProviderChange{Name: c.Name}
	if c.Enabled != nil && !*c.Enabled {
		harmless.Enabled = c.Enabled
	}
	if c == harmless {
		return nil
	}
	if err := f.mayGive(ctx, after); err != nil {
		return err
	}
	secret := c.OIDC != nil && c.OIDC.ClientSecret != nil
	if slices.Equal(before.trust(), after.trust()) && !secret {
		return nil
	}
	var linked []id.ID
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		linked, err = f.store.linked(ctx, before.ID)
		return err
	})
	for _, user := range linked {
		if err == nil {
			err = f.Identity.Permissions.Covers(ctx, permission.Subject{Kind: permission.UserSubject, ID: user})
		}
	}
	return err
}

func (f *Federation) save(ctx context.Context, before Provider, after sealedProvider) error {
	if err := f.store.updateProvider(ctx, after); err != nil {
		return err
	}
	if before.namespace() != after.namespace() {
		if err := f.Identity.DB.Core(ctx, func(ctx context.Context) error { return f.store.unlink(ctx, after.ID) }); err != nil {
			return err
		}
	}
	if before.namespace() != after.namespace() || before.Enabled && !after.Enabled {
		if err := f.endSessions(ctx, after.ID); err != nil {
			return err
		}
	}
	return f.Identity.Audit.Record(ctx, audit.Entry{
		Event: "identity.provider.updated", Priority: audit.Warning, Target: providerTarget(after.Provider),
		Before: before.settings(), After: after.settings(),
	})
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

// DeleteProvider removes a provider of the actor's tenant: its sessions end,
// and what its claims gave is taken away. The accounts stay.
func (f *Federation) DeleteProvider(ctx context.Context, provider id.ID) error {
	a, err := f.Identity.authorise(ctx, DeleteProvider)
	if err != nil {
		return err
	}
	return f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		p, err := f.store.provider(ctx, provider)
		if err != nil {
			return err
		}
		if err := f.takeAll(ctx, a.TenantID, provider); err != nil {
			return err
		}
		if err := f.endSessions(ctx, provider); err != nil {
			return err
		}
		if err := f.store.deleteProvider(ctx, provider); err != nil {
			return err
		}
		if err := f.Identity.DB.Core(ctx, func(ctx context.Context) error { return f.store.disown(ctx, provider) }); err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{
			Event: "identity.provider.deleted", Priority: audit.Warning, Target: providerTarget(p.Provider), Before: p.settings(),
		})
	})
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

// storedKey is a key of ours before it is sealed.
type storedKey struct {
	Private     []byte `json:"private"`
	Certificate []byte `json:"certificate"`
}

// addKey makes a new key the first; the one before stays, to decrypt what is
// under way and until the other side knows the new one.
func (f *Federation) addKey(ctx context.Context, p *sealedProvider) error {
	keys, err := f.keys(ctx, *p)
	if err != nil {
		return err
	}
	made, err := saml.NewKey(p.SAML.SPEntityID, time.Now())
	if err != nil {
		return err
	}
	keys = append([]saml.Key{made}, keys[:min(len(keys), 1)]...)
	var stored []storedKey
	for _, k := range keys {
		private, err := x509.MarshalPKCS8PrivateKey(k.Private)
		if err != nil {
			return err
		}
		stored = append(stored, storedKey{private, k.Certificate.Raw})
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	p.keys, err = f.Keyring.Seal(ctx, p.tenant, "identity-provider/"+p.ID.String()+"/keys", text)
	return err
}

// RotateKey gives a SAML provider a new key of ours; the one before still
// decrypts, and both are in our metadata.
func (f *Federation) RotateKey(ctx context.Context, provider id.ID) (Provider, error) {
	a, err := f.Identity.authorise(ctx, UpdateProvider)
	if err != nil {
		return Provider{}, err
	}
	p, err := f.get(ctx, a.TenantID, provider)
	if err != nil {
		return Provider{}, err
	}
	if p.Kind != SAML {
		return Provider{}, fault.New(fault.Conflict, "Only SAML providers have a key of ours.")
	}
	p.address(f.Identity.URL())
	if err := f.addKey(ctx, &p); err != nil {
		return Provider{}, err
	}
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := f.store.updateProvider(ctx, p); err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{Event: "identity.provider.key-rotated", Priority: audit.Warning, Target: providerTarget(p.Provider)})
	})
	return f.shown(p), err
}

func (f *Federation) keys(ctx context.Context, p sealedProvider) ([]saml.Key, error) {
	if len(p.keys) == 0 {
		return nil, nil
	}
	text, err := f.Keyring.Open(ctx, p.tenant, "identity-provider/"+p.ID.String()+"/keys", p.keys)
	if err != nil {
		return nil, err
	}
	var stored []storedKey
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, err
	}
	var keys []saml.Key
	for _, k := range stored {
		opened, err := saml.OpenKey(k.Private, k.Certificate)
		if err != nil {
			return nil, err
		}
		keys = append(keys, opened)
	}
	return keys, nil
}

// serviceProvider is us towards a SAML provider.
func (f *Federation) serviceProvider(ctx context.Context, p sealedProvider) (*saml.ServiceProvider, error) {
	keys, err := f.keys(ctx, p)
	if err != nil {
		return nil, err
	}
	idp, err := p.SAML.idp()
	if err != nil {
		return nil, err
	}
	s := f.shown(p).SAML
	return &saml.ServiceProvider{
		EntityID: s.SPEntityID, ACSURL: s.ACSURL, IdP: idp, Keys: keys, SignRequests: s.SignRequests,
		RequireEncrypted: s.RequireEncrypted, RequireSignedAssertion: s.RequireSignedAssertion,
	}, nil
}

// Metadata describes us to a SAML provider. Anybody may read it.
func (f *Federation) Metadata(ctx context.Context, provider id.ID) ([]byte, error) {
	p, err := f.public(ctx, provider)
	if err != nil {
		return nil, err
	}
	if p.Kind != SAML {
		return nil, errNoProvider
	}
	sp, err := f.serviceProvider(ctx, p)
	if err != nil {
		return nil, err
	}
	return sp.Metadata()
}

var errNoProvider = fault.New(fault.NotFound, "There is no such sign-in provider.")

// public finds a provider for somebody who is not signed in. One of a tenant
// that is closed is fault.NotFound like one that does not exist.
func (f *Federation) public(ctx context.Context, provider id.ID) (sealedProvider, error) {
	var tenant id.ID
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		tenant, err = f.store.ownerOf(ctx, provider)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return sealedProvider{}, errNoProvider
	}
	if err != nil {
		return sealedProvider{}, err
	}
	p, err := f.get(actor.AsSystem(ctx, systemName, tenant), tenant, provider)
	if fault.Is(err, fault.NotFound) {
		return sealedProvider{}, errNoProvider
	}
	return p, err
}

// systemName is who acts when a provider's word changes something.
const systemName = "sign-in"
