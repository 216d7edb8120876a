package api_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	otp "github.com/pquerna/otp/totp"

	"nimbus/appliance/db"
	"nimbus/appliance/identity"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
)

// keyring is over a key in a file.
func keyring(t *testing.T, database *db.DB) func() *secret.Keyring {
	t.Helper()
	key, err := secret.OpenFileRoot(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	ring := secret.NewKeyring(key, tenancy.Keys{DB: database}, nil)
	return func() *secret.Keyring { return ring }
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
	d := open(t)
	c := &caller{door: d}
	first := c.do("POST", "/v1/session", ann, http.StatusCreated)
	if first["mfa_enrolment_required"] != false || first["second_factor"] != nil || first["user"] == nil || c.cookie == "" {
		t.Fatalf("session %v", first)
	}
	if f := c.do("GET", "/v1/mfa", nil, http.StatusOK); f["totp"] != false || len(f["passkeys"].([]any)) != 0 || f["recovery_codes_left"] != 0.0 || f["required"] != false {
		t.Errorf("factors %v", f)
	}
	app := c.do("POST", "/v1/mfa/totp", nil, http.StatusOK)
	secret := app["secret"].(string)
	c.do("POST", "/v1/mfa/totp/confirm", map[string]any{"code": "12"}, http.StatusBadRequest)
	confirmed := c.do("POST", "/v1/mfa/totp/confirm", map[string]any{"code": d.code(secret, time.Now().Add(-29*time.Second))}, http.StatusOK)
	codes := confirmed["recovery_codes"].([]any)
	if len(codes) != 10 || app["uri"] == "" || app["qr_svg"] == "" {
		t.Fatalf("%v %v", app, confirmed)
	}
	begun := c.do("POST", "/v1/mfa/passkeys/begin", nil, http.StatusOK)
	if options := begun["options"].(map[string]any); options["challenge"] == nil || options["rp"].(map[string]any)["id"] != "nimbus.example.org" {
		t.Errorf("options %v", begun)
	}
	c.do("POST", "/v1/mfa/passkeys/finish", map[string]any{"state": begun["state"], "name": "x", "credential": map[string]any{}}, http.StatusBadRequest)

	c.cookie = ""
	answer := c.do("POST", "/v1/session", ann, http.StatusOK)
	if len(answer) > 2 || c.cookie != "" { // $schema may be there
		t.Fatalf("the password alone answers %v, cookie %q", answer, c.cookie)
	}
	second := answer["second_factor"].(map[string]any)
	if !slices.Equal(second["methods"].([]any), []any{"totp", "recovery_code"}) || second["options"] != nil {
		t.Errorf("second step %v", second)
	}
	c.do("GET", "/v1/session", nil, http.StatusUnauthorized)
	c.do("POST", "/v1/session/second-factor", map[string]any{"token": second["token"], "recovery_code": "0000-0000-0000-0000"}, http.StatusUnauthorized)
	done := c.do("POST", "/v1/session/second-factor", map[string]any{"token": second["token"], "recovery_code": codes[0]}, http.StatusCreated)
	if done["user"].(map[string]any)["name"] != "Ann" || c.cookie == "" {
		t.Errorf("session %v", done)
	}
	if f := c.do("GET", "/v1/mfa", nil, http.StatusOK); f["totp"] != true || f["recovery_codes_left"] != 9.0 {
		t.Errorf("factors %v", f)
	}
	if up := c.do("GET", "/v1/session/reauthenticate", nil, http.StatusOK); !slices.Equal(up["methods"].([]any), []any{"password", "totp"}) {
		t.Errorf("step-up %v", up)
	}
	c.do("POST", "/v1/session/reauthenticate", map[string]any{"password": password}, http.StatusNoContent)
	c.do("POST", "/v1/session/reauthenticate", map[string]any{"password": "wrong"}, http.StatusUnauthorized)
	if made := c.do("POST", "/v1/mfa/recovery-codes", nil, http.StatusOK); len(made["codes"].([]any)) != 10 {
		t.Errorf("codes %v", made)
	}
	c.do("DELETE", "/v1/users/"+done["user"].(map[string]any)["id"].(string)+"/mfa", nil, http.StatusConflict)
	c.do("DELETE", "/v1/mfa/totp", nil, http.StatusNoContent)
	c.do("DELETE", "/v1/mfa/totp", nil, http.StatusNotFound)
	c.cookie = ""
	c.do("POST", "/v1/session", ann, http.StatusCreated)
	c.do("POST", "/v1/session/passkey/begin", nil, http.StatusOK)
	c.do("POST", "/v1/session/passkey", map[string]any{"state": "unknown", "credential": map[string]any{"id": "x"}}, http.StatusGone)
}

// TestALimitedSessionReachesNothingElse asks every declared route.
func TestALimitedSessionReachesNothingElse(t *testing.T) {
	t.Parallel()
	d := open(t)
	c := &caller{door: d}
	d.mfa = identity.MFAEverybody
	s := c.do("POST", "/v1/session", ann, http.StatusCreated)
	if s["mfa_required"] != true || s["mfa_enrolment_required"] != true {
		t.Fatalf("session %v", s)
	}
	asked := 0
	for _, r := range d.api.Routes() {
		if identity.MayBeLimited(r.Path) {
			continue
		}
		asked++
		if got := c.do(r.Method, r.Path, map[string]any{}, http.StatusForbidden); got["code"] != "mfa_required" {
			t.Errorf("%s %s: %v", r.Method, r.Path, got)
		}
	}
	if asked < 8 {
		t.Errorf("only %d routes were asked", asked)
	}
	for _, path := range []string{"/v1/session", "/v1/mfa", "/v1/session/reauthenticate"} {
		c.do("GET", path, nil, http.StatusOK)
	}
	secret := c.do("POST", "/v1/mfa/totp", nil, http.StatusOK)["secret"].(string)
	c.do("GET", "/v1/users", nil, http.StatusForbidden)
	c.do("POST", "/v1/mfa/totp/confirm", map[string]any{"code": d.code(secret, time.Now())}, http.StatusOK)
	c.do("GET", "/v1/users", nil, http.StatusOK)
	if s := c.do("GET", "/v1/session", nil, http.StatusOK); s["mfa_required"] != false || s["mfa_enrolment_required"] != false {
		t.Errorf("session %v", s)
	}
	c.do("DELETE", "/v1/mfa/totp", nil, http.StatusConflict)
}

// TestTheDocumentTellsOfBothAnswersOfASignIn guards against embedded types
// that the document does not see.
func TestTheDocumentTellsOfBothAnswersOfASignIn(t *testing.T) {
	t.Parallel()
	raw, err := open(t).api.OpenAPI()
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
