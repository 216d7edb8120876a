package firstrun

import (
	"context"
	"net/http"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

const (
	tag = "Set-up"
	// cookieName binds the cookie to this host and to https (RFC 6265bis, 4.1.3.2).
	cookieName = "__Host-nimbus-setup"
	root       = "/v1/setup"
)

type claimedKey struct{}

// Guard is the middleware in front of the wizard's routes; without it they
// refuse everything. It answers 404 when the wizard is closed, and 401 to
// everybody but the claimed browser, before a body is read.
func (s *Setup) Guard(next http.Handler) http.Handler {
	guarded := web.SameOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claimed, err := s.admit(r)
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		if claimed {
			web.Identified(r.Context(), actor.Actor{Kind: actor.Setup, Name: "setup", Address: web.Address(r), RequestID: web.RequestID(r.Context())})
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimedKey{}, claimed)))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != root && !strings.HasPrefix(r.URL.Path, root+"/") {
			next.ServeHTTP(w, r)
			return
		}
		if !s.Open() {
			web.Fail(w, r, errClosed)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// admit tells whether a request comes from the claimed browser, and refuses it
// when it does not and the route is for that browser only.
func (s *Setup) admit(r *http.Request) (claimed bool, err error) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		if claimed, err = s.authenticated(r.Context(), cookie.Value); err != nil {
			return false, err
		}
	}
	public := r.Method == http.MethodGet && r.URL.Path == root || r.Method == http.MethodPost && r.URL.Path == root+"/session"
	if !claimed && !public {
		return false, errUnclaimed
	}
	return claimed, nil
}

var errUnclaimed = fault.New(fault.Unauthenticated, "Enter the setup token that the appliance's console shows.")

// Routes declares the wizard's routes. They are public to the permission
// engine, which has no users yet; Guard is what protects them.
func (s *Setup) Routes(a *web.API) {
	web.Handle(a, route(http.MethodGet, "", "How far the wizard is", 0), s.getOverview)
	web.Handle(a, route(http.MethodPost, "/session", "Claim the wizard with the setup token", 0), s.postSession)
	web.Handle(a, route(http.MethodPut, "/appliance", "Set name, address, time zone and certificate", 0), claimed(s.SetAppliance))
	web.Handle(a, route(http.MethodPost, "/database/test", "Test a database server", 0), claimed(s.postDatabaseTest))
	web.Handle(a, route(http.MethodPut, "/database", "Choose and start the database", http.StatusAccepted), claimed(s.SetDatabase))
	web.Handle(a, route(http.MethodPost, "/hsm/slots", "List the slots of a PKCS#11 module", 0), claimed(s.postSlots))
	web.Handle(a, route(http.MethodPost, "/hsm/test", "Let a token sign", 0), claimed(s.TestHSM))
	web.Handle(a, route(http.MethodPut, "/hsm", "Choose the hardware security module", 0), claimed(s.SetHSM))
	web.Handle(a, route(http.MethodPut, "/organisation", "Make the first tenant and its administrator", 0), claimed(s.SetOrganisation))
	web.Handle(a, route(http.MethodPost, "/proxmox/test", "Test a Proxmox cluster", 0), claimed(s.TestProxmox))
	web.Handle(a, route(http.MethodPut, "/proxmox", "Connect a Proxmox cluster", 0), claimed(s.SetProxmox))
	web.Handle(a, route(http.MethodGet, "/proxmox/commands", "The lines that make a token on a node", 0), bare(s.getCommands))
	web.Handle(a, route(http.MethodPost, "/recovery-kit", "Make the recovery kit", 0), bare(s.MakeKit))
	web.Handle(a, route(http.MethodPost, "/recovery-kit/verify", "Prove the recovery kit", 0), claimed(s.postKit))
	s.restoreRoutes(a)
	web.Handle(a, route(http.MethodPost, "/complete", "End the wizard for ever", 0), bare(s.postComplete))
}

func route(method, path, summary string, status int) web.Route {
	return web.Route{Method: method, Path: root + path, Summary: summary, Tag: tag, Permission: web.Public, Status: status}
}

// check refuses what did not pass Guard as the claimed browser.
func check(ctx context.Context) error {
	if ok, _ := ctx.Value(claimedKey{}).(bool); !ok {
		return errUnclaimed
	}
	return nil
}

type body[T any] struct{ Body T }

// claimed makes a handler of a step.
func claimed[In, Out any](do func(context.Context, In) (Out, error)) func(context.Context, *body[In]) (Out, error) {
	return func(ctx context.Context, in *body[In]) (Out, error) {
		if err := check(ctx); err != nil {
			var none Out
			return none, err
		}
		return do(ctx, in.Body)
	}
}

// bare makes a handler of a step without input.
func bare[Out any](do func(context.Context) (Out, error)) func(context.Context, *web.None) (Out, error) {
	return func(ctx context.Context, _ *web.None) (Out, error) {
		if err := check(ctx); err != nil {
			var none Out
			return none, err
		}
		return do(ctx)
	}
}

func (s *Setup) getOverview(ctx context.Context, _ *web.None) (Overview, error) {
	authenticated, _ := ctx.Value(claimedKey{}).(bool)
	return s.Overview(ctx, authenticated)
}

type tokenInput struct {
	Token string `json:"token" maxLength:"100"`
}

func (s *Setup) postSession(ctx context.Context, in *body[tokenInput]) (web.None, error) {
	cookie, err := s.Claim(ctx, in.Body.Token, web.RemoteAddress(ctx))
	if err != nil {
		return web.None{}, err
	}
	web.SetCookie(ctx, &http.Cookie{
		Name: cookieName, Value: cookie, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife.Seconds()),
	})
	return web.None{}, nil
}

type databaseTest struct {
	Mode string `json:"mode" enum:"external"`
	DSN  string `json:"dsn"`
}

func (s *Setup) postDatabaseTest(ctx context.Context, in databaseTest) (db.Report, error) {
	return s.TestDatabase(ctx, in.DSN)
}

type moduleInput struct {
	Module string `json:"module"`
}

type slotList struct {
	Slots []Slot `json:"slots"`
}

func (s *Setup) postSlots(ctx context.Context, in moduleInput) (slotList, error) {
	slots, err := s.Slots(ctx, in.Module)
	return slotList{slots}, err
}

type commandList struct {
	Lines []string `json:"lines"`
}

func (s *Setup) getCommands(context.Context) (commandList, error) {
	return commandList{Commands()}, nil
}

type kitInput struct {
	Kit string `json:"kit"`
}

func (s *Setup) postKit(ctx context.Context, in kitInput) (KitResult, error) {
	return s.VerifyKit(ctx, in.Kit)
}

func (s *Setup) postComplete(ctx context.Context) (web.None, error) {
	return web.None{}, s.Complete(ctx)
}
