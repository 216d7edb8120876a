package appliancetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// childEnv makes a test binary an appliance of its own; see Spawn.
const childEnv = "NIMBUS_TEST_APPLIANCE"

// Child is what an appliance in a process of its own is told.
type Child struct {
	Dir        string
	Connection provider.NewConnection
	// Database is true for one that only brings its database up to date.
	Database bool
	// Log is a file for warnings and errors; empty keeps none.
	Log    string
	Shared Shared
	// Move is set for one that moves to services outside instead of serving, and
	// KillAt at which stage of that it kills itself.
	Move   *appliance.Outside
	KillAt string
}

// Shared is what a node uses together with others; empty for one that is alone.
type Shared struct {
	Role                                              appliance.Role
	DatabaseURL, TemporalAddress, ValkeyURL, FilesDir string
	Temporal                                          appliance.TemporalAccess
}

// ready is what it tells back.
type ready struct {
	URL          string
	Root, Tenant id.ID
}

// Process is an appliance in a process of its own, which can be killed.
type Process struct {
	*Appliance
	command *exec.Cmd
	out     *bufio.Reader
}

// Spawn starts an appliance on a directory, with its people and a connection
// made at the first start, and waits until it serves.
func Spawn(t testing.TB, c Child) *Process {
	t.Helper()
	p, err := launch(t, c, nil).wait(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// SpawnOn is Spawn on a disk that may fail. The error says that it did not start.
func SpawnOn(t testing.TB, c Child, d *Disk) (*Process, error) {
	t.Helper()
	return launch(t, c, d).wait(c)
}

// Launch starts an appliance and does not wait for it.
func Launch(t testing.TB, c Child) *Process {
	t.Helper()
	return launch(t, c, nil)
}

func (p *Process) wait(c Child) (*Process, error) {
	line, err := p.out.ReadString('\n')
	var r ready
	if err == nil {
		err = json.Unmarshal([]byte(line), &r)
	}
	if err != nil {
		p.Kill()
		return p, fmt.Errorf("the appliance did not start: %w %q", err, line)
	}
	p.Appliance = &Appliance{URL: r.URL, Root: r.Root, Tenant: r.Tenant, Dir: c.Dir}
	return p, nil
}

func launch(t testing.TB, c Child, d *Disk) *Process {
	t.Helper()
	told, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+string(told))
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err == nil && d != nil {
		err = d.under(t, command)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = command.Start()
	for _, f := range command.ExtraFiles {
		f.Close() // the child's
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{command: command, out: bufio.NewReader(out)}
	t.Cleanup(p.Kill)
	return p
}

// Freeze stops the appliance and all that it started where they are, until thaw.
func (p *Process) Freeze() (thaw func()) {
	self := p.command.Process.Pid
	_ = syscall.Kill(self, syscall.SIGSTOP)
	all := append(descendants(self), self)
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// Kill ends the appliance with all that it started, as a power cut would: none
// of them has a chance to end well. A second one does nothing.
func (p *Process) Kill() {
	if p.command.ProcessState != nil {
		return
	}
	self := p.command.Process.Pid
	_ = syscall.Kill(self, syscall.SIGSTOP) // it starts nothing more
	all := descendants(self)
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = syscall.Kill(-self, syscall.SIGKILL)
	_ = p.command.Wait()
	for slices.ContainsFunc(all, lives) {
		time.Sleep(time.Millisecond)
	}
}

// lives tells whether there is a process that is not only waiting to be noticed.
func lives(pid int) bool {
	state, _ := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return state != "" && state != "Z"
}

// stat reads the state and the parent of a process.
func stat(path string) (state string, parent int) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	_, _ = fmt.Sscan(rest, &state, &parent)
	return state, parent
}

// descendants are all processes that one started, and those that they did. Postgres
// is among them, in groups and sessions of its own.
func descendants(of int) (all []int) {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if state, parent := stat(path); err == nil && state != "" {
			children[parent] = append(children[parent], pid)
		}
	}
	for next := []int{of}; len(next) > 0; {
		mine := children[next[0]]
		all, next = append(all, mine...), append(next[1:], mine...)
	}
	return all
}

// PID is that of the process, which leads a group of its own.
func (p *Process) PID() int { return p.command.Process.Pid }

// Children is how many processes it has started that still run.
func (p *Process) Children() (n int) {
	for _, pid := range descendants(p.command.Process.Pid) {
		if lives(pid) {
			n++
		}
	}
	return n
}

// runChild is the appliance's side of Spawn.
func runChild(told string) int {
	if err := serveChild(told); err != nil {
		fmt.Fprintln(os.Stderr, "appliance:", err)
		return 1
	}
	return 0
}

func serveChild(told string) error {
	var c Child
	if err := json.Unmarshal([]byte(told), &c); err != nil {
		return err
	}
	logger, err := c.logger()
	if err != nil {
		return err
	}
	a := appliance.New(appliance.Config{DataDir: c.Dir, Listen: "127.0.0.1:0", Version: "test", Logger: logger, Role: c.Shared.Role, DatabaseURL: c.Shared.DatabaseURL,
		TemporalAddress: c.Shared.TemporalAddress, Temporal: c.Shared.Temporal, ValkeyURL: c.Shared.ValkeyURL, SharedDir: c.Shared.FilesDir})
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	if c.Move != nil {
		return c.move(ctx, a)
	}
	if err := a.Open(ctx); err != nil {
		return err
	}
	r, err := c.start(ctx, a)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	time.Sleep(10 * time.Minute) // it is killed
	return nil
}

func (c Child) logger() (*slog.Logger, error) {
	if c.Log == "" {
		return nil, nil
	}
	f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelWarn})), err
}

func (c Child) start(ctx context.Context, a *appliance.Appliance) (ready, error) {
	if c.Database {
		return ready{}, a.StartDatabase(ctx, func(string, int) {})
	}
	if err := a.Boot(ctx); err != nil {
		return ready{}, err
	}
	return c.settle(ctx, a)
}

// settle makes what a first start makes, and finds it at a later one.
func (c Child) settle(ctx context.Context, a *appliance.Appliance) (ready, error) {
	r := ready{URL: "https://" + a.Front().Addr(), Root: a.Core().Tenants.Root()}
	if r.Root.IsZero() {
		made, err := populate(ctx, a)
		if err != nil {
			return r, err
		}
		r.Root, r.Tenant = made.Root, made.Tenant
		_, err = a.Core().Provider.Create(actor.With(ctx, actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: r.Tenant}), c.Connection)
		return r, err
	}
	all, err := a.Core().DB.Tenants(ctx)
	for _, tenant := range all {
		if !strings.EqualFold(tenant.String(), r.Root.String()) {
			r.Tenant = tenant
		}
	}
	return r, err
}
