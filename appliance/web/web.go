// Package web is the HTTP side of every domain: routes with their permission
// and OpenAPI description, faults as problem documents (RFC 9457), idempotency
// keys, and the middleware around all of it. It knows no domain.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// Permissions of routes that need none of the permission engine.
const (
	Public   = "public"    // anybody, signed in or not
	SignedIn = "signed-in" // any signed-in actor, about themselves
)

// Route declares one operation. Every field but Status, Description,
// CrossSite, Sensitive and Reserve is required.
type Route struct {
	Method, Path string
	Summary      string
	Description  string
	Tag          string
	// Permission is what the service checks, or Public or SignedIn.
	Permission string
	// Status of success; 0 means 200, or 204 when there is no answer.
	Status int
	// CrossSite routes are called by other sites; only raw ones can be.
	CrossSite bool
	// Sensitive reads are recorded in the audit trail, as changes are.
	Sensitive bool
	// Reserve routes go on while the disk is nearly full: those that let people
	// in and those that make room.
	Reserve bool
}

// InReserve is the route as one that goes on while the disk is nearly full.
func (r Route) InReserve() Route {
	r.Reserve = true
	return r
}

// API collects routes into a mux and an OpenAPI 3.1 document at /v1/openapi.json.
type API struct {
	mux    *http.ServeMux
	huma   huma.API
	logger *slog.Logger
	routes []Route
	domain string // of the route that is being declared
	// crossSite are patterns of routes that other sites call.
	crossSite map[string]bool
}

// problems makes huma answer with our problem documents, once for the process.
var problems sync.Once

// New returns an API without routes.
func New(version string, logger *slog.Logger) *API {
	problems.Do(func() { huma.NewError = newProblem })
	cfg := huma.DefaultConfig("Nimbus", version)
	cfg.OpenAPIPath = "/v1/openapi"
	cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", nil
	a := &API{mux: http.NewServeMux(), logger: logger, crossSite: map[string]bool{}}
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", a.schemaName)
	cfg.Info.Description = "The control plane for Proxmox VE."
	a.huma = humago.New(a.mux, cfg)
	return a
}

// schemaName puts the domain before the type's name, because each domain has a
// page, an item and so on. Types without a name belong to the route's input.
func (a *API) schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	domain := domainOf(t)
	if t.Name() == "" {
		domain = a.domain
	}
	if strings.HasPrefix(name, domain) {
		return name
	}
	return domain + name
}

// domainOf is the folder of a type's package, e.g. Deployment.
func domainOf(t reflect.Type) string {
	_, domain, ok := strings.Cut(t.PkgPath(), "nimbus/appliance/")
	if !ok {
		return ""
	}
	domain, _, _ = strings.Cut(domain, "/")
	return strings.ToUpper(domain[:1]) + domain[1:]
}

// Routes lists what was declared, in order of declaration.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// ServeHTTP serves the declared routes.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// OpenAPI is the document as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// None is the input or answer of an operation that has none.
type None struct{}

type answer[T any] struct {
	Status int
	Body   T
}

// Handle declares a route. In is a struct with huma's tags (path, query,
// header, and a field Body); Out is the JSON answer, or None for 204. The
// handler's error becomes a problem document; see fault.
func Handle[In, Out any](a *API, r Route, fn func(ctx context.Context, in *In) (Out, error)) {
	a.routes = append(a.routes, r)
	a.domain = domainOf(reflect.TypeFor[In]())
	if reflect.TypeFor[Out]() == reflect.TypeFor[None]() {
		huma.Register(a.huma, operation(r, http.StatusNoContent), func(ctx context.Context, in *In) (*struct{}, error) {
			_, err := call(ctx, a, r, in, fn)
			return nil, err
		})
		return
	}
	op := operation(r, http.StatusOK)
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*answer[Out], error) {
		status := op.DefaultStatus
		out, err := call(context.WithValue(ctx, statusKey, &status), a, r, in, fn)
		if err != nil {
			return nil, err
		}
		return &answer[Out]{Status: status, Body: out}, nil
	})
}

func call[In, Out any](ctx context.Context, a *API, r Route, in *In, fn func(context.Context, *In) (Out, error)) (Out, error) {
	if r.Permission != Public {
		if _, err := actor.Require(ctx); err != nil {
			var none Out
			return none, a.problem(ctx, err)
		}
	}
	out, err := fn(ctx, in)
	if err != nil {
		err = a.problem(ctx, err)
	}
	return out, err
}

func operation(r Route, status int) huma.Operation {
	if r.Status != 0 {
		status = r.Status
	}
	op := huma.Operation{
		OperationID:   operationID(r),
		Method:        r.Method,
		Path:          r.Path,
		Summary:       r.Summary,
		Description:   strings.TrimSpace(r.Description + "\n\nPermission: `" + r.Permission + "`"),
		Tags:          []string{r.Tag},
		DefaultStatus: status,
		MaxBodyBytes:  maxJSON,
		Middlewares:   huma.Middlewares{knownQuery},
		Extensions:    map[string]any{"x-permission": r.Permission},
	}
	if r.Permission != Public {
		op.Security = []map[string][]string{{"session": {}}, {"token": {}}}
	}
	return op
}

// operationID is made of method and path: GET /v1/stacks/{id} → get-stacks-id.
func operationID(r Route) string {
	path := strings.NewReplacer("{", "", "}", "", "/", "-", "_", "-").Replace(strings.TrimPrefix(r.Path, "/v1"))
	return strings.ToLower(r.Method) + strings.TrimSuffix(path, "-")
}

// problem logs what the person is not shown and makes the document.
func (a *API) problem(ctx context.Context, err error) error {
	kind := fault.KindOf(err)
	level := slog.LevelDebug
	if kind == fault.Internal || kind == fault.Unavailable {
		level = slog.LevelError
	}
	a.logger.Log(ctx, level, "request failed", "kind", kind, "error", err, "request_id", RequestID(ctx))
	return problemOf(ctx, err)
}

// Fail writes err as a problem document, for handlers outside the API.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	problemOf(r.Context(), err).write(w)
}
