package identity

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/identity/saml"
)

// ProviderKind is the protocol of a sign-in provider.
type ProviderKind string

// The kinds.
const (
	OIDC ProviderKind = "oidc"
	SAML ProviderKind = "saml"
)

// Provider is a place where the people of one tenant can sign in instead of
// here. Its secrets are not in it.
type Provider struct {
	ID      id.ID        `json:"id"`
	Kind    ProviderKind `json:"kind" enum:"oidc,saml"`
	Name    string       `json:"name"`
	Enabled bool         `json:"enabled"`
	ProviderSettings
	Status    ProviderStatus `json:"status"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`

	revision int64
	tenant   id.ID
}

// ProviderSettings are what an administrator decides about a provider.
type ProviderSettings struct {
	OIDC *OIDCSettings `json:"oidc,omitempty"`
	SAML *SAMLSettings `json:"saml,omitempty"`
	JIT  JIT           `json:"jit"`
	// Mapping gives roles and groups by claim, DefaultRoleIDs to everybody.
	Mapping        []Rule  `json:"mapping"`
	DefaultRoleIDs []id.ID `json:"default_role_ids"`
	// Which claim says what. A dot goes into an object: realm_access.roles.
	SubjectClaim string `json:"subject_claim" doc:"What identifies the person; empty: sub, or the NameID."`
	EmailClaim   string `json:"email_claim"`
	NameClaim    string `json:"name_claim"`
	GroupsClaim  string `json:"groups_claim"`
	TrustMFA     bool   `json:"trust_mfa" doc:"Believe the provider when it says that it asked for a second factor."`
}

// OIDCSettings are those of an OpenID Connect issuer.
type OIDCSettings struct {
	Issuer      string   `json:"issuer"`
	ClientID    string   `json:"client_id"`
	HasSecret   bool     `json:"has_secret" readOnly:"true"`
	Scopes      []string `json:"scopes"`
	CAPEM       string   `json:"ca_pem" doc:"Authorities of the issuer's certificate; empty: those of the system."`
	RedirectURI string   `json:"redirect_uri" readOnly:"true"`
	LogoutURI   string   `json:"backchannel_logout_uri" readOnly:"true"`
}

// SAMLSettings are those of a SAML identity provider.
type SAMLSettings struct {
	MetadataURL            string   `json:"metadata_url"`
	CAPEM                  string   `json:"ca_pem"`
	IdPEntityID            string   `json:"idp_entity_id"`
	SSOURL                 string   `json:"sso_url"`
	Certificates           []string `json:"certificates"`
	SPEntityID             string   `json:"sp_entity_id" readOnly:"true"`
	ACSURL                 string   `json:"acs_url" readOnly:"true"`
	SPMetadataURL          string   `json:"sp_metadata_url" readOnly:"true"`
	SignRequests           bool     `json:"sign_requests"`
	RequireEncrypted       bool     `json:"require_encrypted"`
	RequireSignedAssertion bool     `json:"require_signed_assertion"`
	AllowIdPInitiated      bool     `json:"allow_idp_initiated"`
}

// JIT says what a sign-in may make.
type JIT struct {
	Users       bool     `json:"users" doc:"A first sign-in makes an account."`
	Groups      bool     `json:"groups" doc:"Groups of the provider become groups here."`
	LinkByEmail LinkRule `json:"link_by_email" enum:"never,verified"`
}

// LinkRule says when a first sign-in gets an account that is there already.
type LinkRule string

// The rules.
const (
	LinkNever    LinkRule = "never"
	LinkVerified LinkRule = "verified"
)

// Rule gives a role or a group to whom a claim has a value. Exactly one of
// Value and Pattern, and of RoleID and GroupID, is set.
type Rule struct {
	Claim   string `json:"claim"`
	Value   string `json:"value,omitempty"`
	Pattern string `json:"pattern,omitempty" doc:"* stands for any text."`
	RoleID  id.ID  `json:"role_id,omitzero"`
	GroupID id.ID  `json:"group_id,omitzero"`
}

// ProviderStatus is how the last look at a provider ended.
type ProviderStatus struct {
	OK        bool       `json:"ok"`
	Message   string     `json:"message"`
	CheckedAt *time.Time `json:"checked_at"`
}

// Limits of a provider's settings.
const (
	maxRules     = 200
	maxClaimed   = 500 // values of one claim that are looked at
	maxCAPEM     = 64 << 10
	maxProviders = 50 // per tenant
)

func (p *Provider) complete() {
	set := &p.ProviderSettings
	if set.JIT.LinkByEmail == "" {
		set.JIT.LinkByEmail = LinkNever
	}
	for field, standard := range map[*string]string{&set.EmailClaim: "email", &set.NameClaim: "name", &set.GroupsClaim: "groups"} {
		if *field == "" {
			*field = standard
		}
	}
	if set.Mapping == nil {
		set.Mapping = []Rule{}
	}
	if set.DefaultRoleIDs == nil {
		set.DefaultRoleIDs = []id.ID{}
	}
	if set.OIDC != nil && len(set.OIDC.Scopes) == 0 {
		set.OIDC.Scopes = []string{"openid", "profile", "email"}
	}
	if set.SAML != nil && set.SAML.Certificates == nil {
		set.SAML.Certificates = []string{}
	}
}

// address fills what follows from the address of the appliance.
func (p *Provider) address(base string) {
	at := base + "/v1/session/" + string(p.Kind) + "/"
	if p.OIDC != nil {
		p.OIDC.RedirectURI = at + "callback"
		p.OIDC.LogoutURI = at + p.ID.String() + "/backchannel-logout"
	}
	if p.SAML != nil {
		p.SAML.SPEntityID = at + p.ID.String() + "/metadata"
		p.SAML.SPMetadataURL = p.SAML.SPEntityID
		p.SAML.ACSURL = at + p.ID.String() + "/acs"
	}
}

func (p *Provider) validate() error {
	p.Name = strings.TrimSpace(p.Name)
	set := p.ProviderSettings
	switch {
	case p.Name == "" || utf8.RuneCountInString(p.Name) > 100:
		return fault.BadField("body.name", "Give a name of at most 100 characters. People read it on the sign-in page.")
	case p.Kind == OIDC && (set.OIDC == nil || set.SAML != nil), p.Kind == SAML && (set.SAML == nil || set.OIDC != nil), p.Kind != OIDC && p.Kind != SAML:
		return fault.BadField("body.kind", "The kind is oidc or saml, with the settings of that kind only.")
	case set.JIT.LinkByEmail != LinkNever && set.JIT.LinkByEmail != LinkVerified:
		return fault.BadField("body.jit.link_by_email", "link_by_email is never or verified.")
	case len(set.Mapping) > maxRules:
		return fault.BadField("body.mapping", "There can be at most %d rules.", maxRules)
	case len(set.DefaultRoleIDs) > maxRules:
		return fault.BadField("body.default_role_ids", "There can be at most %d roles.", maxRules)
	}
	for _, claim := range []string{set.SubjectClaim, set.EmailClaim, set.NameClaim, set.GroupsClaim} {
		if len(claim) > 200 {
			return fault.BadField("body", "The name of a claim has at most 200 characters.")
		}
	}
	for _, r := range set.Mapping {
		if err := r.validate(); err != nil {
			return err
		}
	}
	if p.Kind == OIDC {
		return set.OIDC.validate()
	}
	return set.SAML.validate()
}

func (r Rule) validate() error {
	switch {
	case r.Claim == "" || len(r.Claim) > 200:
		return fault.BadField("body.mapping", "Each rule names a claim.")
	case (r.Value == "") == (r.Pattern == "") || len(r.Value)+len(r.Pattern) > 500:
		return fault.BadField("body.mapping", "Each rule has either a value or a pattern, of at most 500 characters.")
	case r.RoleID.IsZero() == r.GroupID.IsZero():
		return fault.BadField("body.mapping", "Each rule gives either a role or a group.")
	}
	return nil
}

func (o *OIDCSettings) validate() error {
	if err := oidc.ValidIssuer(o.Issuer); err != nil {
		return err
	}
	switch {
	case o.ClientID == "" || len(o.ClientID) > 500:
		return fault.BadField("body.oidc.client_id", "Give the client id that the issuer has for this appliance.")
	case len(o.Scopes) > 30 || slices.ContainsFunc(o.Scopes, func(s string) bool { return !scope.MatchString(s) }):
		return fault.BadField("body.oidc.scopes", "A scope is one word, and there are at most 30.")
	case len(o.CAPEM) > maxCAPEM:
		return fault.BadField("body.oidc.ca_pem", "These are too many certificates. Give only the authority of the issuer.")
	}
	return nil
}

var scope = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,200}$`) // RFC 6749, section 3.3

func (s *SAMLSettings) validate() error {
	if u, err := url.Parse(s.MetadataURL); s.MetadataURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s.MetadataURL) > 1000) {
		return fault.BadField("body.saml.metadata_url", "The address of the metadata begins with https://.")
	}
	if len(s.CAPEM) > maxCAPEM {
		return fault.BadField("body.saml.ca_pem", "These are too many certificates. Give only the authority of the server.")
	}
	_, err := s.idp()
	return err
}

func (s *SAMLSettings) idp() (saml.IdP, error) {
	certificates, err := saml.ParseCertificates(s.Certificates)
	if err != nil {
		return saml.IdP{}, err
	}
	i := saml.IdP{EntityID: s.IdPEntityID, SSOURL: s.SSOURL, Certificates: certificates}
	return i, i.Valid()
}

// take fills in what an identity provider's metadata say.
func (s *SAMLSettings) take(i saml.IdP) {
	s.IdPEntityID, s.SSOURL, s.Certificates = i.EntityID, i.SSOURL, nil
	for _, c := range i.Certificates {
		s.Certificates = append(s.Certificates, saml.PEM(c))
	}
}

// trust is what decides whom the provider can vouch for: who changes it can
// become anybody who signs in there.
func (p Provider) trust() []string {
	t := []string{string(p.Kind), p.SubjectClaim, p.EmailClaim}
	if p.OIDC != nil {
		t = append(t, p.OIDC.Issuer, p.OIDC.ClientID, p.OIDC.CAPEM)
	}
	if p.SAML != nil {
		t = append(t, p.SAML.IdPEntityID, p.SAML.SSOURL, p.SAML.MetadataURL, p.SAML.CAPEM)
		t = append(t, p.SAML.Certificates...)
	}
	return t
}

// namespace is whose subjects the provider's subjects are: in another one the
// same name is somebody else.
func (p Provider) namespace() [3]string {
	if p.OIDC != nil {
		return [3]string{"oidc", p.OIDC.Issuer, p.SubjectClaim}
	}
	return [3]string{"saml", p.SAML.IdPEntityID, p.SubjectClaim}
}

// claims are what a provider says of a person.
type claims map[string]any

// values of a claim as text; a name with dots goes into objects when there is
// no claim of the whole name.
func (c claims) values(name string) []string {
	if v, ok := c[name]; ok {
		return claimTexts(v)
	}
	head, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, ok := c[head].(map[string]any)
	if !ok {
		return nil
	}
	return claims(inner).values(rest)
}

func (c claims) has(name string) bool {
	if _, ok := c[name]; ok {
		return true
	}
	head, rest, ok := strings.Cut(name, ".")
	inner, object := c[head].(map[string]any)
	return ok && object && claims(inner).has(rest)
}

func (c claims) first(name string) string {
	if all := c.values(name); len(all) > 0 {
		return strings.TrimSpace(all[0])
	}
	return ""
}

func claimTexts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{map[bool]string{true: "true", false: "false"}[v]}
	case []string:
		return v[:min(len(v), maxClaimed)]
	case []any:
		var all []string
		for _, one := range v[:min(len(v), maxClaimed)] {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

func (r Rule) matches(c claims) bool {
	return slices.ContainsFunc(c.values(r.Claim), func(v string) bool {
		return r.Pattern == "" && v == r.Value || r.Pattern != "" && glob(r.Pattern, v)
	})
}

// glob matches text against a pattern in which * is any text, in linear time.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// ReturnTo checks where to go after a sign-in: a path of our pages, and
// nothing that a browser could read as another place. Empty is the first page.
func ReturnTo(text string) (string, error) {
	if text == "" {
		return "/", nil
	}
	bad := fault.BadField("query.return_to", "After signing in only a page of this appliance can be opened. Give a path such as /stacks.")
	u, err := url.Parse(text)
	if err != nil || len(text) > 500 || text[0] != '/' || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", bad
	}
	decoded, err := url.PathUnescape(u.Path)
	if err != nil {
		return "", bad
	}
	for _, form := range []string{text, u.Path, decoded} {
		if strings.ContainsFunc(form, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == utf8.RuneError }) {
			return "", bad
		}
	}
	for _, p := range []string{u.Path, decoded} {
		if clean := path.Clean(p); clean != p && clean+"/" != p || strings.Contains(p, "//") || served(clean) {
			return "", bad
		}
	}
	return text, nil
}

// served paths are answered by programs, not by our pages.
func served(p string) bool {
	head, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(p), "/"), "/")
	return slices.Contains([]string{"v1", "api", "_", "graphql", "scim", "socket.io", "healthz", "readyz", "metrics"}, head)
}
