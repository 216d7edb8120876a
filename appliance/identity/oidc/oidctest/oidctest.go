// Package oidctest has the issuers that tests sign in at: Issuer, written by
// hand, tells any lie it is asked to, and OP is a real one (zitadel/oidc).
package oidctest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// ClientID and ClientSecret are what both issuers know us as.
const (
	ClientID     = "nimbus"
	ClientSecret = "not for anybody else"
)

// Claims of a token.
type Claims map[string]any

// Issuer signs in the person of Person at once, without a page. The hooks,
// which may be nil, change what it says. It is safe for concurrent use as long
// as hooks are set by Set.
type Issuer struct {
	*httptest.Server
	Key *rsa.PrivateKey

	mu       sync.Mutex
	person   Claims
	hooks    Hooks
	codes    map[string]url.Values // authorization requests by code
	refresh  map[string]Claims
	requests int
}

// Hooks are lies.
type Hooks struct {
	Discovery func(Claims)
	Authorize func(response url.Values)
	Token     func(header, claims Claims)
	Sign      func(header, claims Claims) string
	UserInfo  func(Claims)
	Refresh   func(w http.ResponseWriter) bool // true: answered
}

// New starts an issuer that ends with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{Key: key, codes: map[string]url.Values{}, refresh: map[string]Claims{}}
	i.person = Claims{"sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace", "groups": []string{"engineers"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /userinfo", i.userinfo)
	mux.HandleFunc("GET /keys", i.keys)
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

// CA is the certificate that clients have to trust.
func CA(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// Set changes the hooks.
func (i *Issuer) Set(h Hooks) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hooks = h
}

// Person changes who signs in: the given claims are added to those there are.
func (i *Issuer) Person(c Claims) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, v := range c {
		i.person[k] = v
		if v == nil {
			delete(i.person, k)
		}
	}
}

// Requests counts codes and refresh tokens that were presented.
func (i *Issuer) Requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := Claims{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"userinfo_endpoint": i.URL + "/userinfo", "jwks_uri": i.URL + "/keys", "end_session_endpoint": i.URL + "/logout",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"authorization_response_iss_parameter_supported": true,
	}
	if i.hooks.Discovery != nil {
		i.hooks.Discovery(d)
	}
	answer(w, d)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := r.URL.Query()
	code := rand.Text()
	i.codes[code] = q
	response := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {i.URL}}
	if i.hooks.Authorize != nil {
		i.hooks.Authorize(response)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+response.Encode(), http.StatusFound)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests++
	id, secret, _ := r.BasicAuth()
	if wanted := url.QueryEscape(ClientSecret); id != ClientID || secret != wanted {
		refuse(w, "invalid_client")
		return
	}
	if r.FormValue("grant_type") == "refresh_token" {
		i.refreshToken(w, r)
		return
	}
	request, ok := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != request.Get("code_challenge") || request.Get("redirect_uri") != r.FormValue("redirect_uri") {
		refuse(w, "invalid_grant")
		return
	}
	i.tokens(w, request.Get("nonce"))
}

func (i *Issuer) refreshToken(w http.ResponseWriter, r *http.Request) {
	if i.hooks.Refresh != nil && i.hooks.Refresh(w) {
		return
	}
	if _, ok := i.refresh[r.FormValue("refresh_token")]; !ok {
		refuse(w, "invalid_grant")
		return
	}
	delete(i.refresh, r.FormValue("refresh_token"))
	i.tokens(w, "")
}

// Refuse answers a token request as an issuer refuses it.
func Refuse(w http.ResponseWriter) { refuse(w, "invalid_grant") }

func refuse(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(Claims{"error": code})
}

func (i *Issuer) tokens(w http.ResponseWriter, nonce string) {
	claims := Claims{
		"iss": i.URL, "sub": i.person["sub"], "aud": ClientID, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"auth_time": time.Now().Unix(), "sid": "sid-" + i.person["sub"].(string),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	for _, name := range []string{"amr", "acr"} {
		if v, ok := i.person[name]; ok {
			claims[name] = v
		}
	}
	header := Claims{"alg": "RS256", "kid": "1", "typ": "JWT"}
	if i.hooks.Token != nil {
		i.hooks.Token(header, claims)
	}
	sign := i.Sign
	if i.hooks.Sign != nil {
		sign = i.hooks.Sign
	}
	refresh := rand.Text()
	i.refresh[refresh] = i.person
	answer(w, Claims{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "refresh_token": refresh, "id_token": sign(header, claims)})
}

func (i *Issuer) userinfo(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := Claims{}
	for k, v := range i.person {
		c[k] = v
	}
	if i.hooks.UserInfo != nil {
		i.hooks.UserInfo(c)
	}
	answer(w, c)
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, Claims{"keys": []Claims{JWK(&i.Key.PublicKey, "1")}})
}

// JWK is a public key as issuers publish it.
func JWK(key *rsa.PublicKey, kid string) Claims {
	return Claims{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}
}

// Sign signs with the issuer's key, whatever the header says.
func (i *Issuer) Sign(header, claims Claims) string { return SignWith(i.Key, header, claims) }

// SignWith signs with a key by RS256, whatever the header says.
func SignWith(key *rsa.PrivateKey, header, claims Claims) string {
	text := Unsigned(header, claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// SignShared signs by HS256 with a public key as the shared secret: the attack
// that swaps the algorithm.
func SignShared(key *rsa.PublicKey, header, claims Claims) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	text := Unsigned(header, claims)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Unsigned is header and claims of a token, without a signature.
func Unsigned(header, claims Claims) string {
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	if err1 != nil || err2 != nil {
		panic("claims that are not JSON")
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
}

// LogoutToken is a valid one for the person "ada"; change it and sign it.
func (i *Issuer) LogoutToken() (header, claims Claims) {
	return Claims{"alg": "RS256", "kid": "1", "typ": "logout+jwt"}, Claims{
		"iss": i.URL, "aud": ClientID, "sub": "ada", "sid": "sid-ada", "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"events": Claims{"http://schemas.openid.net/event/backchannel-logout": Claims{}},
	}
}

// OP is a real issuer with a page that asks for name and password, until the
// test ends. Its person is test-user2 (subject id2, test-user2@zitadel.ch) with
// the password "verysecure".
func OP(t testing.TB, redirectURI string) *httptest.Server {
	t.Helper()
	server := StartOP(redirectURI)
	t.Cleanup(server.Close)
	return server
}

// StartOP is OP for programs; the caller closes it.
func StartOP(redirectURI string) *httptest.Server {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	store := storage.NewStorageWithClients(storage.NewUserStore(server.URL), map[string]*storage.Client{
		ClientID: storage.WebClient(ClientID, ClientSecret, redirectURI),
	})
	server.Config.Handler = exampleop.SetupServer(server.URL, store, slog.New(slog.DiscardHandler), false)
	return server
}
