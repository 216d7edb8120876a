package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nimbus/appliance/deployment"
	"nimbus/appliance/web"
)

func TestRoutesNeedAnActor(t *testing.T) {
	t.Parallel()
	a := web.New("test", slog.New(slog.DiscardHandler))
	Register(a, &deployment.Service{})
	if len(a.Routes()) != 18 {
		t.Errorf("%d routes", len(a.Routes()))
	}
	for _, r := range a.Routes() {
		if !strings.HasPrefix(r.Permission, "deployment:stack:") {
			t.Errorf("%s %s has the permission %q", r.Method, r.Path, r.Permission)
		}
		body := map[string]string{
			"POST /v1/stacks":                   `{"name":"a","connection_id":"01997e00-0000-7000-8000-000000000001","program":"x"}`,
			"PUT /v1/stacks/{id}":               `{"name":"a","connection_id":"01997e00-0000-7000-8000-000000000001","program":"x","version":1}`,
			"POST /v1/stacks/validate":          `{"program":"x"}`,
			"POST /v1/deployments":              `{"stack_id":"01997e00-0000-7000-8000-000000000001","operation":"up"}`,
			"POST /v1/deployments/{id}/approve": `{"digest":"d"}`,
		}[r.Method+" "+r.Path]
		w := httptest.NewRecorder()
		path := strings.ReplaceAll(r.Path, "{id}", "01997e00-0000-7000-8000-000000000001")
		request := httptest.NewRequest(r.Method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		a.ServeHTTP(w, request)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, w.Code, w.Body)
		}
	}
	document, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(document), `"name":"cursor"`); n != 3 {
		t.Errorf("%d lists have a cursor, want 3", n)
	}
}
