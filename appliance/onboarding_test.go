package appliance_test

import (
	"net/http"
	"strings"
	"testing"

	"nimbus/appliance/appliancetest"
)

// TestOnboardingThroughTheDoor makes a tenant with all its parts in one
// request, by every way to make its administrator, and sees a part that fails
// leave nothing.
func TestOnboardingThroughTheDoor(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	rita := a.SignIn(t, "ada@example.com", a.Root)
	var made struct {
		Tenant        struct{ ID, Status string }
		Invitation    struct{ Link string }
		Administrator struct{ Email string }
		SCIMToken     struct{ Token string } `json:"scim_token"`
	}
	rita.Do(http.MethodPost, "/v1/tenants/onboard", map[string]any{
		"name": "Gamma", "domains": []string{"gamma.example"}, "quotas": []any{map[string]any{"kind": "users", "hard": 2}},
		"administrator": map[string]any{"name": "Gil", "email": "gil@gamma.example", "password": appliancetest.Password},
		"scim_token":    map[string]any{"name": "Entra", "expires_in_days": 90},
	}, http.StatusCreated, &made)
	if made.Tenant.Status != "active" || made.Administrator.Email != "gil@gamma.example" || made.SCIMToken.Token == "" {
		t.Errorf("%+v", made)
	}
	var records struct {
		Items []struct {
			Event      string
			Actor      struct{ ID, Kind, Name string }
			OnBehalfOf struct{ ID, Kind, Name string } `json:"on_behalf_of"`
		}
	}
	gil := a.Client(t)
	gil.Do(http.MethodPost, "/v1/session", map[string]any{"email": "gil@gamma.example", "password": appliancetest.Password}, http.StatusCreated, nil)
	var tenants struct{ Items []struct{ ID string } }
	gil.Do(http.MethodGet, "/v1/tenants", nil, http.StatusOK, &tenants)
	if len(tenants.Items) != 1 || tenants.Items[0].ID != made.Tenant.ID {
		t.Errorf("the administrator sees %+v", tenants)
	}
	gil.Do(http.MethodGet, "/v1/audit/records?on_behalf_of="+a.Admin.ID.String(), nil, http.StatusOK, &records)
	if len(records.Items) == 0 {
		t.Error("the tenant does not see what was done in it for who made it")
	}
	for _, r := range records.Items {
		if r.Actor.Name != "onboarding" || r.Actor.Kind != "system" || r.OnBehalfOf.ID != a.Admin.ID.String() || r.OnBehalfOf.Kind != "user" {
			t.Errorf("%+v", r)
		}
	}
	person := func(name string) int {
		status, _ := gil.Try(http.MethodPost, "/v1/users", map[string]any{"name": name, "email": name + "@gamma.example", "password": appliancetest.Password})
		return status
	}
	if first, second := person("one"), person("two"); first != http.StatusCreated || second != http.StatusConflict {
		t.Errorf("a quota of two people: %d, then %d", first, second)
	}
	status, body := rita.Try(http.MethodPost, "/v1/tenants/onboard", map[string]any{
		"name": "Delta", "domains": []string{"delta.example"},
		"administrator": map[string]any{"name": "Dee", "email": "dee@delta.example", "password": appliancetest.Password},
		"sign_in":       map[string]any{"kind": "oidc", "nonsense": true},
	})
	if status != http.StatusBadRequest || !strings.Contains(string(body), "sign_in") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := a.Client(t).Try(http.MethodPost, "/v1/session", map[string]any{"email": "dee@delta.example", "password": appliancetest.Password}); status != http.StatusUnauthorized {
		t.Errorf("the administrator of a tenant that was not made may sign in: %d", status)
	}
	rita.Do(http.MethodPost, "/v1/tenants/onboard", map[string]any{
		"name": "Delta", "domains": []string{"delta.example"},
		"administrator": map[string]any{"name": "Dee", "email": "dee@delta.example", "invite": true},
	}, http.StatusCreated, &made)
	if !strings.Contains(made.Invitation.Link, "/accept-invitation") {
		t.Errorf("%+v", made)
	}
}
