// Package oidc is the relying party of OpenID Connect: discovery, sign-in with
// the authorization code flow and PKCE, refresh, and logout in both
// directions. It knows the protocol and no account; who may sign in is decided
// by package identity.
//
// What it promises of a Result: the response came from the issuer that was
// asked (RFC 9207), belongs to the pending sign-in, and its ID token is signed
// by one of the issuer's keys with an asymmetric algorithm, for us, unexpired,
// with our nonce (OpenID Connect Core, section 3.1.3.7).
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	lib "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// Config is what the issuer's administrator gave us.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret string // empty for a public client
	Scopes       []string
	RedirectURI  string
	Client       *http.Client
}

// Provider is an issuer whose discovery document was read.
type Provider struct {
	cfg      Config
	meta     metadata
	lib      *lib.Provider
	verifier *lib.IDTokenVerifier
	oauth    oauth2.Config
}

// metadata are the parts of the discovery document that the library leaves.
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	EndSession            string   `json:"end_session_endpoint"`
	Algorithms            []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	Challenges            []string `json:"code_challenge_methods_supported"`
	ResponseIssuer        bool     `json:"authorization_response_iss_parameter_supported"`
}

// algorithms that may sign a token. Neither none nor those with a shared key
// are among them, whatever the issuer offers.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Result is what a sign-in or a refresh yields.
type Result struct {
	Subject   string
	SessionID string // the issuer's, for back-channel logout; may be empty
	// Claims are those of the ID token and, where that has none, of userinfo.
	Claims        map[string]any
	IDToken       string
	RefreshToken  string
	Expires       time.Time // of the access token
	Authenticated time.Time // when the person proved themselves; zero when not said
	// MFA tells that the issuer says it asked for more than one factor (RFC 8176).
	MFA bool
}

// Pending is what has to be kept between Start and Finish, bound to the browser.
type Pending struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Fresh    bool      `json:"fresh,omitempty"`
	Started  time.Time `json:"started"`
}

// clockSkew is how far the issuer's clock and ours may be apart.
const clockSkew = 2 * time.Minute

var errResponse = errors.New("the answer is not one to this sign-in")

func invalid(cause error) error {
	return fault.Wrap(fault.Unauthenticated, cause, "The answer of the sign-in provider is not valid. Begin again; when it goes on, tell your administrator.")
}

func unavailable(cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "The sign-in provider cannot be used: %s", web.OutboundProblem(cause))
}

// Discover reads the issuer's discovery document. An address that cannot be
// one is fault.Invalid, one that does not answer as it should fault.Unavailable.
func Discover(ctx context.Context, cfg Config) (*Provider, error) {
	if err := ValidIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	ctx = lib.ClientContext(ctx, cfg.Client)
	found, err := lib.NewProvider(ctx, cfg.Issuer)
	var mismatch *lib.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, fault.Wrap(fault.Unavailable, err, "The discovery document is of another issuer, %q. Enter the issuer exactly as it names itself.", mismatch.Discovered)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	p := &Provider{cfg: cfg, lib: found}
	if err := found.Claims(&p.meta); err != nil {
		return nil, unavailable(err)
	}
	return p, p.prepare()
}

// prepare checks what was discovered and fixes how we speak to it.
func (p *Provider) prepare() error {
	for name, address := range map[string]string{
		"authorization_endpoint": p.meta.AuthorizationEndpoint, "token_endpoint": p.meta.TokenEndpoint, "jwks_uri": p.meta.JWKS,
	} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
			return fault.New(fault.Unavailable, "The discovery document has no https address as %s.", name)
		}
	}
	usable := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return !slices.Contains(p.meta.Algorithms, a) })
	if len(p.meta.Algorithms) == 0 {
		usable = []string{"RS256"}
	}
	if len(usable) == 0 {
		return fault.New(fault.Unavailable, "The issuer signs with none of the algorithms that are accepted (%s).", strings.Join(algorithms, ", "))
	}
	if len(p.meta.Challenges) > 0 && !slices.Contains(p.meta.Challenges, "S256") {
		return fault.New(fault.Unavailable, "The issuer does not support PKCE with S256.")
	}
	keys := lib.ClientContext(context.Background(), p.cfg.Client) // outlives the request
	p.verifier = p.lib.VerifierContext(keys, &lib.Config{ClientID: p.cfg.ClientID, SupportedSigningAlgs: usable})
	endpoint := p.lib.Endpoint()
	endpoint.AuthStyle = p.authStyle()
	p.oauth = oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: endpoint,
		RedirectURL: p.cfg.RedirectURI, Scopes: scopes(p.cfg.Scopes),
	}
	return nil
}

// authStyle is fixed: trying both ways would send the code twice.
func (p *Provider) authStyle() oauth2.AuthStyle {
	if p.cfg.ClientSecret == "" {
		return oauth2.AuthStyleInParams
	}
	if slices.Contains(p.meta.AuthMethods, "client_secret_post") && !slices.Contains(p.meta.AuthMethods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func scopes(wanted []string) []string {
	if slices.Contains(wanted, lib.ScopeOpenID) {
		return wanted
	}
	return append([]string{lib.ScopeOpenID}, wanted...)
}

// ValidIssuer checks an issuer's address: https, without user, query and fragment.
func ValidIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(issuer) > 500 {
		return fault.BadField("body.oidc.issuer", "An issuer is an https address without query, such as https://login.example.com/realms/home.")
	}
	return nil
}

func random() string {
	raw := make([]byte, 32)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Start begins a sign-in: the address to send the browser to, and what Finish
// wants back. fresh makes the issuer ask the person again.
func (p *Provider) Start(fresh bool, now time.Time) (string, Pending) {
	pending := Pending{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Fresh: fresh, Started: now}
	options := []oauth2.AuthCodeOption{lib.Nonce(pending.Nonce), oauth2.S256ChallengeOption(pending.Verifier)}
	if fresh {
		options = append(options, oauth2.SetAuthURLParam("max_age", "0"), oauth2.SetAuthURLParam("prompt", "login"))
	}
	return p.oauth.AuthCodeURL(pending.State, options...), pending
}

// Finish checks the response that came with the browser and redeems its code.
// A response that does not hold is fault.Unauthenticated, an issuer that said
// no fault.Forbidden, one that cannot be reached fault.Unavailable.
func (p *Provider) Finish(ctx context.Context, pending Pending, response url.Values) (Result, error) {
	if err := p.checkResponse(pending, response); err != nil {
		return Result{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.cfg.Client)
	token, err := p.oauth.Exchange(ctx, response.Get("code"), oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return Result{}, tokenFailure(err)
	}
	raw, _ := token.Extra("id_token").(string)
	r, nonce, err := p.verify(ctx, raw, token.AccessToken)
	if err != nil {
		return Result{}, err
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(pending.Nonce)) != 1 {
		return Result{}, invalid(errors.New("the nonce is another"))
	}
	if pending.Fresh && r.Authenticated.Before(pending.Started.Add(-clockSkew)) {
		return Result{}, invalid(errors.New("the issuer did not ask the person again"))
	}
	return p.complete(ctx, r, token)
}

// checkResponse refuses what is not an answer of this issuer to this request.
func (p *Provider) checkResponse(pending Pending, response url.Values) error {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(response[name]) > 1 {
			return invalid(errResponse)
		}
	}
	if pending.State == "" || subtle.ConstantTimeCompare([]byte(response.Get("state")), []byte(pending.State)) != 1 {
		return invalid(errResponse)
	}
	iss := response.Get("iss")
	if iss != "" && iss != p.cfg.Issuer || iss == "" && p.meta.ResponseIssuer {
		return invalid(errors.New("the response is of another issuer"))
	}
	switch reason := response.Get("error"); {
	case reason == "temporarily_unavailable", reason == "server_error":
		return fault.New(fault.Unavailable, "The sign-in provider has a problem of its own. Try again later.")
	case reason != "":
		return fault.Wrap(fault.Forbidden, errors.New(printable(reason)), "The sign-in provider refused: %s.", printable(reason))
	case response.Get("code") == "":
		return invalid(errResponse)
	}
	return nil
}

// printable makes text of others fit for a message.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), 80)]
}

func tokenFailure(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
		return invalid(err)
	}
	return unavailable(err)
}

// tokenClaims are what the library does not check.
type tokenClaims struct {
	Party     string   `json:"azp"`
	AuthTime  *float64 `json:"auth_time"`
	SessionID string   `json:"sid"`
	Methods   []string `json:"amr"`
	Events    any      `json:"events"`
}

// verify checks an ID token and returns its nonce.
func (p *Provider) verify(ctx context.Context, raw, access string) (Result, string, error) {
	if err := checkType(raw, "JWT"); err != nil {
		return Result{}, "", invalid(err)
	}
	t, err := p.verifier.Verify(lib.ClientContext(ctx, p.cfg.Client), raw)
	if err != nil {
		return Result{}, "", invalid(err)
	}
	var c tokenClaims
	r := Result{Subject: t.Subject, IDToken: raw}
	if err := errors.Join(t.Claims(&c), t.Claims(&r.Claims)); err != nil {
		return Result{}, "", invalid(err)
	}
	if err := p.checkToken(t, c, access); err != nil {
		return Result{}, "", invalid(err)
	}
	r.SessionID = c.SessionID
	r.MFA = slices.Contains(c.Methods, "mfa")
	if c.AuthTime != nil {
		r.Authenticated = time.Unix(int64(*c.AuthTime), 0)
	}
	return r, t.Nonce, nil
}

func (p *Provider) checkToken(t *lib.IDToken, c tokenClaims, access string) error {
	switch {
	case t.Subject == "" || len(t.Subject) > 255:
		return errors.New("the token has no subject")
	case len(t.Audience) > 1 && c.Party == "", c.Party != "" && c.Party != p.cfg.ClientID:
		return errors.New("the token was issued to another party")
	case t.IssuedAt.After(time.Now().Add(clockSkew)):
		return errors.New("the token is from the future")
	case c.Events != nil:
		return errors.New("the token is no ID token")
	case t.AccessTokenHash != "" && access != "":
		return t.VerifyAccessToken(access)
	}
	return nil
}

// checkType refuses tokens that say they are of another type, such as access
// tokens (RFC 9068) and logout tokens.
func checkType(raw string, types ...string) error {
	head, _, ok := strings.Cut(raw, ".")
	if !ok {
		return errors.New("there is no token")
	}
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return err
	}
	var header struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return err
	}
	if header.Type != "" && !slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, header.Type) }) {
		return errors.New("the token is of another type")
	}
	return nil
}

// complete adds the tokens and the claims that only userinfo has.
func (p *Provider) complete(ctx context.Context, r Result, token *oauth2.Token) (Result, error) {
	r.RefreshToken, r.Expires = token.RefreshToken, token.Expiry
	if p.lib.UserInfoEndpoint() == "" {
		return r, nil
	}
	info, err := p.lib.UserInfo(lib.ClientContext(ctx, p.cfg.Client), oauth2.StaticTokenSource(token))
	if err != nil {
		return Result{}, unavailable(err)
	}
	if info.Subject != r.Subject {
		return Result{}, invalid(errors.New("userinfo is about somebody else"))
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return Result{}, invalid(err)
	}
	for name, value := range more {
		if _, there := r.Claims[name]; !there {
			r.Claims[name] = value
		}
	}
	return r, nil
}

// Refresh asks whether the person's session at the issuer still holds, with
// the claims of now. fault.Gone means it does not.
func (p *Provider) Refresh(ctx context.Context, refreshToken, subject string) (Result, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.cfg.Client)
	token, err := p.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		return Result{}, refreshFailure(err)
	}
	r := Result{Subject: subject, Claims: map[string]any{"sub": subject}}
	if raw, ok := token.Extra("id_token").(string); ok && raw != "" {
		if r, _, err = p.verify(ctx, raw, token.AccessToken); err != nil {
			return Result{}, err
		}
	}
	if r.Subject != subject {
		return Result{}, invalid(errors.New("the refreshed token is about somebody else"))
	}
	return p.complete(ctx, r, token)
}

func refreshFailure(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "invalid_grant" {
		return fault.Wrap(fault.Gone, err, "The session at the sign-in provider is over.")
	}
	return unavailable(err)
}

// LogoutURL is where the browser ends the session at the issuer too; false
// when the issuer has no such place.
func (p *Provider) LogoutURL(idToken, returnTo string) (string, bool) {
	u, err := url.Parse(p.meta.EndSession)
	if p.meta.EndSession == "" || err != nil || u.Scheme != "https" {
		return "", false
	}
	q := u.Query()
	q.Set("client_id", p.cfg.ClientID)
	q.Set("post_logout_redirect_uri", returnTo)
	if idToken != "" {
		q.Set("id_token_hint", idToken)
	}
	u.RawQuery = q.Encode()
	return u.String(), true
}

// LoggedOut is a valid logout token: end the sessions of the subject, or the
// one session when there is one.
type LoggedOut struct {
	Subject, SessionID string
	TokenID            string // refuse it a second time
	Expires            time.Time
}

// logoutAge is how old a logout token may be, whatever it says of itself.
const logoutAge = 10 * time.Minute

// BackChannelLogout checks a logout token (OpenID Connect Back-Channel Logout,
// section 2.6) but for the replay of its id. What does not hold is fault.Invalid.
func (p *Provider) BackChannelLogout(ctx context.Context, raw string) (LoggedOut, error) {
	if err := checkType(raw, "JWT", "logout+jwt"); err != nil {
		return LoggedOut{}, refusedLogout(err)
	}
	t, err := p.verifier.VerifyLogout(lib.ClientContext(ctx, p.cfg.Client), raw)
	if err != nil {
		return LoggedOut{}, refusedLogout(err)
	}
	now := time.Now()
	if t.IssuedAt.After(now.Add(clockSkew)) || t.IssuedAt.Before(now.Add(-logoutAge)) {
		return LoggedOut{}, refusedLogout(errors.New("the logout token is not of now"))
	}
	return LoggedOut{Subject: t.Subject, SessionID: t.SessionID, TokenID: t.TokenID, Expires: t.Expiry}, nil
}

func refusedLogout(cause error) error {
	return fault.Wrap(fault.Invalid, cause, "The logout token is not valid.")
}
