package appliance_test

import (
	"net/http"
	"testing"

	"nimbus/appliance/appliancetest"
)

func TestMain(m *testing.M) { appliancetest.Main(m) }

// TestSpine goes through the door: health, sign-in, people, roles, refusals
// and the record of all of it.
func TestSpine(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	c := a.Client(t)
	c.Do(http.MethodGet, "/healthz", nil, http.StatusOK, nil)
	c.Do(http.MethodGet, "/v1/session", nil, http.StatusUnauthorized, nil)
	c.Do(http.MethodPost, "/v1/session", map[string]any{"email": "ada@example.com", "password": "wrong"}, http.StatusUnauthorized, nil)

	admin := a.SignIn(t, "ada@example.com", a.Tenant)
	var roles struct {
		Items []struct{ ID, Name string }
	}
	admin.Do(http.MethodGet, "/v1/roles", nil, http.StatusOK, &roles)
	reader := ""
	for _, r := range roles.Items {
		if r.Name == "Reader" {
			reader = r.ID
		}
	}
	admin.Do(http.MethodPost, "/v1/users", map[string]any{
		"name": "Rita Reader", "email": "rita@example.com", "password": appliancetest.Password, "role_ids": []string{reader},
	}, http.StatusCreated, nil)

	rita := a.SignIn(t, "rita@example.com", a.Tenant)
	rita.Do(http.MethodGet, "/v1/inventory", nil, http.StatusOK, nil)
	var refusal struct{ Code, Permission string }
	rita.Do(http.MethodGet, "/v1/audit/records", nil, http.StatusForbidden, &refusal)
	if refusal.Code != "forbidden" || refusal.Permission != "audit:record:read" {
		t.Errorf("refused with %+v", refusal)
	}
	rita.Do(http.MethodPost, "/v1/users", map[string]any{"name": "X", "email": "x@example.com", "password": appliancetest.Password}, http.StatusForbidden, nil)

	var verified struct {
		OK      bool
		Checked int
	}
	admin.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &verified)
	if !verified.OK || verified.Checked < 4 {
		t.Errorf("the chain: %+v", verified)
	}
	var records struct {
		Items []struct {
			Event, Outcome string
			Actor          struct{ Name string }
		}
	}
	admin.Do(http.MethodGet, "/v1/audit/records?outcome=denied&event=permission", nil, http.StatusOK, &records)
	if len(records.Items) != 2 || records.Items[0].Actor.Name != "Rita Reader" || records.Items[0].Event != "permission.check.denied" {
		t.Errorf("refusals recorded: %+v", records.Items)
	}
}
