package appliance_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/provider"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// shared are the services that all nodes use: one Postgres, one Temporal, one Redis.
type shared struct {
	appliancetest.Shared
	connection provider.NewConnection
	keys       string // of the first node
}

func startShared(t testing.TB, connection provider.NewConnection) *shared {
	t.Helper()
	server := postgres.New(postgres.Config{Dir: appliancetest.Dir(t), MaxConnections: 200})
	start(t, server)
	flows := temporal.New(temporal.Config{DSN: server.AdminDSN})
	start(t, flows)
	access := flows.Access()
	ca := filepath.Join(t.TempDir(), "temporal.pem")
	must(t, os.WriteFile(ca, access.CAPEM, 0o600))
	return &shared{connection: connection, Shared: appliancetest.Shared{
		DatabaseURL: server.AdminDSN("postgres"), TemporalAddress: access.Address, ValkeyURL: startRedis(t), FilesDir: appliancetest.Dir(t),
		Temporal: appliance.TemporalAccess{CA: ca, ServerName: access.ServerName, APIKey: access.APIKey},
	}}
}

func start(t testing.TB, part interface {
	Start(context.Context) error
	Stop(context.Context) error
}) {
	t.Helper()
	must(t, part.Start(t.Context()))
	t.Cleanup(func() { _ = part.Stop(context.Background()) })
}

func startRedis(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	must(t, l.Close())
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir())
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp4", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return "redis://127.0.0.1:" + port
		}
	}
	t.Fatal("redis-server does not listen")
	return ""
}

// node starts one, with the keys of the first.
func (n *shared) node(t testing.TB, role appliance.Role) *appliancetest.Process {
	t.Helper()
	dir := appliancetest.Dir(t)
	if n.keys == "" {
		n.keys = filepath.Join(dir, "keys")
	} else {
		command(t, "cp", "-a", n.keys, dir)
	}
	with := n.Shared
	with.Role = role
	return appliancetest.Spawn(t, appliancetest.Child{Dir: dir, Connection: n.connection, Shared: with})
}

// TestAnyNodeMayDie runs two web and two worker nodes. What one web node takes away
// is gone at the other within a second, for requests and open sockets. A web node
// killed while callers write loses nothing that it acknowledged; a worker killed in
// a deployment loses no workflow, and its machine is made once.
func TestAnyNodeMayDie(t *testing.T) {
	t.Parallel()
	sim, connection := cluster(t, 1)
	n := startShared(t, connection)
	web1 := n.node(t, appliance.Web)
	web2 := n.node(t, appliance.Web)
	workers := []*appliancetest.Process{n.node(t, appliance.Worker), n.node(t, appliance.Worker)}
	s := &story{Appliance: web1.Appliance, t: t}
	s.people()
	if status, _ := workers[0].Client(t).Try(http.MethodGet, "/v1/stacks", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a worker answers programs with %d", status)
	}
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	s.takesAway(admin, web2.Appliance)

	var token struct{ Token string }
	admin.Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "writer", "expires_in_days": 1}, http.StatusCreated, &token)
	w := &writers{url: web1.URL, token: token.Token, enough: make(chan struct{})}
	ended := w.start(4)
	select {
	case <-w.enough:
	case <-time.After(time.Minute):
		t.Fatalf("only %d writes were acknowledged in a minute", w.count())
	}
	web1.Kill()
	ended.Wait()
	s.Appliance = web2.Appliance
	admin = s.SignIn(t, "ada@example.com", s.Tenant)
	for _, group := range w.acknowledged {
		admin.Do(http.MethodGet, "/v1/groups/"+group, nil, http.StatusOK, nil)
	}
	connectSocket(t, admin) // a browser finds the other node
	t.Logf("%d acknowledged writes are there", len(w.acknowledged))
	s.deploysWith(sim.Guests, func() { asked(t, sim) }, workers)
	s.verifyChain()
}

// takesAway gives somebody the right to see stacks and takes it back here, and
// looks at another node.
func (s *story) takesAway(admin *appliancetest.Client, other *appliancetest.Appliance) {
	s.t.Helper()
	var connections struct{ Items []struct{ ID string } }
	s.deployer.Do(http.MethodGet, "/v1/connections", nil, http.StatusOK, &connections)
	s.connection = connections.Items[0].ID
	s.createStack("1024")
	person, _ := s.member(admin, "Nora Night", "nora@example.com")
	group := s.group(admin, "Night shift")
	membership := "/v1/groups/" + group + "/members/user/" + person
	admin.Do(http.MethodPut, membership, nil, http.StatusNoContent, nil)
	s.grant(admin, "group", group, "deployment:stack:read", time.Time{})
	s.grant(admin, "user", person, "cmdb:ci:read", time.Time{})
	there := *s
	there.Appliance = other
	nora := there.SignIn(s.t, "nora@example.com", s.Tenant)
	nora.Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusOK, nil)
	hers := connectSocket(s.t.(*testing.T), nora)
	if answer := hers.watch("stack", s.stack); !strings.Contains(answer, `"ok":true`) {
		s.t.Fatalf("watching: %s", answer)
	}
	began := time.Now()
	admin.Do(http.MethodDelete, membership, nil, http.StatusNoContent, nil)
	hers.loses(s.stack, began)
	nora.Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusForbidden, nil)
}

// deploysWith kills the worker that makes a machine, whichever of the two it is:
// first one, and when that one was idle the run has simply ended.
func (s *story) deploysWith(guests func() []int, asked func(), workers []*appliancetest.Process) {
	s.t.Helper()
	s.deployer = s.SignIn(s.t, "dora@example.com", s.Tenant)
	s.approver = s.SignIn(s.t, "abel@example.com", s.Tenant)
	d := s.waitLong(s.deploy("up", false).ID, 2*time.Minute, "awaiting_approval")
	s.approve(d)
	asked()
	workers[0].Kill()
	ended := s.waitLong(d.ID, 4*time.Minute, "succeeded", "failed")
	switch n := len(guests()); {
	case ended.Status == "succeeded" && n != 1:
		s.t.Errorf("%d machines instead of one", n)
	case ended.Status == "failed" && n > 0:
		s.t.Errorf("the run failed (%s) and left %d machines", ended.Error, n)
	}
}
