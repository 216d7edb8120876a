package web

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

var pathParameter = regexp.MustCompile(`\{([a-z_]+)\}`)

// Raw declares a route whose answer is no JSON, such as a redirect, or whose
// request is none, such as a form. The handler does everything itself; it
// answers failures with Fail. Only Public routes are raw: nobody is asked for.
func Raw(a *API, r Route, fn http.HandlerFunc) {
	r.Permission = Public
	a.routes = append(a.routes, r)
	op := operation(r, http.StatusOK)
	op.Responses = map[string]*huma.Response{strconv.Itoa(op.DefaultStatus): {Description: r.Summary}}
	for _, name := range pathParameter.FindAllStringSubmatch(r.Path, -1) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name[1], In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	a.huma.OpenAPI().AddOperation(&op)
	pattern := r.Method + " " + r.Path
	if r.CrossSite {
		a.crossSite[pattern] = true
	}
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, maxJSON)
		fn(w, req)
	})
}

// SameOrigin is the middleware SameOrigin for all routes but those that other
// sites call: they prove in their bodies who sends them.
func (a *API) SameOrigin(next http.Handler) http.Handler {
	guarded := SameOrigin(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := a.mux.Handler(r); a.crossSite[pattern] {
			next.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}
