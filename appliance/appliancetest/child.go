package appliancetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	Shared   Shared
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
	p := Launch(t, c)
	line, err := p.out.ReadString('\n')
	var r ready
	if err == nil {
		err = json.Unmarshal([]byte(line), &r)
	}
	if err != nil {
		t.Fatalf("the appliance did not start: %v %q", err, line)
	}
	p.Appliance = &Appliance{URL: r.URL, Root: r.Root, Tenant: r.Tenant, Dir: c.Dir}
	return p
}

// Launch starts an appliance and does not wait for it.
func Launch(t testing.TB, c Child) *Process {
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
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{command: command, out: bufio.NewReader(out)}
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the whole process group at once, as a power cut would. A second
// one does nothing.
func (p *Process) Kill() {
	if p.command.ProcessState == nil {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		_ = p.command.Wait()
	}
}

// Children is how many processes it has started that still run.
func (p *Process) Children() (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		raw, err := os.ReadFile(path)
		at := strings.LastIndex(string(raw), ") ")
		if err != nil || at < 0 {
			continue
		}
		// State, parent, group.
		if fields := strings.Fields(string(raw[at+2:])); len(fields) > 2 && fields[2] == fmt.Sprint(p.command.Process.Pid) {
			n++
		}
	}
	return n - 1
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
	a := appliance.New(appliance.Config{DataDir: c.Dir, Listen: "127.0.0.1:0", Version: "test", Role: c.Shared.Role, DatabaseURL: c.Shared.DatabaseURL,
		TemporalAddress: c.Shared.TemporalAddress, Temporal: c.Shared.Temporal, ValkeyURL: c.Shared.ValkeyURL, SharedDir: c.Shared.FilesDir})
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup"})
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
