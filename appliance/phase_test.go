package appliance_test

import (
	"context"
	"encoding/json"
	"net/http"
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
