package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

// binding is the cookie that binds a sign-in at a provider to the browser that
// began it. Identity providers answer by a POST from their own site, with
// which browsers send no other kind.
const binding = "__Host-nimbus-sign-in"

const bindingAge = 15 * 60 // seconds

func bindingCookie(value string) *http.Cookie {
	return &http.Cookie{Name: binding, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, MaxAge: bindingAge}
}

// signInPage explains a code that comes with it.
const signInPage = "/sign-in"

func registerFederation(a *web.API, h handlers) {
	const tag = "Sign-in providers"
	route := func(method, path, permission, summary string) web.Route {
		return web.Route{Method: method, Path: path, Tag: tag, Permission: permission, Summary: summary}
	}
	web.Handle(a, route(http.MethodGet, "/v1/identity-providers", identity.ReadProvider, "List the sign-in providers of your tenant"), h.providers)
	create := route(http.MethodPost, "/v1/identity-providers", identity.CreateProvider, "Add a sign-in provider")
	create.Status = http.StatusCreated
	web.Handle(a, create, h.createProvider)
	web.Handle(a, route(http.MethodGet, "/v1/identity-providers/{id}", identity.ReadProvider, "Read a sign-in provider"), h.provider)
	web.Handle(a, route(http.MethodPatch, "/v1/identity-providers/{id}", identity.UpdateProvider, "Change a sign-in provider"), h.changeProvider)
	web.Handle(a, route(http.MethodDelete, "/v1/identity-providers/{id}", identity.DeleteProvider, "Delete a sign-in provider"), h.deleteProvider)
	web.Handle(a, route(http.MethodPost, "/v1/identity-providers/{id}/rotate-key", identity.UpdateProvider, "Give a SAML provider a new key of ours"), h.rotateKey)
	web.Handle(a, route(http.MethodPost, "/v1/identity-providers/{id}/test", identity.UpdateProvider, "Begin a test sign-in that makes no session"), h.testProvider)
	web.Handle(a, route(http.MethodGet, "/v1/identity-providers/{id}/test/{test}", identity.UpdateProvider, "What a login would yield"), h.testResult)
	web.Handle(a, route(http.MethodPost, "/v1/session/discover", web.Public, "How an e-mail address may sign in").InReserve(), h.discover)
	registerProtocols(a, h, route)
}

// registerProtocols declares what browsers and providers call.
func registerProtocols(a *web.API, h handlers, route func(method, path, permission, summary string) web.Route) {
	raw := func(method, path, summary string, status int, crossSite bool, fn http.HandlerFunc) {
		r := route(method, path, web.Public, summary).InReserve()
		r.Status, r.CrossSite = status, crossSite
		web.Raw(a, r, fn)
	}
	raw(http.MethodGet, "/v1/session/oidc/{provider}/start", "Begin to sign in at an OpenID Connect issuer", http.StatusFound, false, h.start(identity.OIDC))
	raw(http.MethodGet, "/v1/session/saml/{provider}/start", "Begin to sign in at a SAML identity provider", http.StatusFound, false, h.start(identity.SAML))
	raw(http.MethodGet, "/v1/session/oidc/callback", "An OpenID Connect issuer's answer", http.StatusSeeOther, false, h.callback)
	raw(http.MethodPost, "/v1/session/saml/{provider}/acs", "A SAML identity provider's answer", http.StatusSeeOther, true, h.acs)
	raw(http.MethodGet, "/v1/session/saml/{provider}/metadata", "Our SAML metadata", http.StatusOK, false, h.metadata)
	raw(http.MethodPost, "/v1/session/oidc/{provider}/backchannel-logout", "An issuer ends sessions", http.StatusOK, true, h.backChannelLogout)
}

func (h handlers) providers(ctx context.Context, _ *web.None) (page[identity.Provider], error) {
	all, err := h.Federation.Providers(ctx)
	return page[identity.Provider]{Items: all}, err
}

type createProviderInput struct {
	Body struct {
		Kind identity.ProviderKind `json:"kind" enum:"oidc,saml"`
		identity.ProviderChange
	}
}

func (h handlers) createProvider(ctx context.Context, in *createProviderInput) (identity.Provider, error) {
	return h.Federation.CreateProvider(ctx, in.Body.Kind, in.Body.ProviderChange)
}

func (h handlers) provider(ctx context.Context, in *idInput) (identity.Provider, error) {
	return h.Federation.Provider(ctx, in.ID)
}

type changeProviderInput struct {
	ID   id.ID `path:"id"`
	Body identity.ProviderChange
}

func (h handlers) changeProvider(ctx context.Context, in *changeProviderInput) (identity.Provider, error) {
	return h.Federation.ChangeProvider(ctx, in.ID, in.Body)
}

func (h handlers) deleteProvider(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Federation.DeleteProvider(ctx, in.ID)
}

func (h handlers) rotateKey(ctx context.Context, in *idInput) (identity.Provider, error) {
	return h.Federation.RotateKey(ctx, in.ID)
}

type testProviderInput struct {
	ID        id.ID  `path:"id"`
	UserAgent string `header:"User-Agent"`
	Binding   string `cookie:"__Host-nimbus-sign-in"`
	Body      struct {
		ReturnTo string `json:"return_to,omitempty" maxLength:"500" doc:"The page to come back to; ?test= is added."`
	}
}

type testAnswer struct {
	Test     id.ID  `json:"test"`
	Redirect string `json:"redirect"`
}

func (h handlers) testProvider(ctx context.Context, in *testProviderInput) (testAnswer, error) {
	web.NoStore(ctx)
	b := identity.Browser{Secret: in.Binding, Address: web.RemoteAddress(ctx), UserAgent: in.UserAgent}
	if !bound(b.Secret) {
		b.Secret = identity.NewBrowserSecret()
	}
	redirect, test, err := h.Federation.Test(ctx, in.ID, b, in.Body.ReturnTo)
	if err == nil {
		web.SetCookie(ctx, bindingCookie(b.Secret))
	}
	return testAnswer{test, redirect}, err
}

// bound is true for a cookie of ours, and no other text.
func bound(secret string) bool { return len(secret) == 43 }

type testResultInput struct {
	ID   id.ID `path:"id"`
	Test id.ID `path:"test"`
}

func (h handlers) testResult(ctx context.Context, in *testResultInput) (identity.TestResult, error) {
	return h.Federation.TestResult(ctx, in.ID, in.Test)
}

type discoverInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

func (h handlers) discover(ctx context.Context, in *discoverInput) (identity.Choice, error) {
	return h.Federation.Discover(ctx, in.Body.Email)
}

// browser is who sent a request that nobody is signed in with.
func browser(r *http.Request) identity.Browser {
	b := identity.Browser{Address: web.Address(r), UserAgent: r.UserAgent()}
	if c, err := r.Cookie(binding); err == nil && bound(c.Value) {
		b.Secret = c.Value
	}
	return b
}

func (h handlers) start(kind identity.ProviderKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		provider, err := id.Parse(r.PathValue("provider"))
		if err != nil {
			h.failed(w, r, fault.New(fault.NotFound, "There is no such sign-in provider."))
			return
		}
		b := browser(r)
		if b.Secret == "" {
			b.Secret = identity.NewBrowserSecret()
		}
		q := r.URL.Query()
		at, err := h.Federation.Start(r.Context(), kind, provider, b, q.Get("return_to"), q.Get("reauthenticate") == "true")
		if err != nil {
			h.failed(w, r, err)
			return
		}
		http.SetCookie(w, bindingCookie(b.Secret))
		http.Redirect(w, r, at, http.StatusFound)
	}
}

// failed sends the browser to the sign-in page with the code of what went
// wrong; a return_to that is no page of ours is answered as it is.
func (h handlers) failed(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.Invalid) {
		web.Fail(w, r, err)
		return
	}
	h.Logger.Warn("a sign-in at a provider failed", "error", err, "request_id", web.RequestID(r.Context()))
	http.Redirect(w, r, signInPage+"?error="+url.QueryEscape(identity.SignInCode(err)), http.StatusSeeOther)
}

// arrived gives the browser its session and sends it on.
func (h handlers) arrived(w http.ResponseWriter, r *http.Request, a identity.Arrival, err error) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if err != nil {
		h.Logger.Warn("a sign-in at a provider failed", "error", err, "request_id", web.RequestID(r.Context()))
		http.Redirect(w, r, signInPage+"?error="+url.QueryEscape(identity.SignInCode(err)), http.StatusSeeOther)
		return
	}
	if a.SecondFactor != "" {
		// In the fragment, which browsers send nowhere.
		http.Redirect(w, r, signInPage+"?return_to="+url.QueryEscape(a.ReturnTo)+"#second_factor="+a.SecondFactor, http.StatusSeeOther)
		return
	}
	if a.Token != "" {
		http.SetCookie(w, cookie(a.Token, 0))
	}
	http.Redirect(w, r, a.ReturnTo, http.StatusSeeOther)
}

func (h handlers) callback(w http.ResponseWriter, r *http.Request) {
	a, err := h.Federation.FinishOIDC(r.Context(), r.URL.Query(), browser(r))
	h.arrived(w, r, a, err)
}

func (h handlers) acs(w http.ResponseWriter, r *http.Request) {
	provider, err := id.Parse(r.PathValue("provider"))
	if err == nil {
		err = r.ParseForm()
	}
	if err != nil || len(r.PostForm["SAMLResponse"]) != 1 {
		h.arrived(w, r, identity.Arrival{}, fault.New(fault.Unauthenticated, "There is no answer of a sign-in provider in this request."))
		return
	}
	a, err := h.Federation.FinishSAML(r.Context(), provider, r.PostForm.Get("SAMLResponse"), r.PostForm.Get("RelayState"), browser(r))
	h.arrived(w, r, a, err)
}

func (h handlers) metadata(w http.ResponseWriter, r *http.Request) {
	provider, err := id.Parse(r.PathValue("provider"))
	if err != nil {
		web.Fail(w, r, fault.New(fault.NotFound, "There is no such sign-in provider."))
		return
	}
	text, err := h.Federation.Metadata(r.Context(), provider)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, _ = w.Write(text)
}

// backChannelLogout answers as OpenID Connect Back-Channel Logout, section
// 2.8, wants it.
func (h handlers) backChannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	provider, err := id.Parse(r.PathValue("provider"))
	if err == nil {
		err = r.ParseForm()
	}
	if err == nil {
		err = h.Federation.BackChannelLogout(r.Context(), provider, r.PostForm.Get("logout_token"))
	}
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Logger.Warn("a back-channel logout was refused", "provider", strings.Map(printable, r.PathValue("provider")), "error", err)
	status := http.StatusBadRequest
	if fault.Is(err, fault.Internal) || fault.Is(err, fault.Unavailable) {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request"})
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}
