package appliance_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// floor and cores in the order in which they may know each other: each may
// import those before it.
var (
	floor = []string{"fault", "id", "actor", "durable", "secret", "db", "event", "web", "objectstore"}
	cores = []string{
		"node", "audit", "tenancy", "permission", "identity", "impersonation", "breakglass",
		"notification", "semantic", "cmdb", "provider", "cost",
		"approval", "deployment", "drift", "flow", "planner",
		"realtime", "graph", "backup", "doctor",
	}
)

// inner are packages below a core that are part of it, with what they belong to.
var inner = map[string]string{
	"audit/ledger":                               "",
	"audit/siem":                                 "",
	"breakglass/hsm":                             "breakglass",
	"doctor/certificate":                         "doctor",
	"doctor/metrics":                             "",
	"db/transfer":                                "db",
	"doctor/trace":                               "",
	"identity/oidc":                              "",
	"identity/oidc/oidctest":                     "",
	"identity/oidc/oidctest/op":                  "identity/oidc/oidctest",
	"identity/saml":                              "",
	"identity/saml/samltest":                     "",
	"identity/saml/samltest/idp":                 "identity/saml/samltest",
	"breakglass/hsm/hsmtest":                     "breakglass",
	"identity/scim":                              "identity",
	"identity/scim/scimtest":                     "identity",
	"objectstore/s3test":                         "",
	"permission/condition":                       "permission",
	"provider/proxmox":                           "provider",
	"provider/proxmox/pvesim":                    "",
	"provider/proxmox/pvesim/internal/schemagen": "",
	"realtime/socketio":                          "",
}

// homes says which library may be imported where, and why there only.
var homes = []struct {
	library string
	allowed []string
	why     string
}{
	{"github.com/pocketbase/pocketbase", []string{"embedded/pocketbase"}, "one front"},
	{"go.temporal.io/server", []string{"embedded/temporal"}, "one Temporal server"},
	{"github.com/prometheus/client_golang", []string{"appliance/doctor/metrics"}, "one registry"},
	{"github.com/pulumi/", []string{"embedded/pulumi"}, "the engine runs in processes of its own"},
	{"github.com/luthermonson/go-proxmox", []string{"appliance/provider/proxmox"}, "providers hide behind an interface"},
	{"github.com/coreos/go-oidc", []string{"appliance/identity/oidc"}, "one relying party"},
	{"github.com/crewjam/saml", []string{"appliance/identity/saml"}, "one judge of responses"},
	{"github.com/minio/", []string{"appliance/objectstore"}, "one way to buckets"},
	{"github.com/pkg/sftp", []string{"appliance/objectstore"}, "one way to file servers"},
	{"github.com/miekg/pkcs11", []string{"appliance/breakglass/hsm"}, "the module runs in a child process"},
	{"github.com/valkey-io/valkey-go", []string{"embedded/valkey", "appliance"}, "one client path"},
	{"github.com/alicebob/miniredis", []string{"embedded/valkey"}, "one client path"},
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "nimbus/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestLayers holds every package to the order of the architecture; one that
// has no place in it fails too.
func TestLayers(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "nimbus/")
		may, known := allowed(name)
		if !known {
			t.Errorf("%s has no place in the architecture: add it to this test", name)
			continue
		}
		for _, i := range p.Imports {
			if rest, ours := strings.CutPrefix(i, "nimbus/"); ours && rest != name && !may(rest) {
				t.Errorf("%s must not import %s", name, rest)
			}
		}
	}
}

// TestOneLibraryOneHome keeps each large library in one place.
func TestOneLibraryOneHome(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "nimbus/")
		for _, h := range homes {
			uses := slices.ContainsFunc(p.Imports, func(i string) bool { return strings.HasPrefix(i, h.library) })
			at := slices.ContainsFunc(h.allowed, func(a string) bool { return name == a || a != "appliance" && strings.HasPrefix(name, a+"/") })
			if uses && !at {
				t.Errorf("%s imports %s, which lives in %v: %s", name, h.library, h.allowed, h.why)
			}
		}
	}
}

// TestVerifierStandsAlone keeps nimbus-verify and what it is made of small enough
// to be read: the standard library, signed notes and zstd.
func TestVerifierStandsAlone(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "nimbus/")
		if name != "cmd/nimbus-verify" && name != "appliance/audit/ledger" {
			continue
		}
		for _, i := range p.Imports {
			first, _, _ := strings.Cut(i, "/")
			theirs := i == "golang.org/x/mod/sumdb/note" || i == "github.com/klauspost/compress/zstd"
			switch {
			case i == "nimbus/appliance/audit/ledger" && name == "cmd/nimbus-verify":
			case theirs && name == "appliance/audit/ledger":
			case strings.Contains(first, ".") || first == "nimbus":
				t.Errorf("%s must not import %s", name, i)
			}
		}
	}
}

// allowed says what a package may import of ours; false when it has no place.
func allowed(name string) (func(string) bool, bool) {
	top, rest, _ := strings.Cut(name, "/")
	switch {
	case name == "ui", name == "systemd":
		return func(string) bool { return false }, true
	case name == "cmd/nimbus-verify": // stands alone: what it proves must not depend on the rest
		return func(i string) bool { return i == "appliance/audit/ledger" }, true
	case top == "packaging":
		return func(i string) bool { return strings.HasPrefix(i, "packaging/") }, true
	case top == "cmd":
		return func(i string) bool { return true }, true
	case top == "firstrun":
		return func(i string) bool { return isCore(i) || strings.HasPrefix(i, "embedded/") }, true
	case top == "embedded":
		part, _, _ := strings.Cut(rest, "/")
		return func(i string) bool { return strings.HasPrefix(i, "embedded/"+part) }, true
	case name == "appliance/db/dbtest":
		return func(i string) bool { return i == "appliance/db" || i == "embedded/postgres/postgrestest" }, true
	case name == "appliance", name == "appliance/appliancetest":
		return func(i string) bool {
			return strings.HasPrefix(i, "appliance") || strings.HasPrefix(i, "embedded/") || i == "ui"
		}, true
	case top == "appliance":
		return allowedInAppliance(rest)
	}
	return nil, false
}

func allowedInAppliance(rest string) (func(string) bool, bool) {
	domain, kind, _ := strings.Cut(rest, "/")
	if owner, ok := inner[rest]; ok {
		return func(i string) bool {
			return owner != "" && strings.HasPrefix(i, "appliance/"+owner) || isFloor(i) || before(i, domain) || strings.HasPrefix(i, "appliance/"+rest)
		}, true
	}
	switch {
	case kind == "" && slices.Contains(floor, domain):
		return func(i string) bool { return slices.Contains(floor[:slices.Index(floor, domain)], path.Base(i)) }, true
	case kind == "" && slices.Contains(cores, domain):
		return func(i string) bool {
			return isFloor(i) || before(i, domain) || strings.HasPrefix(i, "appliance/"+domain+"/")
		}, true
	case kind == "api" || kind == "cli":
		return isCore, true
	}
	return nil, false
}

func isFloor(i string) bool {
	domain, ok := strings.CutPrefix(i, "appliance/")
	return ok && slices.Contains(floor, domain)
}

// isCore is true for the floor and every core, not for adapters.
func isCore(i string) bool {
	domain, ok := strings.CutPrefix(i, "appliance/")
	if _, in := inner[domain]; in {
		return true
	}
	return ok && (slices.Contains(floor, domain) || slices.Contains(cores, domain))
}

// before is true for cores that come before a domain, with what is part of them.
func before(i, domain string) bool {
	other, ok := strings.CutPrefix(i, "appliance/")
	if !ok {
		return false
	}
	name, kind, _ := strings.Cut(other, "/")
	if kind == "api" || kind == "cli" {
		return false
	}
	at, limit := slices.Index(cores, name), slices.Index(cores, domain)
	return at >= 0 && at < limit
}
