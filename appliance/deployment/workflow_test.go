package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func wantStatus(t *testing.T, d Deployment, want Status) {
	t.Helper()
	if d.Status != want {
		message := ""
		if d.Error != nil {
			message = *d.Error
		}
		t.Fatalf("it is %s (%s), want %s; steps %+v", d.Status, message, want, d.Steps)
	}
}

func TestDeployApproveRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	d := b.up(s)
	wantStatus(t, d, Succeeded)
	if got := b.cluster.vmids(); !slices.Equal(got, []int{100}) {
		t.Fatalf("guests %v", got)
	}
	if d.Approval == nil || d.Approval.DecidedBy.Name != "Bob" || d.Approval.Self || d.Approval.Comment != "fine" {
		t.Errorf("approval %+v", d.Approval)
	}
	names := []string{}
	for _, step := range d.Steps {
		names = append(names, step.Name+" "+step.Status)
	}
	if want := []string{"preview succeeded", "approval succeeded", "execute succeeded", "verify succeeded"}; !slices.Equal(names, want) {
		t.Errorf("steps %v", names)
	}
	s, err := b.Stack(b.alice, s.ID)
	must(t, err)
	if s.Status != StackDeployed || s.ResourceCount != 1 || *s.LastDeploymentID != d.ID {
		t.Errorf("stack %+v", s)
	}
	events, err := b.EventsOf(b.alice, d.ID, 0, 100)
	must(t, err)
	if len(events) < 3 || events[0].Seq != 1 || !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == "task" && e.Message == "UPID:pve1:100" }) {
		t.Errorf("events %+v", events)
	}
	for _, record := range b.query(`select event || ' ' || (convert_from(body, 'UTF8')::jsonb #>> '{actor,name}') from audit_record where convert_from(body, 'UTF8')::jsonb #>> '{target,kind}' = 'deployment'`) {
		if who := strings.HasSuffix(record, " Alice"); who == strings.Contains(record, "approval.request.approved") {
			t.Errorf("record %q names the wrong person", record)
		}
	}

	again := b.run(b.deploy(s, Up), nil) // quiet, and nobody has to approve nothing
	wantStatus(t, again, Succeeded)
	if again.Approval != nil || b.engine.ups != 1 {
		t.Errorf("a second run: approval %+v, %d ups", again.Approval, b.engine.ups)
	}
	if b.cluster.refreshed != 1 {
		t.Errorf("the inventory was asked to look %d times instead of once, after the change", b.cluster.refreshed)
	}
}

func TestDestroyIsApprovedToo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	wantStatus(t, b.up(s), Succeeded)
	d := b.deploy(s, Destroy)
	got := b.run(d, b.approve(d))
	wantStatus(t, got, Succeeded)
	if !got.Plan.Destructive || len(b.cluster.vmids()) != 0 {
		t.Errorf("destructive %v, guests %v", got.Plan.Destructive, b.cluster.vmids())
	}
	s, err := b.Stack(b.alice, s.ID)
	must(t, err)
	if s.Status != StackDestroyed || s.ResourceCount != 0 {
		t.Errorf("stack %+v", s)
	}
	must(t, b.DeleteStack(b.alice, s.ID))
}

func TestRejected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		if _, err := b.Decide(b.bob, d.ID, approval.Reject, "", "no"); err != nil {
			t.Error(err)
		}
	})
	wantStatus(t, got, Rejected)
	if b.engine.ups != 0 || len(b.cluster.vmids()) != 0 {
		t.Error("something was done")
	}
}

func TestRequesterCannotApprove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		shown, err := b.Deployment(b.alice, d.ID)
		if err != nil || shown.Approval.CanDecide {
			t.Errorf("Alice may decide her own: %v", err)
		}
		if _, err := b.Decide(b.alice, d.ID, approval.Approve, shown.Plan.Digest, ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("Alice approving: %v", err)
		}
		if _, err := b.Decide(b.reader, d.ID, approval.Approve, shown.Plan.Digest, ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a reader approving: %v", err)
		}
		if _, err := b.Decide(b.bob, d.ID, approval.Approve, "another", ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("another digest: %v", err)
		}
		waiting, err := b.Waiting(b.bob)
		if err != nil || len(waiting) != 1 || !waiting[0].Approval.CanDecide {
			t.Errorf("Bob's inbox: %+v, %v", waiting, err)
		}
		if _, err := b.Cancel(b.alice, d.ID); err != nil {
			t.Error(err)
		}
	})
	wantStatus(t, got, Cancelled)
	if got.Approval.Status != approval.Void || b.engine.ups != 0 {
		t.Errorf("approval %s, %d ups", got.Approval.Status, b.engine.ups)
	}
}

func TestConfirmSelf(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.policy = approval.ConfirmSelf
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		shown, err := b.Deployment(b.alice, d.ID)
		must(t, err)
		if _, err := b.Decide(b.alice, d.ID, approval.Approve, shown.Plan.Digest, ""); !fault.Is(err, fault.StepUp) {
			t.Errorf("an old sign-in: %v", err)
		}
		a, _ := actor.From(b.alice)
		a.AuthenticatedAt = time.Now()
		if _, err := b.Decide(actor.With(t.Context(), a), d.ID, approval.Approve, shown.Plan.Digest, ""); err != nil {
			t.Error(err)
		}
	})
	wantStatus(t, got, Succeeded)
	if !got.Approval.Self {
		t.Error("the record does not say that she confirmed herself")
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.later = ApprovalLifetime
	})
	wantStatus(t, got, Expired)
	if got.Approval.Status != approval.Expired || b.engine.ups != 0 {
		t.Errorf("approval %s, %d ups", got.Approval.Status, b.engine.ups)
	}
}

// TestPlanChangedAfterApproval has reality change between the approval and the
// run.
func TestPlanChangedAfterApproval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		b.engine.mu.Lock()
		b.engine.state["stray"] = thingOf{typ: "proxmoxve:PoolLegacy"}
		b.engine.mu.Unlock()
		b.approve(d)()
	})
	wantStatus(t, got, Failed)
	if !strings.Contains(*got.Error, "no longer what was approved") || len(b.cluster.vmids()) != 0 {
		t.Errorf("error %q, guests %v", *got.Error, b.cluster.vmids())
	}
}

// TestRobustness08WorkerLoss has the appliance die while it makes a VM: the next
// attempt takes the VM over and does the rest, once.
func TestRobustness08WorkerLoss(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	died := false
	b.engine.before = func(_ context.Context, name string) error {
		if name != "web" || died {
			return nil
		}
		died = true
		stack := b.query(`select id::text from stack`)[0]
		return b.engine.cutOff(thingOf{typ: "proxmoxve:VmLegacy", vmid: 101, tags: []string{"nimbus", "nimbus-" + strings.ReplaceAll(stack, "-", "")}}, name)
	}
	d := b.up(b.stack(`
resources:
  db:
    type: proxmoxve:VmLegacy
    properties: {nodeName: pve1}
  web:
    type: proxmoxve:VmLegacy
    properties: {nodeName: pve1}
`))
	wantStatus(t, d, Succeeded)
	if !died || b.engine.ups != 2 {
		t.Errorf("died %v, %d ups", died, b.engine.ups)
	}
	for vmid, n := range b.cluster.created {
		if n != 1 {
			t.Errorf("guest %d was made %d times", vmid, n)
		}
	}
	if got := b.cluster.vmids(); !slices.Equal(got, []int{100, 101}) {
		t.Errorf("guests %v", got)
	}
}

// TestRestartMayNotDoMore has the rest of an interrupted run be more than what
// was approved.
func TestRestartMayNotDoMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.engine.before = func(context.Context, string) error {
		b.engine.before = nil
		b.engine.state["stray"] = thingOf{typ: "proxmoxve:PoolLegacy"}
		return ErrInterrupted
	}
	d := b.up(b.stack(oneVM))
	wantStatus(t, d, Failed)
	if b.engine.ups != 1 || len(b.cluster.vmids()) != 0 {
		t.Errorf("%d ups, guests %v", b.engine.ups, b.cluster.vmids())
	}
}

func TestFailureIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(strings.Replace(oneVM, "web", "old", 1))
	wantStatus(t, b.up(s), Succeeded)
	s.Program = `
resources:
  old:
    type: proxmoxve:VmLegacy
    properties: {nodeName: pve1, memory: {dedicated: 2048}}
  a: {type: "proxmoxve:VmLegacy", properties: {nodeName: pve1}}
  b: {type: "proxmoxve:VmLegacy", properties: {nodeName: pve1}}
  z: {type: "proxmoxve:VmLegacy", properties: {nodeName: pve1}}
`
	s, err := b.UpdateStack(b.alice, s)
	must(t, err)
	b.engine.before = func(_ context.Context, name string) error {
		if name == "z" {
			return errors.New("storage full")
		}
		if name == "b" { // somebody takes a's mark off meanwhile
			b.cluster.mu.Lock()
			b.cluster.guests[101] = []string{"mine"}
			b.cluster.mu.Unlock()
		}
		return nil
	}
	d := b.up(s)
	wantStatus(t, d, Failed)
	if !strings.Contains(*d.Error, "storage full") || b.engine.ups != 2 {
		t.Errorf("error %q, %d ups: a verdict is not tried again", *d.Error, b.engine.ups)
	}
	if got := b.cluster.vmids(); !slices.Equal(got, []int{100, 101}) {
		t.Errorf("guests %v: b goes, old and the unmarked a stay", got)
	}
	left := []string{}
	for _, l := range d.Leftovers {
		left = append(left, l.Name)
	}
	slices.Sort(left)
	if !slices.Equal(slices.Compact(left), []string{"a", "b", "old"}) && !slices.Equal(left, []string{"a", "old"}) {
		t.Errorf("leftovers %+v", d.Leftovers)
	}
	s, err = b.Stack(b.alice, s.ID)
	must(t, err)
	if s.Status != StackFailed {
		t.Errorf("stack is %s", s.Status)
	}
}

func TestCancelWhileApplying(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(`
resources:
  a: {type: "proxmoxve:VmLegacy", properties: {nodeName: pve1}}
  b: {type: "proxmoxve:VmLegacy", properties: {nodeName: pve1}}
`)
	d := b.deploy(s, Up)
	b.engine.before = func(ctx context.Context, name string) error {
		if name != "b" {
			return nil
		}
		go func() {
			if _, err := b.Cancel(b.alice, d.ID); err != nil {
				t.Error(err)
			}
		}()
		<-ctx.Done()
		return fmt.Errorf("%w: %w", ErrInterrupted, ctx.Err())
	}
	got := b.run(d, b.approve(d))
	wantStatus(t, got, Cancelled)
	if len(b.cluster.vmids()) != 0 {
		t.Errorf("guests %v are left", b.cluster.vmids())
	}
}

func TestVerifyFindsADifference(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.engine.verify = []Change{{URN: urn("web"), Name: "web", Op: OpUpdate, Diffs: []Diff{{Path: "started"}}}}
	d := b.up(b.stack(oneVM))
	wantStatus(t, d, Failed)
	if !strings.Contains(*d.Error, "update of web (started)") || len(b.cluster.vmids()) != 1 {
		t.Errorf("error %q, guests %v", *d.Error, b.cluster.vmids())
	}
}

func TestPreviewShowsDrift(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	wantStatus(t, b.up(s), Succeeded)
	b.engine.drift = []Change{{URN: urn("web"), Type: "proxmoxve:VmLegacy", Name: "web", Op: OpUpdate, Diffs: []Diff{{Path: "memory", Old: 1, New: 2}}}}
	d, err := b.Deploy(b.alice, s.ID, Preview, true)
	must(t, err)
	got := b.run(d, nil)
	wantStatus(t, got, Succeeded)
	if !got.Plan.Drift || got.Plan.Drifted[0].Name != "web" || b.engine.ups != 1 {
		t.Errorf("plan %+v", got.Plan)
	}
}

func TestTakenVMIDIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cluster.guests[500] = []string{"somebody-else"}
	s := b.stack(strings.Replace(oneVM, "nodeName: pve1", "nodeName: pve1, vmId: 500", 1))
	d := b.run(b.deploy(s, Up), nil)
	wantStatus(t, d, Failed)
	if !strings.Contains(*d.Error, "VMID 500") || d.Plan != nil {
		t.Errorf("error %q, plan %+v", *d.Error, d.Plan)
	}
}

// TestVMIDTakenAfterApproval has somebody make a guest under our VMID between
// the approval and the run.
func TestVMIDTakenAfterApproval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	got := b.run(d, func() {
		b.cluster.mu.Lock()
		b.cluster.guests[100] = []string{"somebody-else"}
		b.cluster.mu.Unlock()
		b.approve(d)()
	})
	wantStatus(t, got, Failed)
	if b.engine.ups != 0 || len(b.cluster.guests) != 1 {
		t.Errorf("%d ups, guests %v", b.engine.ups, b.cluster.guests)
	}
}

func TestGuestWithoutMarkIsNotDestroyed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	wantStatus(t, b.up(s), Succeeded)
	b.cluster.guests[100] = []string{"nimbus"} // a reused VMID, or a removed mark
	d := b.run(b.deploy(s, Destroy), nil)
	wantStatus(t, d, Failed)
	if !strings.Contains(*d.Error, "does not carry this stack's mark") || len(b.cluster.vmids()) != 1 {
		t.Errorf("error %q", *d.Error)
	}
}

func TestRobustness15SecretsStayInside(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const canary = "pass-canary-93ab"
	s, err := b.CreateStack(b.alice, Stack{
		Name: "secret", ConnectionID: b.tenant, Program: oneVM,
		Config: map[string]ConfigValue{"password": {Value: canary, Secret: true}},
	})
	must(t, err)
	b.engine.leak = canary + " and " + apiToken
	b.engine.before = func(context.Context, string) error { return errors.New("refused: " + b.engine.leak) }
	d := b.up(s)
	wantStatus(t, d, Failed)
	b.engine.before = nil
	wantStatus(t, b.up(s), Succeeded)

	everything := slices.Clone(b.history)
	if len(everything) < 6 {
		t.Errorf("only %d results of steps were seen", len(everything))
	}
	for _, table := range []string{"stack", "deployment", "deployment_event", "approval_request"} {
		everything = append(everything, b.query(`select to_jsonb(t)::text from `+table+` t`)...)
	}
	everything = append(everything, b.query(`select convert_from(body, 'UTF8') from audit_record`)...)
	for _, e := range b.events {
		everything = append(everything, string(e.Data))
	}
	shown, err := json.Marshal(d)
	must(t, err)
	stack, err := b.Stack(b.alice, s.ID)
	must(t, err)
	stackShown, err := json.Marshal(stack)
	must(t, err)
	everything = append(everything, string(shown), string(stackShown), fmt.Sprint(*d.Error))
	for _, text := range everything {
		if strings.Contains(text, "canary") {
			t.Errorf("a secret got out: %s", text)
		}
	}
	if !strings.Contains(*d.Error, Mask) {
		t.Errorf("error %q", *d.Error)
	}
}

// TestARunEndsWithoutItsCluster: a connection that is closed while a run waits
// must not keep the run, and with it the stack, for ever.
func TestARunEndsWithoutItsCluster(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	d := b.deploy(s, Up)
	got := b.run(d, func() {
		b.approve(d)()
		b.Environment = func(context.Context, id.ID, id.ID) (map[string]string, error) {
			return nil, fault.New(fault.Conflict, "The connection home is closed: it shows another certificate.")
		}
	})
	wantStatus(t, got, Failed)
	if !strings.Contains(*got.Error, "another certificate") || b.engine.ups != 0 {
		t.Errorf("error %q, %d ups", *got.Error, b.engine.ups)
	}
	must(t, b.DeleteStack(b.alice, s.ID))
	s = b.stack(oneVM)
	b.query(`update stack set last_deployment_id = id where id = '` + s.ID.String() + `' returning id::text`)
	if _, err := b.State(b.alice, s.ID); err != nil {
		t.Errorf("its state cannot be had: %v", err)
	}
}

// TestARefreshDropsOnlyWhatWasShownAsGone has a machine vanish between the
// approval of a refresh and the refresh.
func TestARefreshDropsOnlyWhatWasShownAsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	wantStatus(t, b.up(s), Succeeded)
	web := Change{URN: urn("web"), Type: "proxmoxve:VmLegacy", Name: "web", Op: OpUpdate, Diffs: []Diff{{Path: "memory", Old: 1, New: 2}}}
	gone := Change{URN: web.URN, Type: web.Type, Name: web.Name, Op: OpDelete}
	refresh := func(before, after Change) Deployment {
		b.engine.drift = []Change{before}
		d := b.deploy(s, Refresh)
		return b.run(d, func() {
			b.engine.mu.Lock()
			b.engine.drift = []Change{after}
			b.engine.mu.Unlock()
			b.approve(d)()
		})
	}
	d := refresh(web, gone)
	wantStatus(t, d, Failed)
	if !strings.Contains(*d.Error, "no longer what was approved") || b.engine.drift == nil {
		t.Errorf("error %q", *d.Error)
	}
	wantStatus(t, refresh(web, web), Succeeded)
	wantStatus(t, refresh(gone, gone), Succeeded)
	if b.engine.drift != nil {
		t.Error("nothing was refreshed")
	}
}

// TestRobustness08WorkerLossOfALargeVMID is TestRobustness08WorkerLoss with a
// number that JSON and fmt write in another way.
func TestRobustness08WorkerLossOfALargeVMID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const vmid = 1_234_567
	died := false
	b.engine.before = func(_ context.Context, name string) error {
		if died {
			return nil
		}
		died = true
		stack := b.query(`select id::text from stack`)[0]
		err := b.engine.cutOff(thingOf{typ: "proxmoxve:VmLegacy", vmid: vmid, tags: []string{"nimbus", "nimbus-" + strings.ReplaceAll(stack, "-", "")}}, name)
		b.engine.pending[0].Inputs["vmId"] = float64(vmid) // as the state has it
		return err
	}
	s, err := b.CreateStack(b.alice, Stack{Name: "large", ConnectionID: id.New(), Program: strings.Replace(oneVM, "nodeName: pve1", "nodeName: pve1, vmId: '${number}'", 1),
		Config: map[string]ConfigValue{"number": {Value: float64(vmid)}}})
	must(t, err)
	wantStatus(t, b.up(s), Succeeded)
	if n := b.cluster.created[vmid]; n != 1 || !died {
		t.Errorf("it was made %d times, died %v", n, died)
	}
}
