package appliance

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"nimbus/appliance/actor"
	auditapi "nimbus/appliance/audit/api"
	backupapi "nimbus/appliance/backup/api"
	breakglassapi "nimbus/appliance/breakglass/api"
	cmdbapi "nimbus/appliance/cmdb/api"
	deploymentapi "nimbus/appliance/deployment/api"
	doctorapi "nimbus/appliance/doctor/api"
	"nimbus/appliance/fault"
	"nimbus/appliance/graph"
	"nimbus/appliance/id"
	identityapi "nimbus/appliance/identity/api"
	notificationapi "nimbus/appliance/notification/api"
	permissionapi "nimbus/appliance/permission/api"
	"nimbus/appliance/provider"
	providerapi "nimbus/appliance/provider/api"
	"nimbus/appliance/realtime"
	tenancyapi "nimbus/appliance/tenancy/api"
	"nimbus/appliance/web"
)

// handler serves our prefixes, in every state of the appliance.
func (a *Appliance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /metrics", a.serveMetrics)
	mux.HandleFunc("/v1/setup", a.serveSetup)
	mux.HandleFunc("/v1/setup/", a.serveSetup)
	mux.HandleFunc("/", a.serveAPIOrWait)
	return web.Chain(mux, web.Observe(a.observe), a.tracer.HTTP(a.template), web.Identify, web.Log(a.cfg.Logger), web.Recover(a.cfg.Logger))
}

// readyz names every part and is 503 when one is down, and until people can sign
// in; with ?only=vital, for load balancers, when no request could be answered.
func (a *Appliance) readyz(w http.ResponseWriter, r *http.Request) {
	phase := a.Phase() // before asking: it may go on meanwhile
	h := a.health(r.Context())
	if phase != "" {
		h.Status, h.Phase = "starting", phase
	}
	w.Header().Set("Content-Type", "application/json")
	if h.Status != "ok" && (h.Status != "degraded" || r.URL.Query().Get("only") != "vital") {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h)
}

// Health is the state of the whole appliance.
type Health struct {
	Status     string      `json:"status" enum:"ok,degraded,down,starting"`
	Phase      string      `json:"phase,omitempty" doc:"What it is at as long as nobody can sign in."`
	Version    string      `json:"version"`
	StartedAt  time.Time   `json:"started_at"`
	Components []Component `json:"components"`
}

// vital parts make the appliance down, others degrade it.
var vital = map[string]bool{"web": true, "postgres": true, "database": true, "audit": true}

func (a *Appliance) health(ctx context.Context) Health {
	h := Health{Status: "ok", Version: a.cfg.Version, StartedAt: a.started.UTC(), Components: a.running.components(ctx)}
	for _, c := range h.Components {
		switch {
		case c.Status == "ok":
		case vital[c.Name]:
			h.Status = "down"
		case h.Status == "ok":
			h.Status = "degraded"
		}
	}
	return h
}

// serveSetup is open until the first run is over, and 404 for ever afterwards.
func (a *Appliance) serveSetup(w http.ResponseWriter, r *http.Request) {
	h := a.setup.Load()
	if h == nil {
		web.Fail(w, r, fault.New(fault.NotFound, "The first run is over."))
		return
	}
	web.Chain(*h, web.Recorded(setupKind, web.Trail{
		Takes: func(context.Context, bool) error { return nil }, Record: a.recordSetup,
	})).ServeHTTP(w, r)
}

func (a *Appliance) serveAPIOrWait(w http.ResponseWriter, r *http.Request) {
	if h := a.api.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	message := "Nimbus is starting. Try again in a few seconds."
	if a.cfg.Role == Worker {
		message = "This node runs workflows only. Use the address of a web node."
	}
	if a.setup.Load() != nil {
		message = "Nimbus is not set up yet. Open its address in a browser."
	}
	f := fault.New(fault.Unavailable, "%s", message)
	f.RetryAfter = 2 * time.Second
	web.Fail(w, r, f)
}

// newAPI declares every route.
func (a *Appliance) newAPI(c *Core) *web.API {
	api := web.New(a.cfg.Version, a.cfg.Logger)
	identityapi.Register(api, identityapi.Config{
		Identity: c.Identity, Permissions: c.Permissions, Tenants: c.Tenants, Federation: c.Federation, Logger: a.cfg.Logger,
		Appliance: a.describe, BreakGlass: c.BreakGlass.Banner,
	})
	identityapi.RegisterSCIM(api, c.Identity)
	tenancyapi.Register(api, c.Tenants)
	permissionapi.Register(api, c.Permissions, api.Routes)
	auditapi.Register(api, c.Audit)
	breakglassapi.Register(api, c.BreakGlass)
	notificationapi.Register(api, c.Notification)
	cmdbapi.Register(api, c.CMDB)
	providerapi.Register(api, c.Provider)
	deploymentapi.Register(api, c.Deployments)
	doctorapi.Register(api, c.Doctor)
	doctorapi.RegisterCertificate(api, c.Certificate)
	a.registerAddress(api, c)
	backupapi.Register(api, c.Backups)
	a.registerOutbound(api, c)
	web.Handle(api, web.Route{Method: http.MethodGet, Path: "/v1/system/health", Tag: "System",
		Summary: "How every part of the appliance is", Permission: readSystem},
		func(ctx context.Context, _ *web.None) (Health, error) {
			if err := c.Permissions.Check(ctx, readSystem); err != nil {
				return Health{}, err
			}
			return a.health(ctx), nil
		})
	return api
}

const readSystem = "system:health:read"

func (a *Appliance) describe() identityapi.Appliance {
	s := a.settings.Load()
	return identityapi.Appliance{Name: s.Name, URL: s.URL, TimeZone: s.TimeZone, Version: a.cfg.Version}
}

// authenticate finds who sends a request, with the rights that an open
// emergency session gives.
func (c *Core) authenticate() web.Authenticate {
	find := identityapi.Authenticate(c.Identity)
	return func(r *http.Request) (actor.Actor, bool, error) {
		a, ok, err := find(r)
		if ok {
			a = c.BreakGlass.Raise(r.Context(), a)
		}
		return a, ok, err
	}
}

// lives fails when what let an actor in is over: the session or API token, or
// the emergency session that raised their rights.
func (c *Core) lives(ctx context.Context, a actor.Actor) error {
	if c.BreakGlass.Raise(ctx, a).BreakGlass != a.BreakGlass {
		return fault.New(fault.Unauthenticated, "Your rights changed just now. Connect again.")
	}
	return c.Identity.Lives(ctx, a)
}

// serveAPI puts the API and the sockets into use.
func (a *Appliance) serveAPI(c *Core) error {
	c.api = a.newAPI(c)
	if a.cfg.Role == Worker {
		return nil
	}
	authenticate := c.authenticate()
	rest := web.Chain(c.api, c.api.Recorded(auditapi.Trail(c.Audit)), c.api.SameOrigin, web.Authenticated(authenticate), web.Idempotent(c.DB))
	trail := auditapi.Trail(c.Audit)
	directories := web.Chain(identityapi.SCIM(c.Identity), web.Recorded(identityapi.SCIMKind, trail))
	subscriptions := web.Chain(c.Graph, web.SameOrigin, web.Authenticated(authenticate))
	queries := web.Chain(subscriptions, web.Recorded(graph.Kind, trail))
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/socket.io/"):
			c.Realtime.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			rest.ServeHTTP(w, r)
		case r.URL.Path == "/graphql" && r.Header.Get("Upgrade") != "":
			subscriptions.ServeHTTP(w, r)
		case r.URL.Path == "/graphql":
			queries.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/scim/v2/"):
			directories.ServeHTTP(w, r)
		default:
			web.Fail(w, r, fault.New(fault.NotFound, "There is nothing at this address."))
		}
	})
	a.api.Store(&h)
	return nil
}

func (a *Appliance) newRealtime(c *Core, providers *provider.Service) *realtime.Service {
	return realtime.New(realtime.Config{
		Events: c.Events, Logger: a.cfg.Logger,
		Authenticate: c.authenticate(), Lives: c.Identity.Lives,
		Allowed: c.Permissions.AllowedOn, Held: c.Permissions.Mine, Current: c.BreakGlass.Raise,
		Follow: auditapi.Follow(c.Audit), Record: auditapi.Record,
		Watchable: map[string]func(context.Context, id.ID) error{
			"deployment": func(ctx context.Context, d id.ID) error { _, err := c.Deployments.Deployment(ctx, d); return err },
			"stack":      func(ctx context.Context, st id.ID) error { _, err := c.Deployments.Stack(ctx, st); return err },
			"task":       func(ctx context.Context, task id.ID) error { _, err := providers.Task(ctx, task); return err },
		},
	})
}
