package api_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/tenancy/api"
	"nimbus/appliance/web"
)

// door is the API over a database of its own; requests act as somebody.
type door struct {
	t       *testing.T
	api     *web.API
	tenants *tenancy.Service
	root    id.ID
	as      actor.Actor
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, api: web.New("test", slog.New(slog.DiscardHandler))}
	database, history := dbtest.Open(t, web.Migrations, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	quiet := slog.New(slog.DiscardHandler)
	d.tenants = tenancy.New(tenancy.Config{
		DB: database, History: history, Events: event.NewBus(quiet), Logger: quiet,
		Audit: audit.New(audit.Config{DB: database, Logger: quiet, IsRoot: func(t id.ID) bool { return d.tenants.IsRoot(t) }}),
		Check: func(ctx context.Context, _ string) error { _, err := actor.Require(ctx); return err },
		Seed:  func(context.Context, id.ID) error { return nil },
		Onboard: tenancy.Onboard{Administrator: func(context.Context, id.ID, tenancy.Administrator) (any, any, error) {
			return nil, map[string]any{"link": "https://x/invitation#t"}, nil
		}},
	})
	api.Register(d.api, d.tenants)
	root, err := d.tenants.CreateRoot(actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"}))
	if err != nil {
		t.Fatal(err)
	}
	d.root = root.ID
	d.as = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Rita", TenantID: root.ID, AuthenticatedAt: time.Now()}
	return d
}

// try sends a request as the door's person.
func (d *door) try(method, path, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	d.api.ServeHTTP(w, r.WithContext(actor.With(r.Context(), d.as)))
	return w
}

// do insists on a status and returns the answer.
func (d *door) do(method, path, body string, status int) map[string]any {
	d.t.Helper()
	w := d.try(method, path, body)
	if w.Code != status {
		d.t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	answer := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			d.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return answer
}

// TestALifeOfATenant goes through every route of a tenant.
func TestALifeOfATenant(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	home := d.do("POST", "/v1/tenants", `{"name":"Home"}`, 201)["id"].(string)
	other := d.do("POST", "/v1/tenants", `{"name":"Other"}`, 201)["id"].(string)
	at := "/v1/tenants/" + home
	if got := d.do("PATCH", at, `{"name":"Heim","description":"ours"}`, 200); got["name"] != "Heim" || got["description"] != "ours" {
		t.Errorf("%v", got)
	}
	if got := d.do("PUT", at+"/settings", `{"retention_days":7,"mfa":{"required_for":"everybody"}}`, 200); got["retention_days"] != 7.0 || got["local_sign_in"] != true {
		t.Errorf("%v", got)
	}
	mfa := d.do("GET", at+"/settings", "", 200)["mfa"].(map[string]any)
	if mfa["required_for"] != "everybody" || mfa["step_up_minutes"] != 10.0 {
		t.Errorf("%v", mfa)
	}
	quotas := d.do("PUT", at+"/quotas", `{"items":[{"kind":"guests","soft":4,"hard":null}]}`, 200)["items"].([]any)
	if len(quotas) != 7 {
		t.Errorf("%v", quotas)
	}
	d.do("PUT", at+"/quotas", `{"items":[{"kind":"users","soft":null,"hard":100,"used":3}]}`, 200) // as it was read
	if got := d.do("POST", at+"/domains", `{"domain":"Heim.example"}`, 201); got["domain"] != "heim.example" || got["verified"] != true {
		t.Errorf("%v", got)
	}
	if got := d.do("POST", at+"/domains/heim.example/verify", "", 200); got["verified"] != true {
		t.Errorf("%v", got)
	}
	if all := d.do("GET", at+"/domains", "", 200)["items"].([]any); len(all) != 1 {
		t.Errorf("%v", all)
	}
	d.do("DELETE", at+"/domains/heim.example", "", 204)
	d.do("DELETE", at+"/domains/heim.example", "", 404)
	if all := d.do("GET", at+"/checklist", "", 200)["items"].([]any); len(all) != 7 {
		t.Errorf("%v", all)
	}
	if got := d.do("POST", at+"/suspend", `{"reason":"unpaid"}`, 200); got["status"] != "suspended" || got["suspended_reason"] != "unpaid" {
		t.Errorf("%v", got)
	}
	d.do("POST", at+"/resume", "", 200)
	if got := d.do("POST", at+"/move", `{"parent_id":"`+other+`"}`, 200); got["parent_id"] != other {
		t.Errorf("%v", got)
	}
	if got := d.do("DELETE", at, "", 200); got["status"] != "deleted" || got["purge_at"] == nil {
		t.Errorf("%v", got)
	}
	if n := len(d.do("GET", "/v1/tenants", "", 200)["items"].([]any)); n != 2 {
		t.Errorf("%d are listed", n)
	}
	if n := len(d.do("GET", "/v1/tenants?include=deleted", "", 200)["items"].([]any)); n != 3 {
		t.Errorf("%d are listed with the deleted", n)
	}
	d.do("POST", at+"/restore", "", 200)
	d.do("POST", at+"/purge", `{"name":"Heim"}`, 409)
	d.do("DELETE", at, "", 200)
	d.do("POST", at+"/purge", `{"name":"heim"}`, 400)
	if got := d.do("POST", at+"/purge", `{"name":"Heim"}`, 202); got["status"] != "purging" {
		t.Errorf("%v", got)
	}
	d.do("POST", at+"/restore", "", 410)
}

func TestExportIsAZip(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	home := d.do("POST", "/v1/tenants", `{"name":"Home"}`, 201)["id"].(string)
	w := d.try("POST", "/v1/tenants/"+home+"/export", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/zip" || w.Header().Get("Cache-Control") != "no-store" ||
		!strings.Contains(w.Header().Get("Content-Disposition"), home+".zip") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	archive, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := archive.Open("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(manifest); err != nil || !strings.Contains(string(raw), home) {
		t.Errorf("%s %v", raw, err)
	}
	d.as.AuthenticatedAt = time.Now().Add(-time.Hour)
	if got := d.do("POST", "/v1/tenants/"+home+"/export", "", http.StatusForbidden); got["code"] != "step_up_required" {
		t.Errorf("%v", got)
	}
}

func TestCompartmentRoutes(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	prod := d.do("POST", "/v1/compartments", `{"name":"Production"}`, 201)["id"].(string)
	web := d.do("POST", "/v1/compartments", `{"name":"Web","parent_id":"`+prod+`","description":"x"}`, 201)
	if web["path"] != "Production/Web" || web["parent_id"] != prod {
		t.Errorf("%v", web)
	}
	at := "/v1/compartments/" + web["id"].(string)
	d.do("DELETE", "/v1/compartments/"+prod, "", 409)
	if got := d.do("POST", at+"/move", `{"parent_id":null}`, 200); got["path"] != "Web" {
		t.Errorf("%v", got)
	}
	d.do("POST", at+"/move", `{}`, 400)
	if got := d.do("PATCH", at, `{"name":"Front"}`, 200); got["name"] != "Front" || got["description"] != "x" {
		t.Errorf("%v", got)
	}
	d.do("GET", at, "", 200)
	if n := len(d.do("GET", "/v1/compartments", "", 200)["items"].([]any)); n != 2 {
		t.Errorf("%d compartments", n)
	}
	d.do("DELETE", at, "", 204)
	d.do("GET", at, "", 404)
}

// TestRobustness21InnerTenantsDoNotCount sends another tenant's id inside of a
// request about one's own, by id and by name, in every form that a body has.
func TestRobustness21InnerTenantsDoNotCount(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	home := d.do("POST", "/v1/tenants", `{"name":"Home"}`, 201)["id"].(string)
	other := d.do("POST", "/v1/tenants", `{"name":"Other"}`, 201)["id"].(string)
	at := "/v1/tenants/" + home
	d.do("DELETE", at, "", 200)
	d.do("POST", at+"/purge", `{"name":"Other"}`, 400) // the id is right, the name another's
	d.do("POST", at+"/restore", "", 200)
	d.as.TenantID = id.MustParse(home)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PATCH", at, `{"name":"x","tenant_id":"` + other + `"}`, 400},
		{"PATCH", at, `{"id":"` + other + `"}`, 400},
		{"PUT", at + "/settings", `{"tenant_id":"` + other + `"}`, 400},
		{"PUT", at + "/settings", `{"session":{"tenant":"` + other + `"}}`, 400},
		{"PUT", at + "/quotas", `{"items":[{"kind":"users","hard":1,"tenant_id":"` + other + `"}]}`, 400},
		{"POST", at + "/domains", `{"domain":"a.example","tenant_id":"` + other + `"}`, 400},
		{"POST", "/v1/tenants", `{"name":"x","parent_id":"` + other + `"}`, 404},
		{"POST", "/v1/tenants", `{"name":"x","is_root":true}`, 400},
		{"POST", "/v1/tenants/onboard", `{"name":"x","parent_id":"` + other + `"}`, 404},
		{"POST", "/v1/tenants/onboard", `{"name":"x","administrator":{"name":"A","email":"a@x.example","invite":true,"tenant_id":"` + other + `"}}`, 400},
		{"POST", "/v1/tenants/" + other + "/move", `{"parent_id":"` + home + `"}`, 404},
		{"POST", "/v1/compartments", `{"name":"x","tenant_id":"` + other + `"}`, 400},
	} {
		if w := d.try(c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	made := d.do("POST", "/v1/tenants/onboard", `{"name":"Sub","administrator":{"name":"A","email":"a@x.example","invite":true}}`, 201)
	if made["tenant"].(map[string]any)["parent_id"] != home || made["invitation"].(map[string]any)["link"] == "" {
		t.Errorf("%v", made)
	}
}
