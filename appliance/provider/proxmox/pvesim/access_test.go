package pvesim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const form = "application/x-www-form-urlencoded"

// TestTickets signs in with the password, writes with the CSRF token, renews, and expires.
func TestTickets(t *testing.T) {
	t.Parallel()
	var offset time.Duration
	h := small(t, func(cfg *Config) { cfg.Clock = func() time.Time { return time.Now().Add(offset) } })
	login := func(password string) answer {
		return h.do(exchange{method: "POST", path: "/api2/json/access/ticket", contentType: form, body: "username=root&realm=pam&password=" + password})
	}
	h.refused("401 authentication failure", login("wrong"))
	data := login("example-password").json.(map[string]any)["data"].(map[string]any)
	auth := func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: data["ticket"].(string)})
		r.Header.Set("CSRFPreventionToken", data["CSRFPreventionToken"].(string))
	}
	create := exchange{method: "POST", path: "/api2/json/pools", contentType: form, body: "poolid=p", auth: auth}
	if a := h.do(create); a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.reason)
	}
	escaped := strings.NewReplacer("+", "%2B", "=", "%3D").Replace(data["ticket"].(string))
	if a := login(escaped); a.status != http.StatusOK {
		t.Errorf("a ticket does not renew itself: %d %s", a.status, a.reason)
	}
	offset = 3 * time.Hour
	h.refused("401 Authentication failed!", h.do(create))
}

// TestTokenPrivileges: a token with separated privileges may do what both it and its user may.
func TestTokenPrivileges(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/access/users", "userid=dev@pve&password=long-enough")
	h.ok("POST", "/access/users/dev@pve/token/sep", "privsep=1")
	if a := h.root("POST", "/access/users/dev@pve/token/sep", ""); a.status != http.StatusBadRequest {
		t.Errorf("a token was made twice: %d", a.status)
	}
	h.ok("POST", "/access/roles", "roleid=Small&privs=VM.Audit,VM.PowerMgmt")
	h.foreign(ForeignGuest{VMID: 100})
	h.token("dev@pve", "sep", true)
	start := func() answer { return h.doAs("dev@pve!sep", "POST", "/nodes/pve1/qemu/100/status/start", "") }

	h.refused("403 Permission check failed (/vms/100, VM.PowerMgmt)", start())
	h.ok("PUT", "/access/acl", "path=/vms&tokens=dev@pve!sep&roles=Small")
	h.refused("403 Permission check failed (/vms/100, VM.PowerMgmt)", start())
	h.ok("PUT", "/access/acl", "path=/vms/100&users=dev@pve&roles=PVEVMUser")
	if a := start(); h.exit(a) != "OK" {
		t.Errorf("got %d %s", a.status, a.reason)
	}
	h.refused("403 Permission check failed (/vms/100, VM.Console)", h.doAs("dev@pve!sep", "POST", "/nodes/pve1/qemu/100/vncproxy", ""))
	h.ok("PUT", "/access/acl", "path=/vms/100&users=dev@pve&roles=NoAccess")
	h.ok("PUT", "/access/acl", "path=/vms/100&users=dev@pve&roles=PVEVMUser&delete=1")
	h.refused("403 Permission check failed (/vms/100, VM.PowerMgmt)", start())
	h.ok("DELETE", "/access/users/dev@pve/token/sep", "")
	h.refused("401 Authentication failed!", start())
}

// TestPoolAdministrator may make guests in the pool and nowhere else.
func TestPoolAdministrator(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/access/groups", "groupid=team")
	h.ok("POST", "/access/users", "userid=dev@pve&groups=team")
	h.ok("POST", "/pools", "poolid=team")
	h.ok("PUT", "/access/acl", "path=/pool/team&groups=team&roles=PVEVMAdmin,PVEPoolUser")
	h.token("dev@pve", "all", false)
	create := func(form string) answer { return h.doAs("dev@pve!all", "POST", "/nodes/pve1/qemu", form) }

	h.refused("403 Permission check failed", create("vmid=100"))
	h.refused("403 Permission check failed (/storage/local, Datastore.AllocateSpace)", create("vmid=100&pool=team&scsi0=local:1"))
	h.refused("403 Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)", create("vmid=100&pool=team&net0=virtio,bridge=vmbr0"))
	h.refused("500 only root can set 'args' config", create("vmid=100&pool=team&args=-x"))
	h.ok("PUT", "/access/acl", "path=/storage/local&users=dev@pve&roles=PVEDatastoreUser")
	h.ended("OK", create("vmid=100&pool=team&scsi0=local:1"))
	h.foreign(ForeignGuest{VMID: 101})
	if seen := dataList(h.doAs("dev@pve!all", "GET", "/cluster/resources?type=vm", "").json); len(seen) != 1 {
		t.Errorf("the pool's administrator sees %v", seen)
	}
	h.refused("500 delete pool failed: pool 'team' is not empty", h.root("DELETE", "/pools/team", ""))
	h.refused("403 Permission check failed (/pool/team, Pool.Allocate)", h.doAs("dev@pve!all", "DELETE", "/pools/team", ""))
	h.ok("DELETE", "/access/groups/team", "")
	h.refused("403 Permission check failed (/vms/100, VM.Audit)", h.doAs("dev@pve!all", "GET", "/nodes/pve1/qemu/100/config", ""))
}

func TestPoolMembership(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.foreign(ForeignGuest{VMID: 100})
	h.ok("POST", "/pools", "poolid=a")
	h.ok("POST", "/pools", "poolid=b")
	h.ok("PUT", "/pools/a", "vms=100&storage=local")
	h.refused("500 update pools failed: VM 100 belongs already to pool 'a' and 'allow-move' is not set", h.root("PUT", "/pools/b", "vms=100"))
	h.ok("PUT", "/pools/b", "vms=100&allow-move=1")
	if got := len(h.object("/pools/a?type=storage")["members"].([]any)); got != 3 {
		t.Errorf("the storage is a member on %d nodes", got)
	}
	if got := len(h.object("/pools/b")["members"].([]any)); got != 1 {
		t.Errorf("pool b has %d members", got)
	}
	h.refused("500 update pools failed: VM 100 is not a pool member", h.root("PUT", "/pools/a", "vms=100&delete=1"))
}

func TestRoles(t *testing.T) {
	t.Parallel()
	h := small(t)
	if err := h.c.CreateRole("Nimbus", "VM.Audit", "Sys.Audit"); err != nil {
		t.Fatal(err)
	}
	if err := h.c.CreateRole("Bad", "VM.Fly"); err == nil {
		t.Error("an unknown privilege was accepted")
	}
	h.ok("PUT", "/access/roles/Nimbus", "privs=Pool.Audit&append=1")
	if got := slices.Sorted(maps.Keys(h.object("/access/roles/Nimbus"))); !slices.Equal(got, []string{"Pool.Audit", "Sys.Audit", "VM.Audit"}) {
		t.Errorf("got %v", got)
	}
	h.refused("500 auto-generated role 'PVEAdmin' cannot be modified", h.root("DELETE", "/access/roles/PVEAdmin", ""))
	h.ok("DELETE", "/access/roles/Nimbus", "")
	if _, err := h.c.CreateToken("x@pve", "t", true, "Nimbus"); err == nil {
		t.Error("a role that is gone was granted")
	}
}

// TestParameterTexts checks the words for what is wrong with single values.
func TestParameterTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, param, value, want string }{
		{"POST /nodes/{node}/qemu", "memory", "512", ""},
		{"POST /nodes/{node}/qemu", "memory", "8", "invalid format - format error\nmemory.current: value must have a minimum value of 16\n"},
		{"POST /nodes/{node}/qemu", "scsi31", "local:1", "property is not defined in schema and the schema does not allow additional properties"},
		{"POST /nodes/{node}/qemu", "scsi01", "local:1", "property is not defined in schema and the schema does not allow additional properties"},
		{"POST /nodes/{node}/qemu", "net0", "virtio=BC:24:11:00:00:01,virtio", "invalid format - duplicate key in comma-separated list property: model\n"},
		{"POST /nodes/{node}/qemu", "net0", "virtio,speed=3", "invalid format - invalid key in comma-separated list property: speed\n"},
		{"POST /nodes/{node}/qemu", "net0", "virtio=01:24:11:00:00:01", "invalid format - format error\nnet0.macaddr: invalid format - value does not look like a valid unicast MAC address\n\n"},
		{"POST /nodes/{node}/qemu", "agent", "enabled=yes", ""},
		{"POST /nodes/{node}/qemu", "kvm", "yes", "type check ('boolean') failed - got 'yes'"},
		{"POST /nodes/{node}/qemu", "tags", "a;b c", ""},
		{"POST /nodes/{node}/qemu", "tags", "a;-b", "invalid format - invalid characters in tag\n"},
		{"POST /nodes/{node}/qemu", "vmid", "1000000000", "invalid format - value does not look like a valid VM ID\n"},
		{"POST /nodes/{node}/qemu", "ipconfig0", "ip=10.0.0.2/24,gw=10.0.0.1", ""},
		{"POST /nodes/{node}/qemu", "name", strings.Repeat("a", 64) + "..b", "invalid format - value does not look like a valid DNS name\n"},
		{"GET /nodes/{node}/rrddata", "timeframe", "eon", "value 'eon' does not have a value in the enumeration 'hour, day, week, month, year, decade'"},
	} {
		schema := schemas()[c.method]
		got := "property is not defined in schema and the schema does not allow additional properties"
		if p := lookup(schema.Params, c.param); p != nil {
			got = p.check(c.param, c.value)
		}
		if got != c.want {
			t.Errorf("%s=%s: want %q, got %q", c.param, c.value, c.want, got)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.foreign(ForeignGuest{VMID: 100})
	put := func(kind, body string) answer {
		return h.do(exchange{method: "PUT", path: "/api2/json/nodes/pve1/qemu/100/config", contentType: kind, body: body, auth: h.asToken("root@pam!auto")})
	}
	h.refused("400 Parameter verification failed.", put(form, "onboot=true"))
	if a := put("application/json", `{"onboot": true, "cores": 3, "tags": ["b", "a"]}`); a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := h.object("/nodes/pve1/qemu/100/config"); got["onboot"] != 1.0 || got["cores"] != 3.0 || got["tags"] != "a;b" {
		t.Errorf("got %v", got)
	}
	bad := put("application/json", "{bad")
	if bad.status != 500 || bad.kind != "" || !strings.HasPrefix(string(bad.body), `'"' expected`) || json.Valid(bad.body) {
		t.Errorf("got %d %q %q", bad.status, bad.kind, bad.body)
	}
	h.refused("500 no options specified", put(form, ""))
	h.refused("400 Parameter verification failed.", h.root("GET", "/version?x=1", ""))
	h.refused("501 method 'HEAD' not available", h.do(exchange{method: "HEAD", path: "/api2/json/version"}))
	h.refused("404 no such file '/etc/passwd'", h.do(exchange{method: "GET", path: "/etc/passwd"}))
}

// FuzzPropertyString: what is printed can be read again and says the same.
func FuzzPropertyString(f *testing.F) {
	for _, seed := range []string{"local:1,format=raw", "file=none,media=cdrom", "a=b=c", ",,", "=", "local:1,size=32G,cache=none,", "\x00"} {
		f.Add(seed)
	}
	keys := lookup(schemas()["POST /nodes/{node}/qemu"].Params, "scsi0").Keys
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parsePropertyString(keys, text)
		if err != nil {
			return
		}
		again, err := parsePropertyString(keys, printPropertyString(values, "file"))
		if err != nil || !maps.Equal(values, again) {
			t.Errorf("%q: %v became %v, %v", text, values, again, err)
		}
	})
}
