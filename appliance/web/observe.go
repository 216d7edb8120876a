package web

import (
	"net/http"
	"strings"
	"time"
)

// Observe tells fn of every request that was answered.
func Observe(fn func(r *http.Request, status int, took time.Duration)) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			rec := &recorder{ResponseWriter: w, status: http.StatusOK}
			defer func() { fn(r, rec.status, time.Since(start)) }()
			next.ServeHTTP(rec, r)
		})
	}
}

// Template is the path of the route that serves a request, with its parameters
// in braces; "" when none does.
func (a *API) Template(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	_, path, found := strings.Cut(pattern, " ")
	if !found {
		return pattern
	}
	return path
}
