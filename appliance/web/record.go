package web

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// Call is one request to the API as the audit trail keeps it: no body, no
// header, no query.
type Call struct {
	Method    string
	Route     string // template, e.g. /v1/stacks/{id}; the path when there is none
	Status    int
	Duration  time.Duration
	Sensitive bool
	// Operation is the name of what was asked for at an address that serves
	// many things, as GraphQL does.
	Operation string
	// Actor is who asked.
	Actor actor.Actor
}

// Refused is true when the caller was not let in, or not let do it.
func (c Call) Refused() bool {
	return c.Status == http.StatusUnauthorized || c.Status == http.StatusForbidden
}

// Changes is true for methods that may change something.
func (c Call) Changes() bool { return unsafe(c.Method) }

// Trail is what Recorded needs of the audit trail.
type Trail struct {
	// Takes is nil when the trail takes records; reserve is true for what goes on
	// while the disk is nearly full.
	Takes func(ctx context.Context, reserve bool) error
	// Record writes the record of a call and returns when it is kept.
	Record func(ctx context.Context, c Call) error
}

// Recorded records every call of a known caller that may change something, was
// refused or reads a sensitive route, before the first byte of the answer
// leaves. Calls of nobody are not recorded, or anybody could fill the disk; what public routes
// do is recorded by the services behind them, refused sign-ins included.
// While the trail takes no records nothing is changed and nothing sensitive is
// read: those calls are answered with 503 before they reach their handler. Other
// reads go on. It belongs outside Authenticated.
func (a *API) Recorded(trail Trail) Middleware { return Recorded(a.kindOf, trail) }

// Kind says how a request is recorded.
type Kind struct {
	Route     string // template
	Sensitive bool
	Always    bool // recorded, but not refused while the trail takes no records
	Reads     bool // changes nothing, whatever its method
	Reserve   bool // goes on while the disk is nearly full
}

// Recorded is API.Recorded for addresses that are not in a table of routes.
func Recorded(kindOf func(*http.Request) Kind, trail Trail) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := &recording{ResponseWriter: w, request: r, trail: trail, start: time.Now(), kind: kindOf(r)}
			c.Method, c.Route, c.Sensitive = r.Method, c.kind.Route, c.kind.Sensitive
			if c.gated() {
				if err := trail.Takes(r.Context(), c.kind.Reserve); err != nil {
					Fail(w, r, err)
					return
				}
			}
			ctx := context.WithValue(r.Context(), callKey, c)
			ctx = context.WithValue(ctx, writerKey, http.ResponseWriter(c))
			c.request = r.WithContext(ctx)
			defer c.broken()
			next.ServeHTTP(c, c.request)
			if !c.answered {
				c.WriteHeader(http.StatusOK)
			}
		})
	}
}

// kindOf is that of the route which serves a request.
func (a *API) kindOf(r *http.Request) Kind {
	_, pattern := a.mux.Handler(r)
	for _, route := range a.routes {
		if route.Method+" "+route.Path == pattern {
			return Kind{Route: route.Path, Sensitive: route.Sensitive, Reserve: route.Reserve}
		}
	}
	return Kind{Route: "unknown"}
}

// recording is a request under way, and the writer that records it.
type recording struct {
	http.ResponseWriter
	Call

	kind     Kind
	request  *http.Request
	trail    Trail
	start    time.Time
	answered bool
	silent   bool // the handler's answer is replaced
}

// gated calls do not happen when they cannot be recorded.
func (c *recording) gated() bool { return c.Changes() && !c.kind.Reads || c.Sensitive }

// Operation keeps what was asked for, for the record.
func Operation(ctx context.Context, name string) {
	if c, ok := ctx.Value(callKey).(*recording); ok {
		c.Operation = name
	}
}

// Identified keeps who asked, for the record; Authenticated does it by itself.
func Identified(ctx context.Context, a actor.Actor) {
	if c, ok := ctx.Value(callKey).(*recording); ok {
		c.Actor = a
	}
}

func (c *recording) WriteHeader(status int) {
	if c.answered || status < http.StatusOK {
		if !c.silent {
			c.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if err := c.end(status); err != nil && c.gated() && !c.Refused() {
		c.silent = true
		c.Header().Del("Content-Length")
		Fail(c.ResponseWriter, c.request, fault.Wrap(fault.Unavailable, err,
			"The audit trail could not record the end of this request. It may have been done: look before you try again."))
		return
	}
	c.ResponseWriter.WriteHeader(status)
}

// end records how the call ended.
func (c *recording) end(status int) error {
	c.answered, c.Status, c.Duration = true, status, time.Since(c.start)
	if c.Actor.Kind == "" || !c.gated() && !c.kind.Always && !c.Refused() {
		return nil
	}
	return c.trail.Record(context.WithoutCancel(c.request.Context()), c.Call)
}

// broken records a call whose handler panicked before it answered: what it did
// until then was done. The panic goes on to Recover, which answers.
func (c *recording) broken() {
	if !c.answered {
		_ = c.end(http.StatusInternalServerError) // the answer is an error in any case
	}
}

func (c *recording) Write(b []byte) (int, error) {
	if !c.answered {
		c.WriteHeader(http.StatusOK)
	}
	if c.silent {
		return len(b), nil
	}
	return c.ResponseWriter.Write(b)
}

// FlushError lets a streaming answer leave, after its record.
func (c *recording) FlushError() error {
	if !c.answered {
		c.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the writer.
func (c *recording) Unwrap() http.ResponseWriter { return c.ResponseWriter }
