package pulumi

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nimbus/embedded/pulumi/bridge"
)

func must(t *testing.T) func(Result, error) Result {
	return func(res Result, err error) Result {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%+v", err, res.Diagnostics)
		}
		return res
	}
}

func TestLifeOfAMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	ctx := t.Context()
	run := w.vm("life", 101, 1024)

	wantChanges(t, ok(w.Preview(ctx, run, nil)).Plan, "create web")
	up := ok(w.Up(ctx, run, nil))
	wantChanges(t, up.Plan, "create web")
	if c := up.Plan.Changes[0]; !c.Done || c.ID != "101" {
		t.Fatalf("the change that was made is %+v", c)
	}
	if got := up.Outputs["vm"]; got.Value != float64(101) {
		t.Fatalf("output vm is %v", got)
	}
	w.wantMemory(t, "1024")
	wantChanges(t, ok(w.Up(ctx, run, nil)).Plan) // a second run is quiet

	more := w.vm("life", 101, 2048)
	plan := ok(w.Preview(ctx, more, nil)).Plan
	wantChanges(t, plan, "update web")
	want := []Diff{{Path: "memory.dedicated", Old: 1024.0, New: 2048.0}}
	if diff := cmp.Diff(want, plan.Changes[0].Diffs); diff != "" {
		t.Fatal(diff)
	}
	ok(w.Up(ctx, more, nil))
	w.wantMemory(t, "2048")

	ok(w.Destroy(ctx, more, nil))
	if left := w.cluster.Guests(); len(left) != 0 {
		t.Fatalf("guests are left: %v", left)
	}
}

func (w *world) wantMemory(t *testing.T, want string) {
	t.Helper()
	if got := w.cluster.GuestConfig(101)["memory"]; got != want {
		t.Fatalf("memory of the VM is %q, want %q", got, want)
	}
}

func (w *world) driftTo(t *testing.T, memory string) {
	t.Helper()
	if err := w.cluster.SetGuestConfig(101, "memory", memory); err != nil {
		t.Fatal(err)
	}
}

func TestDriftIsSeenAndRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	ctx := t.Context()
	run := w.vm("drift", 101, 1024)
	ok(w.Up(ctx, run, nil))

	w.driftTo(t, "4096")
	wantChanges(t, ok(w.Preview(ctx, run, nil)).Plan) // not seen without asking
	run.Refresh = true
	plan := ok(w.Preview(ctx, run, nil)).Plan
	wantChanges(t, plan, "update web")
	want := []Diff{{Path: "memory.dedicated", Old: 1024.0, New: 4096.0}}
	if len(plan.Drift) != 1 || !cmp.Equal(want, plan.Drift[0].Diffs) {
		t.Fatalf("drift is %+v", plan.Drift)
	}
	run.ExpectDigest = plan.Digest
	ok(w.Up(ctx, run, nil))
	w.wantMemory(t, "1024")

	w.driftTo(t, "4096")
	run.ExpectDigest = ""
	if drift := ok(w.Refresh(ctx, run, nil)).Plan.Drift; len(drift) != 1 {
		t.Fatalf("refreshing tells of %+v", drift)
	}
	run.Refresh = false
	wantChanges(t, ok(w.Preview(ctx, run, nil)).Plan, "update web")
}

func TestCancelEndsARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("cancel", 101, 1024)
	if w.Cancel(t.Context(), run) {
		t.Fatal("something was cancelled that did not run")
	}
	done := w.upHanging(t, run)
	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrBusy) {
		t.Fatalf("a second run gives %v", err)
	}
	if !w.Cancel(t.Context(), run) {
		t.Fatal("the run was not found")
	}
	if err := <-done; !errors.Is(err, ErrCancelled) {
		t.Fatalf("the cancelled run gives %v", err)
	}
	if left := processes(t, w.dir, cliName); len(left) != 0 {
		t.Fatalf("still running: %v", left)
	}
}

func TestStopWithinItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("stop", 101, 1024)
	done := w.upHanging(t, run)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	began := time.Now()
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-done; !errors.Is(err, ErrCancelled) {
		t.Fatalf("the stopped run gives %v", err)
	}
	if err := w.Ready(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("ready says %v", err)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := marked(envDir, w.dir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestEngineLifeCycle(t *testing.T) {
	t.Parallel()
	e := New(Config{Dir: t.TempDir()})
	ctx := t.Context()
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := e.Ready(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("ready before start says %v", err)
	}
	if _, err := e.Up(ctx, Run{Project: "a", Stack: "b", Passphrase: "c"}, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("a run before start gives %v", err)
	}
	for range 2 {
		if err := e.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := e.Ready(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := e.Outputs(ctx, Run{Project: "a", Stack: "b", Passphrase: "c"}); !errors.Is(err, ErrNoStack) {
		t.Errorf("outputs of a stack without state give %v", err)
	}
	for range 2 {
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestTheCLIIsTheRealOne(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	pulumi := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), e.cliPath(), args...)
		cmd.Env = e.environ(command{id: "cli", run: &Run{Passphrase: "x"}})
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := pulumi("version"); err != nil || out != Version() || len(out) < len("3.1.0") {
		t.Errorf("version gives %q, %v; want %q", out, err, Version())
	}
	if out, err := pulumi("plugin", "ls"); err != nil || !strings.Contains(out, bridge.Version) {
		t.Errorf("plugin ls gives %q, %v", out, err)
	}
	var exit *exec.ExitError
	if out, err := pulumi("no-such-command"); !errors.As(err, &exit) || out == "" {
		t.Errorf("an unknown command gives %q, %v", out, err)
	}
}

func TestInvalidProgramIsNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("invalid", 101, 1024)
	run.Program = []byte("resources: {x: {type: \"aws:s3:Bucket\"}}")
	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrProgram) {
		t.Fatalf("an invalid program gives %v", err)
	}
	run = w.vm("invalid", 101, 1024)
	delete(run.Config, "memory")
	res, err := w.Up(t.Context(), run, nil)
	if !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "memory") || !hasErrors(res.Diagnostics) {
		t.Fatalf("a missing configuration value gives %v, %+v", err, res.Diagnostics)
	}
}

func TestStacksRunAtTheSameTimeAndCarryTheirMarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := []Run{w.vm("left", 101, 512), w.vm("right", 102, 512)}
	runs[1].Program = bytes.Replace(runs[1].Program, []byte("      started: false"), []byte("      started: false\n      tags: [web]"), 1)
	errs := make(chan error, len(runs))
	for i := range runs {
		runs[i].Tags = []string{"nimbus", "nimbus-" + runs[i].Stack}
		go func() {
			_, err := w.Up(t.Context(), runs[i], nil)
			errs <- err
		}()
	}
	for range runs {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[int]string{101: "nimbus;nimbus-left", 102: "nimbus;nimbus-right;web"} {
		tags := strings.Split(w.cluster.GuestConfig(id)["tags"], ";")
		slices.Sort(tags)
		if got := strings.Join(tags, ";"); got != want {
			t.Errorf("tags of %d are %q, want %q", id, got, want)
		}
	}
	for i := range runs {
		wantChanges(t, must(t)(w.Up(t.Context(), runs[i], nil)).Plan)
	}
	expr := runs[0]
	expr.Program = bytes.Replace(expr.Program, []byte("      started: false"), []byte("      started: false\n      tags: ${web.tags}"), 1)
	if _, err := w.Preview(t.Context(), expr, nil); !errors.Is(err, ErrProgram) {
		t.Errorf("tags that cannot be marked give %v", err)
	}
}

func TestMachineWithoutDisksIsQuiet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("diskless", 101, 1024)
	run.Config = nil
	run.Program = []byte(`resources:
  web:
    type: proxmoxve:VmLegacy
    properties: {nodeName: pve1, vmId: 101, started: false, cdrom: {fileId: none}}
`)
	must(t)(w.Up(t.Context(), run, nil))
	wantChanges(t, must(t)(w.Up(t.Context(), run, nil)).Plan)
}
