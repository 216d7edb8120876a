package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/api"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

const (
	password = "four words of hers"
	address  = "https://nimbus.example.org:8443"
)

// door is the API of identity before a database of its own, as browsers and
// programs meet it.
type door struct {
	t      *testing.T
	api    *web.API
	server http.Handler
	people *identity.Service
	root   id.ID
	tenant id.ID
	ann    identity.User
	homes  *tenancy.Service
	mfa    string // whom the tenants ask for a second factor
}

func open(t *testing.T) *door {
	t.Helper()
	database, history := dbtest.Open(t, web.Migrations, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	quiet, bus := slog.New(slog.DiscardHandler), event.NewBus(slog.New(slog.DiscardHandler))
	d := &door{t: t}
	var tenants *tenancy.Service
	var permissions *permission.Service
	isRoot := func(tenant id.ID) bool { return tenants.IsRoot(tenant) }
	check := func(ctx context.Context, p string) error { return permissions.Check(ctx, p) }
	trail := audit.New(audit.Config{DB: database, Logger: quiet, Check: check, IsRoot: isRoot})
	permissions = permission.New(permission.Config{DB: database, Audit: trail, Events: bus, Logger: quiet, IsRoot: isRoot})
	tenants = tenancy.New(tenancy.Config{DB: database, History: history, Audit: trail, Check: check, Logger: quiet,
		Seed: func(ctx context.Context, tenant id.ID) error { return permissions.Seed(ctx, tenant) }})
	d.people = identity.New(identity.Config{DB: database, Audit: trail, Permissions: permissions, Events: bus, Logger: quiet,
		URL: func() string { return address }, Keyring: keyring(t, database),
		MFAPolicy: func(context.Context, id.ID) (identity.MFAPolicy, error) {
			return identity.MFAPolicy{RequiredFor: d.mfa}, nil
		}})
	d.homes = tenants
	d.settle(tenants)
	d.api = web.New("test", quiet)
	api.Register(d.api, api.Config{
		Identity: d.people, Permissions: permissions, Tenants: tenants, Logger: quiet,
		Federation: identity.NewFederation(identity.FederationConfig{Identity: d.people}),
		Appliance:  func() api.Appliance { return api.Appliance{} }, BreakGlass: func(context.Context) any { return nil },
	})
	d.server = web.Chain(d.api, web.Identify, web.SameOrigin, web.Authenticated(api.Authenticate(d.people)), web.Idempotent(database))
	return d
}

func (d *door) settle(tenants *tenancy.Service) {
	ctx := actor.With(d.t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	root, err := tenants.CreateRoot(ctx)
	d.must(err)
	tenant, err := tenants.Create(ctx, tenancy.Tenant{Name: "Home", ParentID: root.ID})
	d.must(err)
	d.root, d.tenant = root.ID, tenant.ID
	_, err = d.people.CreateFirst(ctx, identity.NewUser{Name: "Eve", Email: "eve@example.org", Password: password}, root.ID, tenant.ID)
	d.must(err)
	d.ann, err = d.people.CreateUser(actor.AsSystem(ctx, "test", tenant.ID), identity.NewUser{
		Name: "Ann", Email: "ann@example.org", Password: password, Roles: []id.ID{permission.SystemRoleID(tenant.ID, permission.TenantAdministrator)},
	})
	d.must(err)
}

func (d *door) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// caller is who sends requests: a browser with a cookie, or a program with a token.
type caller struct {
	*door
	cookie, token, host string
}

// try sends a request and returns the answer.
func (c *caller) try(method, path string, body any) *httptest.ResponseRecorder {
	c.t.Helper()
	raw, err := json.Marshal(body)
	c.must(err)
	r := httptest.NewRequest(method, path, strings.NewReader(string(raw)))
	if body == nil {
		r = httptest.NewRequest(method, path, nil)
	}
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "192.0.2.1:1234"
	if c.host != "" {
		r.Host = c.host
		r.Header.Set("X-Forwarded-Host", c.host)
	}
	if c.cookie != "" {
		r.AddCookie(&http.Cookie{Name: api.Cookie, Value: c.cookie})
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r)
	for _, set := range w.Result().Cookies() {
		c.cookie = set.Value
	}
	return w
}

// do expects a status and reads the answer.
func (c *caller) do(method, path string, body any, want int) map[string]any {
	c.t.Helper()
	w := c.try(method, path, body)
	if w.Code != want {
		c.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	answer := map[string]any{}
	if w.Body.Len() > 0 {
		c.must(json.Unmarshal(w.Body.Bytes(), &answer))
	}
	return answer
}

func (d *door) signIn(email string) *caller {
	d.t.Helper()
	c := &caller{door: d}
	c.do(http.MethodPost, "/v1/session", map[string]any{"email": email, "password": password}, http.StatusCreated)
	return c
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// TestEveryRouteNeedsItsPermission asks for each route without signing in, and
// as somebody who may nothing.
func TestEveryRouteNeedsItsPermission(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, err := d.people.CreateUser(actor.AsSystem(t.Context(), "test", d.tenant), identity.NewUser{Name: "Nil", Email: "nil@example.org", Password: password})
	d.must(err)
	nobody, powerless := &caller{door: d}, d.signIn("nil@example.org")
	public := 0
	for _, r := range d.api.Routes() {
		path := strings.Replace(parameter.ReplaceAllString(r.Path, id.New().String()), "members/"+id.New().String(), "members/user", 1)
		path = regexp.MustCompile(`members/[0-9a-f-]{36}`).ReplaceAllString(path, "members/user")
		body := bodies[r.Method+" "+r.Path]
		if r.Permission == web.Public {
			public++
			continue
		}
		if w := nobody.try(r.Method, path, body); w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without signing in: %d %s", r.Method, r.Path, w.Code, w.Body)
		}
		if r.Permission == web.SignedIn {
			continue
		}
		if w := powerless.try(r.Method, path, body); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), r.Permission) {
			t.Errorf("%s %s without %s: %d %s", r.Method, r.Path, r.Permission, w.Code, w.Body)
		}
	}
	if public != 15 {
		t.Errorf("%d public routes: eight of sign-in, reset and invitation and seven of sign-in providers are fifteen", public)
	}
}

// bodies are good inputs of the routes that take any.
var bodies = map[string]map[string]any{
	"PUT /v1/session/tenant":                {"tenant_id": id.New()},
	"POST /v1/session/reauthenticate":       {"password": password},
	"POST /v1/mfa/totp/confirm":             {"code": "123456"},
	"POST /v1/mfa/passkeys/finish":          {"state": "x", "name": "x", "credential": map[string]any{}},
	"PUT /v1/session/password":              {"current": password, "new": "a new sentence of hers"},
	"POST /v1/tokens":                       {"name": "x", "expires_in_days": 1},
	"POST /v1/users":                        {"name": "X", "email": "x@example.org", "password": password},
	"PATCH /v1/users/{id}":                  {"name": "X"},
	"POST /v1/users/{id}/roles":             {"role_id": id.New()},
	"POST /v1/groups":                       {"name": "x"},
	"PATCH /v1/groups/{id}":                 {"name": "x"},
	"POST /v1/service-accounts":             {"name": "x"},
	"PATCH /v1/service-accounts/{id}":       {"name": "x"},
	"POST /v1/service-accounts/{id}/tokens": {"name": "x", "expires_in_days": 1},
	"POST /v1/invitations":                  {"name": "X", "email": "x@example.org"},
	"POST /v1/invitations/inspect":          {"token": "x"},
	"POST /v1/invitations/accept":           {"token": "x", "password": password},
	"POST /v1/password-reset":               {"token": "x", "password": password},
	"POST /v1/identity-providers":           {"kind": "oidc", "name": "x"},
	"PATCH /v1/identity-providers/{id}":     {"name": "x"},
	"POST /v1/identity-providers/{id}/test": {},
	"POST /v1/session":                      {"email": "x@example.org", "password": password},
}

// TestRobustness28NothingIsSetByTheWay adds fields that say whose something is
// to every body.
func TestRobustness28NothingIsSetByTheWay(t *testing.T) {
	t.Parallel()
	d := open(t)
	ann := d.signIn("ann@example.org")
	tried := 0
	for _, r := range d.api.Routes() {
		body, ok := bodies[r.Method+" "+r.Path]
		if !ok {
			continue
		}
		for _, field := range []string{"id", "tenant_id", "user_id", "owner", "role", "emergency", "source", "external_id", "mfa", "password_hash", "created_at"} {
			if _, its := body[field]; its {
				continue
			}
			tried++
			with := map[string]any{field: id.New()}
			for k, v := range body {
				with[k] = v
			}
			w := ann.try(r.Method, parameter.ReplaceAllString(r.Path, d.ann.ID.String()), with)
			if w.Code != http.StatusBadRequest {
				t.Errorf("%s %s with %s: %d %s", r.Method, r.Path, field, w.Code, w.Body)
			}
		}
	}
	if want := 11*len(bodies) - 1; tried != want {
		t.Errorf("%d of %d were tried", tried, want)
	}
}

// TestRobustness30SecretsAreShownOnce makes every secret there is and reads
// everything that can be read.
func TestRobustness30SecretsAreShownOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	ann := d.signIn("ann@example.org")
	bob := ann.do(http.MethodPost, "/v1/users", map[string]any{"name": "Bob", "email": "bob@example.org", "password": password}, http.StatusCreated)["id"]
	robot := ann.do(http.MethodPost, "/v1/service-accounts", map[string]any{"name": "robot"}, http.StatusCreated)["id"]
	staff := ann.do(http.MethodPost, "/v1/groups", map[string]any{"name": "Staff"}, http.StatusCreated)["id"]
	ann.do(http.MethodPut, fmt.Sprintf("/v1/groups/%s/members/service_account/%s", staff, robot), nil, http.StatusNoContent)
	secrets := []string{"argon2id", ann.cookie}
	for path, field := range map[string]string{
		"/v1/tokens": "token", fmt.Sprintf("/v1/service-accounts/%s/tokens", robot): "token",
		"/v1/invitations": "link", fmt.Sprintf("/v1/users/%s/password-reset", bob): "link",
	} {
		body := map[string]any(nil)
		switch {
		case field == "token":
			body = map[string]any{"name": "x", "expires_in_days": 1}
		case path == "/v1/invitations":
			body = map[string]any{"name": "X", "email": "x@example.org"}
		}
		w := ann.try(http.MethodPost, path, body)
		answer := map[string]any{}
		d.must(json.Unmarshal(w.Body.Bytes(), &answer))
		_, secret, _ := strings.Cut("#"+answer[field].(string), "#")
		if at := strings.LastIndex(secret, "#"); at >= 0 {
			secret = secret[at+1:]
		}
		if len(secret) < 40 || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		secrets = append(secrets, secret)
	}
	read := 0
	for _, r := range d.api.Routes() {
		if r.Method != http.MethodGet {
			continue
		}
		known := map[string]any{"/v1/users": bob, "/v1/groups": staff, "/v1/service-accounts": robot}
		path := r.Path
		for prefix, one := range known {
			if strings.HasPrefix(path, prefix+"/{id}") {
				path = strings.Replace(path, "{id}", one.(string), 1)
			}
		}
		if strings.Contains(path, "{") || path == "/v1/session/oidc/callback" {
			continue // of sign-in providers: TestSecretsAreNeverReturned reads them
		}
		w := ann.try(http.MethodGet, path, nil)
		if w.Code != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
		read++
		for _, secret := range secrets {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("GET %s shows %q", path, secret)
			}
		}
	}
	if read < 11 {
		t.Errorf("%d routes were read", read)
	}
}

// TestRobustness35LinksIgnoreTheHostHeader asks for links under another name.
func TestRobustness35LinksIgnoreTheHostHeader(t *testing.T) {
	t.Parallel()
	d := open(t)
	ann := d.signIn("ann@example.org")
	bob := ann.do(http.MethodPost, "/v1/users", map[string]any{"name": "Bob", "email": "bob@example.org", "password": password}, http.StatusCreated)["id"]
	ann.host = "evil.example.com"
	for path, body := range map[string]map[string]any{
		"/v1/invitations": {"name": "X", "email": "x@example.org"},
		fmt.Sprintf("/v1/users/%s/password-reset", bob): nil,
	} {
		answer := ann.do(http.MethodPost, path, body, http.StatusCreated)
		if link := answer["link"].(string); !strings.HasPrefix(link, address+"/") || strings.Contains(link, "?") {
			t.Errorf("%s: %s", path, link)
		}
	}
}

// TestFromInvitationToSignOut is a person's way through the door.
func TestFromInvitationToSignOut(t *testing.T) {
	t.Parallel()
	d := open(t)
	ann := d.signIn("ann@example.org")
	made := ann.do(http.MethodPost, "/v1/invitations", map[string]any{
		"name": "Bob", "email": "bob@example.org", "role_ids": []id.ID{permission.SystemRoleID(d.tenant, "Auditor")},
	}, http.StatusCreated)
	_, token, _ := strings.Cut(made["link"].(string), "#")
	bob := &caller{door: d, cookie: "chosen-by-somebody-else"}
	shown := bob.do(http.MethodPost, "/v1/invitations/inspect", map[string]any{"token": token}, http.StatusOK)
	if shown["tenant"] != "Home" || shown["needs_password"] != true {
		t.Errorf("%v", shown)
	}
	session := bob.do(http.MethodPost, "/v1/invitations/accept", map[string]any{"token": token, "password": "his own four words"}, http.StatusCreated)
	if bob.cookie == "chosen-by-somebody-else" || session["method"] != "password" || session["tenant"].(map[string]any)["name"] != "Home" {
		t.Errorf("cookie %q, %v", bob.cookie, session)
	}
	bob.do(http.MethodPost, "/v1/invitations/inspect", map[string]any{"token": token}, http.StatusGone)
	people := bob.do(http.MethodGet, "/v1/users?q=bob", nil, http.StatusOK)["items"].([]any)
	if len(people) != 1 || people[0].(map[string]any)["source"] != "local" || people[0].(map[string]any)["emergency"] != false {
		t.Errorf("%v", people)
	}
	program := &caller{door: d, token: bob.do(http.MethodPost, "/v1/tokens", map[string]any{
		"name": "x", "expires_in_days": 1, "scopes": []string{"identity:user:read"},
	}, http.StatusCreated)["token"].(string)}
	program.do(http.MethodGet, "/v1/users?limit=1", nil, http.StatusOK)
	program.do(http.MethodGet, "/v1/groups", nil, http.StatusForbidden)
	program.do(http.MethodPost, "/v1/tokens", map[string]any{"name": "x", "expires_in_days": 1}, http.StatusForbidden)
	program.do(http.MethodPut, "/v1/session/password", map[string]any{"current": "his own four words", "new": "his other four words"}, http.StatusForbidden)

	bob.do(http.MethodPut, "/v1/session/password", map[string]any{"current": "his own four words", "new": "his other four words"}, http.StatusNoContent)
	bob.do(http.MethodDelete, "/v1/sessions?keep_current=true", nil, http.StatusNoContent)
	old := *bob
	bob.do(http.MethodGet, "/v1/session", nil, http.StatusOK)
	bob.do(http.MethodDelete, "/v1/sessions", nil, http.StatusNoContent)
	old.do(http.MethodGet, "/v1/session", nil, http.StatusUnauthorized)
}

// TestServiceAccountThroughTheDoor makes a program that reads people.
func TestServiceAccountThroughTheDoor(t *testing.T) {
	t.Parallel()
	d := open(t)
	ann := d.signIn("ann@example.org")
	robot := ann.do(http.MethodPost, "/v1/service-accounts", map[string]any{"name": "robot"}, http.StatusCreated)["id"]
	path := fmt.Sprintf("/v1/service-accounts/%s", robot)
	made := ann.do(http.MethodPost, path+"/tokens", map[string]any{"name": "x", "expires_in_days": 1}, http.StatusCreated)
	program := &caller{door: d, token: made["token"].(string)}
	program.do(http.MethodGet, "/v1/users", nil, http.StatusForbidden)
	if session := program.do(http.MethodGet, "/v1/session", nil, http.StatusOK); session["user"].(map[string]any)["name"] != "robot" {
		t.Errorf("%v", session)
	}
	ann.do(http.MethodDelete, fmt.Sprintf("%s/tokens/%s", path, made["id"]), nil, http.StatusNoContent)
	program.do(http.MethodGet, "/v1/session", nil, http.StatusUnauthorized)
	ann.do(http.MethodPatch, path, map[string]any{"status": "disabled"}, http.StatusOK)
	ann.do(http.MethodDelete, path, nil, http.StatusNoContent)
	ann.do(http.MethodDelete, path, nil, http.StatusNotFound)
}

// TestSessionTellsTheZone: the tenant's, and none before it chose one.
func TestSessionTellsTheZone(t *testing.T) {
	t.Parallel()
	d := open(t)
	c := &caller{door: d}
	if s := c.do("POST", "/v1/session", ann, http.StatusCreated); s["time_zone"] != "" {
		t.Errorf("before one was chosen: %v", s["time_zone"])
	}
	set := tenancy.DefaultSettings()
	set.TimeZone = "Europe/Vienna"
	provider := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: d.root})
	d.must(d.homes.SetSettings(provider, d.tenant, set))
	if s := c.do("GET", "/v1/session", nil, http.StatusOK); s["time_zone"] != "Europe/Vienna" {
		t.Errorf("after it was chosen: %v", s["time_zone"])
	}
}
