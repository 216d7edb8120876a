package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/audit/api"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// door is the API as somebody of a tenant sees it.
type door struct {
	*httptest.Server
	t *testing.T
}

func newDoor(t *testing.T) door {
	t.Helper()
	d, history := dbtest.Open(t, audit.Migrations, web.Migrations)
	dir := t.TempDir()
	signer := audit.NewFileSigner(filepath.Join(dir, "keys", "audit.ed25519"))
	s := audit.New(audit.Config{
		DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }, Dir: dir,
		Check: func(context.Context, string) error { return nil }, Signer: func() audit.Signer { return signer },
	})
	who := actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada", TenantID: id.New()}
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	if err := d.AddTenant(ctx, who.TenantID, history); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.RecordAlone(ctx, who.TenantID, audit.Entry{Event: "test.thing.done", Target: audit.Target{Kind: "thing"}}); err != nil {
			t.Fatal(err)
		}
	}
	routes := web.New("test", slog.New(slog.DiscardHandler))
	api.Register(routes, s)
	server := httptest.NewServer(web.Authenticated(func(*http.Request) (actor.Actor, bool, error) { return who, true, nil })(routes))
	t.Cleanup(server.Close)
	return door{server, t}
}

// call demands a status and reads the answer.
func (d door) call(method, path, body string, status int, out any) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+"/v1/audit"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := d.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != status {
		d.t.Fatalf("%s %s: %s, want %d", method, path, res.Status, status)
	}
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			d.t.Fatal(err)
		}
	}
}

// TestProofsThroughTheDoor signs, proves, verifies and chooses places as the
// interface does.
func TestProofsThroughTheDoor(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.call("GET", "/checkpoints/latest", "", http.StatusNotFound, nil)
	var made struct {
		Size    int64
		Note    string
		KeyKind string `json:"key_kind"`
	}
	d.call("POST", "/checkpoints", "", http.StatusCreated, &made)
	if made.Size != 4 || made.KeyKind != "file" { // that it was asked for is recorded
		t.Errorf("%+v", made)
	}
	var page struct{ Items []struct{ Note string } }
	d.call("GET", "/checkpoints?limit=1", "", http.StatusOK, &page)
	if len(page.Items) != 1 || page.Items[0].Note != made.Note {
		t.Errorf("%+v", page)
	}
	d.call("GET", "/checkpoints?cursor=x", "", http.StatusBadRequest, nil)
	d.call("GET", "/checkpoints/latest", "", http.StatusOK, nil)
	var keys struct{ Items []struct{ VKey string } }
	d.call("GET", "/keys", "", http.StatusOK, &keys)
	key, err := ledger.ParseKey(keys.Items[0].VKey)
	if err != nil {
		t.Fatal(err)
	}
	var proof struct {
		Leaf, Checkpoint string
		Index, Size      uint64
		Body             string
	}
	d.call("GET", "/proofs/inclusion?sequence=2", "", http.StatusOK, &proof)
	if c, err := ledger.OpenCheckpoint(proof.Checkpoint, ledger.Keys{key}); err != nil || c.Size != 4 || proof.Index != 1 || proof.Body == "" {
		t.Errorf("%+v %v", proof, err)
	}
	d.call("GET", "/proofs/inclusion?sequence=99", "", http.StatusNotFound, nil)
	d.call("GET", "/proofs/consistency?from=1&to=4", "", http.StatusOK, nil)
	d.call("GET", "/proofs/consistency?from=4&to=1", "", http.StatusBadRequest, nil)
	var signer struct{ State, Kind string }
	d.call("GET", "/signer", "", http.StatusOK, &signer)
	if signer.State != "ready" || signer.Kind != "file" {
		t.Errorf("%+v", signer)
	}
	var run struct {
		ID, State string
		OK        bool
		Checked   int64
	}
	d.call("POST", "/verify", "", http.StatusOK, &run)
	if run.State != "done" || !run.OK || run.Checked != 4 {
		t.Errorf("%+v", run)
	}
	d.call("GET", "/verify/"+run.ID, "", http.StatusOK, &run)
	d.call("DELETE", "/verify/"+run.ID, "", http.StatusConflict, nil)
	d.call("GET", "/verify/"+id.New().String(), "", http.StatusNotFound, nil)
	var places struct {
		Places []struct {
			ID      string
			HasPath string `json:"path"`
		}
	}
	d.call("PUT", "/publication", `{"interval_minutes":60,"places":[{"id":"","kind":"file","enabled":true,"has_secret":false}]}`, http.StatusOK, &places)
	d.call("POST", "/publication/places/"+places.Places[0].ID+"/test", "", http.StatusOK, nil)
	d.call("PUT", "/publication", `{"interval_minutes":60,"places":[{"id":"","kind":"file","enabled":true,"has_secret":false,"path":"/etc/passwd"}]}`, http.StatusBadRequest, nil)
	d.call("GET", "/publication", "", http.StatusOK, &places)
	if len(places.Places) != 1 || places.Places[0].HasPath != "" {
		t.Errorf("%+v", places)
	}
}
