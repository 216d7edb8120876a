package appliance_test

import (
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
