package cmd

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/firstrun"
)

// TestCallsOfTheWizardAreRecorded does a first run through the door, from before
// there is a database, and finds each call of the claimed browser in the trail:
// once, with who made it and how it ended. What a stranger sends is not there.
func TestCallsOfTheWizardAreRecorded(t *testing.T) {
	t.Parallel()
	cfg := appliance.Config{DataDir: appliancetest.Dir(t), Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(t), Unsafe: true}
	var console strings.Builder
	err := withSetup(t.Context(), cfg, &console, func(_ context.Context, a *appliance.Appliance, _ *firstrun.Setup) error {
		door := &appliancetest.Appliance{Appliance: a, URL: "https://" + a.Front().Addr()}
		door.Client(t).Do(http.MethodPut, "/v1/setup/organisation", organisation, http.StatusUnauthorized, nil)
		w := door.Client(t)
		w.Do(http.MethodPost, "/v1/setup/session", map[string]any{"token": tokenIn(t, console.String())}, http.StatusNoContent, nil)
		firstRun(t, w)
		w.Do(http.MethodPost, "/v1/session", map[string]any{"email": "ann@acme.example", "password": organisation["admin_password"]}, http.StatusCreated, nil)
		want := map[string]int{
			"setup success 200 PUT /v1/setup/appliance": 1, "setup failure 400 PUT /v1/setup/appliance": 1, "setup success 202 PUT /v1/setup/database": 1,
			"setup success 200 PUT /v1/setup/hsm": 1, "setup failure 400 PUT /v1/setup/organisation": 1, "setup success 200 PUT /v1/setup/organisation": 1,
		}
		if got := wizardCalls(t, w); !maps.Equal(got, want) {
			t.Errorf("recorded: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var organisation = map[string]any{"tenant_name": "Acme", "admin_name": "Ann", "admin_email": "ann@acme.example", "admin_password": "four words are good"}

func tokenIn(t *testing.T, console string) string {
	t.Helper()
	found := regexp.MustCompile(`Setup token +(\S+)`).FindStringSubmatch(console)
	if found == nil {
		t.Fatalf("the console shows no token: %s", console)
	}
	return found[1]
}

// firstRun does the steps up to the first administrator, two of them wrongly first.
func firstRun(t *testing.T, w *appliancetest.Client) {
	t.Helper()
	named := map[string]any{"name": "Lab", "url": "https://lab.example:8443", "time_zone": "Europe/Vienna", "certificate": map[string]any{"mode": "self_signed"}}
	w.Do(http.MethodPut, "/v1/setup/appliance", map[string]any{"name": "Lab"}, http.StatusBadRequest, nil)
	w.Do(http.MethodPut, "/v1/setup/appliance", named, http.StatusOK, nil)
	w.Do(http.MethodPut, "/v1/setup/database", map[string]any{"mode": "embedded"}, http.StatusAccepted, nil)
	for deadline := time.Now().Add(time.Minute); !databaseIsThere(w); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the database did not come")
		}
	}
	w.Do(http.MethodPut, "/v1/setup/hsm", map[string]any{"mode": "none"}, http.StatusOK, nil)
	w.Do(http.MethodPut, "/v1/setup/organisation", map[string]any{"tenant_name": "Acme"}, http.StatusBadRequest, nil)
	w.Do(http.MethodPut, "/v1/setup/organisation", organisation, http.StatusOK, nil)
}

func databaseIsThere(w *appliancetest.Client) bool {
	var overview struct {
		Steps []struct {
			Name string
			Done bool
		}
	}
	w.Do(http.MethodGet, "/v1/setup", nil, http.StatusOK, &overview)
	for _, step := range overview.Steps {
		if step.Name == "database" {
			return step.Done
		}
	}
	return false
}

// wizardCalls counts the recorded calls of the wizard. Those from before there
// was a trail say when they were.
func wizardCalls(t *testing.T, w *appliancetest.Client) map[string]int {
	t.Helper()
	w.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, nil) // seals what was done
	var found struct {
		Items []struct {
			Outcome string
			Actor   struct{ Kind, Name string }
			Details struct {
				Status            int
				Method, Route, At string
			}
		}
	}
	w.Do(http.MethodGet, "/v1/audit/records?limit=200&event=api.request&actor=setup", nil, http.StatusOK, &found)
	counts := map[string]int{}
	for _, r := range found.Items {
		if !strings.HasPrefix(r.Details.Route, "/v1/setup/") {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, r.Details.At); err != nil || r.Actor.Name != "setup" {
			t.Errorf("%+v", r)
		}
		counts[fmt.Sprintf("%s %s %d %s %s", r.Actor.Kind, r.Outcome, r.Details.Status, r.Details.Method, r.Details.Route)]++
	}
	return counts
}
