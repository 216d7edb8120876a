package appliance_test

import (
	"net/http"
	"regexp"
	"testing"

	"nimbus/appliance/appliancetest"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

// TestEveryRouteDeclaresItsPermission looks at the whole route table: a route
// asks for a permission, or says that it is public or about who asks.
func TestEveryRouteDeclaresItsPermission(t *testing.T) {
	t.Parallel()
	routes := appliancetest.Start(t).Routes()
	if len(routes) < 50 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		open := r.Permission == web.Public || r.Permission == web.SignedIn
		if !open && !permission.Valid(r.Permission) {
			t.Errorf("%s %s declares %q, which is no permission", r.Method, r.Path, r.Permission)
		}
	}
}

// TestSensitiveReadsAreRecorded keeps the list of reads that are recorded, with
// those that look alike and are not, and why. A new route whose path sounds
// like them has to be put into one of the two.
func TestSensitiveReadsAreRecorded(t *testing.T) {
	t.Parallel()
	sensitive := map[string]bool{
		"/v1/users/{id}/sessions": true, "/v1/audit/activity/{user}": true, "/v1/audit/compliance/reports/{report}": true,
		"/v1/permissions/effective": true,
	}
	not := map[string]string{
		"/v1/audit/exports":                       "metadata",
		"/v1/audit/exports/{id}":                  "metadata",
		"/v1/audit/exports/{id}/content":          "records audit.export.downloaded itself",
		"/v1/audit/exports/{id}/proof":            "records audit.export.downloaded itself",
		"/v1/audit/archive/segments":              "metadata",
		"/v1/audit/archive/segments/{id}/records": "records audit.segment.searched itself",
		"/v1/audit/archive/segments/{id}/content": "records audit.segment.downloaded itself",
		"/v1/audit/archive/target":                "settings without the secret",
		"/v1/stacks/{id}/state":                   "records deployment.stack.exported itself",
		"/v1/system/backups":                      "metadata",
		"/v1/system/backups/{id}":                 "metadata",
		"/v1/system/backups/settings":             "settings without the secrets",
		"/v1/audit/keys":                          "public keys",
		"/v1/audit/compliance":                    "counts; the reports are recorded",
		"/v1/sessions":                            "one's own",
		"/v1/scim-tokens":                         "names; a token is shown by the POST that makes it",
		"/v1/tokens":                              "names; a token is shown by the POST that makes it",
		"/v1/service-accounts/{id}/tokens":        "names; a token is shown by the POST that makes it",
		"/v1/mfa/passkeys":                        "one's own",
	}
	sounds := regexp.MustCompile(`export|state$|content|sessions|tokens|keys|effective|activity|archive|compliance|kit|recovery|backup|bundle`)
	seen := 0
	for _, r := range appliancetest.Start(t).Routes() {
		switch {
		case r.Method != http.MethodGet:
		case r.Sensitive != sensitive[r.Path]:
			t.Errorf("%s: sensitive is %v", r.Path, r.Sensitive)
		case r.Sensitive:
			seen++
		case sounds.MatchString(r.Path) && not[r.Path] == "":
			t.Errorf("say whether reading %s is sensitive", r.Path)
		}
	}
	if seen != len(sensitive) {
		t.Errorf("%d of %d sensitive reads are in the table", seen, len(sensitive))
	}
}
