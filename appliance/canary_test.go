package appliance_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
	"nimbus/appliance/id"
)

// song, a canary's, is in everything secret that the test sends, and in nothing else.
const song = "Canary9f3bSingsAtDawn"

// secretMember names members of bodies that take a secret.
var secretMember = regexp.MustCompile(`(?i)passw|secret|token$|pin$|code$|private|cookie|api_?key|key_pem`)

// schemas are the bodies that the API says it takes.
type schemas struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ Schemas map[string]schema }
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	Enum       []any
	Minimum    *float64
	Properties map[string]schema
	Items      *schema
}

// fill makes a body that fits a schema: a canary wherever a secret is taken, and
// harmless values elsewhere.
func (s *schemas) fill(name string, of schema, depth int) any {
	if of.Ref != "" {
		of = s.Components.Schemas[of.Ref[strings.LastIndex(of.Ref, "/")+1:]]
	}
	switch kind := fmt.Sprint(of.Type); {
	case depth > 6:
		return nil
	case len(of.Enum) > 0:
		return of.Enum[0]
	case strings.Contains(kind, "object"):
		body := map[string]any{}
		for member, inner := range of.Properties {
			if member != "$schema" {
				body[member] = s.fill(member, inner, depth+1)
			}
		}
		return body
	case strings.Contains(kind, "array"):
		if of.Items == nil {
			return []any{}
		}
		return []any{s.fill(name, *of.Items, depth+1)}
	case strings.Contains(kind, "integer"), strings.Contains(kind, "number"):
		if of.Minimum != nil {
			return *of.Minimum
		}
		return 1
	case strings.Contains(kind, "boolean"):
		return false
	case of.Format == "uuid":
		return id.New().String()
	case of.Format == "date-time":
		return time.Now().UTC().Format(time.RFC3339)
	case secretMember.MatchString(name):
		return song + "-" + name
	case strings.Contains(name, "mail"):
		return "x@example.com"
	case strings.Contains(name, "url"):
		return "https://x.example.com/"
	}
	return "x"
}

// logged keeps what an appliance logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// TestRobustness15CanariesOfEveryRoute sends a secret to every route that may
// change something, in the members of its body that take one, in a member that
// nobody knows, in headers and in the query, signed in and not. Then the secret is in
// no log, no record, no export, and in no file of the whole data directory: neither
// in a table of ours or of Temporal's nor in the write-ahead log.
func TestRobustness15CanariesOfEveryRoute(t *testing.T) {
	t.Parallel()
	log := &logged{}
	a := appliancetest.StartWith(t, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	admin := a.SignIn(t, "ada@example.com", a.Root)
	var api schemas
	admin.Do(http.MethodGet, "/v1/openapi.json", nil, http.StatusOK, &api)
	sent, taken, secret := 0, 0, 0
	for _, r := range a.Routes() {
		if r.Method == http.MethodGet || r.Method == http.MethodDelete || leaves[r.Path] {
			continue
		}
		body, _ := api.fill("", api.Paths[r.Path][strings.ToLower(r.Method)].RequestBody.Content["application/json"].Schema, 0).(map[string]any)
		raw, _ := json.Marshal(body)
		if bytes.Contains(raw, []byte(song)) {
			secret++
		}
		path := parameter.ReplaceAllString(r.Path, id.New().String())
		status, _ := admin.Try(r.Method, path, body)
		sent++
		if status < 300 {
			taken++
		}
		strange := map[string]any{song + "-name": "x", "password": song, "nested": map[string]any{"token": []any{song}}}
		admin.Try(r.Method, path, strange)
		for _, client := range []*appliancetest.Client{admin, a.Client(t)} {
			client.Try(r.Method, path+"?token="+song, strange)
		}
	}
	t.Logf("%d routes, %d of them take a secret, %d took what was sent", sent, secret, taken)
	if sent < 80 || secret < 12 || taken < 10 {
		t.Errorf("the canary was hardly sent: %d routes, %d with a secret, %d took it", sent, secret, taken)
	}
	stored(t, admin)
	admin.Do(http.MethodPost, "/graphql", map[string]any{"query": "query Look { auditRecords(first: 1) { __typename } }", "variables": map[string]any{"password": song}}, http.StatusOK, nil)
	headers(t, a)

	time.Sleep(time.Second) // what is written behind reaches its file
	records := exported(t, admin)
	if n := strings.Count(records, `"api.request.`); n < sent {
		t.Errorf("%d calls are recorded, %d were made", n, sent)
	}
	if !strings.Contains(records, "query Look auditRecords") {
		t.Error("the GraphQL call is not recorded by its operation")
	}
	nowhere(t, "the export", []byte(records))
	log.mu.Lock()
	nowhere(t, "the log", log.text.Bytes())
	log.mu.Unlock()
	nowhereBelow(t, a.DataDir())
}

// leaves are routes that end the test's own session or work.
var leaves = map[string]bool{"/v1/session": true, "/v1/session/switch": true, "/v1/password": true, "/v1/sessions/end": true}

// stored are calls that succeed and store what they get, sealed.
func stored(t *testing.T, admin *appliancetest.Client) {
	t.Helper()
	admin.Do(http.MethodPost, "/v1/audit/sinks", map[string]any{"kind": "webhook", "name": "Hook", "url": "https://hooks.example.com/x", "secret": song, "enabled": false}, http.StatusCreated, nil)
	admin.Do(http.MethodPut, "/v1/system/mail", map[string]any{"host": "mail.example.com", "port": 587, "security": "starttls", "username": "x", "password": song,
		"from_address": "x@example.com", "from_name": "x"}, http.StatusOK, nil)
	admin.Do(http.MethodPost, "/v1/identity-providers", map[string]any{"kind": "oidc", "name": "IdP", "enabled": false,
		"oidc": map[string]any{"issuer": "https://idp.example.com", "client_id": "x", "client_secret": song}}, http.StatusCreated, nil)
}

// headers sends the song as what authenticates, to every kind of address.
func headers(t *testing.T, a *appliancetest.Appliance) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for _, path := range []string{"/v1/users", "/graphql", "/scim/v2/Users", "/socket.io/?EIO=4&transport=polling", "/v1/setup"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r, err := http.NewRequestWithContext(t.Context(), method, a.URL+path, strings.NewReader(`{"password": "`+song+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer nsc_"+song)
			r.Header.Set("X-Api-Key", song)
			r.Header.Set("Cookie", "__Host-nimbus="+song)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	}
}

// exported is the whole chain, as an export.
func exported(t *testing.T, admin *appliancetest.Client) string {
	t.Helper()
	var e struct{ ID, State string }
	admin.Do(http.MethodPost, "/v1/audit/exports", map[string]any{"format": "jsonl"}, http.StatusAccepted, &e)
	for end := time.Now().Add(time.Minute); e.State != "done"; time.Sleep(100 * time.Millisecond) {
		admin.Do(http.MethodGet, "/v1/audit/exports/"+e.ID, nil, http.StatusOK, &e)
		if time.Now().After(end) || e.State == "failed" {
			t.Fatalf("the export is %s", e.State)
		}
	}
	status, text := admin.Try(http.MethodGet, "/v1/audit/exports/"+e.ID+"/content", nil)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	return string(text)
}

func nowhere(t *testing.T, where string, text []byte) {
	t.Helper()
	if at := bytes.Index(text, []byte(song)); at >= 0 {
		t.Errorf("%s has a secret: …%q…", where, text[max(0, at-200):min(len(text), at+80)])
	}
}

// nowhereBelow looks into every file.
func nowhereBelow(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // gone meanwhile
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		nowhere(t, path, text)
		return nil
	})
	if err != nil || files < 500 {
		t.Errorf("%d files were read: %v", files, err)
	}
}
