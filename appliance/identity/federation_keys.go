package identity

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/saml"
)

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
