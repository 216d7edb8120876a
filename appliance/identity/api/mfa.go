package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

func registerMFA(a *web.API, h handlers) {
	const tag = "Second factor"
	route := func(method, path, summary, permission string) web.Route {
		return web.Route{Method: method, Path: path, Summary: summary, Tag: tag, Permission: permission}
	}
	web.Handle(a, route(http.MethodGet, "/v1/mfa", "Your second factors", web.SignedIn), h.factors)
	web.Handle(a, route(http.MethodPost, "/v1/mfa/totp", "Begin to add an authenticator app", web.SignedIn), h.beginTOTP)
	web.Handle(a, route(http.MethodPost, "/v1/mfa/totp/confirm", "Prove the authenticator app and use it", web.SignedIn), h.confirmTOTP)
	web.Handle(a, route(http.MethodDelete, "/v1/mfa/totp", "Remove the authenticator app", web.SignedIn), h.removeTOTP)
	web.Handle(a, route(http.MethodPost, "/v1/mfa/passkeys/begin", "Begin to add a passkey", web.SignedIn), h.beginPasskey)
	finish := route(http.MethodPost, "/v1/mfa/passkeys/finish", "Store the passkey that the browser made", web.SignedIn)
	finish.Status = http.StatusCreated
	web.Handle(a, finish, h.finishPasskey)
	web.Handle(a, route(http.MethodDelete, "/v1/mfa/passkeys/{id}", "Remove a passkey", web.SignedIn), h.removePasskey)
	web.Handle(a, route(http.MethodPost, "/v1/mfa/recovery-codes", "Make new recovery codes", web.SignedIn), h.recoveryCodes)
	web.Handle(a, route(http.MethodDelete, "/v1/users/{id}/mfa", "Take a user's second factors away", identity.ResetMFA), h.resetFactors)

	second := route(http.MethodPost, "/v1/session/second-factor", "Prove the second factor of a sign-in", web.Public)
	second.Status = http.StatusCreated
	web.Handle(a, second.InReserve(), h.secondFactor)
	web.Handle(a, route(http.MethodPost, "/v1/session/second-factor/begin", "What proves the second factor of a sign-in", web.Public).InReserve(), h.secondStep)
	web.Handle(a, route(http.MethodPost, "/v1/session/passkey/begin", "Begin to sign in with a passkey", web.Public).InReserve(), h.beginPasskeySignIn)
	alone := route(http.MethodPost, "/v1/session/passkey", "Sign in with a passkey", web.Public)
	alone.Status = http.StatusCreated
	web.Handle(a, alone.InReserve(), h.passkeySignIn)
	web.Handle(a, route(http.MethodGet, "/v1/session/reauthenticate", "How you can prove that it is still you", web.SignedIn), h.stepUp)
	web.Handle(a, route(http.MethodPost, "/v1/session/reauthenticate", "Prove that it is still you", web.SignedIn).InReserve(), h.reauthenticate)
}

func (h handlers) factors(ctx context.Context, _ *web.None) (identity.Factors, error) {
	f, err := h.Identity.Factors(ctx)
	if f.Passkeys == nil {
		f.Passkeys = []identity.Passkey{}
	}
	return f, err
}

func (h handlers) beginTOTP(ctx context.Context, _ *web.None) (identity.NewTOTP, error) {
	web.NoStore(ctx)
	return h.Identity.BeginTOTP(ctx)
}

type codeInput struct {
	Body struct {
		Code string `json:"code" minLength:"6" maxLength:"20"`
	}
}

type enrolled struct {
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"Shown once, when you had none."`
}

func (h handlers) confirmTOTP(ctx context.Context, in *codeInput) (enrolled, error) {
	web.NoStore(ctx)
	codes, err := h.Identity.ConfirmTOTP(ctx, in.Body.Code)
	return enrolled{codes}, err
}

func (h handlers) removeTOTP(ctx context.Context, _ *web.None) (web.None, error) {
	return web.None{}, h.Identity.RemoveTOTP(ctx)
}

type ceremony struct {
	Options any    `json:"options" doc:"For navigator.credentials, in the JSON form of WebAuthn Level 3."`
	State   string `json:"state"`
}

func (h handlers) beginPasskey(ctx context.Context, _ *web.None) (ceremony, error) {
	web.NoStore(ctx)
	options, state, err := h.Identity.BeginPasskey(ctx)
	return ceremony{options, state}, err
}

// answer is what a browser's authenticator said, as JSON.
type answer map[string]any

func (a answer) raw() json.RawMessage {
	if a == nil {
		return nil
	}
	raw, _ := json.Marshal(a) //nolint:errchkjson // it came from JSON
	return raw
}

type finishPasskeyInput struct {
	Body struct {
		State      string `json:"state" maxLength:"100"`
		Name       string `json:"name" maxLength:"100"`
		Credential answer `json:"credential"`
	}
}

type newPasskey struct {
	identity.Passkey
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"Shown once, when you had none."`
}

func (h handlers) finishPasskey(ctx context.Context, in *finishPasskeyInput) (newPasskey, error) {
	web.NoStore(ctx)
	p, codes, err := h.Identity.FinishPasskey(ctx, in.Body.State, in.Body.Name, in.Body.Credential.raw())
	return newPasskey{p, codes}, err
}

func (h handlers) removePasskey(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.RemovePasskey(ctx, in.ID)
}

type codes struct {
	Codes []string `json:"codes" doc:"Shown once. Each works once."`
}

func (h handlers) recoveryCodes(ctx context.Context, _ *web.None) (codes, error) {
	web.NoStore(ctx)
	made, err := h.Identity.RecoveryCodes(ctx)
	return codes{made}, err
}

func (h handlers) resetFactors(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.ResetFactors(ctx, in.ID)
}

// SessionAnswer has a name that the OpenAPI document sees when it is embedded.
type SessionAnswer = sessionAnswer

// signInAnswer is a session, or what is asked for before there is one.
type signInAnswer struct {
	*SessionAnswer
	SecondFactor *secondFactorAnswer `json:"second_factor,omitempty" doc:"Present, alone and with status 200, when the sign-in has a second step."`
}

type secondFactorAnswer struct {
	Token   string   `json:"token"`
	Methods []string `json:"methods" enum:"totp,passkey,recovery_code"`
	Options any      `json:"options" doc:"WebAuthn request options, or null."`
}

// began answers a sign-in: with the cookie and the session, or with the second
// step and neither.
func (h handlers) began(ctx context.Context, token string, session identity.Session, err error) (signInAnswer, error) {
	web.NoStore(ctx)
	var next *identity.SecondFactor
	if errors.As(err, &next) {
		web.SetStatus(ctx, http.StatusOK)
		return signInAnswer{SecondFactor: &secondFactorAnswer{next.Token, next.Methods, next.Options}}, nil
	}
	if err != nil {
		return signInAnswer{}, err
	}
	web.SetCookie(ctx, cookie(token, 0))
	a, err := h.Identity.Authenticate(ctx, token)
	if err != nil {
		return signInAnswer{}, err
	}
	a.Session, a.Address, a.RequestID = session.ID, session.Address, web.RequestID(ctx)
	s, err := h.session(actor.With(ctx, a), nil)
	return signInAnswer{SessionAnswer: &s}, err
}

type tokenInput struct {
	Body struct {
		Token string `json:"token" maxLength:"100"`
	}
}

func (h handlers) secondStep(ctx context.Context, in *tokenInput) (secondFactorAnswer, error) {
	web.NoStore(ctx)
	next, err := h.Identity.SecondStep(ctx, in.Body.Token, web.RemoteAddress(ctx))
	if err != nil {
		return secondFactorAnswer{}, err
	}
	return secondFactorAnswer{next.Token, next.Methods, next.Options}, nil
}

type secondFactorInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Token        string `json:"token" maxLength:"100"`
		TOTP         string `json:"totp,omitempty" maxLength:"20"`
		RecoveryCode string `json:"recovery_code,omitempty" maxLength:"50"`
		Credential   answer `json:"credential,omitempty"`
	}
}

func (h handlers) secondFactor(ctx context.Context, in *secondFactorInput) (signInAnswer, error) {
	p := identity.Proof{TOTP: in.Body.TOTP, RecoveryCode: in.Body.RecoveryCode, Credential: in.Body.Credential.raw()}
	token, session, err := h.Identity.FinishSignIn(ctx, in.Body.Token, p, web.RemoteAddress(ctx), in.UserAgent)
	return h.began(ctx, token, session, err)
}

func (h handlers) beginPasskeySignIn(ctx context.Context, _ *web.None) (ceremony, error) {
	web.NoStore(ctx)
	options, state, err := h.Identity.BeginPasskeySignIn(ctx, web.RemoteAddress(ctx))
	return ceremony{options, state}, err
}

type passkeyInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		State      string `json:"state" maxLength:"100"`
		Credential answer `json:"credential"`
	}
}

func (h handlers) passkeySignIn(ctx context.Context, in *passkeyInput) (signInAnswer, error) {
	token, session, err := h.Identity.FinishPasskeySignIn(ctx, in.Body.State, in.Body.Credential.raw(), web.RemoteAddress(ctx), in.UserAgent)
	return h.began(ctx, token, session, err)
}

type stepUpAnswer struct {
	Methods  []string `json:"methods" enum:"password,totp,passkey,oidc,saml"`
	Options  any      `json:"options,omitempty" doc:"WebAuthn request options."`
	State    string   `json:"state,omitempty" doc:"Sent back with the passkey's answer."`
	Redirect string   `json:"redirect,omitempty" doc:"Where oidc and saml begin. Add return_to to come back to a page."`
}

func (h handlers) stepUp(ctx context.Context, _ *web.None) (stepUpAnswer, error) {
	web.NoStore(ctx)
	u, err := h.Identity.StepUp(ctx)
	return stepUpAnswer(u), err
}

type reauthenticateInput struct {
	Body struct {
		Password   string `json:"password,omitempty" maxLength:"200"`
		TOTP       string `json:"totp,omitempty" maxLength:"20"`
		Credential answer `json:"credential,omitempty"`
		State      string `json:"state,omitempty" maxLength:"100"`
	}
}

func (h handlers) reauthenticate(ctx context.Context, in *reauthenticateInput) (web.None, error) {
	return web.None{}, h.Identity.Reauthenticate(ctx, identity.Proof{
		Password: in.Body.Password, TOTP: in.Body.TOTP, Credential: in.Body.Credential.raw(), State: in.Body.State,
	})
}

// withinLimits refuses what a session may not do before it proved the second
// factor that its tenant requires. It guards every door that knows sessions.
func withinLimits(s *identity.Service, r *http.Request, a actor.Actor) error {
	if identity.MayBeLimited(r.URL.Path) {
		return nil
	}
	a.Address = web.Address(r)
	limited, err := s.Limited(r.Context(), a)
	if err == nil && limited {
		err = fault.New(fault.MFARequired, "Your organisation asks you for a second factor. Add or prove one in your profile, then repeat this.")
	}
	return err
}

// Limits are what a session that lacks a required second factor is told.
type Limits struct {
	MFARequired          bool `json:"mfa_required" doc:"The session may only call /v1/session and /v1/mfa until a second factor is proven."`
	MFAEnrolmentRequired bool `json:"mfa_enrolment_required" doc:"And there is none yet: enrol one."`
}

func (h handlers) limits(ctx context.Context, a actor.Actor) (Limits, error) {
	limited, err := h.Identity.Limited(ctx, a)
	if err != nil || !limited {
		return Limits{}, err
	}
	f, err := h.Identity.Factors(ctx)
	return Limits{MFARequired: true, MFAEnrolmentRequired: !f.Any()}, err
}
