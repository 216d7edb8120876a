package identity

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/identity/saml"
)

// vouched is who a provider says signed in.
type vouched struct {
	// Subject is who it is at the provider, by the chosen claim; Raw by the protocol.
	Subject, Raw, Email, Name string
	// Verified is what the provider says of the address; nil when it says nothing.
	Verified      *bool
	Session       string
	MFA           bool
	Authenticated time.Time // when they proved themselves there
	Claims        claims
	tokens
}

// tokens are what is kept of a sign-in, sealed.
type tokens struct {
	IDToken string    `json:"id_token,omitempty"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expires time.Time `json:"-"` // of what the provider gave
	Ends    time.Time `json:"-"` // when the provider ends the session
}

// How often the provider's word is asked for again.
const (
	refreshMin = 5 * time.Minute
	refreshMax = time.Hour
)

func (t tokens) refreshAt() *time.Time {
	if t.Refresh == "" {
		return nil
	}
	wait := min(max(time.Until(t.Expires), refreshMin), refreshMax)
	at := time.Now().Add(wait)
	return &at
}

func (t tokens) ends() *time.Time {
	if t.Ends.IsZero() {
		return nil
	}
	return &t.Ends
}

func fromOIDC(p Provider, r oidc.Result) vouched {
	v := vouched{
		Subject: r.Subject, Raw: r.Subject, Session: r.SessionID, MFA: r.MFA, Authenticated: r.Authenticated, Claims: r.Claims,
		tokens: tokens{IDToken: r.IDToken, Refresh: r.RefreshToken, Expires: r.Expires},
	}
	return v.named(p)
}

func fromSAML(p Provider, r saml.Result) vouched {
	v := vouched{Subject: r.NameID, Raw: r.NameID, Session: r.SessionIndex, MFA: r.MFA, Authenticated: r.Authenticated, Claims: claims{}, tokens: tokens{Ends: r.SessionEnds}}
	for name, values := range r.Attributes {
		v.Claims[name] = values
	}
	v.Claims["NameID"] = r.NameID
	if r.Transient {
		v.Subject = ""
	}
	return v.named(p)
}

// named reads the claims that say who it is.
func (v vouched) named(p Provider) vouched {
	p.complete()
	if p.SubjectClaim != "" {
		v.Subject = v.Claims.first(p.SubjectClaim)
	}
	v.Email, v.Name = v.Claims.first(p.EmailClaim), v.Claims.first(p.NameClaim)
	if becomesAnother(v.Email) {
		v.Email = ""
	}
	v.Email = strings.ToLower(v.Email)
	if v.Name == "" {
		v.Name = v.Email
	}
	v.Verified = v.verified(p)
	return v
}

// verified is what the provider says of the address that counts here. OpenID
// Connect's email_verified is about the claim email and no other one.
func (v vouched) verified(p Provider) *bool {
	said := v.Claims.first("email_verified")
	if said == "" {
		return nil
	}
	yes := strings.EqualFold(said, "true")
	if yes && p.Kind == OIDC && p.EmailClaim != "email" && !strings.EqualFold(v.Claims.first("email"), v.Email) {
		return nil
	}
	return &yes
}

// admission is what a sign-in yields.
type admission struct {
	User    id.ID
	New     bool
	Missing []string // what could not be given, in words
}

// admit finds or makes the account of who the provider vouches for and brings
// what the provider's claims give up to date. It runs in the transaction of
// the tenant. Whom the rules do not let in is fault.Forbidden.
func (f *Federation) admit(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	p.complete()
	if who.Subject == "" || len(who.Subject) > 255 || !utf8.ValidString(who.Subject) {
		return admission{}, notAllowed("The sign-in provider does not say who you are in a way that stays the same. An administrator can choose the claim that does.")
	}
	var a admission
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if a.User, err = f.store.identityOf(ctx, p.ID, who.Subject); err == nil && a.User.IsZero() {
			a, err = f.firstTime(ctx, p, who)
		}
		return err
	})
	if err != nil {
		return admission{}, err
	}
	if err := f.mayEnter(ctx, p, a.User); err != nil {
		return admission{}, err
	}
	a.Missing, err = f.give(ctx, p, a.User, who.Claims)
	return a, err
}

// mayEnter holds for every sign-in, the first and the later ones. A provider
// vouches for people of its own tenant: an account that reaches into other
// tenants would carry its word there.
func (f *Federation) mayEnter(ctx context.Context, p sealedProvider, user id.ID) error {
	return f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := f.Identity.store.byID(ctx, user)
		if err != nil {
			return err
		}
		if acc.Emergency {
			return notAllowed("This is the emergency administrator. It signs in here, with its password, and never through a provider.")
		}
		in, err := f.store.memberships(ctx, user)
		if err != nil {
			return err
		}
		switch {
		case acc.Status != Active || !in[p.tenant]:
			return notAllowed("Your account is disabled. Ask an administrator.")
		case len(in) > 1 && !f.Identity.Permissions.IsRoot(p.tenant):
			return notAllowed("Your account belongs to other tenants too, so that only the provider of this appliance can vouch for it. Sign in with your password.")
		}
		return nil
	})
}

// firstTime decides about somebody whom the provider vouches for the first
// time: an account that is there, a new one, or none.
func (f *Federation) firstTime(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	if _, _, err := validPerson("x", who.Email); err != nil {
		return admission{}, notAllowed("The sign-in provider names no e-mail address of yours. An administrator can choose the claim that has it.")
	}
	if err := f.store.lockEmail(ctx, who.Email); err != nil {
		return admission{}, err
	}
	acc, found, err := f.store.accountOf(ctx, who.Email)
	switch {
	case err != nil:
		return admission{}, err
	case found:
		return f.linkTo(ctx, p, who, acc)
	}
	return f.newcomer(ctx, p, who)
}

var errNotLinked = "There is an account with your e-mail address that is not linked to this sign-in provider. Sign in as you did before, or ask an administrator."

// linkTo gives an account that is there to a subject: only where the
// administrator allowed it, the provider says that the address is verified,
// the address's domain is the tenant's, and the account is of this tenant.
func (f *Federation) linkTo(ctx context.Context, p sealedProvider, who vouched, acc account) (admission, error) {
	in, err := f.store.memberships(ctx, acc.ID)
	if err != nil {
		return admission{}, err
	}
	own, _, err := f.domain(ctx, p.tenant, who.Email)
	if err != nil {
		return admission{}, err
	}
	verified := who.Verified != nil && *who.Verified
	if acc.Emergency || p.JIT.LinkByEmail != LinkVerified || !verified || !own || !in[p.tenant] || len(in) > 1 {
		return admission{}, notAllowed("%s", errNotLinked)
	}
	if err := f.store.link(ctx, p.ID, who.Subject, acc.ID, p.tenant); err != nil {
		return admission{}, err
	}
	return admission{User: acc.ID}, f.record(ctx, p.tenant, audit.Entry{
		Event: "identity.user.linked", Priority: audit.Warning, Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"provider": p.ID, "subject": who.Subject, "email": who.Email},
	})
}

// domain tells whether an address's domain is the tenant's, or nobody's.
func (f *Federation) domain(ctx context.Context, tenant id.ID, email string) (own, free bool, err error) {
	owner, found, err := f.TenantForEmail(ctx, email)
	return found && owner == tenant, !found, err
}

// newcomer makes an account, where the administrator allowed it. The address
// has to be of the tenant's domain, or verified and of a domain that is nobody's.
func (f *Federation) newcomer(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	if !p.JIT.Users {
		return admission{}, notAllowed("You have no account here yet. Ask an administrator for one.")
	}
	if who.Verified != nil && !*who.Verified {
		return admission{}, notAllowed("Your e-mail address is not verified at the sign-in provider. Verify it there and try again.")
	}
	own, free, err := f.domain(ctx, p.tenant, who.Email)
	if err != nil {
		return admission{}, err
	}
	if !own && !(free && who.Verified != nil) {
		return admission{}, notAllowed("The domain of your e-mail address does not belong to this tenant. Ask an administrator to add it.")
	}
	if err := f.room(ctx, p.tenant); err != nil {
		return admission{}, err
	}
	name, email, err := validPerson(firstRunes(who.Name, 100), who.Email)
	if err != nil {
		return admission{}, notAllowed("The sign-in provider names no name of yours that can be used.")
	}
	return f.makeAccount(ctx, p, who, account{ID: id.New(), Name: name, Email: email, Status: Active})
}

// room makes sure that the tenant may have one more person.
func (f *Federation) room(ctx context.Context, tenant id.ID) error {
	return f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return f.Identity.reserve(ctx, tenant) })
}

func (f *Federation) makeAccount(ctx context.Context, p sealedProvider, who vouched, acc account) (admission, error) {
	if err := f.Identity.store.insert(ctx, acc); err != nil {
		return admission{}, err
	}
	if err := f.store.join(ctx, acc.ID, p.tenant, p.Kind, external(p.Provider, who.Subject)); err != nil {
		return admission{}, err
	}
	if err := f.store.link(ctx, p.ID, who.Subject, acc.ID, p.tenant); err != nil {
		return admission{}, err
	}
	entry := created(acc)
	entry.Details = map[string]any{"provider": p.ID, "subject": who.Subject}
	return admission{User: acc.ID, New: true}, f.record(ctx, p.tenant, entry)
}

// record writes to the tenant's trail from within the provider level.
func (f *Federation) record(ctx context.Context, tenant id.ID, e audit.Entry) error {
	return f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return f.Identity.Audit.Record(ctx, e) })
}

// external is the name of something at a provider, apart from other providers'.
func external(p Provider, name string) string { return p.ID.String() + ":" + name }

func firstRunes(text string, n int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), n)])
}
