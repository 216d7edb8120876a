// Package api is the HTTP side of sign-in, sessions, people and API tokens.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// Cookie holds the session token. Its prefix makes browsers insist on Secure,
// on this host only and on the whole site (RFC 6265bis, section 4.1.3.2).
const Cookie = "__Host-nimbus"

// Appliance is what every page wants to know about the installation.
type Appliance struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Version  string `json:"version"`
	TimeZone string `json:"time_zone"`
}

// Config is what the handlers need.
type Config struct {
	Identity    *identity.Service
	Permissions *permission.Service
	Tenants     *tenancy.Service
	Federation  *identity.Federation
	Logger      *slog.Logger
	Appliance   func() Appliance
	// BreakGlass returns the open emergency session, or nil.
	BreakGlass func(ctx context.Context) any
}

// Authenticate finds the actor of a request by its cookie or its bearer token.
func Authenticate(s *identity.Service) web.Authenticate {
	return func(r *http.Request) (actor.Actor, bool, error) {
		if header := r.Header.Get("Authorization"); header != "" {
			token, ok := strings.CutPrefix(header, "Bearer ")
			if !ok {
				return actor.Actor{}, false, fault.New(fault.Unauthenticated, "Send the API token as `Authorization: Bearer nbt_…`.")
			}
			a, err := s.AuthenticateToken(r.Context(), token)
			return a, err == nil, err
		}
		cookie, err := r.Cookie(Cookie)
		if err != nil {
			return actor.Actor{}, false, nil
		}
		a, err := s.Authenticate(r.Context(), cookie.Value)
		if fault.Is(err, fault.Unauthenticated) {
			return actor.Actor{}, false, nil // as if signed out, so that one can sign in
		}
		if err == nil {
			err = withinLimits(s, r, a)
		}
		return a, err == nil, err
	}
}

type handlers struct{ Config }

// Register declares the routes.
func Register(a *web.API, cfg Config) {
	h := handlers{cfg}
	const tag = "Session"
	own := func(method, path, summary string) web.Route {
		return web.Route{Method: method, Path: path, Summary: summary, Tag: tag, Permission: web.SignedIn}
	}
	signIn := own(http.MethodPost, "/v1/session", "Sign in")
	signIn.Permission, signIn.Status = web.Public, http.StatusCreated
	web.Handle(a, signIn.InReserve(), h.signIn)
	web.Handle(a, own(http.MethodGet, "/v1/session", "Who you are and what you may do"), h.session)
	web.Handle(a, own(http.MethodDelete, "/v1/session", "Sign out").InReserve(), h.signOut)
	web.Handle(a, own(http.MethodPut, "/v1/session/tenant", "Switch to another of your tenants").InReserve(), h.useTenant)
	web.Handle(a, own(http.MethodGet, "/v1/sessions", "List your sessions"), h.sessions)
	web.Handle(a, own(http.MethodDelete, "/v1/sessions", "Sign out everywhere").InReserve(), h.endSessions)
	web.Handle(a, own(http.MethodDelete, "/v1/sessions/{id}", "End one of your sessions").InReserve(), h.endSession)
	password := own(http.MethodPut, "/v1/session/password", "Change your password")
	password.Description = "Your other sessions end."
	web.Handle(a, password, h.changePassword)
	web.Handle(a, own(http.MethodGet, "/v1/tokens", "List your API tokens"), h.tokens)
	createToken := own(http.MethodPost, "/v1/tokens", "Create an API token")
	createToken.Status = http.StatusCreated
	web.Handle(a, createToken, h.createToken)
	web.Handle(a, own(http.MethodDelete, "/v1/tokens/{id}", "Delete an API token"), h.deleteToken)
	registerUsers(a, h)
	registerGroups(a, h)
	registerServiceAccounts(a, h)
	registerInvitations(a, h)
	registerMFA(a, h)
	registerFederation(a, h)
}

type sessionAnswer struct {
	ID              id.ID           `json:"id"`
	User            userName        `json:"user"`
	Tenant          tenantName      `json:"tenant"`
	Tenants         []tenantName    `json:"tenants"`
	Permissions     []string        `json:"permissions" doc:"Patterns; a leading ! denies."`
	SignedInAt      time.Time       `json:"signed_in_at"`
	AuthenticatedAt time.Time       `json:"authenticated_at"`
	ExpiresAt       time.Time       `json:"expires_at"`
	Method          identity.Method `json:"method,omitempty" doc:"How the session was begun; missing for API tokens."`
	MFA             bool            `json:"mfa" doc:"A second factor was proven."`
	Appliance       Appliance       `json:"appliance"`
	TimeZone        string          `json:"time_zone" doc:"Of the tenant; empty when it chose none: show times in the reader's own."`
	BreakGlass      any             `json:"breakglass"`
	Limits
}

type userName struct {
	ID    id.ID  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type tenantName struct {
	ID     id.ID  `json:"id"`
	Name   string `json:"name"`
	IsRoot bool   `json:"is_root"`
}

type signInInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Email    string `json:"email" maxLength:"254"`
		Password string `json:"password" maxLength:"200"`
	}
}

func (h handlers) signIn(ctx context.Context, in *signInInput) (signInAnswer, error) {
	token, session, err := h.Identity.SignIn(ctx, in.Body.Email, in.Body.Password, web.RemoteAddress(ctx), in.UserAgent)
	return h.began(ctx, token, session, err)
}

// cookie lasts as long as the browser session; age -1 removes it.
func cookie(token string, age int) *http.Cookie {
	return &http.Cookie{Name: Cookie, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age}
}

func (h handlers) session(ctx context.Context, _ *web.None) (sessionAnswer, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return sessionAnswer{}, err
	}
	mine, err1 := h.Permissions.Mine(ctx)
	ids, err2 := h.Identity.TenantsOf(ctx)
	tenants, err3 := h.Tenants.Named(ctx, ids)
	email, signIn, err4 := h.Identity.Me(ctx)
	limits, err5 := h.limits(ctx, a)
	set, err6 := h.Tenants.SettingsOf(ctx, a.TenantID)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return sessionAnswer{}, err
	}
	answer := sessionAnswer{
		ID: a.Session, User: userName{a.ID, a.Name, email}, Permissions: mine, Tenants: []tenantName{},
		SignedInAt: signIn.SignedInAt, AuthenticatedAt: a.AuthenticatedAt, ExpiresAt: signIn.ExpiresAt,
		Method: signIn.Method, MFA: a.MFA, Appliance: h.Appliance(), BreakGlass: h.BreakGlass(ctx),
		TimeZone: set.TimeZone, Limits: limits,
	}
	for _, t := range tenants {
		name := tenantName{t.ID, t.Name, t.IsRoot}
		answer.Tenants = append(answer.Tenants, name)
		if t.ID == a.TenantID {
			answer.Tenant = name
		}
	}
	return answer, nil
}

type signOutAnswer struct {
	Redirect string `json:"redirect,omitempty" doc:"Where to sign out at the sign-in provider too."`
}

func (h handlers) signOut(ctx context.Context, _ *web.None) (signOutAnswer, error) {
	web.SetCookie(ctx, cookie("", -1))
	web.NoStore(ctx)
	at := h.Federation.SignOutURL(ctx)
	return signOutAnswer{at}, h.Identity.SignOut(ctx)
}

type useTenantInput struct {
	Body struct {
		TenantID id.ID `json:"tenant_id"`
	}
}

func (h handlers) useTenant(ctx context.Context, in *useTenantInput) (sessionAnswer, error) {
	a, err := h.Identity.UseTenant(ctx, in.Body.TenantID)
	if err != nil {
		return sessionAnswer{}, err
	}
	return h.session(actor.With(ctx, a), nil)
}

type sessionItem struct {
	identity.Session
	Current bool `json:"current"`
}

type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

func (h handlers) sessions(ctx context.Context, _ *web.None) (page[sessionItem], error) {
	all, err := h.Identity.Sessions(ctx)
	a, _ := actor.From(ctx)
	p := page[sessionItem]{Items: []sessionItem{}}
	for _, s := range all {
		p.Items = append(p.Items, sessionItem{Session: s, Current: s.ID == a.Session})
	}
	return p, err
}

// Paging chooses a page of a list that is ordered by name.
type Paging struct {
	Query string `query:"q" maxLength:"200" doc:"Part of the name."`
	After string `query:"after" maxLength:"1000" doc:"The next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (p Paging) filter() identity.Filter {
	return identity.Filter{Search: p.Query, After: p.After, Limit: p.Limit}
}

// pageOf is a page of a service as the API shows it.
func pageOf[S, T any](from identity.Page[S], item func(S) T) page[T] {
	p := page[T]{Items: make([]T, 0, len(from.Items))}
	for _, one := range from.Items {
		p.Items = append(p.Items, item(one))
	}
	if from.Next != "" {
		p.Next = &from.Next
	}
	return p
}

// listOf is a list that has no pages.
func listOf[T any](items []T) page[T] {
	if items == nil {
		items = []T{}
	}
	return page[T]{Items: items}
}

func same[T any](item T) T { return item }

type idInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) endSession(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.EndSession(ctx, in.ID)
}

type endSessionsInput struct {
	KeepCurrent bool `query:"keep_current" doc:"Stay signed in here."`
}

func (h handlers) endSessions(ctx context.Context, in *endSessionsInput) (web.None, error) {
	err := h.Identity.EndSessions(ctx, in.KeepCurrent)
	if err == nil && !in.KeepCurrent {
		web.SetCookie(ctx, cookie("", -1))
	}
	return web.None{}, err
}

type changePasswordInput struct {
	Body struct {
		Current string `json:"current" maxLength:"200"`
		New     string `json:"new" maxLength:"200"`
	}
}

func (h handlers) changePassword(ctx context.Context, in *changePasswordInput) (web.None, error) {
	return web.None{}, h.Identity.ChangePassword(ctx, in.Body.Current, in.Body.New)
}

func (h handlers) tokens(ctx context.Context, _ *web.None) (page[identity.Token], error) {
	all, err := h.Identity.Tokens(ctx)
	return listOf(all), err
}

type createTokenInput struct {
	Body newToken
}

type newToken struct {
	Name          string   `json:"name" minLength:"1" maxLength:"100"`
	ExpiresInDays int      `json:"expires_in_days" minimum:"1" maximum:"365"`
	Scopes        []string `json:"scopes,omitempty" maxItems:"100" doc:"Permission patterns that narrow it; none: everything its owner may." example:"[\"cmdb:*:read\"]"`
}

func (n newToken) wanted() identity.NewToken {
	return identity.NewToken{Name: n.Name, Days: n.ExpiresInDays, Scopes: n.Scopes}
}

type createdToken struct {
	ID        id.ID     `json:"id"`
	Name      string    `json:"name"`
	Token     string    `json:"token" doc:"Shown once. Keep it safe."`
	ExpiresAt time.Time `json:"expires_at"`
	Scopes    []string  `json:"scopes"`
}

func (h handlers) createToken(ctx context.Context, in *createTokenInput) (createdToken, error) {
	web.NoStore(ctx)
	secret, t, err := h.Identity.CreateToken(ctx, in.Body.wanted())
	return createdToken{ID: t.ID, Name: t.Name, Token: secret, ExpiresAt: t.ExpiresAt, Scopes: t.Scopes}, err
}

func (h handlers) deleteToken(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteToken(ctx, in.ID)
}
