package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func (b *bench) power(item cmdb.Item, action provider.PowerAction) provider.Task {
	b.t.Helper()
	task, err := b.Power(b.ann, item.ID, action)
	must(b.t, err)
	return task
}

// run runs a task as its workflow does and returns how it ended.
func (b *bench) run(task provider.Task) provider.Task {
	b.t.Helper()
	must(b.t, b.RunTask(b.t.Context(), b.tenant, task.ID, func() {}))
	return b.task(task)
}

func (b *bench) task(task provider.Task) provider.Task {
	b.t.Helper()
	now, err := b.Task(b.ann, task.ID)
	must(b.t, err)
	return now
}

// withGuest is a bench whose inventory has one machine named web.
func withGuest(t *testing.T, g pvesim.ForeignGuest) (*bench, cmdb.Item) {
	t.Helper()
	b := newBench(t)
	g.Name = "web"
	must(t, b.sim.CreateForeignGuest(g))
	b.collect(b.connect())
	return b, b.guest("web")
}

func (b *bench) starts() int {
	n := 0
	for _, r := range b.sim.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/status/start") {
			n++
		}
	}
	return n
}

func TestPowerIsAcceptedBeforeTheClusterIsAsked(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	before := len(b.sim.Requests())
	task := b.power(web, provider.PowerStart)
	if task.Status != provider.TaskRunning || task.UPID != "" || task.ActorName != "Ann" || task.ItemID != web.ID {
		t.Errorf("accepted: %+v", task)
	}
	if len(b.sim.Requests()) != before {
		t.Error("the cluster was asked while somebody waited")
	}
	if trail := b.trail("cmdb.ci.power-requested"); len(trail) != 1 || !strings.Contains(trail[0], `"Ann"`) || !strings.Contains(trail[0], task.ID.String()) {
		t.Errorf("trail: %q", trail)
	}
	done := b.run(task)
	if done.Status != provider.TaskOK || done.ExitStatus != "OK" || !strings.HasPrefix(done.UPID, "UPID:pve1:") || done.EndedAt.IsZero() {
		t.Errorf("done: %+v", done)
	}
	if trail := b.trail("provider.task.finished"); len(trail) != 1 || !strings.Contains(trail[0], done.UPID) || !strings.Contains(trail[0], `"Ann"`) {
		t.Errorf("trail: %q", trail)
	}
	if n := len(b.published("task.updated")); n != 3 { // accepted, started, ended
		t.Errorf("task.updated came %d times", n)
	}
}

func TestATaskThatFailsIsAFailure(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100, Running: true})
	done := b.run(b.power(web, provider.PowerStart))
	if done.Status != provider.TaskFailed || !strings.Contains(done.ExitStatus, "already running") {
		t.Errorf("starting what runs: %+v", done)
	}
	lines, err := b.TaskLog(b.ann, done.ID)
	must(t, err)
	if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "TASK ERROR") {
		t.Errorf("log: %q", lines)
	}
	var told []string
	for _, e := range b.published("task.log") {
		var data provider.LogLines
		must(t, json.Unmarshal(e.Data, &data))
		if e.Watched != "task" || data.From != len(told) {
			t.Errorf("event: %+v %+v", e, data)
		}
		told = append(told, data.Lines...)
	}
	if strings.Join(told, "\n") != strings.Join(lines, "\n") {
		t.Errorf("told %q, kept %q", told, lines)
	}
}

func TestRobustness47AHangingTaskIsFollowedAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	b.sim.HangNextTask("qmstart")
	task := b.power(web, provider.PowerStart)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.RunTask(ctx, b.tenant, task.ID, func() {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("interrupted: %v", err)
	}
	if now := b.task(task); now.Status != provider.TaskRunning || now.UPID == "" {
		t.Errorf("while it hangs: %+v", now)
	}
	b.sim.ReleaseTasks()
	if done := b.run(task); done.Status != provider.TaskOK || b.starts() != 1 {
		t.Errorf("after a restart: %+v, %d starts", done, b.starts())
	}
}

func TestRobustness08ACallThatWasMadeIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	task := b.power(web, provider.PowerStart)
	b.run(task)
	// As if the process had died between the cluster's answer and our note of it.
	must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `update provider_task set upid = null, status = 'running', ended_at = null where id = $1`, task.ID)
		return err
	}))
	if done := b.run(task); done.Status != provider.TaskOK || b.starts() != 1 {
		t.Errorf("done: %+v, %d starts", done, b.starts())
	}
}

func TestPowerWhenTheNodeIsAway(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100, Node: "pve2"})
	must(t, b.sim.SetNodeOffline("pve2", true))
	done := b.run(b.power(web, provider.PowerStart))
	if done.Status != provider.TaskFailed || !strings.Contains(done.ExitStatus, "does not answer") {
		t.Errorf("done: %+v", done)
	}
}

func TestPowerRefuses(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	node := b.items(cmdb.Filter{Kind: cmdb.Node})[0]
	if _, err := b.Power(b.ann, node.ID, provider.PowerStart); !fault.Is(err, fault.Invalid) {
		t.Errorf("a node: %v", err)
	}
	if _, err := b.Power(b.ann, web.ID, "explode"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown action: %v", err)
	}
	if _, err := b.Power(b.ann, id.New(), provider.PowerStart); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown item: %v", err)
	}
}

func TestContainersAreSwitchedToo(t *testing.T) {
	t.Parallel()
	b, ct := withGuest(t, pvesim.ForeignGuest{VMID: 200, Kind: "lxc"})
	if done := b.run(b.power(ct, provider.PowerStart)); done.Status != provider.TaskOK || !strings.Contains(done.UPID, ":vzstart:200:") {
		t.Errorf("done: %+v", done)
	}
}

func TestTasksAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	var want []id.ID
	for _, action := range []provider.PowerAction{provider.PowerStart, provider.PowerStop, provider.PowerStart} {
		want = append([]id.ID{b.power(web, action).ID}, want...)
	}
	first, err := b.Tasks(b.ann, web.ID, "", 2)
	must(t, err)
	if len(first.Items) != 2 || first.Next == nil || first.Items[0].ID != want[0] {
		t.Fatalf("first page: %+v", first)
	}
	last, err := b.Tasks(b.ann, web.ID, *first.Next, 2)
	must(t, err)
	if len(last.Items) != 1 || last.Next != nil || last.Items[0].ID != want[2] {
		t.Errorf("last page: %+v", last)
	}
	if none, err := b.Tasks(b.ann, id.New(), "", 0); err != nil || len(none.Items) != 0 {
		t.Errorf("another item: %+v, %v", none, err)
	}
	if _, err := b.Tasks(b.ann, id.ID{}, "x", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("a strange cursor: %v", err)
	}
}

func TestNoteTasksBelongsThemToADeployment(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	began := time.Now().Add(-time.Minute)
	connection := web.ConnectionID
	done := b.run(b.power(web, provider.PowerStart)) // stands in for what the engine starts
	must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `delete from provider_task`)
		return err
	}))
	deployment := id.New()
	for range 2 {
		tasks, err := b.NoteTasks(b.ann, b.tenant, connection, id.New(), deployment, began)
		must(t, err)
		if len(tasks) != 1 || tasks[0].Ref != done.UPID || !tasks[0].OK {
			t.Errorf("noted: %+v", tasks)
		}
	}
	page, err := b.Tasks(b.ann, id.ID{}, "", 0)
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].DeploymentID != deployment || page.Items[0].ActorName != "Ann" {
		t.Errorf("kept: %+v", page.Items)
	}
	if n := len(b.trail("provider.task.noted")); n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestNoteTasksLeavesWhatIsOthers: what the token does for another stack, and for
// somebody who switches a machine, is not the deployment's.
func TestNoteTasksLeavesWhatIsOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, mine, other := b.connect(), id.New(), id.New()
	began := time.Now()
	note := func(stack id.ID) (subjects []string) {
		t.Helper()
		tasks, err := b.NoteTasks(b.ann, b.tenant, c.ID, stack, stack, began)
		must(t, err)
		for _, found := range tasks {
			subjects = append(subjects, found.Type+" "+found.Subject)
		}
		return subjects
	}
	_, err := b.Reserve(t.Context(), b.tenant, c.ID, mine, 100)
	must(t, err)
	_, err = b.Reserve(t.Context(), b.tenant, c.ID, other, 101)
	must(t, err)
	b.createVM(100)
	b.createVM(101)
	if got := note(mine); !slices.Equal(got, []string{"qmcreate 100"}) {
		t.Errorf("of one: %q", got)
	}
	if got := note(other); !slices.Equal(got, []string{"qmcreate 101"}) {
		t.Errorf("of the other: %q", got)
	}
	b.collect(c)
	machine := b.items(cmdb.Filter{Kind: cmdb.VM})[0]
	task := b.power(machine, provider.PowerStart)
	state := func(sql string) {
		t.Helper()
		must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, sql, task.ID)
			return err
		}))
	}
	done := b.run(task)
	state(`update provider_task set upid = null, status = 'running', ended_at = null where id = $1`) // its answer is on the way
	if got := note(mine); slices.Contains(got, "qmstart 100") {
		t.Errorf("somebody's switching: %q", got)
	}
	must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `update provider_task set upid = $2 where id = $1`, task.ID, done.UPID)
		return err
	}))
	note(mine)
	if now, err := b.Task(b.ann, task.ID); err != nil || now.Status != provider.TaskRunning {
		t.Errorf("somebody else says how it ended: %+v, %v", now, err)
	}
}

// TestConditionsSeeTheMachine lets somebody switch machines of one name, and
// never off.
func TestConditionsSeeTheMachine(t *testing.T) {
	t.Parallel()
	b, web := withGuest(t, pvesim.ForeignGuest{VMID: 100})
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 101, Name: "database"}))
	must(t, b.Collect(t.Context(), b.tenant, web.ConnectionID, true))
	carol := actor.Actor{Kind: actor.User, ID: id.New(), Name: "Carol", TenantID: b.tenant}
	_, err := b.rights.CreateGrant(actor.AsSystem(t.Context(), "test", b.tenant), permission.DirectGrant{
		Subject: permission.Subject{Kind: permission.UserSubject, ID: carol.ID},
		Grant: permission.Grant{Permission: "*:*:*", Effect: permission.Allow,
			Condition: `resource.attributes.name == "web" && resource.attributes.action != "stop"`},
	})
	must(t, err)
	ctx := actor.With(t.Context(), carol)
	_, err = b.Power(ctx, web.ID, provider.PowerStart)
	must(t, err)
	if _, err := b.Power(ctx, web.ID, provider.PowerStop); !fault.Is(err, fault.Forbidden) {
		t.Errorf("switching it off: %v", err)
	}
	if _, err := b.Power(ctx, b.guest("database").ID, provider.PowerStart); !fault.Is(err, fault.Forbidden) {
		t.Errorf("switching another machine: %v", err)
	}
}
