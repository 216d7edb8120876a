package identity

import (
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func TestPatternsMatchInLinearTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "x", true}, {"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true}, {"a*c", "ac", true},
		{"a*a", "a", false}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "acb", false}, {"ab", "ab", true}, {"ab", "AB", false},
		{"cn=*,ou=it", "cn=ops,ou=it", true}, {"cn=*,ou=it", "cn=ops,ou=it,dc=evil", false}, {".*", "x", false}, {"**", "x", true},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("%q over %q: %v", c.pattern, c.text, got)
		}
	}
	began := time.Now()
	if glob(strings.Repeat("a*", 250)+"b", strings.Repeat("a", 100_000)) {
		t.Error("a bomb matches")
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("a bomb took %s", took)
	}
}

func TestClaimsAreReadAsText(t *testing.T) {
	t.Parallel()
	c := claims{
		"groups": []any{"a", 7, "b"}, "one": "x", "yes": true, "number": 7.0,
		"realm": map[string]any{"roles": []any{"r"}, "deep": map[string]any{"er": "d"}}, "https://x.example/roles": []string{"w"}, "realm.roles": nil,
	}
	for name, want := range map[string]string{
		"groups": "a,b", "one": "x", "yes": "true", "number": "", "realm.deep.er": "d", "https://x.example/roles": "w", "none": "", "one.x": "", "realm": "", "realm.roles": "",
	} {
		if got := strings.Join(c.values(name), ","); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	many := make([]string, 10_000)
	if n := len(claims{"x": many}.values("x")); n != maxClaimed {
		t.Errorf("%d values are looked at", n)
	}
}

func TestProvidersAreValidated(t *testing.T) {
	t.Parallel()
	good := func() Provider {
		p := Provider{Kind: OIDC, Name: "Login", ProviderSettings: ProviderSettings{OIDC: &OIDCSettings{Issuer: "https://login.example.com", ClientID: "x"}}}
		p.complete()
		return p
	}
	p := good()
	if err := p.validate(); err != nil {
		t.Fatal(err)
	}
	role := id.New()
	for name, spoil := range map[string]func(*Provider){
		"no name":        func(p *Provider) { p.Name = " " },
		"long name":      func(p *Provider) { p.Name = strings.Repeat("x", 101) },
		"kind":           func(p *Provider) { p.Kind = "ldap" },
		"other settings": func(p *Provider) { p.SAML = &SAMLSettings{} },
		"no settings":    func(p *Provider) { p.OIDC = nil },
		"link":           func(p *Provider) { p.JIT.LinkByEmail = "always" },
		"issuer":         func(p *Provider) { p.OIDC.Issuer = "http://login.example.com" },
		"client":         func(p *Provider) { p.OIDC.ClientID = "" },
		"scope":          func(p *Provider) { p.OIDC.Scopes = []string{"a b"} },
		"claim":          func(p *Provider) { p.Mapping = []Rule{{Value: "x", RoleID: role}} },
		"both":           func(p *Provider) { p.Mapping = []Rule{{Claim: "c", Value: "x", Pattern: "y", RoleID: role}} },
		"neither":        func(p *Provider) { p.Mapping = []Rule{{Claim: "c", RoleID: role}} },
		"two gifts":      func(p *Provider) { p.Mapping = []Rule{{Claim: "c", Value: "x", RoleID: role, GroupID: role}} },
		"no gift":        func(p *Provider) { p.Mapping = []Rule{{Claim: "c", Value: "x"}} },
		"many rules":     func(p *Provider) { p.Mapping = make([]Rule, maxRules+1) },
	} {
		p := good()
		if spoil(&p); !fault.Is(p.validate(), fault.Invalid) {
			t.Errorf("%s passes", name)
		}
	}
}

// TestWhoseAddressIsVerified: an issuer's email_verified is about its claim email,
// and letters that become others in small letters make nobody somebody else.
func TestWhoseAddressIsVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind         ProviderKind
		claim        string
		said         claims
		email        string
		verifiedThat any
	}{
		{OIDC, "", claims{"email": "Ann@example.com", "email_verified": true}, "ann@example.com", true},
		{OIDC, "upn", claims{"upn": "ann@example.com", "email": "eve@example.com", "email_verified": true}, "ann@example.com", nil},
		{OIDC, "upn", claims{"upn": "ann@example.com", "email_verified": true}, "ann@example.com", nil},
		{OIDC, "upn", claims{"upn": "ann@example.com", "email": "ANN@example.com", "email_verified": true}, "ann@example.com", true},
		{OIDC, "upn", claims{"upn": "ann@example.com", "email": "eve@example.com", "email_verified": false}, "ann@example.com", false},
		{SAML, "mail", claims{"mail": "ann@example.com", "email_verified": "true"}, "ann@example.com", true},
		{OIDC, "", claims{"email": "\u212Aevin@example.com", "email_verified": true}, "", true},
		{OIDC, "", claims{"email": "ann@n\u0130mbus.example", "email_verified": true}, "", true},
		{OIDC, "", claims{"email": "j\u00d6rg@example.com", "email_verified": true}, "j\u00f6rg@example.com", true},
	} {
		v := vouched{Claims: c.said}.named(Provider{Kind: c.kind, ProviderSettings: ProviderSettings{EmailClaim: c.claim}})
		var that any
		if v.Verified != nil {
			that = *v.Verified
		}
		if v.Email != c.email || that != c.verifiedThat {
			t.Errorf("%v: %q, verified %v", c.said, v.Email, that)
		}
	}
	if _, _, err := validPerson("Kevin", "\u212Aevin@example.com"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an address that passes for another one: %v", err)
	}
}
