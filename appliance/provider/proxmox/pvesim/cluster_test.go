package pvesim

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// small is a cluster of three nodes with both kinds of storage.
func small(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	cfg := Config{Images: []Image{{Volume: "local:import/cloud.qcow2", Size: 300 << 20}, {Volume: "local:vztmpl/debian-13.tar.zst", Size: 100 << 20}}}
	for _, f := range change {
		f(&cfg)
	}
	h := newHarness(t, cfg)
	h.token(rootUser, "auto", false)
	return h
}

func (h *harness) root(method, path, form string) answer {
	h.Helper()
	return h.doAs("root@pam!auto", method, path, form)
}

// ok makes a request as root's token, waits for its task and returns data.
func (h *harness) ok(method, path, form string) any {
	h.Helper()
	a := h.root(method, path, form)
	if a.status != http.StatusOK {
		h.Fatalf("%s %s: %d %s %s", method, path, a.status, a.reason, a.body)
	}
	if exit := h.exit(a); exit != "" && exit != "OK" {
		h.Fatalf("%s %s: task ended with %s", method, path, exit)
	}
	return a.json.(map[string]any)["data"]
}

// exit is the exit status of the task that an answer names, "" when it names none.
func (h *harness) exit(a answer) string {
	doc, _ := a.json.(map[string]any)
	upid, _ := doc["data"].(string)
	if !strings.HasPrefix(upid, "UPID:") {
		return ""
	}
	h.settle(a)
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	for _, t := range h.c.state.Tasks {
		if t.UPID == upid {
			return t.Exit
		}
	}
	return "no such task"
}

func (h *harness) object(path string) map[string]any {
	h.Helper()
	m, ok := h.ok("GET", path, "").(map[string]any)
	if !ok {
		h.Fatalf("%s is no object", path)
	}
	return m
}

func (h *harness) list(path string) []any {
	h.Helper()
	l, ok := h.ok("GET", path, "").([]any)
	if !ok {
		h.Fatalf("%s is no list", path)
	}
	return l
}

func (h *harness) refused(want string, a answer) {
	h.Helper()
	if got := fmt.Sprintf("%d %s", a.status, a.reason); got != want {
		h.Errorf("want %s, got %s %s", want, got, a.body)
	}
}

func (h *harness) ended(want string, a answer) {
	h.Helper()
	if got := h.exit(a); got != want {
		h.Errorf("want exit status %q, got %q (%d %s)", want, got, a.status, a.reason)
	}
}

func TestServesTLS(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Speed: 1e4})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err == nil {
		t.Error("ready before it was started")
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	secret, err := c.CreateToken("nimbus@pve", "one", true, "PVEAdmin")
	if err != nil {
		t.Fatal(err)
	}
	before := c.Fingerprint()
	get := func() (*http.Response, error) {
		return secureGet(t, c, "/api2/json/nodes/nope/status", "nimbus@pve!one="+secret)
	}
	res, err := get()
	if err != nil {
		t.Fatal(err)
	}
	if res.Proto != "HTTP/1.1" || !strings.HasPrefix(res.Status, "500 hostname lookup 'nope' failed") {
		t.Errorf("got %s %s", res.Proto, res.Status)
	}
	if got := peerFingerprint(res); got != before {
		t.Errorf("fingerprint %s, certificate %s", before, got)
	}
	if err := c.RotateCertificate(); err != nil {
		t.Fatal(err)
	}
	if c.Fingerprint() == before {
		t.Error("the fingerprint is still the old one")
	}
	if res, err = get(); err != nil || peerFingerprint(res) != c.Fingerprint() {
		t.Error("the new certificate is not served", err)
	}
	for range 2 {
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := c.Start(t.Context()); err == nil {
		t.Error("a stopped cluster was started again")
	}
}

func secureGet(t *testing.T, c *Cluster, path, token string) (*http.Response, error) {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CertificatePEM())) {
		t.Fatal("no certificate in the PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+token)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err == nil {
		defer res.Body.Close()
	}
	return res, err
}

func peerFingerprint(res *http.Response) string {
	sum := sha256.Sum256(res.TLS.PeerCertificates[0].Raw)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	var parts []string
	for pair := range slices.Chunk([]byte(text), 2) {
		parts = append(parts, string(pair))
	}
	return strings.Join(parts, ":")
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSurvivesRestart ends a cluster in the middle of tasks and continues it, and them, from its file.
func TestSurvivesRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cluster", "state.json")
	h := small(t, func(cfg *Config) { cfg.StateFile = file })
	h.ok("POST", "/nodes/pve2/qemu", "vmid=100&name=kept&scsi0=local-lvm:4&net0=virtio,bridge=vmbr0")
	h.ok("POST", "/nodes/pve2/qemu/100/status/start", "")
	config, fingerprint := h.c.GuestConfig(100), h.c.Fingerprint()
	h.c.HangNextTask("qmclone")
	clone := h.do(exchange{method: "POST", path: "/api2/json/nodes/pve2/qemu/100/clone?newid=101&full=1", auth: h.asToken("root@pam!auto")})
	if err := h.c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := newHarness(t, Config{StateFile: file, Nodes: []string{"ignored"}})
	again.tokens = h.tokens
	if got := again.c.GuestConfig(100); fmt.Sprint(got) != fmt.Sprint(config) {
		t.Errorf("want %v, got %v", config, got)
	}
	if got := again.c.Fingerprint(); got != fingerprint {
		t.Error("another certificate after the restart")
	}
	if got := again.object("/nodes/pve2/qemu/100/status/current")["status"]; got != "running" {
		t.Errorf("the guest is %v", got)
	}
	upid := clone.json.(map[string]any)["data"].(string)
	again.settle(clone)
	if got := again.object("/nodes/pve2/tasks/" + upid + "/status")["exitstatus"]; got != "OK" {
		t.Errorf("the task that was under way ended with %v", got)
	}
	if got := again.c.GuestConfig(101); got["scsi0"] == "" || got["lock"] != "" || len(again.c.Guests()) != 2 {
		t.Errorf("the clone that was under way is %v", got)
	}
}

// TestPowerCut switches a node off while it makes a guest: that stays locked, and nothing but root
// frees it.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=before&start=1")
	h.c.HangNextTask("qmcreate")
	made := h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/qemu?vmid=101&name=half&tags=mine", auth: h.asToken("root@pam!auto")})
	if err := h.c.CutPower("pve1"); err != nil {
		t.Fatal(err)
	}
	upid := made.json.(map[string]any)["data"].(string)
	if got := h.object("/nodes/pve1/tasks/" + upid + "/status")["exitstatus"]; got != "unexpected status" {
		t.Errorf("the task ended with %v", got)
	}
	if got := h.object("/nodes/pve1/qemu/100/status/current")["status"]; got != "stopped" {
		t.Errorf("the machine that ran is %v", got)
	}
	if got := h.c.GuestConfig(101); len(got) != 1 || got["lock"] != "create" {
		t.Errorf("the machine that was being made is %v", got)
	}
	if exit := h.exit(h.root("DELETE", "/nodes/pve1/qemu/101", "")); !strings.Contains(exit, "locked (create)") {
		t.Errorf("a token deletes it: %s", exit)
	}
}

// TestKeepsItsPort: a connection that was set up once still finds the cluster after a restart.
func TestKeepsItsPort(t *testing.T) {
	t.Parallel()
	cfg := Config{StateFile: filepath.Join(t.TempDir(), "state.json")}
	var urls [2]string
	for i := range urls {
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		urls[i] = c.URL()
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if urls[0] != urls[1] {
		t.Errorf("first %s, then %s", urls[0], urls[1])
	}
}

func TestRefusesForeignStateFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	if err := replaceFile(file, []byte("not JSON")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{StateFile: file}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v", err)
	}
}

func TestTaskFaults(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.c.FailNextTask("qmcreate", "no luck today")
	h.ended("no luck today", h.root("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local:1"))
	if h.c.GuestConfig(100) != nil {
		t.Error("a failed creation left a guest")
	}
	if left := h.list("/nodes/pve1/storage/local/content?content=images"); len(left) != 0 {
		t.Errorf("a failed creation left %v", left)
	}
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local:1")

	h.c.HangNextTask("qmstart")
	start := h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/qemu/100/status/start", auth: h.asToken("root@pam!auto")})
	upid := start.json.(map[string]any)["data"].(string)
	time.Sleep(5 * time.Millisecond)
	if got := h.object("/nodes/pve1/tasks/" + upid + "/status"); got["status"] != "running" || got["exitstatus"] != nil {
		t.Errorf("a hanging task shows %v", got)
	}
	if active := h.list("/nodes/pve1/tasks?source=active"); len(active) != 1 {
		t.Errorf("active tasks: %v", active)
	}
	h.ok("DELETE", "/nodes/pve1/tasks/"+upid, "")
	h.ended("interrupted by signal", start)
	if got := h.object("/nodes/pve1/qemu/100/status/current")["status"]; got != "stopped" {
		t.Errorf("the guest is %v", got)
	}

	h.c.HangNextTask("qmstart")
	start = h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/qemu/100/status/start", auth: h.asToken("root@pam!auto")})
	h.c.ReleaseTasks()
	h.ended("OK", start)
}

func TestFailNextRequests(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.c.FailNextRequests(2, http.StatusBadGateway)
	for _, want := range []int{502, 502, 200} {
		if a := h.root("GET", "/version", ""); a.status != want {
			t.Errorf("want %d, got %d", want, a.status)
		}
	}
	journal := h.c.Requests()
	last := journal[len(journal)-1]
	if len(journal) != 3 || last.Path != "/api2/json/version" || last.Status != 200 || last.User != "root@pam!auto" || last.Method != "GET" {
		t.Errorf("journal: %+v", journal)
	}
}

func TestOfflineNode(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve2/qemu", "vmid=100")
	if err := h.c.SetNodeOffline("pve2", true); err != nil {
		t.Fatal(err)
	}
	h.refused("595 No route to host", h.root("POST", "/nodes/pve2/qemu/100/status/start", ""))
	for _, v := range h.list("/cluster/resources") {
		m := v.(map[string]any)
		if m["node"] == "pve2" && (m["status"] == "online" || m["status"] == "running" || m["status"] == "available") {
			t.Errorf("an offline node has %v", m)
		}
	}
	if err := h.c.SetNodeOffline("pve2", false); err != nil {
		t.Fatal(err)
	}
	h.ok("POST", "/nodes/pve2/qemu/100/status/start", "")
	if err := h.c.SetNodeOffline("pve9", true); err == nil {
		t.Error("an unknown node went offline")
	}
}

// TestDriftHooks changes guests behind the manager's back.
func TestDriftHooks(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.foreign(ForeignGuest{VMID: 100, Name: "other", Running: true, Config: map[string]string{"memory": "2048"}})
	if err := h.c.SetGuestConfig(100, "description", "by hand"); err != nil {
		t.Fatal(err)
	}
	if err := h.c.SetGuestRunning(100, false); err != nil {
		t.Fatal(err)
	}
	got := h.object("/nodes/pve1/qemu/100/config")
	if got["description"] != "by hand" || got["memory"] != "2048" {
		t.Errorf("configuration %v", got)
	}
	if got := h.object("/nodes/pve1/qemu/100/status/current")["status"]; got != "stopped" {
		t.Errorf("status %v", got)
	}
	h.gone(100)
	h.refused("500 Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist", h.root("GET", "/nodes/pve1/qemu/100/config", ""))
	if err := h.c.DeleteGuest(100); err == nil {
		t.Error("a guest was deleted twice")
	}
}

// TestNextIDRace: two callers get the same number, one of them loses.
func TestNextIDRace(t *testing.T) {
	t.Parallel()
	h := small(t)
	if a, b := h.ok("GET", "/cluster/nextid", ""), h.ok("GET", "/cluster/nextid", ""); a != "100" || b != "100" {
		t.Fatalf("got %v and %v", a, b)
	}
	reasons := make([]string, 2)
	var both sync.WaitGroup
	for i := range reasons {
		both.Go(func() {
			a := h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/qemu?vmid=100", auth: h.asToken("root@pam!auto")})
			reasons[i] = a.reason
		})
	}
	both.Wait()
	slices.Sort(reasons)
	if want := []string{"OK", "unable to create VM 100 - VM 100 already exists on node 'pve1'"}; !slices.Equal(reasons, want) {
		t.Errorf("got %q", reasons)
	}
}

// TestThousandGuests keeps large lists fast, for root and for a token with separated privileges.
func TestThousandGuests(t *testing.T) {
	t.Parallel()
	h := small(t, func(cfg *Config) { cfg.Guests = 1000 })
	secret, err := h.c.CreateToken("nimbus@pve", "one", true, "PVEAuditor")
	if err != nil {
		t.Fatal(err)
	}
	h.tokens["nimbus@pve!one"] = secret
	for _, token := range []string{"root@pam!auto", "nimbus@pve!one"} {
		begin := time.Now()
		a := h.doAs(token, "GET", "/cluster/resources?type=vm", "")
		if n := len(dataList(a.json)); n != 1000 {
			t.Errorf("%s sees %d guests", token, n)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s waited %v", token, took)
		}
	}
}

// TestLoadsAreDeterministic: the same seed at the same moment gives the same loads, and they move.
func TestLoadsAreDeterministic(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	status := func(seed uint64) func() map[string]any {
		h := small(t, func(cfg *Config) { cfg.Clock, cfg.Seed = clock, seed })
		h.foreign(ForeignGuest{VMID: 100, Running: true})
		return func() map[string]any { return h.object("/nodes/pve1/qemu/100/status/current") }
	}
	a, b, other := status(1), status(1), status(2)
	mu.Lock()
	now = now.Add(90 * time.Second)
	mu.Unlock()
	first := a()
	for _, key := range []string{"cpu", "mem", "netin", "uptime"} {
		if first[key] != b()[key] {
			t.Errorf("%s differs between equal seeds", key)
		}
	}
	if first["cpu"] == other()["cpu"] {
		t.Error("another seed gives the same load")
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	later := a()
	if later["uptime"].(float64) != 150 || later["netin"].(float64) <= first["netin"].(float64) || later["cpu"] == first["cpu"] {
		t.Errorf("first %v, later %v", first, later)
	}
	if mem := later["mem"].(float64); mem <= 0 || mem > later["maxmem"].(float64) {
		t.Errorf("memory %v of %v", mem, later["maxmem"])
	}
}

func TestStatisticsLag(t *testing.T) {
	t.Parallel()
	h := small(t, func(cfg *Config) { cfg.StatsLag = time.Hour })
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=new")
	got := h.list("/cluster/resources?type=vm")[0].(map[string]any)
	if got["status"] != "unknown" || got["name"] != nil {
		t.Errorf("got %v", got)
	}
}

// TestVNCWebsocket switches protocols with a ticket and reads the greeting.
func TestVNCWebsocket(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.foreign(ForeignGuest{VMID: 100, Running: true})
	a := h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/qemu/100/vncproxy?websocket=1&generate-password=1", auth: h.asTicket(rootUser)})
	proxy := a.json.(map[string]any)["data"].(map[string]any)
	ticket := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(proxy["ticket"].(string))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url.String()+"/api2/json/nodes/pve1/qemu/100/vncwebsocket?port=5900&vncticket="+ticket, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	h.asTicket(rootUser)(req)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "binary"} {
		req.Header.Set(k, v)
	}
	res, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("got %s %v", res.Status, res.Header)
	}
	frame := make([]byte, 14)
	if _, err := bufio.NewReader(res.Body).Read(frame); err != nil || string(frame[2:]) != rfbGreeting || frame[0] != 0x82 {
		t.Errorf("got %q %v", frame, err)
	}
}
