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
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/api"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/web"
)

// routes are those of the package, for an actor who has no permission but to test.
var routes = sync.OnceValue(func() http.Handler {
	a := web.New("test", slog.New(slog.DiscardHandler))
	api.Register(a, provider.New(provider.Config{
		Check: func(_ context.Context, permission string) error {
			if permission == provider.TestConnection {
				return nil
			}
			return fault.New(fault.Forbidden, "You need %s.", permission)
		},
		Open: map[string]provider.Opener{provider.Proxmox: proxmox.Open},
	}))
	return a
})

// serve answers one request.
func serve(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r = r.WithContext(actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "Ann", TenantID: id.New()}))
	w := httptest.NewRecorder()
	routes().ServeHTTP(w, r)
	return w
}

func TestRoutesAskForTheirPermission(t *testing.T) {
	t.Parallel()
	some := id.New().String()
	const connection = `{"name":"home","url":"https://pve","token_id":"a@pve!bb","token_secret":"x"}`
	for _, c := range []struct{ method, path, body, permission string }{
		{"GET", "/v1/connections", "", provider.ReadConnections},
		{"POST", "/v1/connections", connection, provider.CreateConnection},
		{"GET", "/v1/connections/" + some, "", provider.ReadConnections},
		{"DELETE", "/v1/connections/" + some, "", provider.DeleteConnection},
		{"POST", "/v1/connections/" + some + "/collect", "", provider.CollectConnection},
		{"POST", "/v1/connections/" + some + "/fingerprint", `{"fingerprint":"AA"}`, provider.UpdateConnection},
		{"GET", "/v1/tasks?item_id=" + some, "", provider.ReadTasks},
		{"GET", "/v1/tasks/" + some, "", provider.ReadTasks},
		{"GET", "/v1/tasks/" + some + "/log", "", provider.ReadTasks},
	} {
		w := serve(t, c.method, c.path, c.body)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), c.permission) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/connections/x", "", 404},
		{"GET", "/v1/tasks/x/log", "", 404},
		{"GET", "/v1/tasks?item_id=x", "", 400},
		{"GET", "/v1/tasks?limit=1000", "", 400},
		{"POST", "/v1/inventory/" + id.New().String() + "/power", `{"action":"explode"}`, 400},
		{"POST", "/v1/connections/test", `{"url":"https://pve"}`, 400},
		{"POST", "/v1/connections/test", `{"url":"http://pve","token_id":"a@pve!bb","token_secret":"x"}`, 400},
		{"POST", "/v1/connections/test", `{"url":"https://pve","token_id":"a@pve!bb","token_secret":"x","simulated":true}`, 400},
	} {
		if w := serve(t, c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
}

func TestTheTestOfAConnectionNeedsNoName(t *testing.T) {
	t.Parallel()
	w := serve(t, "POST", "/v1/connections/test", `{"url":"https://127.0.0.1:1","token_id":"a@pve!bb","token_secret":"x"}`)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ok":false`) || !strings.Contains(w.Body.String(), `"privileges":[]`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
