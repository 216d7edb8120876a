package appliance_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// outside starts a Postgres server beside the appliance and returns its address for
// a login with the rights that a move needs, and no superuser.
func outside(t testing.TB, cfg postgres.Config) (*postgres.Server, string) {
	t.Helper()
	cfg.Dir, cfg.Unsafe = appliancetest.Dir(t), true
	server := postgres.New(cfg)
	start(t, server)
	query(t, server.AdminDSN("postgres"), `create role cloud login createrole createdb password 'sky'`)
	return server, login(t, server, "cloud", "sky")
}

func login(t testing.TB, server *postgres.Server, name, password string) string {
	t.Helper()
	u, err := url.Parse(server.AdminDSN("postgres"))
	must(t, err)
	u.User = url.UserPassword(name, password)
	return u.String()
}

func query(t testing.TB, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	appliancetest.Exec(t, conn, sql)
}

// TestMoveOut moves an appliance with tenants, a stack, an audit chain and a
// deployment that waits for approval to a Postgres server outside, killed at many
// points. After each the old one is in force, and what is written there still goes
// along; at the end nothing is missing, people sign in and the deployment goes on.
func TestMoveOut(t *testing.T) {
	t.Parallel()
	sim, connection := cluster(t, 20)
	told := appliancetest.Child{Dir: appliancetest.Dir(t), Connection: connection}
	first := appliancetest.Spawn(t, told)
	s := &story{Appliance: first.Appliance, t: t}
	s.people()
	s.connected(s.deployer)
	s.createStack("1024")
	waits := s.wait(s.deploy("up", false).ID, "awaiting_approval")

	_, dsn := outside(t, postgres.Config{})
	moving := appliancetest.Child{Dir: told.Dir, Move: &appliance.Outside{DatabaseURL: dsn, SharedDir: appliancetest.Dir(t)}}
	_, err := moved(t, told.Dir).CheckMove(t.Context(), *moving.Move)
	if !errors.Is(err, appliance.ErrInUse) {
		t.Errorf("moving while it serves: %v", err)
	}
	first.Kill()
	early := []string{"copying nimbus.tenant_", "comparing nimbus_temporal."}
	if *full {
		early = []string{"marking", "making", "copying nimbus.core.", "copying nimbus.tenant_", "copying nimbus_temporal.", "copying pulumi", "comparing nimbus.core.", "comparing nimbus_temporal.", "verifying"}
	}
	for _, point := range early {
		moving.KillAt = point
		if report := appliancetest.Move(t, moving); report != nil {
			t.Errorf("not killed at %q: %+v", point, report)
		}
	}
	again := appliancetest.Spawn(t, told)
	s.Appliance = again.Appliance
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	group := s.group(admin, "Made between two attempts")
	again.Kill()
	for _, point := range []string{"recording", "switching"} {
		moving.KillAt = point
		if report := appliancetest.Move(t, moving); report != nil {
			t.Errorf("not killed at %q: %+v", point, report)
		}
	}
	moving.KillAt = ""
	s.proved(appliancetest.Move(t, moving))
	returning := moved(t, told.Dir)
	must(t, returning.MoveBack(t.Context()))
	must(t, returning.Stop(t.Context()))
	moving.KillAt = "marking"
	if report := appliancetest.Move(t, moving); report != nil {
		t.Errorf("not killed at its second begin: %+v", report)
	}
	moving.KillAt = ""
	s.proved(appliancetest.Move(t, moving))

	last := appliancetest.Spawn(t, told)
	s.Appliance = last.Appliance
	if _, err := os.Stat(filepath.Join(told.Dir, "postgres", "data", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old server runs: %v", err)
	}
	admin = s.SignIn(t, "ada@example.com", s.Tenant)
	admin.Do(http.MethodGet, "/v1/groups/"+group, nil, http.StatusOK, nil)
	s.deployer, s.approver = s.SignIn(t, "dora@example.com", s.Tenant), s.SignIn(t, "abel@example.com", s.Tenant)
	s.approve(waits)
	s.wait(waits.ID, "succeeded")
	if n := len(sim.Guests()); n != 1 {
		t.Errorf("%d machines instead of one", n)
	}
	s.verifyChain()
	s.recorded("system.database.moved", 1)
	s.recorded("system.database.returned", 1)
	last.Kill()
	s.staysThere(told.Dir)
}

// TestMoveOutToServersOverTLS moves an appliance to an older Postgres, a Temporal
// cluster and a Redis, all over TLS. Schedules are there afterwards, and the stack
// that was deployed before is deployed again.
func TestMoveOutToServersOverTLS(t *testing.T) {
	t.Parallel()
	sim, connection := cluster(t, 20)
	told := appliancetest.Child{Dir: appliancetest.Dir(t), Connection: connection}
	first := appliancetest.Spawn(t, told)
	s := &story{Appliance: first.Appliance, t: t}
	s.people()
	s.connected(s.deployer)
	version := s.createStack("1024")
	s.through("up", false)

	ours, older := newAuthority(t), seventeen(t)
	to := appliance.Outside{SharedDir: appliancetest.Dir(t), ValkeyURL: redisOverTLS(t, ours), ValkeyCA: ours.CA}
	to.TemporalAddress, to.Temporal = temporalOverTLS(t, ours)
	to.DatabaseURL = postgresOverTLS(t, ours, func(cfg postgres.Config) *postgres.Server {
		server, err := postgres.NewOf(older, cfg)
		must(t, err)
		return server
	})
	first.Kill()
	report, err := moveIdle(t, told, to)
	must(t, err)
	if len(report.Databases) != 1 || report.Databases[0].Rows == 0 || len(report.Chains) != 2 || report.Files == nil || report.Files.Files == 0 {
		t.Fatalf("the move: %+v", report)
	}

	s.Appliance = appliancetest.Spawn(t, told).Appliance
	s.deployer, s.approver = s.SignIn(t, "dora@example.com", s.Tenant), s.SignIn(t, "abel@example.com", s.Tenant)
	s.changeStack("2048", version)
	s.through("up", false)
	if n := len(sim.Guests()); n != 1 {
		t.Errorf("%d machines instead of one", n)
	}
	s.verifyChain()
	s.recorded("system.database.moved", 1)
	var schedules struct{ Items []struct{ ID string } }
	s.SignIn(t, "ada@example.com", s.Root).Do(http.MethodGet, "/v1/system/schedules", nil, http.StatusOK, &schedules)
	if len(schedules.Items) < 3 {
		t.Errorf("the cluster has the schedules %v", schedules.Items)
	}
}

// moveIdle moves an appliance that was killed, when no workflow is under way any more.
func moveIdle(t *testing.T, c appliancetest.Child, to appliance.Outside) (appliance.MoveReport, error) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		a := moved(t, c.Dir)
		report, err := a.MoveOut(t.Context(), to, func(string, int) {})
		must(t, a.Stop(t.Context()))
		if !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "under way") || time.Now().After(end) {
			return report, err
		}
		p := appliancetest.Spawn(t, c)
		time.Sleep(time.Second)
		p.Kill()
	}
}

// moved is an appliance on a data directory that is not started.
func moved(t testing.TB, dir string) *appliance.Appliance {
	a := appliance.New(appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(t)})
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	return a
}

// proved looks that a report tells of a move with everything in it.
func (s *story) proved(r *appliance.MoveReport) {
	s.t.Helper()
	if r == nil || !r.Moved || len(r.Databases) != 3 || len(r.Chains) != 2 || r.Records < 10 || r.People < 3 || r.Files == nil || r.Files.Files == 0 {
		s.t.Fatalf("the move: %+v", r)
	}
	for _, d := range r.Databases {
		if d.Rows == 0 || len(d.Tables) == 0 {
			s.t.Errorf("nothing of %s was compared", d.Name)
		}
	}
}

// recorded counts records of an event in the provider's chain.
func (s *story) recorded(event string, want int) {
	s.t.Helper()
	var found struct{ Items []struct{ Event string } }
	s.SignIn(s.t, "ada@example.com", s.Root).Do(http.MethodGet, "/v1/audit/records?event="+event, nil, http.StatusOK, &found)
	if len(found.Items) != want {
		s.t.Errorf("%d records of %s instead of %d", len(found.Items), event, want)
	}
}

// staysThere: an appliance that was used on the new place does not return, and its
// old databases can be given up.
func (s *story) staysThere(dir string) {
	s.t.Helper()
	a := moved(s.t, dir)
	if err := a.MoveBack(s.t.Context()); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nimbus.core") {
		s.t.Errorf("returning: %v", err)
	}
	must(s.t, a.Stop(s.t.Context()))
	a = moved(s.t, dir)
	if freed, err := a.ForgetOld(s.t.Context()); err != nil || freed == 0 {
		s.t.Errorf("giving up the old databases: %d %v", freed, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres")); !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("the old databases are there: %v", err)
	}
}

// TestAMoveThatACommandUsedDoesNotReturn moves an appliance, runs a command on the new
// place and takes that away: nothing served there, the clock even says that all was
// before the move, and yet a return would lose what the command wrote.
func TestAMoveThatACommandUsedDoesNotReturn(t *testing.T) {
	t.Parallel()
	dir := readReleases(t)[0].restore(t)
	brought := moved(t, dir)
	_, err := brought.Upgrade(t.Context(), func(string, int) {})
	must(t, errors.Join(err, brought.Stop(t.Context())))
	server, dsn := outside(t, postgres.Config{})
	a := moved(t, dir)
	_, err = a.MoveOut(t.Context(), appliance.Outside{DatabaseURL: dsn}, func(string, int) {})
	must(t, errors.Join(err, a.Stop(t.Context())))

	cfg := appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(t), DatabaseURL: dsn}
	overruled := appliance.New(cfg)
	err = overruled.MoveBack(t.Context())
	must(t, overruled.Stop(t.Context()))
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nimbus.yaml") {
		t.Errorf("returning from what nimbus.yaml names: %v", err)
	}

	cfg.DatabaseURL = ""
	_, done, err := appliance.Console(t.Context(), cfg)
	must(t, err)
	done()
	must(t, server.Stop(t.Context()))
	returning := moved(t, dir)
	err = returning.MoveBack(t.Context())
	must(t, returning.Stop(t.Context()))
	if !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "used on the new place") {
		t.Errorf("returning would lose what a command wrote: %v", err)
	}
}

// TestMoveOutExplainsWhatIsInTheWay tries servers that do not fit.
func TestMoveOutExplainsWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := readReleases(t)[0].restoreOn(t, postgres.New, func(server *postgres.Server) {
		leaveWorkflow(t, server)
		query(t, server.AdminDSN(temporal.VisibilityDatabase), `delete from executions_visibility`) // as if killed before it was written
	})
	server, dsn := outside(t, postgres.Config{MaxConnections: 30})
	behind := moved(t, dir)
	report, err := behind.CheckMove(t.Context(), appliance.Outside{DatabaseURL: dsn})
	must(t, behind.Stop(t.Context()))
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nimbus upgrade") {
		t.Errorf("with migrations pending: %+v %v", report, err)
	}
	brought := moved(t, dir)
	_, err = brought.Upgrade(t.Context(), func(string, int) {})
	must(t, errors.Join(err, brought.Stop(t.Context())))

	admin := server.AdminDSN("postgres")
	query(t, admin, `create role weak login password 'x'`)
	query(t, admin, `create role nimbus_app`)
	query(t, admin, `alter system set max_locks_per_transaction = 10`)
	must(t, server.Stop(t.Context()))
	must(t, server.Start(t.Context()))
	dsn = login(t, server, "cloud", "sky")
	for _, c := range []struct {
		to    appliance.Outside
		check string
		says  string
	}{
		{appliance.Outside{DatabaseURL: "postgres://cloud:canary@127.0.0.1:1/postgres?sslmode=disable"}, "connection", "Nothing listens there"},
		{appliance.Outside{DatabaseURL: login(t, server, "weak", "x")}, "server", "CREATEROLE and CREATEDB"},
		{appliance.Outside{DatabaseURL: dsn}, "empty", "it has the role nimbus_app"},
		{appliance.Outside{DatabaseURL: dsn}, "connections", "raise max_connections"},
		{appliance.Outside{DatabaseURL: dsn}, "locks", "raise max_locks_per_transaction"},
		{appliance.Outside{DatabaseURL: dsn, TemporalAddress: "127.0.0.1:1"}, "workflows", "1 workflows are under way"},
		{appliance.Outside{DatabaseURL: dsn, TemporalAddress: "127.0.0.1:1"}, "temporal", "Nothing listens there"},
		{appliance.Outside{DatabaseURL: dsn, ValkeyURL: "redis://127.0.0.1:1"}, "valkey", "Nothing listens there"},
		{appliance.Outside{DatabaseURL: dsn, SharedDir: "/nowhere/at/all"}, "files", "cannot be used"},
	} {
		a := moved(t, dir)
		report, err := a.MoveOut(t.Context(), c.to, func(stage string, _ int) { t.Errorf("%s: it went on to %s", c.check, stage) })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", c.check, err)
		}
		explains(t, report, c.check, c.says)
		must(t, a.Stop(t.Context()))
	}
	all := databases(t, admin)
	for _, name := range []string{db.Database, temporal.MainDatabase} {
		if strings.Contains(all, name) {
			t.Errorf("something was made: %s", all)
		}
	}
}

func explains(t testing.TB, r appliance.MoveReport, check, says string) {
	t.Helper()
	for _, c := range r.Checks {
		if strings.Contains(c.Message, "canary") {
			t.Errorf("the report holds a password: %s", c.Message)
		}
		if c.Name == check && !c.OK && strings.Contains(c.Message, says) && r.Problem != "" {
			return
		}
	}
	t.Errorf("%s does not say %q: %+v", check, says, r)
}

func databases(t testing.TB, dsn string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	var all string
	must(t, conn.QueryRow(t.Context(), `select string_agg(datname, ' ') from pg_database`).Scan(&all))
	return all
}
