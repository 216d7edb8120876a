package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/identity/oidc/oidctest"
	"nimbus/appliance/web"
)

const redirectURI = "https://nimbus.example.com/v1/session/oidc/callback"

func client(t *testing.T, s *httptest.Server) *http.Client {
	t.Helper()
	o := &web.Outbound{Allowed: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }}
	c, err := o.Client(oidctest.CA(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func config(t *testing.T, s *httptest.Server) Config {
	return Config{
		Issuer: s.URL, ClientID: oidctest.ClientID, ClientSecret: oidctest.ClientSecret,
		Scopes: []string{"openid", "profile", "email", "offline_access"}, RedirectURI: redirectURI, Client: client(t, s),
	}
}

func discover(t *testing.T, i *oidctest.Issuer) *Provider {
	t.Helper()
	p, err := Discover(t.Context(), config(t, i.Server))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// browse follows a sign-in to our redirect URI and returns what came with it.
func browse(t *testing.T, s *httptest.Server, at string) url.Values {
	t.Helper()
	c := *client(t, s)
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := c.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

func signIn(t *testing.T, i *oidctest.Issuer, p *Provider) (Result, error) {
	t.Helper()
	at, pending := p.Start(false, time.Now())
	return p.Finish(t.Context(), pending, browse(t, i.Server, at))
}

func TestSignInRefreshAndLogout(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	i.Person(oidctest.Claims{"amr": []string{"pwd", "mfa"}})
	p := discover(t, i)
	r, err := signIn(t, i, p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Subject != "ada" || r.SessionID != "sid-ada" || r.Claims["email"] != "ada@example.com" || !r.MFA || time.Since(r.Authenticated) > time.Minute {
		t.Errorf("got %+v", r)
	}
	i.Person(oidctest.Claims{"groups": []string{"operators"}})
	again, err := p.Refresh(t.Context(), r.RefreshToken, "ada")
	if err != nil || again.RefreshToken == r.RefreshToken || again.Claims["groups"].([]any)[0] != "operators" {
		t.Errorf("refresh: %+v, %v", again, err)
	}
	if _, err := p.Refresh(t.Context(), r.RefreshToken, "ada"); !fault.Is(err, fault.Gone) {
		t.Errorf("a used refresh token: %v", err)
	}
	if _, err := p.Refresh(t.Context(), again.RefreshToken, "bob"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a refreshed token about somebody else: %v", err)
	}
	out, ok := p.LogoutURL(r.IDToken, "https://nimbus.example.com/sign-in")
	u, _ := url.Parse(out)
	if !ok || u.Path != "/logout" || u.Query().Get("id_token_hint") != r.IDToken || u.Query().Get("client_id") != oidctest.ClientID {
		t.Errorf("logout address %q", out)
	}
}

func TestStartAsksForPKCEAndAFreshProof(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	p := discover(t, i)
	at, pending := p.Start(true, time.Now())
	u, _ := url.Parse(at)
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("code_challenge") == pending.Verifier ||
		q.Get("max_age") != "0" || q.Get("nonce") != pending.Nonce || q.Get("redirect_uri") != redirectURI || q.Get("response_type") != "code" {
		t.Errorf("request %v", q)
	}
	_, second := p.Start(true, time.Now())
	if second.State == pending.State || second.Nonce == pending.Nonce || second.Verifier == pending.Verifier {
		t.Error("two sign-ins share a secret")
	}
	for name, lie := range map[string]any{"old": time.Now().Add(-time.Hour).Unix(), "missing": nil} {
		i.Set(oidctest.Hooks{Token: func(_, c oidctest.Claims) {
			if c["auth_time"] = lie; lie == nil {
				delete(c, "auth_time")
			}
		}})
		at, pending := p.Start(true, time.Now())
		if _, err := p.Finish(t.Context(), pending, browse(t, i.Server, at)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s auth_time passes as fresh: %v", name, err)
		}
	}
}

func TestRobustness32LyingTokensAreRefused(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	p := discover(t, i)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, v any) oidctest.Hooks {
		return oidctest.Hooks{Token: func(_, c oidctest.Claims) {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}}
	}
	for name, hooks := range map[string]oidctest.Hooks{
		"no algorithm": {Sign: func(h, c oidctest.Claims) string { h["alg"] = "none"; return oidctest.Unsigned(h, c) + "." }},
		"None":         {Sign: func(h, c oidctest.Claims) string { h["alg"] = "None"; return oidctest.Unsigned(h, c) + "." }},
		"shared key": {Sign: func(h, c oidctest.Claims) string {
			h["alg"] = "HS256"
			return oidctest.SignShared(&i.Key.PublicKey, h, c)
		}},
		"HS256 as RS256": {Sign: func(h, c oidctest.Claims) string { return oidctest.SignShared(&i.Key.PublicKey, h, c) }},
		"key inside": {Sign: func(h, c oidctest.Claims) string {
			h["jwk"] = oidctest.JWK(&other.PublicKey, "1")
			return oidctest.SignWith(other, h, c)
		}},
		"key elsewhere": {Sign: func(h, c oidctest.Claims) string {
			h["jku"], h["x5u"], h["kid"] = "https://evil.example/keys", "https://evil.example/cert", "2"
			return oidctest.SignWith(other, h, c)
		}},
		"another key":     {Sign: func(h, c oidctest.Claims) string { return oidctest.SignWith(other, h, c) }},
		"no signature":    {Sign: func(h, c oidctest.Claims) string { return oidctest.Unsigned(h, c) + "." }},
		"no token":        {Sign: func(_, _ oidctest.Claims) string { return "" }},
		"audience":        claim("aud", "somebody-else"),
		"no audience":     claim("aud", nil),
		"many audiences":  claim("aud", []string{oidctest.ClientID, "somebody-else"}),
		"party":           claim("azp", "somebody-else"),
		"issuer":          claim("iss", "https://evil.example"),
		"issuer's prefix": claim("iss", i.URL+"/"),
		"expired":         claim("exp", time.Now().Add(-time.Minute).Unix()),
		"no expiry":       claim("exp", nil),
		"not yet":         claim("nbf", time.Now().Add(time.Hour).Unix()),
		"future":          claim("iat", time.Now().Add(time.Hour).Unix()),
		"nonce":           claim("nonce", "another"),
		"no nonce":        claim("nonce", nil),
		"no subject":      claim("sub", nil),
		"access hash":     claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		"logout token":    claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}),
		"access token":    {Token: func(h, _ oidctest.Claims) { h["typ"] = "at+jwt" }},
		"other userinfo":  {UserInfo: func(c oidctest.Claims) { c["sub"] = "bob" }},
	} {
		i.Set(hooks)
		if r, err := signIn(t, i, p); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	i.Set(claim("azp", oidctest.ClientID))
	if _, err := signIn(t, i, p); err != nil {
		t.Errorf("an honest token: %v", err)
	}
}

func TestRobustness32ResponsesOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	p := discover(t, i)
	for name, lie := range map[string]func(url.Values){
		"state":         func(v url.Values) { v.Set("state", "another") },
		"no state":      func(v url.Values) { v.Del("state") },
		"two states":    func(v url.Values) { v.Add("state", "another") },
		"mix-up":        func(v url.Values) { v.Set("iss", "https://honest.example") },
		"no issuer":     func(v url.Values) { v.Del("iss") },
		"no code":       func(v url.Values) { v.Del("code") },
		"another code":  func(v url.Values) { v.Set("code", "guess") },
		"code injected": func(v url.Values) { v.Set("code", stolenCode(t, i, p)) },
	} {
		at, pending := p.Start(false, time.Now())
		response := browse(t, i.Server, at)
		lie(response)
		before := i.Requests()
		if _, err := p.Finish(t.Context(), pending, response); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
		if early := !strings.Contains(name, "code"); early && i.Requests() != before {
			t.Errorf("%s: the code was presented all the same", name)
		}
	}
	at, pending := p.Start(false, time.Now())
	response := browse(t, i.Server, at)
	if _, err := p.Finish(t.Context(), pending, response); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Finish(t.Context(), pending, response); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a code used twice: %v", err)
	}
	if _, err := p.Finish(t.Context(), Pending{}, url.Values{"state": {""}, "code": {"x"}, "iss": {i.URL}}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nothing is pending: %v", err)
	}
	_, err := p.Finish(t.Context(), pending, url.Values{"state": {pending.State}, "error": {"access_denied\r\n"}, "iss": {i.URL}})
	if !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.Message(err), "access_denied.") {
		t.Errorf("an issuer that says no: %v", err)
	}
}

// stolenCode is the code of another browser's sign-in: PKCE binds it to that.
func stolenCode(t *testing.T, i *oidctest.Issuer, p *Provider) string {
	at, _ := p.Start(false, time.Now())
	return browse(t, i.Server, at).Get("code")
}

func TestDiscoveryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	for name, lie := range map[string]func(oidctest.Claims){
		"another issuer":  func(c oidctest.Claims) { c["issuer"] = "https://evil.example" },
		"plain endpoint":  func(c oidctest.Claims) { c["token_endpoint"] = "http://127.0.0.1/token" },
		"no keys":         func(c oidctest.Claims) { delete(c, "jwks_uri") },
		"shared keys":     func(c oidctest.Claims) { c["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} },
		"plain challenge": func(c oidctest.Claims) { c["code_challenge_methods_supported"] = []string{"plain"} },
	} {
		i.Set(oidctest.Hooks{Discovery: lie})
		if _, err := Discover(t.Context(), config(t, i.Server)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "http://login.example.com", "https://", "https://u:p@login.example.com", "https://login.example.com?x=1", "https://login.example.com#x", "file:///etc/passwd"} {
		if _, err := Discover(t.Context(), Config{Issuer: bad, Client: client(t, i.Server)}); !fault.Is(err, fault.Invalid) {
			t.Errorf("issuer %q: %v", bad, err)
		}
	}
}

func TestRobustness39DiscoveryReachesNoLoopback(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	cfg := config(t, i.Server)
	cfg.Client, _ = (&web.Outbound{}).Client(oidctest.CA(i.Server))
	if _, err := Discover(t.Context(), cfg); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Message(err), "127.0.0.1 is not a public address") {
		t.Errorf("got %v", err)
	}
}

func TestBackChannelLogoutTokensAreChecked(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	p := discover(t, i)
	header, claims := i.LogoutToken()
	out, err := p.BackChannelLogout(t.Context(), i.Sign(header, claims))
	if err != nil || out.Subject != "ada" || out.SessionID != "sid-ada" || out.TokenID != claims["jti"] {
		t.Fatalf("an honest token: %+v, %v", out, err)
	}
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, lie := range map[string]func(h, c oidctest.Claims) string{
		"audience":    func(h, c oidctest.Claims) string { c["aud"] = "somebody-else"; return i.Sign(h, c) },
		"issuer":      func(h, c oidctest.Claims) string { c["iss"] = "https://evil.example"; return i.Sign(h, c) },
		"nonce":       func(h, c oidctest.Claims) string { c["nonce"] = "x"; return i.Sign(h, c) },
		"no id":       func(h, c oidctest.Claims) string { delete(c, "jti"); return i.Sign(h, c) },
		"no event":    func(h, c oidctest.Claims) string { delete(c, "events"); return i.Sign(h, c) },
		"nobody":      func(h, c oidctest.Claims) string { delete(c, "sub"); delete(c, "sid"); return i.Sign(h, c) },
		"expired":     func(h, c oidctest.Claims) string { c["exp"] = time.Now().Add(-time.Minute).Unix(); return i.Sign(h, c) },
		"old":         func(h, c oidctest.Claims) string { c["iat"] = time.Now().Add(-time.Hour).Unix(); return i.Sign(h, c) },
		"no time":     func(h, c oidctest.Claims) string { delete(c, "iat"); return i.Sign(h, c) },
		"another key": func(h, c oidctest.Claims) string { return oidctest.SignWith(other, h, c) },
		"unsigned":    func(h, c oidctest.Claims) string { h["alg"] = "none"; return oidctest.Unsigned(h, c) + "." },
		"shared key": func(h, c oidctest.Claims) string {
			h["alg"] = "HS256"
			return oidctest.SignShared(&i.Key.PublicKey, h, c)
		},
		"an ID token": func(oidctest.Claims, oidctest.Claims) string {
			r, err := signIn(t, i, p)
			if err != nil {
				t.Fatal(err)
			}
			return r.IDToken
		},
		"nothing": func(oidctest.Claims, oidctest.Claims) string { return "" },
	} {
		if _, err := p.BackChannelLogout(t.Context(), lie(i.LogoutToken())); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRealIssuer signs in at zitadel's OpenID provider through its page.
func TestRealIssuer(t *testing.T) {
	t.Parallel()
	op := oidctest.OP(t, redirectURI)
	p, err := Discover(t.Context(), config(t, op))
	if err != nil {
		t.Fatal(err)
	}
	at, pending := p.Start(false, time.Now())
	r, err := p.Finish(t.Context(), pending, throughPage(t, op, at, "verysecure"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Subject != "id2" || r.Claims["email"] != "test-user2@zitadel.ch" || r.Claims["email_verified"] != true || r.RefreshToken == "" {
		t.Errorf("got %+v", r)
	}
	again, err := p.Refresh(t.Context(), r.RefreshToken, "id2")
	if err != nil || again.Subject != "id2" || again.Claims["email"] != "test-user2@zitadel.ch" {
		t.Errorf("refresh: %+v, %v", again, err)
	}
	if _, ok := p.LogoutURL(r.IDToken, "https://nimbus.example.com/"); !ok {
		t.Error("it has a place for logout")
	}
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]+)"`)

func throughPage(t *testing.T, op *httptest.Server, at, password string) url.Values {
	t.Helper()
	c := *client(t, op)
	c.Jar, _ = cookiejar.New(nil)
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := c.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(res.Body)
	res.Body.Close()
	found := hiddenID.FindSubmatch(page)
	if found == nil {
		t.Fatalf("no sign-in page but %s", page)
	}
	form := url.Values{"id": {string(found[1])}, "username": {"test-user2"}, "password": {password}}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, res.Request.URL.String(), strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err = c.Do(req); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("after the page: %s, %v", res.Status, err)
	}
	return back.Query()
}
