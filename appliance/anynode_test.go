package appliance_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/provider/proxmox/pvesim"
)

// nodes are two web nodes and two workers, in this order.
type nodes struct {
	*shared
	t   *testing.T
	sim *pvesim.Cluster

	mu  sync.Mutex
	all [4]*appliancetest.Process
}

func startNodes(t *testing.T) *nodes {
	sim, connection := cluster(t, 1)
	n := &nodes{shared: startShared(t, connection), t: t, sim: sim}
	for i := range n.all {
		n.all[i] = n.node(t, roleOf(i))
	}
	return n
}

func roleOf(i int) appliance.Role {
	if i < 2 {
		return appliance.Web
	}
	return appliance.Worker
}

// restart starts node i again on its own directory.
func (n *nodes) restart(i int) {
	n.t.Helper()
	again := n.on(n.t, n.all[i].Dir, roleOf(i))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[i] = again
}

// url is where web node i is now.
func (n *nodes) url(i int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all[i%2].URL
}

// busy is the worker that has an engine at work.
func (n *nodes) busy() int {
	for i := 2; i < 4; i++ {
		if n.all[i].Children() > 0 {
			return i
		}
	}
	return 2
}

// TestAnyNodeMayDie has two web nodes and two workers on one Postgres, one
// Temporal and one Redis. Callers write, machines are deployed and a page is open
// while each of the four is killed in turn and started again. Whatever was
// acknowledged is in the tables and in the trail, every deployment ends with the
// one machine that was asked for, the page shows all of it, and what is taken away
// at one node is gone at every other within a second. With -full it goes round
// five times.
func TestAnyNodeMayDie(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	s := &story{Appliance: n.all[0].Appliance, t: t}
	s.people()
	if status, _ := n.all[2].Client(t).Try(http.MethodGet, "/v1/stacks", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a worker answers programs with %d", status)
	}
	n.shares()
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	s.takesAway(admin, "nora@example.com", n.all[:2])
	var token struct{ Token string }
	admin.Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "writer", "expires_in_days": 1}, http.StatusCreated, &token)

	l := &load{nodes: n, token: token.Token, stop: make(chan struct{})}
	l.start(4)
	p := &page{load: l, shows: map[string]string{}}
	l.group.Go(p.open)
	rounds := 1
	if *full {
		rounds = 5
	}
	for round := range rounds {
		order := []int{0, 1, 2, 3}
		for at := range order {
			n.dies(s, p, fmt.Sprintf("vm-%d-%d", round, at), at, order)
		}
	}
	close(l.stop)
	l.group.Wait()
	s.Appliance = n.all[0].Appliance
	n.wantShared(0)
	for i := range 2 {
		n.all[i].SignIn(t, "ada@example.com", s.Tenant).Do(http.MethodPost, "/v1/audit/checkpoints", nil, http.StatusCreated, nil)
	}
	n.counted(l.acknowledged)
	s.verifyChain()
	s.takesAway(s.SignIn(t, "ada@example.com", s.Tenant), "noah@example.com", n.all[:2])
	t.Logf("%d nodes killed, %d acknowledged writes are there, the page connected %d times, at the latest %v after a death",
		4*rounds, len(l.acknowledged), p.joined, p.longest)
}

// shares changes name and certificate at one web node, and finds both at the other,
// also after it was started again: it is killed later on.
func (n *nodes) shares() {
	n.t.Helper()
	root := n.all[0].SignIn(n.t, "ada@example.com", n.all[0].Root)
	cert, key := newAuthority(n.t).give("port", "nimbus.example.com")
	text := func(path string) string {
		raw, err := os.ReadFile(path)
		must(n.t, err)
		return string(raw)
	}
	root.Do(http.MethodPut, "/v1/system/address", map[string]any{"name": "Lab", "url": "https://nimbus.example.com"}, http.StatusOK, nil)
	root.Do(http.MethodPut, "/v1/system/certificate", map[string]any{"source": "own", "certificate_pem": text(cert), "key_pem": text(key)}, http.StatusOK, nil)
	n.wantShared(1)
}

// wantShared looks at a web node for what another one changed.
func (n *nodes) wantShared(i int) {
	n.t.Helper()
	within(n.t, "the certificate is that of the other node", func() bool {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(n.url(i), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "port"
	})
	var is struct{ Name, URL string }
	n.all[i].SignIn(n.t, "ada@example.com", n.all[i].Root).Do(http.MethodGet, "/v1/system/address", nil, http.StatusOK, &is)
	if is.Name != "Lab" || is.URL != "https://nimbus.example.com" {
		n.t.Errorf("node %d is called %+v", i, is)
	}
}

// dies kills a node while a machine is made. Of the workers that one comes first
// which makes it.
func (n *nodes) dies(s *story, p *page, name string, at int, order []int) {
	n.t.Helper()
	alive := n.all[0]
	if order[at] == 0 {
		alive = n.all[1]
	}
	s.Appliance = alive.Appliance
	s.deployer, s.approver = s.SignIn(n.t, "dora@example.com", s.Tenant), s.SignIn(n.t, "abel@example.com", s.Tenant)
	s.createNamed(name)
	d := s.waitLong(s.deploy("up", false).ID, 2*time.Minute, "awaiting_approval")
	before := machinesAsked(n.sim)
	s.approve(d)
	within(n.t, "a machine is asked for", func() bool { return machinesAsked(n.sim) > before })
	if at == 2 && n.busy() != order[2] {
		order[2], order[3] = order[3], order[2]
	}
	n.all[order[at]].Kill()
	ended := s.waitLong(d.ID, 4*time.Minute, "succeeded", "failed")
	n.restart(order[at])
	if made := n.named(name); ended.Status != "succeeded" || made != 1 {
		n.t.Errorf("node %d was killed, and %s is %s (%s) with %d machines", order[at], name, ended.Status, ended.Error, made)
	}
	p.wantShown(d.ID, "succeeded")
}

// createNamed stores a stack whose machine has its name.
func (s *story) createNamed(name string) {
	s.t.Helper()
	var stack struct{ ID string }
	s.deployer.Do(http.MethodPost, "/v1/stacks", map[string]any{
		"name": name, "connection_id": s.connection, "program": strings.ReplaceAll(program("512"), "name: web1", "name: "+name), "config": map[string]any{},
	}, http.StatusCreated, &stack)
	s.stack = stack.ID
}

func machinesAsked(sim *pvesim.Cluster) (n int) {
	for _, r := range sim.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/qemu") {
			n++
		}
	}
	return n
}

// named counts the machines of a name.
func (n *nodes) named(name string) (found int) {
	for _, guest := range n.sim.Guests() {
		if n.sim.GuestConfig(guest)["name"] == name {
			found++
		}
	}
	return found
}

// counted looks for what was acknowledged in the tables and in the trail, past
// the application.
func (n *nodes) counted(groups []string) {
	n.t.Helper()
	conn, err := pgx.Connect(n.t.Context(), strings.Replace(n.DatabaseURL, "/postgres?", "/nimbus?", 1))
	must(n.t, err)
	defer conn.Close(n.t.Context())
	schema := "tenant_" + strings.ReplaceAll(n.all[0].Tenant.String(), "-", "")
	for what, count := range map[string]string{
		"groups":         `select count(*) from ` + schema + `.user_group where id = any($1::uuid[])`,
		"sealed records": `select count(distinct e.target_id) from ` + schema + `.audit_entry e where e.event = 'identity.group.created' and e.target_id = any($1)`,
	} {
		var found int
		must(n.t, conn.QueryRow(n.t.Context(), count, groups).Scan(&found))
		if found != len(groups) || found < 100 {
			n.t.Errorf("%d writes were acknowledged, %d %s are there", len(groups), found, what)
		}
	}
	var keys, checkpoints, sizes int
	must(n.t, conn.QueryRow(n.t.Context(), `select (select count(*) from core.audit_signing_key), count(*), count(distinct size) from `+schema+`.audit_checkpoint`).
		Scan(&keys, &checkpoints, &sizes))
	if keys != 1 || checkpoints == 0 || checkpoints != sizes {
		n.t.Errorf("%d keys signed %d checkpoints of %d steps", keys, checkpoints, sizes)
	}
}

// load are callers that write at both web nodes for as long as the test lasts.
type load struct {
	*nodes
	token string
	stop  chan struct{}
	group sync.WaitGroup

	found        sync.Mutex
	acknowledged []string
}

func (l *load) start(callers int) {
	for caller := range callers {
		l.group.Go(func() {
			client := insecure(10 * time.Second)
			for i := 0; !l.over(); i++ {
				if made := l.write(client, caller, fmt.Sprintf("group %d-%d", caller, i)); made != "" {
					l.found.Lock()
					l.acknowledged = append(l.acknowledged, made)
					l.found.Unlock()
				}
				time.Sleep(150 * time.Millisecond) // deaths are what is looked at, not the load
			}
		})
	}
}

func (l *load) over() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func insecure(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// write makes a group and returns it when that was acknowledged.
func (l *load) write(client *http.Client, caller int, name string) string {
	body, _ := json.Marshal(map[string]string{"name": name, "description": ""})
	answer, err := l.ask(client, http.MethodPost, l.url(caller)+"/v1/groups", "application/json", body)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	var made struct{ ID string }
	if answer.StatusCode != http.StatusCreated || json.NewDecoder(answer.Body).Decode(&made) != nil {
		return ""
	}
	return made.ID
}

func (l *load) ask(client *http.Client, method, url, kind string, body []byte) (*http.Response, error) {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+l.token)
	return client.Do(r)
}

// page is a browser's: it shows the state of deployments, connects to the other
// node when its own dies, and reads then what it may have missed.
type page struct {
	*load

	seen    sync.Mutex
	shows   map[string]string
	joined  int
	lost    time.Time
	longest time.Duration // without a connection
}

func (p *page) open() {
	client := insecure(40 * time.Second)
	for at := 0; !p.over(); at++ {
		if err := p.live(client, p.url(at)); err != nil {
			p.seen.Lock()
			if p.lost.IsZero() {
				p.lost = time.Now()
			}
			p.seen.Unlock()
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// live is one connection until it breaks.
func (p *page) live(client *http.Client, base string) error {
	hello, err := p.text(client, http.MethodGet, base+"/socket.io/?EIO=4&transport=polling", "")
	var open struct{ Sid string }
	if err != nil || json.Unmarshal([]byte(strings.TrimPrefix(hello, "0")), &open) != nil {
		return fmt.Errorf("no session: %q %w", hello, err)
	}
	url := base + "/socket.io/?EIO=4&transport=polling&sid=" + open.Sid
	if _, err := p.text(client, http.MethodPost, url, "40"); err != nil {
		return err
	}
	if err := p.read(client, base); err != nil {
		return err
	}
	p.connected()
	for !p.over() {
		packets, err := p.text(client, http.MethodGet, url, "")
		if err != nil {
			return err
		}
		for packet := range strings.SplitSeq(packets, "\x1e") {
			if err := p.hear(client, url, packet); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *page) text(client *http.Client, method, url, body string) (string, error) {
	answer, err := p.ask(client, method, url, "text/plain;charset=UTF-8", []byte(body))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.StatusCode, raw)
	}
	return string(raw), err
}

// read shows the state as it is.
func (p *page) read(client *http.Client, base string) error {
	text, err := p.text(client, http.MethodGet, base+"/v1/deployments?limit=100", "")
	if err != nil {
		return err
	}
	var list struct{ Items []deploymentRow }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	for _, d := range list.Items {
		p.show(d)
	}
	return nil
}

func (p *page) hear(client *http.Client, url, packet string) error {
	switch {
	case packet == "2":
		_, err := p.text(client, http.MethodPost, url, "3")
		return err
	case packet == "1" || strings.HasPrefix(packet, "41"):
		return fmt.Errorf("closed: %s", packet)
	}
	var told []json.RawMessage
	var e struct {
		Type string
		Data deploymentRow
	}
	if json.Unmarshal([]byte(strings.TrimPrefix(packet, "42")), &told) == nil && len(told) == 2 && json.Unmarshal(told[1], &e) == nil && e.Type == "deployment.updated" {
		p.show(e.Data)
	}
	return nil
}

func (p *page) show(d deploymentRow) {
	p.seen.Lock()
	defer p.seen.Unlock()
	p.shows[d.ID] = d.Status
}

func (p *page) connected() {
	p.seen.Lock()
	defer p.seen.Unlock()
	p.joined++
	if !p.lost.IsZero() {
		p.longest = max(p.longest, time.Since(p.lost))
	}
	p.lost = time.Time{}
}

// wantShown waits a second for the page to be connected and to show what is so.
func (p *page) wantShown(deployment, status string) {
	p.t.Helper()
	for end := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		p.seen.Lock()
		shown, lost := p.shows[deployment], p.lost
		p.seen.Unlock()
		if shown == status && lost.IsZero() {
			return
		}
		if time.Now().After(end) {
			p.t.Errorf("the page shows %q instead of %q, and has no connection since %v", shown, status, lost)
			return
		}
	}
}
