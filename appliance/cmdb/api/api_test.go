package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/cmdb/api"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// routes are those of the package, for an actor who may not read.
var routes = sync.OnceValue(func() http.Handler {
	a := web.New("test", slog.New(slog.DiscardHandler))
	api.Register(a, cmdb.New(cmdb.Config{Check: func(_ context.Context, permission string) error {
		return fault.New(fault.Forbidden, "You need %s.", permission)
	}}))
	return a
})

func TestRoutes(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"/v1/inventory":                                 403,
		"/v1/inventory?kind=vm&q=web&limit=200":         403,
		"/v1/inventory/" + id.New().String():            403,
		"/v1/inventory?connection_id=" + id.New().Hex(): 403,
		"/v1/inventory/x":                               404,
		"/v1/inventory?kind=teapot":                     400,
		"/v1/inventory?limit=201":                       400,
		"/v1/inventory?connection_id=x":                 400,
		"/v1/inventory?cursor=x":                        400,
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r = r.WithContext(actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "Ann", TenantID: id.New()}))
		w := httptest.NewRecorder()
		routes().ServeHTTP(w, r)
		if w.Code != status || status == 403 && !strings.Contains(w.Body.String(), cmdb.ReadItems) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
