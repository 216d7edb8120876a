package identity

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/saml"
	"nimbus/appliance/web"
)

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

// CreateProvider adds a provider to the actor's tenant. Its rules can only
// give what the actor may give, and it links accounts that are there only for
// who may do all that anybody of the tenant may (fault.Forbidden). One that does not answer is
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
	if err := f.mayLink(ctx, p.Provider); err != nil {
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

// mayLink fails when the provider could sign its author in as somebody of the
// tenant who may do more than they.
func (f *Federation) mayLink(ctx context.Context, p Provider) error {
	if p.JIT.LinkByEmail != LinkVerified {
		return nil
	}
	return f.Identity.Permissions.CoversEverybody(ctx)
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
	same := slices.Equal(before.trust(), after.trust()) && !secret
	if !same || before.JIT.LinkByEmail != after.JIT.LinkByEmail {
		if err := f.mayLink(ctx, after); err != nil {
			return err
		}
	}
	if same {
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
			err = f.Identity.coversPerson(ctx, before.tenant, user)
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
