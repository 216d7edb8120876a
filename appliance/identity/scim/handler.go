package scim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/web"
)

// Prefix is where the handler lives.
const Prefix = "/scim/v2"

// Config is what the handler needs.
type Config struct {
	Directory Directory
	// Authenticate returns the context in which the token's tenant is acted for,
	// or fault.Unauthenticated.
	Authenticate func(ctx context.Context, token, address, requestID string) (context.Context, error)
	// URL is the appliance's address, such as https://nimbus.example.com:8443.
	// Addresses of resources begin with it, whatever the Host header says.
	URL    func() string
	Logger *slog.Logger
	// Rate is how many requests a second a token may send in the long run, and
	// Burst how many at once; 0 means 10 and 100.
	Rate, Burst int
}

type handler struct {
	Config
	kinds []*kind
	limit *limiter
}

// NewHandler serves SCIM below Prefix.
func NewHandler(cfg Config) http.Handler {
	h := &handler{Config: cfg, limit: newLimiter(cfg.Rate, cfg.Burst)}
	h.kinds = []*kind{h.users(), h.groups()}
	return h
}

func (h *handler) address(endpoint, id string) string {
	return strings.TrimSuffix(h.URL(), "/") + Prefix + endpoint + "/" + url.PathEscape(id)
}

func (h *handler) kindAt(endpoint string) *kind {
	for _, k := range h.kinds {
		if k.endpoint == "/"+endpoint {
			return k
		}
	}
	return nil
}

// reply is an answer before it is written.
type reply struct {
	status   int
	body     any // nil: none
	location string
	version  string
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.serve(w, r)
	if err != nil {
		h.fail(w, err)
		return
	}
	write(w, answer)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) (reply, error) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	if path == "ServiceProviderConfig" && r.Header.Get("Authorization") == "" {
		return h.discover(r, path) // so that a client learns how to authenticate
	}
	ctx, err := h.authenticate(r)
	if err != nil {
		return reply{}, err
	}
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxPayload)
	return h.route(r, path)
}

// authenticate finds the token's tenant. Wrong tokens count against the
// address they come from, right ones against themselves.
func (h *handler) authenticate(r *http.Request) (context.Context, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, &Error{Status: http.StatusUnauthorized, Detail: "Send the token as `Authorization: Bearer nsc_…`."}
	}
	address := web.Address(r)
	if err := h.limit.blocked("address " + address); err != nil {
		return nil, err
	}
	ctx, err := h.Authenticate(r.Context(), strings.TrimSpace(token), address, web.RequestID(r.Context()))
	if err != nil {
		_ = h.limit.take("address " + address)
		return nil, err
	}
	if who, ok := actor.From(ctx); ok {
		web.Identified(r.Context(), who)
	}
	return ctx, h.limit.take("token " + token)
}

// Kind is how a request is recorded: by its endpoint, without ids.
func Kind(r *http.Request) web.Kind {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	first, rest, nested := strings.Cut(path, "/")
	reads := path == ".search" || rest == ".search"
	switch first {
	case "Users", "Groups":
		path = first
		if reads {
			path += "/.search"
		} else if nested {
			path += "/{id}"
		}
	case "Bulk", ".search", "Me", "ServiceProviderConfig", "ResourceTypes", "Schemas":
		path = first
	default:
		path = "unknown"
	}
	return web.Kind{Route: Prefix + "/" + path, Reads: reads}
}

// route finds what the path and method ask for.
func (h *handler) route(r *http.Request, path string) (reply, error) {
	first, rest, nested := strings.Cut(path, "/")
	switch {
	case first == "Me":
		return reply{}, &Error{Status: http.StatusNotImplemented, Detail: "A token belongs to a directory, not to a person: there is no /Me."}
	case first == "ServiceProviderConfig", first == "ResourceTypes", first == "Schemas":
		return h.discover(r, path)
	case path == "Bulk":
		return h.serveBulk(r)
	case path == "" || path == ".search":
		return h.serveList(r, h.kinds, path == ".search")
	}
	k := h.kindAt(first)
	switch {
	case k == nil || strings.Contains(rest, "/"):
		return reply{}, &Error{Status: http.StatusNotFound, Detail: "There is nothing at this address."}
	case rest == ".search":
		return h.serveList(r, []*kind{k}, true)
	case nested:
		return h.serveOne(r, k, rest)
	case r.Method == http.MethodPost:
		return h.serveOne(r, k, "")
	}
	return h.serveList(r, []*kind{k}, false)
}

var errMethod = &Error{Status: http.StatusMethodNotAllowed, Detail: "This method is not for this address."}

// serveOne performs an operation on one resource.
func (h *handler) serveOne(r *http.Request, k *kind, id string) (reply, error) {
	o := operation{method: r.Method, kind: k, id: id, ifMatch: strings.Join(r.Header.Values("If-Match"), ",")}
	query := r.URL.Query()
	view := k.projection(names(query.Get("attributes")), names(query.Get("excludedAttributes")))
	o.detail = view.wants(k.detail)
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodDelete:
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		if (r.Method == http.MethodPost) != (id == "") {
			return reply{}, errMethod
		}
		if o.body, err = read(r); err != nil {
			return reply{}, err
		}
	default:
		return reply{}, errMethod
	}
	out, err := k.perform(r.Context(), o)
	if err != nil || out.resource == nil {
		return reply{status: out.status}, err
	}
	answer := reply{status: out.status, version: version(out.resource)}
	if out.status == http.StatusCreated {
		answer.location = location(out.resource)
	}
	unchanged := strings.Join(r.Header.Values("If-None-Match"), ",")
	switch {
	case r.Method == http.MethodGet && unchanged != "" && tagged(unchanged, answer.version):
		answer.status = http.StatusNotModified
	case r.Method == http.MethodPatch && k.name == "Group" && !view.narrow:
		answer.status = http.StatusNoContent // the members can be many
	default:
		answer.body = view.apply(out.resource)
	}
	return answer, nil
}

func (h *handler) serveList(r *http.Request, kinds []*kind, post bool) (reply, error) {
	var q search
	var err error
	if post {
		if r.Method != http.MethodPost {
			return reply{}, errMethod
		}
		body, failed := read(r)
		if failed != nil {
			return reply{}, failed
		}
		q, err = searchOf(func(name string) any { return get(body, name) })
	} else {
		if r.Method != http.MethodGet {
			return reply{}, errMethod
		}
		query, failed := url.ParseQuery(r.URL.RawQuery)
		if failed != nil {
			return reply{}, bad(InvalidSyntax, "The query of the address cannot be read.")
		}
		q, err = searchOf(func(name string) any {
			if !query.Has(name) {
				return nil
			}
			return query.Get(name)
		})
	}
	if err != nil {
		return reply{}, err
	}
	list, err := h.list(r.Context(), kinds, q)
	return reply{status: http.StatusOK, body: list}, err
}

func (h *handler) serveBulk(r *http.Request) (reply, error) {
	if r.Method != http.MethodPost {
		return reply{}, errMethod
	}
	body, err := read(r)
	if err != nil {
		return reply{}, err
	}
	answer, err := h.bulk(r.Context(), body)
	return reply{status: http.StatusOK, body: answer}, err
}

// read reads a body of SCIM or plain JSON.
func read(r *http.Request) (map[string]any, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/scim+json" && media != "application/json" {
			return nil, &Error{Status: http.StatusUnsupportedMediaType, Detail: "Send the body as application/scim+json."}
		}
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Detail: "The body is larger than 1 MiB."}
	case err != nil:
		return nil, bad(InvalidSyntax, "The body did not arrive.")
	}
	return decode(body)
}

// tagged is true when one of the tags is the version, or any is enough. Our
// tags are weak and compare as such.
func tagged(tags, version string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(version, "W/") {
			return true
		}
	}
	return false
}

// refusal logs what the client is not told.
func (h *handler) refusal(err error) *Error {
	e := errorOf(err)
	if e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented {
		h.Logger.Error("a SCIM request failed", "error", err)
	}
	return e
}

func (h *handler) fail(w http.ResponseWriter, err error) {
	e := h.refusal(err)
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="SCIM"`)
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retryAfter.Seconds()))))
	}
	write(w, reply{status: e.Status, body: e.body()})
}

func write(w http.ResponseWriter, answer reply) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	if answer.version != "" {
		head.Set("ETag", answer.version)
	}
	if answer.location != "" {
		head.Set("Location", answer.location)
	}
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	head.Set("Content-Type", "application/scim+json")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body)
}
