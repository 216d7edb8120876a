package provider_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"nimbus/appliance/actor"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func TestTheTaskWorkflowRunsAndCollects(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	task := b.power(web, provider.PowerStart)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	provider.Register(env, b.Service)
	env.ExecuteWorkflow(provider.TaskWorkflow, provider.TaskInput{Tenant: b.tenant, Connection: web.ConnectionID, Task: task.ID})
	must(t, env.GetWorkflowError())
	if done := b.task(task); done.Status != provider.TaskOK {
		t.Errorf("task: %+v", done)
	}
	if now := b.guest("web"); now.Status != "running" {
		t.Errorf("the inventory was not collected afterwards: %+v", now)
	}
}

func TestTheCollectWorkflowCollects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.connect()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	provider.Register(env, b.Service)
	env.ExecuteWorkflow(provider.CollectWorkflow, provider.CollectInput{Tenant: b.tenant, Connection: c.ID})
	must(t, env.GetWorkflowError())
	if now := b.connection(c); now.Status != provider.StatusOK || len(b.items(cmdb.Filter{Kind: cmdb.Node})) != 3 {
		t.Errorf("connection: %+v", now)
	}
}

// engine stands in for Temporal: it keeps what it was asked to start.
type engine struct {
	sdk.Client
	mu        sync.Mutex
	down      bool
	schedules []string
	started   []string
	actors    []string
}

func (e *engine) ScheduleClient() sdk.ScheduleClient { return schedules{engine: e} }

func (e *engine) ExecuteWorkflow(ctx context.Context, o sdk.StartWorkflowOptions, _ any, _ ...any) (sdk.WorkflowRun, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return nil, errors.New("the engine is down")
	}
	a, _ := actor.From(ctx)
	e.started, e.actors = append(e.started, o.ID), append(e.actors, a.Name)
	return nil, nil
}

func (e *engine) setDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

func (e *engine) has(list *[]string, what string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(*list, what)
}

type schedules struct {
	sdk.ScheduleClient
	engine *engine
}

func (s schedules) Create(_ context.Context, o sdk.ScheduleOptions) (sdk.ScheduleHandle, error) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	if s.engine.down {
		return nil, errors.New("the engine is down")
	}
	if slices.Contains(s.engine.schedules, o.ID) {
		return nil, temporal.ErrScheduleAlreadyRunning
	}
	s.engine.schedules = append(s.engine.schedules, o.ID)
	return nil, nil
}

func (s schedules) GetHandle(_ context.Context, name string) sdk.ScheduleHandle {
	return schedule{engine: s.engine, name: name}
}

type schedule struct {
	sdk.ScheduleHandle
	engine *engine
	name   string
}

func (s schedule) Delete(context.Context) error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.schedules = slices.DeleteFunc(s.engine.schedules, func(n string) bool { return n == s.name })
	return nil
}

func TestConnectionsHaveSchedules(t *testing.T) {
	t.Parallel()
	e := &engine{}
	b := newBenchWith(t, e)
	c := b.connect()
	name := "provider-collect-" + c.ID.String()
	if !e.has(&e.schedules, name) || !e.has(&e.started, name+"-now") {
		t.Errorf("schedules %q, started %q", e.schedules, e.started)
	}
	must(t, b.CollectNow(b.ann, c.ID))
	must(t, b.Delete(b.ann, c.ID))
	if e.has(&e.schedules, name) {
		t.Error("the schedule outlives its connection")
	}
}

func TestSchedulesAreMadeUpForAtTheNextStart(t *testing.T) {
	t.Parallel()
	e := &engine{down: true}
	b := newBenchWith(t, e)
	c := b.connect()
	if err := b.CollectNow(b.ann, c.ID); !fault.Is(err, fault.Unavailable) {
		t.Errorf("while the engine is down: %v", err)
	}
	must(t, b.Start(t.Context()))
	if err := b.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ready while the engine is down: %v", err)
	}
	e.setDown(false)
	deadline := time.Now().Add(5 * time.Second)
	for b.Ready(t.Context()) != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if !e.has(&e.schedules, "provider-collect-"+c.ID.String()) {
		t.Error("the schedule is missing")
	}
	must(t, b.Stop(t.Context()))
	must(t, b.Stop(t.Context()))
}

func TestAnAcceptedTaskIsStartedLater(t *testing.T) {
	t.Parallel()
	e := &engine{}
	b := newBenchWith(t, e)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := b.connect()
	b.collect(c)
	e.setDown(true)
	task := b.power(b.guest("web"), provider.PowerStart)
	e.setDown(false)
	must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `update provider_task set requested_at = now() - interval '1 minute'`)
		return err
	}))
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	provider.Register(env, b.Service)
	env.ExecuteWorkflow(provider.CollectWorkflow, provider.CollectInput{Tenant: b.tenant, Connection: c.ID})
	must(t, env.GetWorkflowError())
	if !e.has(&e.started, "provider-task-"+task.ID.String()) || !e.has(&e.actors, "Ann") {
		t.Errorf("started %q by %q", e.started, e.actors)
	}
}

func TestATaskThatIsGoneEndsItsWorkflow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.RunTask(t.Context(), b.tenant, id.New(), func() {}))
}
