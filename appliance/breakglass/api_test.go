package breakglass_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/breakglass/api"
	"nimbus/appliance/web"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	routes := web.New("test", slog.New(slog.DiscardHandler))
	api.Register(routes, b.Service)
	var got map[string]any
	do := func(a actor.Actor, want int, method, path, body string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(b.as(a))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		if w.Code != want {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		got = nil
		must(t, json.Unmarshal(w.Body.Bytes(), &got))
	}
	const requests, secret = "/v1/breakglass/requests", `{"password":"` + password + `"}`
	do(b.eve, http.StatusForbidden, "GET", "/v1/breakglass", "")
	do(b.ann, http.StatusBadRequest, "POST", requests, `{"reason":"disk full","minutes":61}`)
	do(b.ann, http.StatusCreated, "POST", requests, `{"reason":"disk full","minutes":5}`)
	one := requests + "/" + got["id"].(string)
	if got["status"] != "pending" || got["needed"] != 2.0 || got["ends_at"] != nil || len(got["approvals"].([]any)) != 0 {
		t.Fatalf("a new request: %v", got)
	}
	do(b.ann, http.StatusNotFound, "POST", requests+"/x/approve", secret)
	do(b.ann, http.StatusUnauthorized, "POST", one+"/approve", `{"password":"wrong"}`)
	do(b.ann, http.StatusOK, "POST", one+"/approve", secret)
	do(b.bob, http.StatusOK, "POST", one+"/approve", secret)
	if got["status"] != "open" || got["key"].(map[string]any)["kind"] != "file" {
		t.Fatalf("after two approvals: %v", got)
	}
	do(b.bob, http.StatusOK, "GET", "/v1/breakglass", "")
	if got["hsm"].(map[string]any)["state"] != "none" || got["active"].(map[string]any)["user_name"] != "Ann" || len(got["requests"].([]any)) != 1 {
		t.Fatalf("the page: %v", got)
	}
	do(b.eve, http.StatusForbidden, "POST", one+"/end", "")
	do(b.ann, http.StatusOK, "POST", one+"/end", "")
	do(b.ann, http.StatusConflict, "POST", one+"/end", "")
}
