package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	otp "github.com/pquerna/otp/totp"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/api"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

const password = "four words of hers"

// door is the routes behind the middleware that the appliance puts before
// them, over services with a database of their own and one person, Ann.
type door struct {
	http.Handler
	t        *testing.T
	routes   *web.API
	required string
	cookie   string // of the browser
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t}
	quiet := slog.New(slog.DiscardHandler)
	database, history := dbtest.Open(t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	bus := event.NewBus(quiet)
	var permissions *permission.Service
	var tenants *tenancy.Service
	check := func(ctx context.Context, p string) error { return permissions.Check(ctx, p) }
	isRoot := func(tenant id.ID) bool { return tenants.IsRoot(tenant) }
	trail := audit.New(audit.Config{DB: database, Logger: quiet, Check: check, IsRoot: isRoot})
	permissions = permission.New(permission.Config{DB: database, Audit: trail, Events: bus, Logger: quiet, IsRoot: isRoot})
	tenants = tenancy.New(tenancy.Config{DB: database, History: history, Audit: trail, Check: check, Logger: quiet,
		Seed: func(ctx context.Context, tenant id.ID) error { return permissions.Seed(ctx, tenant) }})
	key, err := secret.OpenFileRoot(filepath.Join(t.TempDir(), "root.key"))
	d.must(err)
	ring := secret.NewKeyring(key, tenancy.Keys{DB: database}, nil)
	people := identity.New(identity.Config{
		DB: database, Audit: trail, Permissions: permissions, Events: bus, Logger: quiet,
		URL: func() string { return "https://nimbus.example.org" }, Keyring: func() *secret.Keyring { return ring },
		MFAPolicy: func(context.Context, id.ID) (identity.MFAPolicy, error) {
			return identity.MFAPolicy{RequiredFor: d.required}, nil
		},
	})
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	root, err := tenants.CreateRoot(ctx)
	d.must(err)
	home, err := tenants.Create(ctx, tenancy.Tenant{Name: "Home", ParentID: root.ID})
	d.must(err)
	_, err = people.CreateFirst(ctx, identity.NewUser{Name: "Ann", Email: "ann@example.org", Password: password}, root.ID, home.ID)
	d.must(err)
	d.routes = web.New("test", quiet)
	api.Register(d.routes, api.Config{
		Identity: people, Permissions: permissions, Tenants: tenants,
		Appliance: func() api.Appliance { return api.Appliance{Name: "Test"} }, BreakGlass: func(context.Context) any { return nil },
	})
	d.Handler = web.Chain(d.routes, web.Identify, web.SameOrigin, web.Authenticated(api.Authenticate(people)))
	return d
}

func (d *door) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// do sends a request as a browser and keeps the cookie it gets.
func (d *door) do(want int, method, path string, body any) map[string]any {
	d.t.Helper()
	var raw bytes.Buffer
	if body != nil {
		d.must(json.NewEncoder(&raw).Encode(body))
	}
	r := httptest.NewRequest(method, path, &raw)
	r.Header.Set("Content-Type", "application/json")
	if d.cookie != "" {
		r.AddCookie(&http.Cookie{Name: api.Cookie, Value: d.cookie})
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != want {
		d.t.Fatalf("%s %s: %d instead of %d: %s", method, path, w.Code, want, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		d.cookie = c.Value
	}
	var got map[string]any
	if w.Body.Len() > 0 {
		d.must(json.Unmarshal(w.Body.Bytes(), &got))
	}
	return got
}

func (d *door) code(secret string, at time.Time) string {
	d.t.Helper()
	code, err := otp.GenerateCode(secret, at)
	d.must(err)
	return code
}

var ann = map[string]any{"email": "ann@example.org", "password": password}

func TestEnrolAndSignInInTwoSteps(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	first := d.do(http.StatusCreated, "POST", "/v1/session", ann)
	if first["mfa_enrolment_required"] != false || first["second_factor"] != nil || first["user"] == nil || d.cookie == "" {
		t.Fatalf("session %v", first)
	}
	if f := d.do(http.StatusOK, "GET", "/v1/mfa", nil); f["totp"] != false || len(f["passkeys"].([]any)) != 0 || f["recovery_codes_left"] != 0.0 || f["required"] != false {
		t.Errorf("factors %v", f)
	}
	app := d.do(http.StatusOK, "POST", "/v1/mfa/totp", nil)
	secret := app["secret"].(string)
	d.do(http.StatusBadRequest, "POST", "/v1/mfa/totp/confirm", map[string]any{"code": "12"})
	confirmed := d.do(http.StatusOK, "POST", "/v1/mfa/totp/confirm", map[string]any{"code": d.code(secret, time.Now().Add(-29*time.Second))})
	codes := confirmed["recovery_codes"].([]any)
	if len(codes) != 10 || app["uri"] == "" || app["qr_svg"] == "" {
		t.Fatalf("%v %v", app, confirmed)
	}
	begun := d.do(http.StatusOK, "POST", "/v1/mfa/passkeys/begin", nil)
	if options := begun["options"].(map[string]any); options["challenge"] == nil || options["rp"].(map[string]any)["id"] != "nimbus.example.org" {
		t.Errorf("options %v", begun)
	}
	d.do(http.StatusBadRequest, "POST", "/v1/mfa/passkeys/finish", map[string]any{"state": begun["state"], "name": "x", "credential": map[string]any{}})

	d.cookie = ""
	answer := d.do(http.StatusOK, "POST", "/v1/session", ann)
	if len(answer) > 2 || d.cookie != "" { // $schema may be there
		t.Fatalf("the password alone answers %v, cookie %q", answer, d.cookie)
	}
	second := answer["second_factor"].(map[string]any)
	if !slices.Equal(second["methods"].([]any), []any{"totp", "recovery_code"}) || second["options"] != nil {
		t.Errorf("second step %v", second)
	}
	d.do(http.StatusUnauthorized, "GET", "/v1/session", nil)
	d.do(http.StatusUnauthorized, "POST", "/v1/session/second-factor", map[string]any{"token": second["token"], "recovery_code": "0000-0000-0000-0000"})
	done := d.do(http.StatusCreated, "POST", "/v1/session/second-factor", map[string]any{"token": second["token"], "recovery_code": codes[0]})
	if done["user"].(map[string]any)["name"] != "Ann" || d.cookie == "" {
		t.Errorf("session %v", done)
	}
	if f := d.do(http.StatusOK, "GET", "/v1/mfa", nil); f["totp"] != true || f["recovery_codes_left"] != 9.0 {
		t.Errorf("factors %v", f)
	}
	if up := d.do(http.StatusOK, "GET", "/v1/session/reauthenticate", nil); !slices.Equal(up["methods"].([]any), []any{"password", "totp"}) {
		t.Errorf("step-up %v", up)
	}
	d.do(http.StatusNoContent, "POST", "/v1/session/reauthenticate", map[string]any{"password": password})
	d.do(http.StatusUnauthorized, "POST", "/v1/session/reauthenticate", map[string]any{"password": "wrong"})
	if made := d.do(http.StatusOK, "POST", "/v1/mfa/recovery-codes", nil); len(made["codes"].([]any)) != 10 {
		t.Errorf("codes %v", made)
	}
	d.do(http.StatusConflict, "DELETE", "/v1/users/"+done["user"].(map[string]any)["id"].(string)+"/mfa", nil)
	d.do(http.StatusNoContent, "DELETE", "/v1/mfa/totp", nil)
	d.do(http.StatusNotFound, "DELETE", "/v1/mfa/totp", nil)
	d.cookie = ""
	d.do(http.StatusCreated, "POST", "/v1/session", ann)
	d.do(http.StatusOK, "POST", "/v1/session/passkey/begin", nil)
	d.do(http.StatusGone, "POST", "/v1/session/passkey", map[string]any{"state": "unknown", "credential": map[string]any{"id": "x"}})
}

// TestALimitedSessionReachesNothingElse asks every declared route.
func TestALimitedSessionReachesNothingElse(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.required = identity.MFAEverybody
	s := d.do(http.StatusCreated, "POST", "/v1/session", ann)
	if s["mfa_required"] != true || s["mfa_enrolment_required"] != true {
		t.Fatalf("session %v", s)
	}
	asked := 0
	for _, r := range d.routes.Routes() {
		if identity.MayBeLimited(r.Path) {
			continue
		}
		asked++
		if got := d.do(http.StatusForbidden, r.Method, r.Path, map[string]any{}); got["code"] != "mfa_required" {
			t.Errorf("%s %s: %v", r.Method, r.Path, got)
		}
	}
	if asked < 8 {
		t.Errorf("only %d routes were asked", asked)
	}
	for _, path := range []string{"/v1/session", "/v1/mfa", "/v1/session/reauthenticate"} {
		d.do(http.StatusOK, "GET", path, nil)
	}
	secret := d.do(http.StatusOK, "POST", "/v1/mfa/totp", nil)["secret"].(string)
	d.do(http.StatusForbidden, "GET", "/v1/users", nil)
	d.do(http.StatusOK, "POST", "/v1/mfa/totp/confirm", map[string]any{"code": d.code(secret, time.Now())})
	d.do(http.StatusOK, "GET", "/v1/users", nil)
	if s := d.do(http.StatusOK, "GET", "/v1/session", nil); s["mfa_required"] != false || s["mfa_enrolment_required"] != false {
		t.Errorf("session %v", s)
	}
	d.do(http.StatusConflict, "DELETE", "/v1/mfa/totp", nil)
}

// TestTheDocumentTellsOfBothAnswersOfASignIn guards against embedded types
// that the document does not see.
func TestTheDocumentTellsOfBothAnswersOfASignIn(t *testing.T) {
	t.Parallel()
	raw, err := newDoor(t).routes.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for schema, fields := range map[string][]string{
		"IdentitySignInAnswer": {"second_factor", "user", "permissions", "mfa_required", "mfa_enrolment_required"},
		"IdentityNewPasskey":   {"id", "name", "recovery_codes"},
	} {
		for _, field := range fields {
			if doc.Components.Schemas[schema].Properties[field] == nil {
				t.Errorf("%s lacks %s", schema, field)
			}
		}
	}
}
