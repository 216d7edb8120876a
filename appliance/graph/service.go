package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

// Settings are what the service needs.
type Settings struct {
	Audit  *audit.Service
	Events *event.Bus
	Logger *slog.Logger
	// Record records a call in the trail.
	Record func(ctx context.Context, c web.Call) error
	// Lives fails when what let an actor in is over: their session or API token, or
	// the emergency session that raised their rights.
	Lives func(ctx context.Context, a actor.Actor) error
}

// Service serves /graphql. The request's context carries the actor.
type Service struct {
	Settings
	server *handler.Server
	stop   func()

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// conn is an open WebSocket.
type conn struct {
	actor  actor.Actor
	cancel context.CancelFunc
}

// New returns a service that is not started.
func New(s Settings) *Service {
	g := &Service{Settings: s, stop: func() {}, conns: map[*conn]struct{}{}}
	g.server = handler.New(NewExecutableSchema(Config{Resolvers: &resolver{g}, Complexity: costs()}))
	limit := int64(maxBody)
	g.server.AddTransport(transport.Websocket{KeepAlivePingInterval: 15 * time.Second, PayloadReadLimit: &limit, InitTimeout: 10 * time.Second})
	g.server.AddTransport(transport.POST{})
	g.server.SetParserTokenLimit(maxTokens)
	g.server.SetDisableSuggestion(true)
	g.server.SetErrorPresenter(g.present)
	g.server.SetRecoverFunc(g.recover)
	g.server.Use(bounded{})
	g.server.Use(recorder{s.Record})
	g.server.Use(extension.Introspection{})
	g.server.Use(extension.FixedComplexityLimit(maxCost))
	return g
}

// Start begins to listen for sessions that end.
func (g *Service) Start(context.Context) error {
	g.stop = g.Events.Subscribe(g.hear)
	return nil
}

// Ready is always nil: there is nothing that could fail by itself.
func (g *Service) Ready(context.Context) error { return nil }

// Stop cuts every open WebSocket.
func (g *Service) Stop(context.Context) error {
	g.stop()
	g.cut(func(actor.Actor) bool { return true })
	return nil
}

// ServeHTTP implements http.Handler for an authenticated request. Queries come
// by POST as JSON; what is over the limits is a 400.
func (g *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, err := actor.Require(r.Context())
	switch {
	case err != nil:
		web.Fail(w, r, err)
	case r.Method == http.MethodGet && r.Header.Get("Upgrade") != "":
		g.socket(w, r, who)
	case r.Method == http.MethodPost:
		g.post(w, r)
	default:
		w.Header().Set("Allow", "POST")
		web.Fail(w, r, fault.New(fault.Invalid, "Send the query by POST as JSON, or open a WebSocket for a subscription."))
	}
}

// Kind is how a request is recorded: always, and none is refused while the
// trail takes no records, because queries only read.
func Kind(*http.Request) web.Kind {
	return web.Kind{Route: route, Always: true, Reads: true}
}

const route = "/graphql"

// operation says what a query asks for: its type, its name and its fields at
// the top, never an argument or a variable.
func operation(query string) string {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, maxTokens)
	if err != nil || len(doc.Operations) == 0 {
		return ""
	}
	words := []string{}
	for _, o := range doc.Operations {
		words = append(words, string(o.Operation), o.Name)
		for _, s := range o.SelectionSet {
			if f, ok := s.(*ast.Field); ok {
				words = append(words, f.Name)
			}
		}
	}
	text := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
	return text[:min(len(text), 200)]
}

func (g *Service) post(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		web.Fail(w, r, fault.New(fault.Invalid, "Send the query as application/json."))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		web.Fail(w, r, fault.New(fault.Invalid, "The query is larger than %d kB: ask for less at once.", maxBody>>10))
		return
	}
	var in struct{ Query string }
	if json.Unmarshal(body, &in) != nil || in.Query == "" {
		web.Fail(w, r, fault.New(fault.Invalid, "The body is a JSON object with the member query. Several queries in one body are not taken."))
		return
	}
	if refused := check(in.Query); refused != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(graphql.Response{Errors: gqlerror.List{refused}})
		return
	}
	web.Operation(r.Context(), operation(in.Query))
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.server.ServeHTTP(w, r)
}

// socket serves a WebSocket until it or its session ends. One that another
// site opens is refused by the handshake, which compares Origin with Host. What
// ended before the socket could be cut is looked at once it can be.
func (g *Service) socket(w http.ResponseWriter, r *http.Request, who actor.Actor) {
	ctx, cancel := context.WithCancel(overSocket(r.Context()))
	defer cancel()
	c := &conn{who, cancel}
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.conns, c)
		g.mu.Unlock()
	}()
	if err := g.Lives(ctx, who); err != nil {
		web.Fail(w, r, err)
		return
	}
	g.server.ServeHTTP(w, r.WithContext(ctx))
}

// hear cuts the sockets of sessions that end, and of people whom an emergency
// session had raised that is over: they come back as they are. A right that is taken away ends the
// subscriptions that need it: they ask before each answer.
// After events were missed all are cut: programs subscribe anew and read what came.
func (g *Service) hear(e event.Event) {
	switch e.Type {
	case event.MissedEvent:
		g.cut(func(actor.Actor) bool { return true })
	case breakglass.EventEnded:
		g.cut(func(a actor.Actor) bool { return a.BreakGlass == e.ID })
	case identity.SessionEnded:
		g.cut(func(a actor.Actor) bool { return a.ID == e.User && (e.ID.IsZero() || a.Session == e.ID) })
	}
}

func (g *Service) cut(whose func(actor.Actor) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if whose(c.actor) {
			c.cancel()
		}
	}
}

// present says what a fault says, and nothing of what is behind it.
func (g *Service) present(ctx context.Context, err error) *gqlerror.Error {
	shown := graphql.DefaultErrorPresenter(ctx, err)
	var f *fault.Error
	var ours *gqlerror.Error
	switch {
	case errors.As(err, &f):
		shown.Message, shown.Extensions = fault.Message(err), map[string]any{"code": string(f.Kind)}
		if f.Permission != "" {
			shown.Extensions["permission"] = f.Permission
		}
	case errors.As(err, &ours) && ours.Err == nil: // of the query itself
	default:
		g.Logger.Error("a query failed", "error", err)
		shown.Message, shown.Extensions = fault.Message(err), map[string]any{"code": string(fault.Internal)}
	}
	return shown
}

func (g *Service) recover(_ context.Context, p any) error {
	g.Logger.Error("a resolver panicked", "panic", p)
	return fault.New(fault.Internal, "Something went wrong inside Nimbus.")
}

// bounded holds what comes over a WebSocket to the limits as well.
type bounded struct{}

// ExtensionName implements graphql.HandlerExtension.
func (bounded) ExtensionName() string { return "Limits" }

// Validate implements graphql.HandlerExtension.
func (bounded) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters implements graphql.OperationParameterMutator.
func (bounded) MutateOperationParameters(_ context.Context, request *graphql.RawParams) *gqlerror.Error {
	return check(request.Query)
}
