package web

import (
	"context"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// maxJSON is the largest JSON body, in bytes.
const maxJSON = 4 << 20

// Authenticate finds who sends a request: no actor and no error when nobody
// claims to be anybody, fault.Unauthenticated when the claim is wrong.
type Authenticate func(r *http.Request) (actor.Actor, bool, error)

// Middleware wraps a handler.
type Middleware func(http.Handler) http.Handler

// Chain applies middleware, the first outermost.
func Chain(h http.Handler, outer ...Middleware) http.Handler {
	for i := len(outer) - 1; i >= 0; i-- {
		h = outer[i](h)
	}
	return h
}

type ctxKey int

const (
	requestIDKey ctxKey = iota
	writerKey
	addressKey
	statusKey
	callKey
	traceKey
)

// RequestID is the id of the request, as in the X-Request-Id header and the log.
func RequestID(ctx context.Context) string {
	v, _ := ctx.Value(requestIDKey).(string)
	return v
}

// RemoteAddress is the caller's address without the port.
func RemoteAddress(ctx context.Context) string {
	v, _ := ctx.Value(addressKey).(string)
	return v
}

// SetCookie adds a cookie to the answer of the request whose context it is.
func SetCookie(ctx context.Context, c *http.Cookie) {
	if w, ok := ctx.Value(writerKey).(http.ResponseWriter); ok {
		http.SetCookie(w, c)
	}
}

// SetStatus chooses the status of a successful answer, where one operation has
// more than one.
func SetStatus(ctx context.Context, status int) {
	if s, ok := ctx.Value(statusKey).(*int); ok {
		*s = status
	}
}

// NoStore marks the answer as one that holds a secret: no cache and no
// idempotency key keeps it.
func NoStore(ctx context.Context) {
	if w, ok := ctx.Value(writerKey).(http.ResponseWriter); ok {
		w.Header().Set("Cache-Control", "no-store")
	}
}

// Address is the caller's address without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Identify gives every request an id, takes its trace id and keeps the writer for SetCookie.
func Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := id.New().String()
		w.Header().Set("X-Request-Id", request)
		ctx := context.WithValue(r.Context(), requestIDKey, request)
		ctx = context.WithValue(ctx, writerKey, w)
		ctx = context.WithValue(ctx, addressKey, Address(r))
		ctx = context.WithValue(ctx, traceKey, traceOf(r.Header.Get("Traceparent")))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Recover turns a panic of a handler into a 500 and logs it with its stack.
func Recover(logger *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				p := recover()
				if p == nil || p == http.ErrAbortHandler { //nolint:errorlint // a panic's value, not an error
					return
				}
				logger.Error("handler panicked", "panic", p, "path", r.URL.Path, "request_id", RequestID(r.Context()), "stack", string(debug.Stack()))
				Fail(w, r, fault.New(fault.Internal, "Something went wrong on our side. The log has the details under this request's id."))
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// SameOrigin refuses unsafe requests that a browser sends on behalf of another
// site, and bodies that a plain HTML form could send. Together with SameSite
// cookies it is the defence against cross-site request forgery.
func SameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if unsafe(r.Method) && !sameOrigin(r) {
			Fail(w, r, fault.New(fault.Forbidden, "This request came from another site, so it was refused."))
			return
		}
		if unsafe(r.Method) && r.ContentLength != 0 && !isJSON(r) {
			Fail(w, r, fault.New(fault.Invalid, "Send the body as application/json."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// Authenticated puts the actor into the context. A wrong claim is answered
// with 401; no claim passes on without an actor.
func Authenticated(find Authenticate) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, ok, err := find(r)
			if err != nil {
				Fail(w, r, err)
				return
			}
			if ok {
				a.Address, a.RequestID, a.TraceID = Address(r), RequestID(r.Context()), TraceID(r.Context())
				Identified(r.Context(), a)
				r = r.WithContext(actor.With(r.Context(), a))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Log writes one line per request.
func Log(logger *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			rec := &recorder{ResponseWriter: w, status: http.StatusOK}
			next.ServeHTTP(rec, r)
			logger.Info("request", "method", r.Method, "path", r.URL.Path, "status", rec.status,
				"duration_ms", time.Since(start).Milliseconds(), "address", Address(r), "request_id", RequestID(r.Context()))
		})
	}
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	r.status = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
