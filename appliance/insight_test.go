package appliance_test

import (
	"net/http"
	"strings"
	"testing"

	"nimbus/appliance/appliancetest"
)

// TestComplianceThroughTheDoor reads dashboard and reports of a tenant and of
// the root tenant, and has the anomalies looked for.
func TestComplianceThroughTheDoor(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	admin := a.SignIn(t, "ada@example.com", a.Tenant)
	_, bea := second(t, a)
	root := a.SignIn(t, "ada@example.com", a.Root)
	for name, c := range map[string]*appliancetest.Client{"Ada": admin, "Bea": bea, "root": root} {
		var d struct {
			Privileged []struct{ Name string }
			Score      []struct{ Check string }
		}
		c.Do(http.MethodGet, "/v1/audit/compliance", nil, http.StatusOK, &d)
		if len(d.Privileged) == 0 || len(d.Score) != 10 {
			t.Errorf("%s: %+v", name, d)
		}
		for _, kind := range []string{"privileged-access", "privileged-actions", "failed-sign-ins", "changes-without-approval", "break-glass", "proof-coverage"} {
			for _, format := range []string{".html", ".csv"} {
				status, body := c.Text(http.MethodGet, "/v1/audit/compliance/reports/"+kind+format, "")
				if status != http.StatusOK || !strings.Contains(body, "End of the report") {
					t.Errorf("%s: %s%s: %d %s", name, kind, format, status, body)
				}
			}
		}
		c.Do(http.MethodPost, "/v1/audit/anomalies/run", nil, http.StatusAccepted, nil)
	}
}
