package appliance_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/provider"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// shared are the services that all nodes use: one Postgres, one Temporal, one Redis.
type shared struct {
	appliancetest.Shared
	connection provider.NewConnection
	first      string // data directory of the first node
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
	port := freePort(t)
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

// node starts one; the first admits the others.
func (n *shared) node(t testing.TB, role appliance.Role) *appliancetest.Process {
	t.Helper()
	dir := appliancetest.Dir(t)
	if n.first == "" {
		n.first = dir
	} else {
		n.join(t, dir)
	}
	return n.on(t, dir, role)
}

func (n *shared) config(dir string) appliance.Config {
	return appliance.Config{DataDir: dir, DatabaseURL: n.DatabaseURL, TemporalAddress: n.TemporalAddress, Temporal: n.Temporal,
		ValkeyURL: n.ValkeyURL, SharedDir: n.FilesDir, Logger: slog.New(slog.DiscardHandler)}
}

// join makes a directory that of a node, while the first one runs.
func (n *shared) join(t testing.TB, dir string) {
	t.Helper()
	recipient, err := appliance.RequestToJoin(appliance.Config{DataDir: dir})
	must(t, err)
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Console, Name: "console"})
	sealed, err := appliance.Admit(ctx, n.config(n.first), recipient)
	must(t, err)
	joined, err := appliance.Join(ctx, appliance.Config{DataDir: dir, Role: appliance.Worker}, bytes.NewReader(sealed))
	must(t, err)
	if len(joined.Lacks) != 0 {
		t.Errorf("a node lacks %v", joined.Lacks)
	}
}

// on starts a node on a data directory.
func (n *shared) on(t testing.TB, dir string, role appliance.Role) *appliancetest.Process {
	t.Helper()
	with := n.Shared
	with.Role = role
	return appliancetest.Spawn(t, appliancetest.Child{Dir: dir, Connection: n.connection, Shared: with})
}

// takesAway gives somebody the right to see stacks and takes it back, and looks at
// every web node how long it takes until that is so.
func (s *story) takesAway(admin *appliancetest.Client, email string, at []*appliancetest.Process) {
	s.t.Helper()
	s.connected(admin)
	s.deployer = s.SignIn(s.t, "dora@example.com", s.Tenant)
	s.createNamed(email)
	person, _ := s.member(admin, email, email)
	group := s.group(admin, email)
	membership := "/v1/groups/" + group + "/members/user/" + person
	admin.Do(http.MethodPut, membership, nil, http.StatusNoContent, nil)
	s.grant(admin, "group", group, "deployment:stack:read", time.Time{})
	s.grant(admin, "user", person, "cmdb:ci:read", time.Time{})
	var clients []*appliancetest.Client
	var sockets []*socket
	for _, node := range at {
		there := node.SignIn(s.t, email, s.Tenant)
		there.Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusOK, nil)
		open := connectSocket(s.t.(*testing.T), there)
		if answer := open.watch("stack", s.stack); !strings.Contains(answer, `"ok":true`) {
			s.t.Fatalf("watching: %s", answer)
		}
		clients, sockets = append(clients, there), append(sockets, open)
	}
	began := time.Now()
	admin.Do(http.MethodDelete, membership, nil, http.StatusNoContent, nil)
	for i := range at {
		clients[i].Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusForbidden, nil)
		sockets[i].loses(s.stack, began)
	}
}
