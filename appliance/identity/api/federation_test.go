package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc/oidctest"
	"nimbus/appliance/identity/saml/samltest"
	"nimbus/appliance/permission"
)

// TestSignInAtARealIssuer goes through the page of zitadel's provider, makes
// the account, and signs out at both.
func TestSignInAtARealIssuer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.domains["zitadel.ch"] = b.home
	op := oidctest.OP(t, b.server.URL+"/v1/session/oidc/callback")
	p := b.issuer(op, func(in body) {
		in["default_role_ids"] = []string{b.role("Reader")}
	})
	if !p.Status.OK || !p.OIDC.HasSecret {
		t.Fatalf("provider: %+v", p)
	}
	c := b.browser()
	at, page := c.visit(p.start("/stacks?sort=name"))
	form := formIn(t, page)
	form.Set("username", "test-user2")
	form.Set("password", "verysecure")
	to, _ := c.submit(at.String(), form)
	end, _ := c.visit(to.String())
	if end.String() != b.server.URL+"/stacks?sort=name" {
		t.Fatalf("ended at %s", end)
	}
	me, ok := c.me()
	if !ok || me.User.Email != "test-user2@zitadel.ch" || me.Tenant.Name != "Home" || len(me.Permissions) == 0 {
		t.Errorf("signed in as %+v", me)
	}
	b.exec(`update core.federated_session set refresh_at = now()`)
	b.must(b.federation.Refresh(t.Context()))
	if _, ok := c.me(); !ok {
		t.Error("a refresh that succeeded ended the session")
	}
	var out struct{ Redirect string }
	c.call(http.MethodDelete, "/v1/session", nil, http.StatusOK, &out)
	if !strings.HasPrefix(out.Redirect, op.URL+"/end_session?") || !strings.Contains(out.Redirect, "id_token_hint=") {
		t.Errorf("sign out at %q", out.Redirect)
	}
	if _, ok := c.me(); ok {
		t.Error("still signed in")
	}
}

// TestSignInAtARealIdentityProvider goes through the page of crewjam's
// samlidp, which encrypts to our key, and then starts there.
func TestSignInAtARealIdentityProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var made provider
	idp := samltest.Server(t, "") // for its metadata
	b.admin.call(http.MethodPost, "/v1/identity-providers", body{
		"kind": "saml", "name": "Campus", "jit": body{"users": true, "groups": true, "link_by_email": "never"},
		"subject_claim": "uid", "email_claim": "mail", "name_claim": "cn", "groups_claim": "eduPersonAffiliation",
		"saml":    body{"metadata_url": idp.URL + "/metadata", "ca_pem": oidctest.CA(idp), "require_encrypted": true, "sign_requests": true},
		"mapping": []body{{"claim": "eduPersonAffiliation", "pattern": "eng*", "role_id": b.role("Operator")}},
	}, http.StatusCreated, &made)
	c := b.browser()
	_, metadata := c.visit("/v1/session/saml/" + made.ID + "/metadata")
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, idp.URL+"/services/nimbus", strings.NewReader(metadata))
	b.must(err)
	res, err := c.Do(put)
	b.must(err)
	res.Body.Close()

	at, page := c.visit(made.start("/approvals"))
	form := formIn(t, page)
	form.Set("user", "ada")
	form.Set("password", "verysecure")
	c.submit(idp.URL+"/login", form)
	_, page = c.visit(at.String())
	to, _ := c.submit(made.SAML.ACSURL, formIn(t, page))
	if to.String() != b.server.URL+"/approvals" {
		t.Fatalf("ended at %s", to)
	}
	me, ok := c.me()
	if !ok || me.User.Email != "ada@example.com" || me.User.Name != "Ada Lovelace" || me.Tenant.Name != "Home" {
		t.Errorf("signed in as %+v", me)
	}
	group := value[string](b, `select g.name from tenant_`+b.home.Hex()+`.user_group g join tenant_`+b.home.Hex()+`.group_member m on m.group_id = g.id where m.member_id = $1 and g.source = 'saml'`, me.User.ID)
	if group != "engineers" {
		t.Errorf("in the group %q", group)
	}
	if roles := b.roles(me.User.ID); roles != "Operator" {
		t.Errorf("roles %s", roles)
	}
}

// forged is a SAML provider in Home whose responses tests write.
func (b *bench) forged(f *samltest.Forger, change func(body)) provider {
	b.t.Helper()
	in := body{
		"kind": "saml", "name": "Forged " + id.New().String(), "jit": body{"users": true, "groups": false, "link_by_email": "never"},
		"saml": body{"metadata_xml": f.Metadata()},
	}
	if change != nil {
		change(in)
	}
	var p provider
	b.admin.call(http.MethodPost, "/v1/identity-providers", in, http.StatusCreated, &p)
	return p
}

// ask begins a SAML sign-in and returns the request's id.
func (c *browser) ask(p provider, returnTo string) string {
	c.b.t.Helper()
	res, err := c.Get(c.b.server.URL + p.start(returnTo))
	c.b.must(err)
	res.Body.Close()
	at, err := res.Location()
	if err != nil || at.Host != "idp.example.com" {
		c.b.t.Fatalf("%s leads to %v", res.Status, at)
	}
	return samltest.RequestID(at)
}

// answer posts a response as the identity provider's page does and returns the
// page it leads to.
func (c *browser) answer(p provider, el string, relay string) string {
	c.b.t.Helper()
	to, res := c.submit(p.SAML.ACSURL, url.Values{"SAMLResponse": {samltest.Post(el)}, "RelayState": {relay}})
	if to == nil {
		text, _ := io.ReadAll(res.Body)
		c.b.t.Fatalf("%s: %s", res.Status, text)
	}
	return strings.TrimPrefix(to.String(), c.b.server.URL)
}

func TestRobustness31SAMLThroughTheDoor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := samltest.New(t)
	p := b.forged(f, nil)
	honest := func(c *browser) string {
		return samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(p, "/stacks"))))
	}
	c := b.browser()
	text := honest(c)
	if to := c.answer(p, text, ""); to != "/stacks" {
		t.Fatalf("the honest response leads to %s", to)
	}
	if _, ok := c.me(); !ok {
		t.Fatal("not signed in")
	}

	for name, attack := range map[string]func(c *browser) (string, string){
		"replayed":      func(*browser) (string, string) { return text, "" },
		"other browser": func(*browser) (string, string) { return honest(b.browser()), "" },
		"unknown request": func(*browser) (string, string) {
			return samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, "id-guess"))), ""
		},
		"nobody asked": func(*browser) (string, string) {
			return samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, ""))), "/stacks"
		},
		"no XML":        func(*browser) (string, string) { return "x", "" },
		"document type": func(c *browser) (string, string) { return "<!DOCTYPE x>" + honest(c), "" },
		"comment":       func(c *browser) (string, string) { return strings.Replace(honest(c), ">ada<", ">a<!---->da<", 1), "" },
		"another's request": func(c *browser) (string, string) {
			other := b.forged(samltest.New(t), nil)
			return samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(other, "")))), ""
		},
	} {
		c := b.browser()
		response, relay := attack(c)
		if to := c.answer(p, response, relay); !strings.HasPrefix(to, "/sign-in?error=") {
			t.Errorf("%s leads to %s", name, to)
		}
		if me, ok := c.me(); ok {
			t.Errorf("%s signs in %+v", name, me)
		}
	}
	for variant := 1; variant <= 8; variant++ {
		c := b.browser()
		r := f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(p, ""))
		r.SignResponse, r.SignAssertion = variant <= 2, variant > 2
		if to := c.answer(p, samltest.Text(samltest.XSW(variant, f.Element(r), "admin")), ""); to != "/sign-in?error=invalid" {
			t.Errorf("variant %d leads to %s", variant, to)
		}
	}
}

func TestRobustness31DisabledProviderAcceptsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := samltest.New(t)
	p := b.forged(f, func(in body) { in["saml"].(body)["allow_idp_initiated"] = true })
	c := b.browser()
	asked := c.ask(p, "/stacks")
	signedIn := b.browser()
	if to := signedIn.answer(p, samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, ""))), "/approvals"); to != "/approvals" {
		t.Fatalf("an unsolicited response that is allowed leads to %s", to)
	}
	if to := b.browser().answer(p, samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, ""))), "https://evil.example/"); to != "/" {
		t.Errorf("a relay state led to %s", to)
	}
	b.admin.call(http.MethodPatch, p.path(), body{"enabled": false}, http.StatusOK, nil)
	if _, ok := signedIn.me(); ok {
		t.Error("disabling left a session that the provider began")
	}
	for _, request := range []string{asked, ""} {
		if to := c.answer(p, samltest.Text(f.Element(f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, request))), ""); to != "/sign-in?error=not_found" {
			t.Errorf("a disabled provider's answer leads to %s", to)
		}
	}
	if _, ok := c.me(); ok {
		t.Error("signed in by a disabled provider")
	}
	res, err := c.Get(b.server.URL + p.start(""))
	b.must(err)
	res.Body.Close()
	if to := res.Header.Get("Location"); to != "/sign-in?error=not_found" {
		t.Errorf("starting at a disabled provider leads to %s", to)
	}
}

// come signs a browser in at the lying issuer and returns the page it ends at.
func (c *browser) come(p provider) string {
	c.b.t.Helper()
	end, text := c.visit(p.start("/stacks"))
	if text != "" {
		c.b.t.Fatalf("ended at %s: %s", end, text)
	}
	return strings.TrimPrefix(end.String(), c.b.server.URL)
}

func TestRobustness32OIDCThroughTheDoor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	c := b.browser()
	if to := c.come(p); to != "/stacks" {
		t.Fatalf("an honest sign-in leads to %s", to)
	}
	for name, hooks := range map[string]oidctest.Hooks{
		"nonce":    {Token: func(_, c oidctest.Claims) { c["nonce"] = "another" }},
		"audience": {Token: func(_, c oidctest.Claims) { c["aud"] = "another" }},
		"unsigned": {Sign: func(h, c oidctest.Claims) string { h["alg"] = "none"; return oidctest.Unsigned(h, c) + "." }},
		"swapped": {Sign: func(h, c oidctest.Claims) string {
			h["alg"] = "HS256"
			return oidctest.SignShared(&i.Key.PublicKey, h, c)
		}},
		"mix-up": {Authorize: func(v url.Values) { v.Set("iss", "https://honest.example") }},
		"state":  {Authorize: func(v url.Values) { v.Set("state", "another") }},
	} {
		i.Set(hooks)
		c := b.browser()
		if to := c.come(p); !strings.HasPrefix(to, "/sign-in?error=") {
			t.Errorf("%s leads to %s", name, to)
		}
		if _, ok := c.me(); ok {
			t.Errorf("%s signs in", name)
		}
	}
	i.Set(oidctest.Hooks{})

	// The answer to one browser is worth nothing in another, nor twice.
	victim, attacker := b.browser(), b.browser()
	callback := attacker.until(p, "/v1/session/oidc/callback")
	if to, _ := victim.visit(callback); to.Query().Get("error") != "expired" {
		t.Errorf("another browser's answer leads to %s", to)
	}
	if to, _ := attacker.visit(callback); to.Path != "/stacks" {
		t.Errorf("its own leads to %s", to)
	}
	if to, _ := attacker.visit(callback); to.Query().Get("error") != "expired" {
		t.Errorf("the second time it leads to %s", to)
	}

	// An ID token is no token for our API.
	token := i.Sign(oidctest.Claims{"alg": "RS256", "kid": "1"}, oidctest.Claims{"iss": i.URL, "sub": "ada", "aud": oidctest.ClientID})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/v1/session", nil)
	b.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := b.browser().Do(req)
	b.must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an ID token as access token: %s", res.Status)
	}
}

// until follows a sign-in up to a path of ours and returns the address.
func (c *browser) until(p provider, path string) string {
	c.b.t.Helper()
	at := c.b.server.URL + p.start("/stacks")
	for range 5 {
		res, err := c.Get(at)
		c.b.must(err)
		res.Body.Close()
		next, err := res.Location()
		c.b.must(err)
		if at = next.String(); next.Path == path {
			return at
		}
	}
	c.b.t.Fatalf("%s is not reached", path)
	return ""
}

// TestSessionFixation gives the browser a session before it signs in: the one
// after is another.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.issuer(oidctest.New(t).Server, nil)
	c := b.browser()
	at, err := url.Parse(b.server.URL)
	b.must(err)
	c.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-nimbus", Value: "chosen-by-somebody-else", Path: "/", Secure: true}})
	if to := c.come(p); to != "/stacks" {
		t.Fatal(to)
	}
	for _, k := range c.Jar.Cookies(at) {
		if k.Name == "__Host-nimbus" && k.Value == "chosen-by-somebody-else" {
			t.Error("the session that was there before is in use")
		}
	}
}

func TestRobustness33OnlyPagesOfOursAreReturnedTo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.issuer(oidctest.New(t).Server, nil)
	for _, bad := range []string{
		"https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/%2f%2fevil.example", "/%5cevil.example",
		"https:evil.example", "HTTPS://evil.example", "//user@evil.example", "/../../evil", "/a/../../b", "/a//b", "/./x", "javascript:alert(1)",
		"/%2e%2e/x", "/\tevil", "/\r\nSet-Cookie:x", "/v1/session", "/V1/session", "/api/x", "/_/", "/graphql", "evil", "/a%00b", "/%252f%252fevil.example/..%2f",
	} {
		c := b.browser()
		res, err := c.Get(b.server.URL + p.start(bad))
		b.must(err)
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s to %s", bad, res.Status, res.Header.Get("Location"))
		}
	}
	for _, good := range []string{"/", "/stacks", "/stacks/1?tab=plan&x=%2F%2F#top", "/admin/users/"} {
		c := b.browser()
		end, _ := c.visit(p.start(good))
		if end.String() != b.server.URL+good {
			t.Errorf("%q leads to %s", good, end)
		}
	}
}

func TestSecretsAreNeverReturned(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.issuer(oidctest.New(t).Server, nil)
	s := b.forged(samltest.New(t), nil)
	for _, path := range []string{"/v1/identity-providers", p.path(), s.path()} {
		var raw json.RawMessage
		b.admin.call(http.MethodGet, path, nil, http.StatusOK, &raw)
		if strings.Contains(string(raw), oidctest.ClientSecret) || strings.Contains(string(raw), "client_secret") || strings.Contains(string(raw), "PRIVATE") {
			t.Errorf("%s shows a secret: %s", path, raw)
		}
	}
	schema := "tenant_" + b.home.Hex()
	if n := value[int](b, `select count(*) from `+schema+`.identity_provider p where position($1::bytea in p.secret) > 0 or p::text like '%' || $2 || '%'`,
		[]byte(oidctest.ClientSecret), oidctest.ClientSecret); n != 0 {
		t.Error("the secret is stored in clear")
	}
	if n := value[int](b, `select count(*) from `+schema+`.audit_record where convert_from(body, 'UTF8') like '%' || $1 || '%'`, oidctest.ClientSecret); n != 0 {
		t.Error("the secret is in the audit trail")
	}
}

func TestTestSignInShowsAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) {
		in["enabled"] = false
		in["jit"].(body)["groups"] = true
		in["mapping"] = []body{{"claim": "groups", "value": "engineers", "role_id": b.role("Operator")}}
	})
	try := func(c *browser) (result testResult) {
		var begun struct{ Test, Redirect string }
		c.call(http.MethodPost, p.path()+"/test", body{"return_to": "/settings?tab=sign-in"}, http.StatusOK, &begun)
		c.call(http.MethodGet, p.path()+"/test/"+begun.Test, nil, http.StatusOK, &result)
		if result.Finished {
			t.Error("a test is finished before it began")
		}
		end, _ := c.visit(begun.Redirect)
		if end.String() != b.server.URL+"/settings?tab=sign-in&test="+begun.Test {
			t.Errorf("ended at %s", end)
		}
		c.call(http.MethodGet, p.path()+"/test/"+begun.Test, nil, http.StatusOK, &result)
		return result
	}
	r := try(b.admin)
	if !r.Finished || r.Error != "" || r.WouldBe.User != "new" || r.Email != "ada@example.com" || r.Claims["sub"] != "ada" ||
		len(r.WouldBe.Roles) != 1 || r.WouldBe.Roles[0].Name != "Operator" || len(r.WouldBe.Groups) != 1 || r.WouldBe.Groups[0].Name != "engineers" {
		t.Errorf("got %+v", r)
	}
	if me, ok := b.admin.me(); !ok || me.User.Name != "Ann" {
		t.Error("the test changed who is signed in")
	}
	if n := value[int](b, `select count(*) from core.account where email = 'ada@example.com'`); n != 0 {
		t.Error("the test made an account")
	}
	if n := value[int](b, `select count(*) from tenant_`+b.home.Hex()+`.user_group`); n != 0 {
		t.Error("the test made a group")
	}
	i.Person(oidctest.Claims{"email_verified": false})
	if r := try(b.admin); r.WouldBe.User != "refused" || !strings.Contains(r.WouldBe.Reason, "not verified") {
		t.Errorf("refused: %+v", r)
	}
	i.Set(oidctest.Hooks{Token: func(_, c oidctest.Claims) { c["aud"] = "another" }})
	if r := try(b.admin); r.WouldBe.User != "refused" || r.Error == "" || !strings.Contains(r.Cause, "audience") {
		t.Errorf("invalid: %+v", r)
	}
	b.member("view@example.com", b.home, "Reader")
	viewer := b.signIn("view@example.com", b.home)
	viewer.call(http.MethodPost, p.path()+"/test", body{}, http.StatusForbidden, nil)
	viewer.call(http.MethodGet, p.path()+"/test/"+id.New().String(), nil, http.StatusForbidden, nil)
}

type testResult struct {
	Finished     bool
	Error, Cause string
	Email        string
	Claims       map[string]any
	WouldBe      struct {
		User, Reason  string
		Roles, Groups []struct{ Name string }
	} `json:"would_be"`
}

func TestDiscoveryTellsNothingOfAccounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.issuer(oidctest.New(t).Server, nil)
	b.issuer(oidctest.New(t).Server, func(in body) { in["enabled"] = false })
	type choice struct {
		Methods   []string
		Providers []struct {
			ID       string
			StartURL string `json:"start_url"`
		}
	}
	ask := func(email string) (c choice, took time.Duration) {
		began := time.Now()
		b.browser().call(http.MethodPost, "/v1/session/discover", body{"email": email}, http.StatusOK, &c)
		return c, time.Since(began)
	}
	for email, n := range map[string]int{"ann@example.com": 1, "nobody@example.com": 1, "x@unknown.example": 0, "x@beta.example": 0, "no address": 0, "": 0} {
		c, took := ask(email)
		if len(c.Providers) != n || strings.Join(c.Methods, ",") != "password,passkey" || c.Providers == nil {
			t.Errorf("%q: %+v", email, c)
		}
		if n == 1 && (c.Providers[0].ID != p.ID || c.Providers[0].StartURL != p.start("")) {
			t.Errorf("%q: %+v", email, c)
		}
		if took < 140*time.Millisecond {
			t.Errorf("%q was answered after %s", email, took)
		}
	}
}

func TestForeignProvidersLookMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.issuer(oidctest.New(t).Server, nil)
	b.member("bea@beta.example", b.beta, permission.TenantAdministrator)
	bea := b.signIn("bea@beta.example", b.beta)
	for _, c := range []struct {
		method, suffix string
		in             any
	}{
		{http.MethodGet, "", nil}, {http.MethodPatch, "", body{"name": "x"}}, {http.MethodDelete, "", nil}, {http.MethodPost, "/test", body{}},
		{http.MethodGet, "/test/" + id.New().String(), nil}, {http.MethodPost, "/rotate-key", nil},
	} {
		bea.call(c.method, p.path()+c.suffix, c.in, http.StatusNotFound, nil)
		bea.call(c.method, "/v1/identity-providers/"+id.New().String()+c.suffix, c.in, http.StatusNotFound, nil)
	}
	b.exec(`update core.tenant set status = 'creating' where id = $1`, b.home)
	if end, _ := b.browser().visit(p.start("")); end.Query().Get("error") != "not_found" {
		t.Errorf("the provider of a tenant that is not open: %s", end)
	}
}

func TestRobustness39ProvidersAreReachedThroughTheGuard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.outbound.Allowed = nil
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	if p.Status.OK || !strings.Contains(p.Status.Message, "127.0.0.1 is not a public address") {
		t.Errorf("status %+v", p.Status)
	}
	if end, _ := b.browser().visit(p.start("")); end.Query().Get("error") != "unavailable" {
		t.Errorf("ended at %s", end)
	}
	idp := samltest.Server(t, "")
	b.admin.call(http.MethodPost, "/v1/identity-providers", body{
		"kind": "saml", "name": "Inside", "saml": body{"metadata_url": idp.URL + "/metadata", "ca_pem": oidctest.CA(idp)},
	}, http.StatusBadRequest, nil)
}
