package deployment

import (
	"context"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func TestStackSecretsAreKeptAndMasked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s, err := b.CreateStack(b.alice, Stack{Name: "web", ConnectionID: id.New(), Program: oneVM, Config: map[string]ConfigValue{
		"cores": {Value: 2.0}, "password": {Value: "hunter22", Secret: true},
	}})
	must(t, err)
	if s.Config["password"].Value != Mask || s.Config["cores"].Value != 2.0 || s.Version != 1 || s.Status != StackEmpty {
		t.Fatalf("created %+v", s)
	}
	s.Config["cores"] = ConfigValue{Value: 4.0}
	s, err = b.UpdateStack(b.alice, s)
	must(t, err)
	kept, err := b.readStack(b.alice, b.tenant, s.ID)
	must(t, err)
	run, err := b.runOf(b.alice, b.tenant, kept)
	must(t, err)
	if run.Config["password"].Value != "hunter22" || run.Config["cores"].Value != 4.0 || len(run.Passphrase) != 64 {
		t.Errorf("run %+v", run.Config)
	}
	s.Version = 1
	if _, err := b.UpdateStack(b.alice, s); !fault.Is(err, fault.Conflict) {
		t.Errorf("a stale version: %v", err)
	}
	s.Version, s.Config = 2, map[string]ConfigValue{"other": {Value: Mask, Secret: true}}
	if _, err := b.UpdateStack(b.alice, s); !fault.Is(err, fault.Invalid) {
		t.Errorf("a mask for a secret that is not there: %v", err)
	}
}

func TestNamesAreUniqueUntilDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	again := Stack{Name: strings.ToUpper(s.Name), ConnectionID: s.ConnectionID, Program: oneVM}
	if _, err := b.CreateStack(b.alice, again); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same name: %v", err)
	}
	must(t, b.DeleteStack(b.alice, s.ID))
	if _, err := b.Stack(b.alice, s.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a deleted stack: %v", err)
	}
	if _, err := b.CreateStack(b.alice, again); err != nil {
		t.Errorf("the name of a deleted stack: %v", err)
	}
}

func TestOneDeploymentAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	d := b.deploy(s, Up)
	if _, err := b.Deploy(b.alice, s.ID, Preview, false); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second deployment: %v", err)
	}
	if _, err := b.UpdateStack(b.alice, s); !fault.Is(err, fault.Conflict) {
		t.Errorf("changing the stack meanwhile: %v", err)
	}
	if err := b.DeleteStack(b.alice, s.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("deleting the stack meanwhile: %v", err)
	}
	if shown, err := b.Stack(b.alice, s.ID); err != nil || shown.Status != StackBusy {
		t.Errorf("the stack is %s, %v", shown.Status, err)
	}
	got, err := b.Cancel(b.alice, d.ID)
	must(t, err)
	wantStatus(t, got, Cancelled)
	if _, err := b.Cancel(b.alice, d.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("cancelling twice: %v", err)
	}
	wantStatus(t, b.run(d, nil), Cancelled) // its workflow comes too late
	if b.engine.ups != 0 {
		t.Error("a cancelled deployment ran")
	}
}

func TestAcceptedIsStartedLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.down = true
	d := b.deploy(b.stack(oneVM), Up)
	wantStatus(t, d, Accepted)
	if err := b.Resume(t.Context()); err == nil {
		t.Error("resumed without Temporal")
	}
	b.down = false
	must(t, b.Resume(t.Context()))
}

func TestProgramIsCheckedBeforeItRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack("resources:\n  web:\n    type: proxmoxve:VmLegacy\n    properties: {vmId: 5}\n")
	_, err := b.Deploy(b.alice, s.ID, Up, false)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "between 100") {
		t.Errorf("got %v", err)
	}
	found, err := b.Validate(b.alice, s.Program)
	must(t, err)
	if len(found) != 1 || found[0].Line != 4 || found[0].Severity != "error" {
		t.Errorf("diagnostics %+v", found)
	}
}

// TestRobustness29ReadersOnlyRead covers what looks harmless and is not.
func TestRobustness29ReadersOnlyRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	d := b.deploy(s, Up)
	for name, err := range map[string]error{
		"preview":  second(b.Deploy(b.reader, s.ID, Preview, false)),
		"destroy":  second(b.Deploy(b.reader, s.ID, Destroy, false)),
		"validate": second(b.Validate(b.reader, oneVM)),
		"export":   second(b.State(b.reader, s.ID)),
		"cancel":   second(b.Cancel(b.reader, d.ID)),
		"create":   second(b.CreateStack(b.reader, s)),
		"update":   second(b.UpdateStack(b.reader, s)),
		"delete":   b.DeleteStack(b.reader, s.ID),
	} {
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Deployment(b.reader, d.ID); err != nil {
		t.Errorf("reading: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRobustness16OtherTenants has another tenant's person ask for our ids.
func TestRobustness16OtherTenants(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	d := b.deploy(s, Up)
	other := newBench(t)
	for name, err := range map[string]error{
		"stack":      second(other.Stack(other.alice, s.ID)),
		"state":      second(other.State(other.alice, s.ID)),
		"deploy":     second(other.Deploy(other.alice, s.ID, Up, false)),
		"deployment": second(other.Deployment(other.alice, d.ID)),
		"events":     second(other.EventsOf(other.alice, d.ID, 0, 10)),
		"cancel":     second(other.Cancel(other.alice, d.ID)),
		"nobody's":   second(other.Deployment(other.alice, id.New())),
	} {
		if !fault.Is(err, fault.NotFound) || fault.Message(err) != "It does not exist, or it is not yours." {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, _ := actor.From(b.alice)
	a.TenantID = id.ID{}
	if _, err := b.Stacks(actor.With(t.Context(), a), id.ID{}, 10); !fault.Is(err, fault.Forbidden) {
		t.Errorf("without a tenant: %v", err)
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.stack(oneVM)
	newest := b.stack(oneVM)
	page, err := b.Stacks(b.alice, id.ID{}, 1)
	must(t, err)
	rest, err := b.Stacks(b.alice, page[0].ID, 10)
	must(t, err)
	if page[0].ID != newest.ID || len(rest) != 1 || rest[0].ID != first.ID {
		t.Errorf("pages %v, %v", page, rest)
	}
	d := b.deploy(first, Up)
	runs, err := b.Deployments(b.alice, Filter{StackID: first.ID, Status: Accepted, Limit: 10})
	must(t, err)
	if len(runs) != 1 || runs[0].ID != d.ID || runs[0].RequestedBy.Name != "Alice" {
		t.Errorf("runs %+v", runs)
	}
}

// cancelling is Temporal that comes back after a run was cancelled.
type cancelling struct {
	*bench
	refuses   id.ID // a run that cannot be started
	started   []string
	cancelled []string
}

func (c *cancelling) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	if o.ID == c.refuses.String() {
		return nil, errDown
	}
	c.started = append(c.started, o.ID)
	return nil, nil
}

func (c *cancelling) CancelWorkflow(_ context.Context, workflow, _ string) error {
	c.cancelled = append(c.cancelled, workflow)
	return nil
}

// TestCancelledWithoutTemporalEndsLater: a run that waits for a decision does not
// look at the wish by itself, and keeps its stack until somebody tells it.
func TestCancelledWithoutTemporalEndsLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.deploy(b.stack(oneVM), Up)
	b.set(d.ID, AwaitingApproval)
	_, err := b.Cancel(b.alice, d.ID)
	must(t, err)
	c := &cancelling{bench: b}
	b.Workflows = c
	must(t, b.Resume(t.Context()))
	if !slices.Equal(c.cancelled, []string{d.ID.String()}) {
		t.Errorf("cancelled %v", c.cancelled)
	}
}

// TestOneRunThatCannotBeStartedKeepsNoOther from being started.
func TestOneRunThatCannotBeStartedKeepsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.down = true
	older, newer := b.deploy(b.stack(oneVM), Up), b.deploy(b.stack(oneVM), Up)
	c := &cancelling{bench: b, refuses: newer.ID}
	b.Workflows = c
	if err := b.Resume(t.Context()); err == nil {
		t.Error("nobody is told")
	}
	if !slices.Equal(c.started, []string{older.ID.String()}) {
		t.Errorf("started %v", c.started)
	}
}

// TestConditionsSeeTheNameAsItWillBe: blanks around it do not get around one.
func TestConditionsSeeTheNameAsItWillBe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	notProduction := `!resource.attributes.name.startsWith("prod")`
	carol := b.carol(map[string]string{CreateStack: notProduction, UpdateStack: notProduction})
	_, err := b.CreateStack(carol, Stack{Name: " prod", ConnectionID: id.New(), Program: oneVM})
	b.forbidden("a name with a blank before it", err)
	s, err := b.CreateStack(carol, Stack{Name: "test", ConnectionID: id.New(), Program: oneVM})
	must(t, err)
	s.Name = " prod"
	_, err = b.UpdateStack(carol, s)
	b.forbidden("renaming it so", err)
}

func TestSecretNumbersAreTakenOut(t *testing.T) {
	t.Parallel()
	r := newRedactor(Run{Passphrase: "passphrase", Config: map[string]ConfigValue{"pin": {Value: 12345678.0, Secret: true}}})
	for _, text := range []string{"the PIN 12345678 is wrong", "1.2345678e+07"} {
		if got := r.text(text); !strings.Contains(got, Mask) {
			t.Errorf("%q", got)
		}
	}
	if got := r.value(12345678.0); got != Mask {
		t.Errorf("%v", got)
	}
}
