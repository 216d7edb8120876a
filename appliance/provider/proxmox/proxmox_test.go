package proxmox

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func TestTheSmallestRoleIsEnough(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	r := open(t, e).Test(t.Context())
	if !r.OK || r.Version != pvesim.Version || r.Fingerprint != sim.Fingerprint() || len(r.Privileges) != len(allPrivileges()) {
		t.Errorf("%+v", r)
	}
}

func TestMissingRightsAreNamedByPath(t *testing.T) {
	t.Parallel()
	_, e := simulated(t, pvesim.Config{}, "PVEAuditor")
	r := open(t, e).Test(t.Context())
	if r.OK || !strings.Contains(r.Message, "rights are missing") {
		t.Errorf("%+v", r)
	}
	for _, want := range []provider.Privilege{
		{Path: "/vms", Privilege: "VM.Audit", OK: true}, {Path: "/vms", Privilege: "VM.PowerMgmt"}, {Path: "/pool", Privilege: "Pool.Allocate"},
	} {
		if !slices.Contains(r.Privileges, want) {
			t.Errorf("%+v is not among %+v", want, r.Privileges)
		}
	}
}

func TestRobustness47WrongTokenIsUnauthorised(t *testing.T) {
	t.Parallel()
	_, e := simulated(t, pvesim.Config{}, RoleName)
	e.Secret = "00000000-0000-0000-0000-000000000000"
	_, err := open(t, e).Collect(t.Context(), provider.CollectRequest{})
	if f, ok := provider.AsFailure(err); !ok || f.Status != provider.StatusUnauthorised {
		t.Errorf("got %v", err)
	}
}

func TestRobustness47AnotherCertificateStopsEverything(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, open(t, e).get(t.Context(), "/version", nil, nil))
	must(t, sim.RotateCertificate())
	before := len(sim.Requests())
	_, err := open(t, e).Collect(t.Context(), provider.CollectRequest{})
	f, ok := provider.AsFailure(err)
	if !ok || f.Status != provider.StatusFingerprintChanged || f.Offered != sim.Fingerprint() {
		t.Fatalf("got %v", err)
	}
	if len(sim.Requests()) != before {
		t.Error("a request was sent to a server that is not trusted")
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	for name, c := range map[string]struct {
		fingerprint, ca string
		ok              bool
	}{
		"pinned":                  {sim.Fingerprint(), "", true},
		"pinned in lower case":    {strings.ToLower(sim.Fingerprint()), "", true},
		"authority":               {"", sim.CertificatePEM(), true},
		"both":                    {sim.Fingerprint(), sim.CertificatePEM(), true},
		"nothing known of it":     {"", "", false},
		"another one is pinned":   {strings.Repeat("AA:", 31) + "AA", "", false},
		"authority and wrong pin": {strings.Repeat("AA:", 31) + "AA", sim.CertificatePEM(), false},
	} {
		e.Fingerprint, e.CAPEM = c.fingerprint, c.ca
		r := open(t, e).Test(t.Context())
		if r.OK != c.ok || r.Fingerprint != sim.Fingerprint() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestTheAcceptedCertificateCanStandInForAPin(t *testing.T) {
	t.Parallel()
	_, e := simulated(t, pvesim.Config{}, RoleName)
	text, err := open(t, e).Certificate(t.Context())
	must(t, err)
	e.Fingerprint, e.CAPEM = "", text
	if r := open(t, e).Test(t.Context()); !r.OK {
		t.Errorf("%+v", r)
	}
	e.Fingerprint, e.CAPEM = strings.Repeat("AA:", 31)+"AA", ""
	if text, err := open(t, e).Certificate(t.Context()); err == nil {
		t.Errorf("a certificate that was not accepted: %s", text)
	}
}

func TestRobustness39AddressesAreChecked(t *testing.T) {
	t.Parallel()
	e := provider.Endpoint{TokenID: tokenID, Secret: "x"}
	for _, bad := range []string{
		"http://pve:8006", "https://", "https://u:p@pve", "https://pve/path", "https://pve?x=1", "https://pve#x", "pve:8006", "file:///etc/passwd",
	} {
		e.URL = bad
		if _, err := Open(e); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, c := range []struct {
		address string
		ok      bool
	}{
		{"192.168.1.5:8006", true}, {"[fd00::5]:8006", true}, {"203.0.113.9:8006", true},
		{"127.0.0.1:8006", false}, {"[::1]:8006", false}, {"[::ffff:127.0.0.1]:8006", false}, {"0.0.0.0:8006", false},
		{"169.254.169.254:443", false}, {"[fe80::1%eth0]:8006", false}, {"[fd00:ec2::254]:443", false}, {"224.0.0.1:8006", false},
	} {
		if err := checkAddress(c.address, false); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.address, err)
		}
	}
	_, sim := simulated(t, pvesim.Config{}, RoleName)
	sim.Simulated = false
	if r := open(t, sim).Test(t.Context()); r.OK || !strings.Contains(r.Message, "127.0.0.1") {
		t.Errorf("loopback was reached: %+v", r)
	}
}

func TestRobustness39RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	reached := false
	target := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer target.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := open(t, provider.Endpoint{URL: server.URL, TokenID: tokenID, Secret: "x", Fingerprint: pinOf(server), Simulated: true})
	if r := c.Test(t.Context()); r.OK || reached || !strings.Contains(r.Message, "redirects") {
		t.Errorf("%+v, reached %v", r, reached)
	}
}

func TestAnotherKindOfServerIsSaid(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a web page":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>router</html>")) },
		"other JSON":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"hello":1}`)) },
		"nothing here": http.NotFound,
	} {
		server := httptest.NewTLSServer(answer)
		c := open(t, provider.Endpoint{URL: server.URL, TokenID: tokenID, Secret: "x", Fingerprint: pinOf(server), Simulated: true})
		if r := c.Test(t.Context()); r.OK || !strings.Contains(r.Message, "Check") {
			t.Errorf("%s: %+v", name, r)
		}
		server.Close()
	}
}

func pinOf(s *httptest.Server) string {
	sum := sha256.Sum256(s.Certificate().Raw)
	return colons(sum[:])
}

func TestUnreachableIsAFailure(t *testing.T) {
	t.Parallel()
	_, err := open(t, provider.Endpoint{URL: "https://127.0.0.1:1", TokenID: tokenID, Secret: "x", Simulated: true}).Collect(t.Context(), provider.CollectRequest{})
	if f, ok := provider.AsFailure(err); !ok || f.Status != provider.StatusUnreachable || !strings.Contains(f.Detail, "cannot be reached") {
		t.Errorf("got %v", err)
	}
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "root@pam", "a b@pve!x", "a@pve!x\r\nX: y", "a@pve!x=y"} {
		if _, err := Open(provider.Endpoint{URL: "https://pve", TokenID: bad, Secret: "x"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("token id %q: %v", bad, err)
		}
	}
	if _, err := Open(provider.Endpoint{URL: "https://pve", TokenID: tokenID, Secret: "x\r\ny"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("secret with a line break: %v", err)
	}
}

func TestPowerSucceedsOnlyWhenTheTaskDoes(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := open(t, e)
	g := provider.Guest{Kind: cmdb.VM, Key: "qemu/100", Node: "pve1"}
	began := time.Now().Add(-2 * time.Second)
	ref, err := c.Power(t.Context(), g, provider.PowerStart)
	must(t, err)
	if s := finish(t, c, ref); !s.OK || s.Type != "qmstart" || s.Subject != "100" || s.Node != "pve1" {
		t.Errorf("start: %+v", s)
	}
	ref, err = c.Power(t.Context(), g, provider.PowerStart)
	must(t, err) // the request is accepted
	if s := finish(t, c, ref); s.OK || !strings.Contains(s.Exit, "already running") {
		t.Errorf("starting what runs: %+v", s)
	}
	lines, err := c.TaskLog(t.Context(), ref, 0)
	must(t, err)
	if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "TASK ERROR") {
		t.Errorf("log: %q", lines)
	}
	if more, err := c.TaskLog(t.Context(), ref, len(lines)); err != nil || len(more) != 0 {
		t.Errorf("log after its end: %q, %v", more, err)
	}
	own, err := c.Tasks(t.Context(), began)
	must(t, err)
	if len(own) != 2 || own[1].Ref != ref {
		t.Errorf("own tasks: %+v", own)
	}
}

func TestTasksOfANodeThatIsAway(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Node: "pve2"}))
	must(t, sim.SetNodeOffline("pve2", true))
	_, err := open(t, e).Power(t.Context(), provider.Guest{Kind: cmdb.VM, Key: "qemu/100", Node: "pve2"}, provider.PowerStart)
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if exists, err := open(t, e).Exists(t.Context(), 100); err != nil || !exists {
		t.Errorf("a guest on a node that is away: exists %v, %v", exists, err)
	}
}

func TestUnknownTasks(t *testing.T) {
	t.Parallel()
	_, e := simulated(t, pvesim.Config{}, RoleName)
	c := open(t, e)
	if _, err := c.TaskStatus(t.Context(), "UPID:pve1:00000001:00000001:60000000:qmstart:1:root@pam:"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := c.TaskStatus(t.Context(), "../../access"); !fault.Is(err, fault.Invalid) {
		t.Errorf("malformed: %v", err)
	}
}

func TestNumbersAndMarks(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Config: map[string]string{"tags": "theirs"}}))
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 102}))
	c := open(t, e)
	for from, want := range map[int]int{0: 101, 1: 101, 101: 101, 102: 103} {
		if n, err := c.NextID(t.Context(), from); err != nil || n != want {
			t.Errorf("from %d: %d, %v; want %d", from, n, err, want)
		}
	}
	g, err := c.Find(t.Context(), 100)
	must(t, err)
	must(t, c.Mark(t.Context(), g, []string{"nimbus"}))
	tags, err := c.Tags(t.Context(), g)
	must(t, err)
	if !slices.Equal(tags, []string{"nimbus", "theirs"}) {
		t.Errorf("tags %q", tags)
	}
	if _, err := c.Find(t.Context(), 999); !fault.Is(err, fault.NotFound) {
		t.Errorf("find an unknown number: %v", err)
	}
}

func TestRobustness40HostileNamesStayData(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100}))
	c := open(t, e)
	for _, node := range []string{"; reboot", "$(reboot)", "`reboot`", "a\nb", "-rf", "../../access/users", "..", "pve1/qemu/100"} {
		_, err := c.Power(t.Context(), provider.Guest{Kind: cmdb.VM, Key: "qemu/100", Node: node}, provider.PowerStop)
		if err == nil {
			t.Errorf("a node named %q was found", node)
		}
	}
	for _, r := range sim.Requests() {
		if !strings.HasPrefix(r.Path, "/api2/json/nodes/") || strings.Count(r.Path, "/") != 8 {
			t.Errorf("a name left its place: %s", r.Path)
		}
	}
	for _, key := range []string{"qemu/100/../101", "qemu/$(id)", "lxc/100", "qemu/"} {
		if _, err := guestPath(provider.Guest{Kind: cmdb.VM, Key: key, Node: "pve1"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, name := range []string{"; rm -rf /", "$(id)", "`id`", "a\nb", "-x", ""} {
		for _, line := range Commands(name) {
			if strings.ContainsAny(line, ";$`\n") || !strings.HasPrefix(line, "pveum ") {
				t.Errorf("Commands(%q) has %q", name, line)
			}
		}
	}
}

func TestCommandsNameEveryNeed(t *testing.T) {
	t.Parallel()
	text := strings.Join(Commands("homelab"), "\n")
	for _, privilege := range allPrivileges() {
		if !strings.Contains(text, privilege) {
			t.Errorf("%s is not granted by\n%s", privilege, text)
		}
	}
	for _, n := range needs {
		if !strings.Contains(text, "acl modify "+n.path+" --users homelab@pve") {
			t.Errorf("%s is not granted by\n%s", n.path, text)
		}
	}
}
