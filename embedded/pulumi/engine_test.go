package pulumi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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

	preview := ok(w.Preview(ctx, run, nil))
	wantChanges(t, preview.Plan, "create web")
	run.ExpectDigest = preview.Plan.Digest
	up := ok(w.Up(ctx, run, nil))
	wantChanges(t, up.Plan, "create web")
	if c := up.Plan.Changes[0]; !c.Done || c.ID != "101" {
		t.Fatalf("the change that was made is %+v", c)
	}
	if got := w.cluster.GuestConfig(101)["memory"]; got != "1024" {
		t.Fatalf("memory of the VM is %q", got)
	}
	if got := up.Outputs["vm"]; got.Value != float64(101) {
		t.Fatalf("output vm is %v", got)
	}

	run.ExpectDigest = ""
	wantChanges(t, ok(w.Up(ctx, run, nil)).Plan) // quiet

	more := w.vm("life", 101, 2048)
	plan := ok(w.Preview(ctx, more, nil)).Plan
	wantChanges(t, plan, "update web")
	if d := plan.Changes[0].Diffs; len(d) != 1 || d[0].Path != "memory.dedicated" || d[0].Old != 1024.0 || d[0].New != 2048.0 {
		t.Fatalf("diffs are %+v", d)
	}
	ok(w.Up(ctx, more, nil))
	if got := w.cluster.GuestConfig(101)["memory"]; got != "2048" {
		t.Fatalf("memory of the VM is %q", got)
	}

	if err := w.cluster.SetGuestConfig(101, "memory", "4096"); err != nil {
		t.Fatal(err)
	}
	wantChanges(t, ok(w.Preview(ctx, more, nil)).Plan) // not seen without asking
	more.Refresh = true
	drifted := ok(w.Preview(ctx, more, nil)).Plan
	wantChanges(t, drifted, "update web")
	if len(drifted.Drift) != 1 || drifted.Drift[0].Name != "web" {
		t.Fatalf("drift is %+v", drifted.Drift)
	}

	refreshed := ok(w.Refresh(ctx, more, nil))
	if len(refreshed.Plan.Drift) != 1 {
		t.Fatalf("refreshing tells of %+v", refreshed.Plan.Drift)
	}
	more.Refresh = false
	wantChanges(t, ok(w.Preview(ctx, more, nil)).Plan, "update web")

	ok(w.Destroy(ctx, more, nil))
	if left := w.cluster.Guests(); len(left) != 0 {
		t.Fatalf("guests are left: %v", left)
	}
}

func TestRobustness15SecretsStaySecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("secret", 102, 512)
	var seen strings.Builder
	note := func(e Event) {
		line, err := json.Marshal(e)
		if err != nil {
			t.Error(err)
		}
		seen.Write(line)
	}
	preview := must(t)(w.Preview(t.Context(), run, note))
	up := must(t)(w.Up(t.Context(), run, note))
	for _, v := range []any{preview, up} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(data)
	}
	exported, err := w.Export(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(exported)
	for _, secret := range []string{canary, run.Passphrase, run.Env["PROXMOX_VE_API_TOKEN"]} {
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%q is in events, results or the export", secret)
		}
		inFiles(t, w.dir, secret)
	}
	if o := up.Outputs["password"]; !o.Secret || o.Value != nil {
		t.Errorf("the secret output is %+v", o)
	}
	opened, err := w.Outputs(t.Context(), run)
	if err != nil || opened["password"].Value != canary {
		t.Errorf("the opened output is %+v, %v", opened, err)
	}
	if err := os.RemoveAll(w.workDir(&run)); err != nil { // the state alone has to do
		t.Fatal(err)
	}
	wantChanges(t, must(t)(w.Up(t.Context(), run, nil)).Plan)
	run.Passphrase = "wrong"
	if _, err := w.Outputs(t.Context(), run); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase gives %v", err)
	}
	if _, err := w.Preview(t.Context(), run, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase gives %v", err)
	}
	if err := os.RemoveAll(w.workDir(&run)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Preview(t.Context(), run, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase without the stack's file gives %v", err)
	}
}

// inFiles fails when a file below dir holds the text.
func inFiles(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			t.Errorf("%q is in %s", text, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestApprovalIsBoundToThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("approve", 103, 1024)
	digest := ok(w.Preview(t.Context(), run, nil)).Plan.Digest

	other := w.vm("approve", 103, 2048)
	other.ExpectDigest = digest
	if _, err := w.Up(t.Context(), other, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("another configuration under the approval gives %v", err)
	}
	if n := w.creates(); n != 0 {
		t.Fatalf("%d machines were asked for", n)
	}
	run.ExpectDigest = digest
	ok(w.Up(t.Context(), run, nil))
	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("the approval used twice gives %v", err)
	}
	if _, err := w.Destroy(t.Context(), run, nil); !errors.Is(err, ErrPlanChanged) {
		t.Fatalf("an update's approval used to destroy gives %v", err)
	}
	run.Destroy = true
	gone := ok(w.Preview(t.Context(), run, nil)).Plan
	wantChanges(t, gone, "delete web")
	run.ExpectDigest = gone.Digest
	ok(w.Destroy(t.Context(), run, nil))
}

func TestStateCanBeMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("moved", 104, 1024)
	ok(w.Up(t.Context(), run, nil))
	exported, err := w.Export(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	history, err := w.History(t.Context(), run)
	if err != nil || len(history) != 1 || history[0].Kind != "update" || history[0].Result != "succeeded" {
		t.Fatalf("history is %+v, %v", history, err)
	}

	w.Engine = startEngine(t) // another appliance
	wrong := run
	wrong.Passphrase = "wrong"
	if err := w.Import(t.Context(), wrong, exported); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("an import with a wrong passphrase gives %v", err)
	}
	if err := w.Import(t.Context(), run, []byte(`{"version":99}`)); err == nil {
		t.Fatal("an unknown version is imported")
	}
	if err := w.Import(t.Context(), run, exported); err != nil {
		t.Fatal(err)
	}
	wantChanges(t, ok(w.Up(t.Context(), run, nil)).Plan)
	resources, err := w.Resources(t.Context(), run)
	if err != nil || len(resources) != 1 || resources[0].ID != "104" {
		t.Fatalf("resources are %+v, %v", resources, err)
	}
	ok(w.Destroy(t.Context(), run, nil))
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

func TestApprovalOutlivesAnUnrelatedState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("again", 105, 1024)
	run.ExpectDigest = ok(w.Preview(t.Context(), run, nil)).Plan.Digest
	refresh := run
	refresh.ExpectDigest = ""
	ok(w.Refresh(t.Context(), refresh, nil)) // writes the state anew
	ok(w.Up(t.Context(), run, nil))
	if got := w.cluster.Guests(); !slices.Equal(got, []int{105}) {
		t.Fatalf("guests are %v", got)
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
