package identity

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/saml"
)

// IdPSession is what a provider gave for a session. Its tokens are sealed.
type IdPSession struct {
	Subject   string     `json:"subject"`
	Sealed    []byte     `json:"sealed"`
	RefreshAt *time.Time `json:"refresh_at,omitempty"`
	Ends      *time.Time `json:"ends,omitempty"`
}

func tokensPurpose(provider id.ID, subject string) string {
	return "federated-session/" + provider.String() + "/" + subject
}

func (f *Federation) sealTokens(ctx context.Context, p sealedProvider, subject string, t tokens) ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return f.Keyring.Seal(ctx, p.tenant, tokensPurpose(p.ID, subject), text)
}

func (f *Federation) openTokens(ctx context.Context, tenant id.ID, s federatedSession) (t tokens, err error) {
	text, err := f.Keyring.Open(ctx, tenant, tokensPurpose(s.Provider, s.Subject), s.Sealed)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

// SignOutURL is where the browser ends the session at the provider too; empty
// when no provider began the actor's session or it has no such place. Ask
// before the session ends. A provider that does not answer never keeps anybody
// from signing out here.
func (f *Federation) SignOutURL(ctx context.Context) string {
	a, err := actor.Require(ctx)
	if err != nil || a.Session.IsZero() {
		return ""
	}
	var s federatedSession
	err = f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		s, err = f.store.session(ctx, a.Session)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return ""
	}
	at, err := f.signOutURL(ctx, s, err)
	if err != nil {
		f.Identity.Logger.Error("signing out at the provider is not possible", "provider", s.Provider, "error", err)
	}
	return at
}

func (f *Federation) signOutURL(ctx context.Context, s federatedSession, err error) (string, error) {
	if err != nil {
		return "", err
	}
	p, err := f.public(ctx, s.Provider)
	if err != nil || p.Kind != OIDC {
		return "", err
	}
	t, err := f.openTokens(ctx, p.tenant, s)
	if err != nil {
		return "", err
	}
	issuer, err := f.issuer(ctx, p)
	if err != nil {
		return "", err
	}
	at, _ := issuer.LogoutURL(t.IDToken, f.Identity.URL()+"/sign-in")
	return at, nil
}

// BackChannelLogout ends the sessions that an issuer says are over. A token
// that does not hold, or came before, is fault.Invalid.
func (f *Federation) BackChannelLogout(ctx context.Context, provider id.ID, token string) error {
	p, err := f.public(ctx, provider)
	if err != nil {
		return err
	}
	if p.Kind != OIDC || !p.Enabled {
		return errNoProvider
	}
	issuer, err := f.issuer(ctx, p)
	if err != nil {
		return err
	}
	out, err := issuer.BackChannelLogout(ctx, token)
	if err != nil {
		return err
	}
	ctx = actor.AsSystem(ctx, systemName, p.tenant)
	return f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		err := f.once(ctx, p, "logout "+out.TokenID, out.Expires)
		if fault.Is(err, fault.Unauthenticated) {
			return fault.New(fault.Invalid, "The logout token was used before.")
		}
		if err != nil {
			return err
		}
		ended, err := f.endAtIdP(ctx, provider, out.Subject, out.SessionID)
		if err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{
			Event: "identity.session.ended-by-provider", Target: providerTarget(p.Provider), Details: map[string]any{"subject": out.Subject, "sessions": ended},
		})
	})
}

// endAtIdP ends the sessions of one session of the provider or, when it named
// none, of a subject.
func (f *Federation) endAtIdP(ctx context.Context, provider id.ID, subject, session string) (ids []id.ID, err error) {
	if session != "" {
		subject = ""
	}
	err = f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := f.store.endIdPSession(ctx, provider, subject, session)
		for _, c := range ended {
			ids = append(ids, c.ID)
		}
		return errors.Join(err, f.cut(ctx, ended))
	})
	return ids, err
}

// refreshBatch is how many sessions one round asks about.
const refreshBatch = 200

// Refresh asks issuers again about the sessions that they began: one that is
// over there ends here, and what the claims give is brought up to date. An
// issuer that does not answer changes nothing. It may run at any time and on
// every node.
func (f *Federation) Refresh(ctx context.Context) error {
	var due []federatedSession
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		due, err = f.store.dueSessions(ctx, refreshBatch)
		return err
	})
	for _, s := range due {
		if problem := f.refresh(ctx, s); problem != nil {
			f.Identity.Logger.Warn("a session could not be refreshed at its provider", "session", s.Session, "provider", s.Provider, "error", problem)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

func (f *Federation) refresh(ctx context.Context, s federatedSession) error {
	p, err := f.public(ctx, s.Provider)
	if err != nil || p.Kind != OIDC {
		return err
	}
	issuer, err := f.issuer(ctx, p)
	if err != nil {
		return err
	}
	t, err := f.openTokens(ctx, p.tenant, s)
	if err != nil {
		return err
	}
	ctx = actor.AsSystem(ctx, systemName, p.tenant)
	r, err := issuer.Refresh(ctx, t.Refresh, s.Subject)
	if fault.Is(err, fault.Gone) || fault.Is(err, fault.Unauthenticated) {
		return f.over(ctx, p, s, fault.Message(err))
	}
	if err != nil {
		return err
	}
	who := fromOIDC(p.Provider, r)
	if who.IDToken == "" {
		who.IDToken = t.IDToken
	}
	return f.renew(ctx, p, s, who)
}

// renew stores the new tokens and gives and takes by the claims of now. An
// issuer may leave claims out of a refresh: then what they gave stays.
func (f *Federation) renew(ctx context.Context, p sealedProvider, s federatedSession, who vouched) error {
	text, err := f.sealTokens(ctx, p, s.Subject, who.tokens)
	if err != nil {
		return err
	}
	return f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
			next := time.Now().Add(refreshMax)
			if at := who.refreshAt(); at != nil {
				next = *at
			}
			return f.store.refreshed(ctx, s.Session, text, next)
		})
		if err != nil || !p.told(who.Claims) {
			return err
		}
		_, err = f.give(ctx, p, s.User, who.Claims)
		return err
	})
}

// told is true when every claim that the mapping looks at is there.
func (p Provider) told(c claims) bool {
	needed := []string{}
	for _, r := range p.Mapping {
		needed = append(needed, r.Claim)
	}
	if p.JIT.Groups {
		needed = append(needed, p.GroupsClaim)
	}
	return !slices.ContainsFunc(needed, func(name string) bool { return !c.has(name) })
}

// over ends a session whose provider no longer vouches for it.
func (f *Federation) over(ctx context.Context, p sealedProvider, s federatedSession, why string) error {
	return f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := f.Identity.store.endSession(ctx, s.User, s.Session)
		if err != nil || !ended {
			return err
		}
		if err := f.Identity.sessionEnded(ctx, s.User, s.Session); err != nil {
			return err
		}
		entry := sessionsEnded(s.User, s.Name, []id.ID{s.Session})
		entry.Reason = why
		entry.Details["provider"] = p.ID
		return f.Identity.Audit.Record(ctx, entry)
	})
}

// RefreshMetadata fetches the metadata of SAML providers that have an address
// of them, so that keys which the other side changes are known in time.
// Metadata of another identity provider are not taken.
func (f *Federation) RefreshMetadata(ctx context.Context) error {
	var tenants []id.ID
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		tenants, err = f.store.providerTenants(ctx)
		return err
	})
	for _, tenant := range tenants {
		all, problem := f.list(ctx, tenant)
		err = errors.Join(err, problem)
		for _, p := range all {
			if p.SAML != nil && p.SAML.MetadataURL != "" && p.Enabled {
				f.refreshMetadata(actor.AsSystem(ctx, systemName, tenant), p)
			}
		}
	}
	return err
}

func (f *Federation) refreshMetadata(ctx context.Context, p sealedProvider) {
	now := time.Now().UTC()
	found, err := f.fetchMetadata(ctx, p.Provider)
	if err == nil && found.EntityID != p.SAML.IdPEntityID {
		err = fault.New(fault.Conflict, "The metadata at this address are now of another identity provider. Check them and enter them again.")
	}
	if err == nil {
		err = f.takeKeys(ctx, p, found)
	}
	p.Status = ProviderStatus{OK: err == nil, Message: "The metadata are up to date.", CheckedAt: &now}
	if err != nil {
		p.Status.Message = fault.Message(err)
	}
	f.note(ctx, p)
}

// takeKeys stores what fetched metadata change.
func (f *Federation) takeKeys(ctx context.Context, p sealedProvider, found saml.IdP) error {
	before := p.settings()
	p.SAML = clone(p.SAML)
	had := slices.Clone(p.SAML.Certificates)
	at := p.SAML.SSOURL
	p.SAML.take(found)
	if slices.Equal(had, p.SAML.Certificates) && at == p.SAML.SSOURL {
		return nil
	}
	return f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		if err := f.store.updateProvider(ctx, p); err != nil {
			return err
		}
		return f.Identity.Audit.Record(ctx, audit.Entry{
			Event: "identity.provider.updated", Priority: audit.Warning, Target: providerTarget(p.Provider),
			Reason: "The identity provider changed its metadata.", Before: before, After: p.settings(),
		})
	})
}

// mayUse keeps the word of a tenant's provider in that tenant: a session that
// it began enters no other one. The provider level's own vouches everywhere.
func (s *Service) mayUse(ctx context.Context, a actor.Actor, tenant id.ID) error {
	from, err := federationStore{}.vouchedBy(ctx, a.Session)
	if err == nil && from.IsZero() {
		return s.mayUseLocally(ctx, a.ID, tenant)
	}
	if err != nil || from == tenant || s.Permissions.IsRoot(from) {
		return err
	}
	return fault.New(fault.Forbidden, "You signed in at the provider of another tenant. Sign in here with your password to use this tenant.")
}

func (s *Service) mayUseLocally(ctx context.Context, user, tenant id.ID) error {
	acc, err := s.store.byID(ctx, user)
	if err != nil {
		return err
	}
	return s.opens(ctx, acc, tenant, ByPassword)
}
