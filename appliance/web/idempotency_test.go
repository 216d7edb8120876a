package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// TestKeysBelongToOneTenantAndAreForgotten: the same request with the same key in
// another tenant is another one, and keys that nobody sends again do not stay.
func TestKeysBelongToOneTenantAndAreForgotten(t *testing.T) {
	t.Parallel()
	database, _ := dbtest.Open(t, Migrations)
	made := 0
	h := Idempotent(database)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		made++
		fmt.Fprint(w, made)
	}))
	ann := actor.Actor{Kind: actor.User, ID: id.New(), TenantID: id.New()}
	post := func(a actor.Actor, key string) string {
		r := httptest.NewRequest(http.MethodPost, "/v1/things", strings.NewReader("{}"))
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(actor.With(t.Context(), a)))
		return w.Body.String()
	}
	elsewhere := ann
	elsewhere.TenantID = id.New()
	if first, again, other := post(ann, "k"), post(ann, "k"), post(elsewhere, "k"); first != "1" || again != "1" || other != "2" {
		t.Errorf("made %s, again %s, in another tenant %s", first, again, other)
	}
	keys := func(change string) (n int) {
		t.Helper()
		err := database.Core(t.Context(), func(ctx context.Context) error {
			if _, err := db.Tx(ctx).Exec(ctx, change); err != nil {
				return err
			}
			return db.Tx(ctx).QueryRow(ctx, `select count(*) from idempotency`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := keys(`update idempotency set created_at = now() - interval '25 hours'`); n != 2 {
		t.Errorf("%d keys", n)
	}
	post(ann, "another")
	if n := keys(`select`); n != 1 {
		t.Errorf("%d keys are there, though two are over", n)
	}
}
