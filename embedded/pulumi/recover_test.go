package pulumi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits for a condition; the limit is for slow machines.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

// processes gives the processes below an engine's directory by program name.
func processes(t *testing.T, dir, program string) []int {
	t.Helper()
	all, err := marked(envDir, dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(pid int) bool {
		cmd, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		name, _, _ := strings.Cut(string(cmd), "\x00")
		return err != nil || filepath.Base(name) != program
	})
}

func kill(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) != 1 {
		t.Fatalf("%d processes to kill, want one", len(pids))
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// upHanging starts an Up whose VM creation hangs in the cluster, and returns
// once the cluster was asked for it.
func (w *world) upHanging(t *testing.T, run Run) <-chan error {
	t.Helper()
	w.cluster.HangNextTask("qmcreate")
	done := make(chan error, 1)
	go func() {
		_, err := w.Up(context.Background(), run, nil)
		done <- err
	}()
	w.awaitCreate(t, &run)
	return done
}

func (w *world) awaitCreate(t *testing.T, run *Run) {
	t.Helper()
	eventually(t, "the creation of the VM", func() bool {
		s, err := w.readState(run)
		return w.creates() > 0 && err == nil && len(s.creating()) > 0
	})
}

// onePending recovers and gives the one pending create.
func (w *world) onePending(t *testing.T, run Run) Pending {
	t.Helper()
	rec, err := w.Recover(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Pending) != 1 {
		t.Fatalf("recovery is %+v, want one pending create", rec)
	}
	p := rec.Pending[0]
	if p.Op != OpCreate || p.Name != "web" || p.Inputs["vmId"] != 101.0 || p.Inputs["nodeName"] != "pve1" {
		t.Fatalf("pending is %+v", p)
	}
	return p
}

// endsWithOneVM adopts the VM, brings the stack up twice and destroys it: there
// was never a second VM, and none is left.
func (w *world) endsWithOneVM(t *testing.T, run Run, p Pending) {
	t.Helper()
	ok := must(t)
	if err := w.Adopt(t.Context(), run, p.URN, "101"); err != nil {
		t.Fatal(err)
	}
	up := ok(w.Up(t.Context(), run, nil))
	for _, c := range up.Plan.Changes {
		if c.Op != OpUpdate {
			t.Errorf("%s of %s after adopting: %+v", c.Op, c.Name, c.Diffs)
		}
	}
	if got := w.cluster.Guests(); !slices.Equal(got, []int{101}) {
		t.Fatalf("guests are %v, want the one VM", got)
	}
	if n := w.creates(); n != 1 {
		t.Fatalf("the VM was asked for %d times", n)
	}
	wantChanges(t, ok(w.Up(t.Context(), run, nil)).Plan)
	ok(w.Destroy(t.Context(), run, nil))
	if left := w.cluster.Guests(); len(left) != 0 {
		t.Fatalf("guests are left: %v", left)
	}
	rec, err := w.Recover(t.Context(), run)
	if err != nil || len(rec.Pending) != 0 || rec.Unlocked || rec.Stopped != 0 {
		t.Fatalf("something is left to recover: %+v, %v", rec, err)
	}
}

func TestRobustness08CLIKilledInMidCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("cli", 101, 1024)
	done := w.upHanging(t, run)
	kill(t, processes(t, w.dir, cliName))
	if err := <-done; !errors.Is(err, ErrEngineFailed) {
		t.Fatalf("the killed run gives %v", err)
	}
	if left := processes(t, w.dir, providerName); len(left) != 0 {
		t.Fatalf("providers go on: %v", left)
	}
	w.cluster.ReleaseTasks()
	eventually(t, "the VM", func() bool { return len(w.cluster.Guests()) == 1 })

	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("an update without recovery gives %v", err)
	}
	if err := os.RemoveAll(w.workDir(&run)); err != nil { // recovery needs the state only
		t.Fatal(err)
	}
	p := w.onePending(t, run)
	if _, err := w.Up(t.Context(), run, nil); !errors.Is(err, ErrPending) {
		t.Fatalf("an update with a pending create gives %v", err)
	}
	w.endsWithOneVM(t, run, p)
}

func TestRobustness08ProviderKilledInMidCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("provider", 101, 1024)
	done := w.upHanging(t, run)
	time.Sleep(100 * time.Millisecond) // the engine's record of the creation is read meanwhile
	kill(t, processes(t, w.dir, providerName))
	err := <-done
	var failed *Error
	if !errors.As(err, &failed) || len(failed.Failures) == 0 || failed.Failures[0].Name != "web" {
		t.Fatalf("the failed run gives %v", err)
	}
	w.cluster.ReleaseTasks()
	eventually(t, "the VM", func() bool { return len(w.cluster.Guests()) == 1 })
	p := w.onePending(t, run)
	if !p.Uncertain {
		t.Errorf("pending is %+v, want it uncertain", p)
	}
	w.endsWithOneVM(t, run, p)
}

func TestRobustness08ApplianceKilledInMidCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("parent", 101, 1024)
	dir := t.TempDir()
	w.cluster.HangNextTask("qmcreate")
	parent := startParent(t, dir, run)
	w.Engine = New(Config{Dir: dir}) // the appliance's next life
	if err := w.locate(); err != nil {
		t.Fatal(err)
	}
	w.awaitCreate(t, &run)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the end of the CLI and the provider", func() bool {
		left, err := marked(envDir, w.dir)
		return err == nil && len(left) == 0
	})
	w.cluster.ReleaseTasks()
	eventually(t, "the VM", func() bool { return len(w.cluster.Guests()) == 1 })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Stop(context.Background()) })
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), w.socketPrefix()+"*")); err != nil || len(left) != 0 {
		t.Errorf("sockets are left: %v, %v", left, err)
	}
	w.endsWithOneVM(t, run, w.onePending(t, run))
}

// startParent runs an Up in another process of this test binary, see TestMain.
func startParent(t *testing.T, dir string, run Run) *exec.Cmd {
	t.Helper()
	data, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), parentEnv+"="+dir, parentRun+"="+string(data))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func TestClearedCreateIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("clear", 101, 1024)
	w.cluster.FailNextTask("qmcreate", "out of space")
	_, err := w.Up(t.Context(), run, nil)
	var failed *Error
	if !errors.As(err, &failed) || len(failed.Failures) != 1 || failed.Failures[0].Name != "web" ||
		!strings.Contains(failed.Error(), "out of space") {
		t.Fatalf("the failed task gives %v", err)
	}
	p := w.onePending(t, run)
	if err := w.Clear(t.Context(), run, p.URN); err != nil {
		t.Fatal(err)
	}
	if err := w.Clear(t.Context(), run, p.URN); err == nil {
		t.Fatal("the same create is cleared twice")
	}
	must(t)(w.Up(t.Context(), run, nil))
	if got := w.cluster.Guests(); !slices.Equal(got, []int{101}) {
		t.Fatalf("guests are %v", got)
	}
}

func TestStartStopsOrphans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	orphan := exec.Command("/bin/sleep", "60")
	orphan.Env = []string{envDir + "=" + dir, envRun + "=old"}
	other := exec.Command("/bin/sleep", "60")
	other.Env = []string{envDir + "=" + dir + "-other"}
	for _, cmd := range []*exec.Cmd{orphan, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
	}
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	e := New(Config{Dir: dir})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Stop(context.Background())
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the orphan is still there")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("a process of somebody else was stopped: %v", err)
	}
}

func TestRobustness08CLIKilledInMidStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("start", 101, 1024)
	run.Program = bytes.Replace(run.Program, []byte("started: false"), []byte("started: true"), 1)
	w.cluster.HangNextTask("qmstart")
	done := make(chan error, 1)
	go func() {
		_, err := w.Up(context.Background(), run, nil)
		done <- err
	}()
	eventually(t, "the start of the VM", func() bool { return w.asked("POST", "/status/start") > 0 })
	kill(t, processes(t, w.dir, cliName))
	if err := <-done; !errors.Is(err, ErrEngineFailed) {
		t.Fatalf("the killed run gives %v", err)
	}
	w.cluster.ReleaseTasks()
	w.endsWithOneVM(t, run, w.onePending(t, run))
}

func TestRobustness08CLIKilledInMidDestroy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("gone", 101, 1024)
	must(t)(w.Up(t.Context(), run, nil))
	w.cluster.HangNextTask("qmdestroy")
	done := make(chan error, 1)
	go func() {
		_, err := w.Destroy(context.Background(), run, nil)
		done <- err
	}()
	eventually(t, "the deletion of the VM", func() bool { return w.asked("DELETE", "/qemu/101") > 0 })
	kill(t, processes(t, w.dir, cliName))
	if err := <-done; !errors.Is(err, ErrEngineFailed) {
		t.Fatalf("the killed run gives %v", err)
	}
	w.cluster.ReleaseTasks()
	eventually(t, "the end of the VM", func() bool { return len(w.cluster.Guests()) == 0 })
	rec, err := w.Recover(t.Context(), run)
	if err != nil || !rec.Unlocked || len(rec.Pending) != 1 || rec.Pending[0].Op != OpDelete || rec.Pending[0].ID != "101" {
		t.Fatalf("recovery is %+v, %v", rec, err)
	}
	run.Refresh = true
	must(t)(w.Destroy(t.Context(), run, nil))
	if left, err := w.Resources(t.Context(), run); err != nil || len(left) != 0 {
		t.Fatalf("the state still has %+v, %v", left, err)
	}
}
