package appliance_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
)

// TestSCIMThroughTheDoor makes a token in the interface and lets a directory
// provision a person and a group with it.
func TestSCIMThroughTheDoor(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	admin := a.SignIn(t, "ada@example.com", a.Tenant)
	var token struct{ ID, Token, URL string }
	admin.Do(http.MethodPost, "/v1/scim-tokens", map[string]any{"name": "Entra ID", "expires_in_days": 90}, http.StatusCreated, &token)
	if !strings.HasPrefix(token.Token, "nsc_") || !strings.HasSuffix(token.URL, "/scim/v2") {
		t.Fatalf("%+v", token)
	}
	send := directory(t, a.URL, token.Token)
	status, made := send(http.MethodPost, "/scim/v2/Users", `{"userName": "dana@example.org", "displayName": "Dana", "externalId": "d1", "roles": [{"value": "Tenant Administrator"}]}`)
	user, _ := made["id"].(string)
	if status != http.StatusCreated || user == "" {
		t.Fatal(status, made)
	}
	status, group := send(http.MethodPost, "/scim/v2/Groups", `{"displayName": "Deployers", "members": [{"value": "`+user+`"}]}`)
	if status != http.StatusCreated {
		t.Fatal(status, group)
	}
	var people struct {
		Items []struct {
			ID, Source string
			Roles      []any
			Groups     []struct{ Name string }
		}
	}
	admin.Do(http.MethodGet, "/v1/users", nil, http.StatusOK, &people)
	seen := false
	for _, p := range people.Items {
		if p.ID == user {
			seen = p.Source == "scim" && len(p.Roles) == 0 && len(p.Groups) == 1 && p.Groups[0].Name == "Deployers"
		}
	}
	if !seen {
		t.Errorf("the interface shows %+v", people.Items)
	}
	if status, _ := send(http.MethodGet, "/v1/users", ""); status != http.StatusUnauthorized {
		t.Errorf("a SCIM token at the API: %d", status)
	}
	for _, wrong := range []string{"", "nsc_wrong", "nbt_wrong"} {
		if status, answer := directory(t, a.URL, wrong)(http.MethodGet, "/scim/v2/Users", ""); status != http.StatusUnauthorized || answer["status"] != "401" {
			t.Errorf("token %q: %d %v", wrong, status, answer)
		}
	}
	if status, _ := send(http.MethodPost, "/scim/v2/Users", `{"displayName": "Nobody"}`); status != http.StatusBadRequest {
		t.Errorf("a person without a name: %d", status)
	}
	recordsOfDirectory(t, admin, token.ID)
	admin.Do(http.MethodDelete, "/v1/scim-tokens/"+token.ID, nil, http.StatusNoContent, nil)
	if status, _ := send(http.MethodGet, "/scim/v2/Users", ""); status != http.StatusUnauthorized {
		t.Errorf("after the token was ended: %d", status)
	}
}

// directory sends with a token and returns status and answer.
func directory(t *testing.T, base, token string) func(method, path, body string) (int, map[string]any) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	return func(method, path, body string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/scim+json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer := map[string]any{}
		if len(text) > 0 && json.Unmarshal(text, &answer) != nil {
			t.Fatalf("%s %s answered %s", method, path, text)
		}
		return res.StatusCode, answer
	}
}

// recordsOfDirectory looks that each call of the directory is recorded once, with
// the token that made it, how it ended and no id of whom it was about.
func recordsOfDirectory(t *testing.T, admin *appliancetest.Client, token string) {
	t.Helper()
	got := callsRecorded(t, admin, "actor="+token)
	want := map[string]int{
		"service_account SCIM: Entra ID success 201 POST /scim/v2/Users":  1,
		"service_account SCIM: Entra ID success 201 POST /scim/v2/Groups": 1,
		"service_account SCIM: Entra ID failure 400 POST /scim/v2/Users":  1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("recorded: %v", got)
	}
}

// callsRecorded counts the recorded calls that match, by who made them, how they
// ended and where they went.
func callsRecorded(t *testing.T, reader *appliancetest.Client, filter string) map[string]int {
	t.Helper()
	reader.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, nil) // seals what was done
	var found struct {
		Items []struct {
			Outcome string
			Actor   struct{ Kind, Name string }
			Details struct {
				Status        int
				Method, Route string
			}
		}
	}
	reader.Do(http.MethodGet, "/v1/audit/records?limit=200&event=api.request&"+filter, nil, http.StatusOK, &found)
	counts := map[string]int{}
	for _, r := range found.Items {
		counts[fmt.Sprintf("%s %s %s %d %s %s", r.Actor.Kind, r.Actor.Name, r.Outcome, r.Details.Status, r.Details.Method, r.Details.Route)]++
	}
	return counts
}
