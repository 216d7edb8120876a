package temporal

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"nimbus/embedded/postgres"
)

func TestServer(t *testing.T) {
	s := start(t, Config{DSN: sharedDatabases(t), Logger: testLogger(t)})
	t.Run("workflow with a retried activity", func(t *testing.T) { runsWorkflow(t, s) })
	t.Run("schedule", func(t *testing.T) { runsSchedule(t, s) })
	t.Run("namespace", func(t *testing.T) { registersNamespace(t, s) })
	t.Run("strangers at the frontend", func(t *testing.T) { refusesStrangers(t, s) })
	t.Run("strangers at the other services", func(t *testing.T) { refusesStrangersInside(t, s) })
	t.Run("existing cluster", func(t *testing.T) { isAnExistingCluster(t, s) })
}

func runsWorkflow(t *testing.T, s *Server) {
	c := dial(t, s, Options{})
	work(t, c, taskQueue)
	run, err := c.ExecuteWorkflow(deadline(t), client.StartWorkflowOptions{ID: "retry", TaskQueue: taskQueue}, EchoWorkflow, "hello", false)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(deadline(t), &got); err != nil || got != "echo hello" {
		t.Errorf("got %q, %v", got, err)
	}
	eventually(t, "the visibility store to list it", func() bool {
		list, err := c.ListWorkflow(deadline(t), &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'EchoWorkflow' AND ExecutionStatus = 'Completed'"})
		return err == nil && len(list.Executions) == 1
	})
}

func runsSchedule(t *testing.T, s *Server) {
	const queue = "schedule"
	c := dial(t, s, Options{})
	work(t, c, queue)
	handle, err := c.ScheduleClient().Create(deadline(t), client.ScheduleOptions{
		ID:   "each-second",
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Second}}},
		Action: &client.ScheduleWorkflowAction{
			ID: "scheduled", Workflow: EchoWorkflow, Args: []any{"on time", false}, TaskQueue: queue,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the schedule to start workflows", func() bool {
		info, err := handle.Describe(deadline(t))
		return err == nil && len(info.Info.RecentActions) > 1
	})
}

func registersNamespace(t *testing.T, s *Server) {
	c := dial(t, s, Options{})
	got, err := c.WorkflowService().DescribeNamespace(deadline(t), &workflowservice.DescribeNamespaceRequest{Namespace: "nimbus"})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); d != 7*24*time.Hour {
		t.Errorf("retention is %v", d)
	}
	if err := ensureNamespace(deadline(t), c.WorkflowService(), "nimbus", 72*time.Hour, true); err != nil {
		t.Fatal(err)
	}
	got, err = c.WorkflowService().DescribeNamespace(deadline(t), &workflowservice.DescribeNamespaceRequest{Namespace: "nimbus"})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); d != 72*time.Hour {
		t.Errorf("the new retention is %v", d)
	}
}

// refusesStrangers calls the frontend as another user of the machine would.
func refusesStrangers(t *testing.T, s *Server) {
	n, _ := s.current().state()
	conn := stranger(t, n.address, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))
	workflows, operator := workflowservice.NewWorkflowServiceClient(conn), operatorservice.NewOperatorServiceClient(conn)
	calls := map[string]func(context.Context) error{
		"GetSystemInfo": func(ctx context.Context) error {
			_, err := workflows.GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
			return err
		},
		"ListNamespaces": func(ctx context.Context) error {
			_, err := workflows.ListNamespaces(ctx, &workflowservice.ListNamespacesRequest{})
			return err
		},
		"ListWorkflowExecutions": func(ctx context.Context) error {
			_, err := workflows.ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "nimbus"})
			return err
		},
		"StartWorkflowExecution": func(ctx context.Context) error {
			_, err := workflows.StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{Namespace: "nimbus", WorkflowId: "x"})
			return err
		},
		"PollWorkflowTaskQueue": func(ctx context.Context) error {
			_, err := workflows.PollWorkflowTaskQueue(ctx, &workflowservice.PollWorkflowTaskQueueRequest{Namespace: "nimbus"})
			return err
		},
		"RegisterNamespace": func(ctx context.Context) error {
			_, err := workflows.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{Namespace: "mine"})
			return err
		},
		"DeleteNamespace": func(ctx context.Context) error {
			_, err := operator.DeleteNamespace(ctx, &operatorservice.DeleteNamespaceRequest{Namespace: "nimbus"})
			return err
		},
	}
	secrets := map[string]string{"none": "", "wrong": strings.Repeat("0", 64), "part": n.secret[:63], "wrong bearer": "Bearer " + strings.Repeat("0", 64), "twice a bearer": "Bearer Bearer " + n.secret}
	for name, call := range calls {
		for kind, secret := range secrets {
			ctx := deadline(t)
			if secret != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, header, secret)
			}
			if code := status.Code(call(ctx)); code != codes.PermissionDenied {
				t.Errorf("%s with secret %q: %v", name, kind, code)
			}
		}
	}
	if _, err := healthpb.NewHealthClient(conn).Check(deadline(t), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health check: %v", err)
	}
	for _, secret := range []string{n.secret, "Bearer " + n.secret} { // an API key comes as a bearer
		ctx := metadata.AppendToOutgoingContext(deadline(t), header, secret)
		if err := calls["ListNamespaces"](ctx); err != nil {
			t.Errorf("with the secret: %v", err)
		}
	}
}

// refusesStrangersInside tries the services that have no authorizer.
func refusesStrangersInside(t *testing.T, s *Server) {
	n, _ := s.current().state()
	for _, port := range n.ports[1:] {
		for _, c := range []credentials.TransportCredentials{insecure.NewCredentials(), credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})} {
			conn := stranger(t, loopback(port), c)
			_, err := healthpb.NewHealthClient(conn).Check(deadline(t), &healthpb.HealthCheckRequest{})
			if status.Code(err) != codes.Unavailable {
				t.Errorf("port %d: %v", port, err)
			}
		}
	}
}

func stranger(t *testing.T, address string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// isAnExistingCluster reaches s by its address: with a certificate, as a cluster would ask for.
func isAnExistingCluster(t *testing.T, s *Server) {
	n, _ := s.current().state()
	g := n.guard
	other := start(t, Config{Address: n.address, TLS: g.serviceTLS(), Namespace: "elsewhere"})
	if err := other.Ready(deadline(t)); err != nil {
		t.Error(err)
	}
	c := dial(t, other, Options{})
	work(t, c, taskQueue)
	run, err := c.ExecuteWorkflow(deadline(t), client.StartWorkflowOptions{TaskQueue: taskQueue}, EchoWorkflow, "far", false)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(deadline(t), &got); err != nil || got != "echo far" {
		t.Errorf("got %q, %v", got, err)
	}
	refused := New(Config{Address: n.address})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := refused.Start(ctx); err == nil || !strings.Contains(err.Error(), "is TLS needed") {
		t.Errorf("without TLS: %v", err)
	}
}

func TestMakesDatabasesAndStartsAgain(t *testing.T) {
	t.Parallel()
	if postgres.BundleID() == "none" {
		t.Skip(postgres.ErrNoBundle)
	}
	pg := ownPostgres(t)
	var secrets []string
	for range 2 {
		s := New(Config{DSN: pg.AdminDSN, Logger: testLogger(t)})
		began := time.Now()
		if err := s.Start(deadline(t)); err != nil {
			t.Fatal(err)
		}
		t.Logf("started in %v", time.Since(began))
		if err := s.Ready(deadline(t)); err != nil {
			t.Error(err)
		}
		n, _ := s.current().state()
		secrets = append(secrets, n.secret)
		began = time.Now()
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		t.Logf("stopped in %v", time.Since(began))
		if err := s.Ready(t.Context()); err == nil {
			t.Error("ready after Stop")
		}
	}
	if secrets[0] == secrets[1] || len(secrets[0]) != 64 {
		t.Error("the secret is not made at each start")
	}
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	s := New(Config{})
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("Start without a configuration: %v", err)
	}
}

func TestStartsAgainAfterGivingUp(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DSN: sharedDatabases(t)})
	first, _ := s.current().state()
	go newLogger(s.log, first.fatal).Fatal("the test pulls the plug") // as the server's own logger would
	eventually(t, "another server", func() bool {
		n, err := s.current().state()
		return err == nil && n != first && s.Ready(t.Context()) == nil
	})
}

func TestSchemaIsVersionedAndResumable(t *testing.T) {
	t.Parallel()
	dsn := sharedDatabases(t)(MainDatabase)
	dir := databases[MainDatabase]
	steps, err := loadSteps(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(deadline(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	// A later version meets a table that is in its way: those before it stay.
	if _, err := conn.Exec(deadline(t), "CREATE TABLE nexus_endpoints (surprise int)"); err != nil {
		t.Fatal(err)
	}
	blocked := upgrade(deadline(t), dsn, MainDatabase, dir, nil)
	applied := history(t, conn)
	if blocked != nil && (len(applied) < 5 || len(applied) >= len(steps)) {
		t.Errorf("after the fault: %v", applied)
	}
	if blocked == nil {
		t.Fatal("a table in the way did not matter")
	}
	if _, err := conn.Exec(deadline(t), "DROP TABLE nexus_endpoints"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := upgrade(deadline(t), dsn, MainDatabase, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	applied = history(t, conn)
	var want []string
	for _, s := range steps {
		want = append(want, s.name)
	}
	if !slices.Equal(applied, want) {
		t.Errorf("applied %v, want %v", applied, want)
	}
	if _, err := conn.Exec(deadline(t), "UPDATE schema_version SET curr_version = '99.1', min_compatible_version = '99.0'"); err != nil {
		t.Fatal(err)
	}
	if err := upgrade(deadline(t), dsn, MainDatabase, dir, nil); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a schema of the future: %v", err)
	}
}

// history lists the versions that were applied, in order.
func history(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(deadline(t), "SELECT new_version FROM schema_update_history ORDER BY update_time")
	if err != nil {
		t.Fatal(err)
	}
	applied, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func ownPostgres(t *testing.T) *postgres.Server {
	t.Helper()
	pg := postgres.New(postgres.Config{Dir: reachableDir(t), Unsafe: true})
	if err := pg.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pg
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited 30 s for %s", what)
}
