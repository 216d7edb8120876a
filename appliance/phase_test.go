package appliance_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
)

// TestReadyMeansThatPeopleCanSignIn: from the opened port to the end of the boot /readyz is
// 503 and names the phase; where it is 200, sign-in works. A slow part starves no watchdog.
func TestReadyMeansThatPeopleCanSignIn(t *testing.T) {
	t.Parallel()
	a := appliance.New(appliance.Config{DataDir: appliancetest.Dir(t), Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(t), Unsafe: true})
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	must(t, a.Open(ctx))
	a.SetSetup(http.NotFoundHandler())
	client := (&appliancetest.Appliance{Appliance: a, URL: "https://" + a.Front().Addr()}).Client(t)
	if _, phase := readiness(t, client); phase != "waiting for the first run" {
		t.Errorf("before the first run the phase is %q", phase)
	}

	booted := make(chan error, 1)
	go func() { booted <- a.Boot(ctx) }()
	phases := map[string]bool{}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never ready")
		}
		if err := a.Alive(ctx); err != nil {
			t.Errorf("a start starves the watchdog: %v", err)
		}
		ok, phase := readiness(t, client)
		if ok {
			break
		}
		phases[phase] = true
	}
	client.Do(http.MethodPost, "/v1/session", map[string]any{"email": "nobody@example.com", "password": "wrong"}, http.StatusUnauthorized, nil)
	must(t, <-booted)
	for _, want := range []string{"starting Postgres", "starting Temporal"} {
		if !phases[want] {
			t.Errorf("%q was not among the phases %v", want, phases)
		}
	}
}

// TestABootThatFailedIsDoneAgain: a boot that broke off half-way leaves nothing running
// that the next one starts too, and the next one is whole.
func TestABootThatFailedIsDoneAgain(t *testing.T) {
	t.Parallel()
	dir := appliancetest.Dir(t)
	a := appliance.New(appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(t), Unsafe: true})
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	must(t, a.Open(ctx))
	inTheWay := filepath.Join(dir, "life.json")
	must(t, os.Mkdir(inTheWay, 0o700))
	if err := a.Boot(ctx); err == nil || !strings.Contains(err.Error(), "life.json") {
		t.Fatalf("with life.json a folder: %v", err)
	}
	must(t, os.Remove(inTheWay))
	must(t, a.Boot(ctx))
	client := (&appliancetest.Appliance{Appliance: a, URL: "https://" + a.Front().Addr()}).Client(t)
	client.Do(http.MethodPost, "/v1/session", map[string]any{"email": "nobody@example.com", "password": "wrong"}, http.StatusUnauthorized, nil)
	_, body := client.Try(http.MethodGet, "/readyz", nil)
	var h appliance.Health
	must(t, json.Unmarshal(body, &h))
	seen := map[string]bool{}
	for _, c := range h.Components {
		if seen[c.Name] || c.Status != "ok" {
			t.Errorf("%s is %s %s, there before: %t", c.Name, c.Status, c.Message, seen[c.Name])
		}
		seen[c.Name] = true
	}
}

// readiness asks /readyz and insists that it is 503 exactly while there is a phase.
func readiness(t *testing.T, client *appliancetest.Client) (bool, string) {
	t.Helper()
	status, body := client.Try(http.MethodGet, "/readyz", nil)
	var h appliance.Health
	must(t, json.Unmarshal(body, &h))
	switch {
	case status == http.StatusOK && h.Status == "ok" && h.Phase == "":
		return true, ""
	case status == http.StatusServiceUnavailable && h.Status == "starting" && strings.TrimSpace(h.Phase) != "":
		return false, h.Phase
	}
	t.Fatalf("%d %s", status, body)
	return false, ""
}
