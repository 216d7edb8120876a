package deployment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// cluster is a Proxmox cluster as far as deployments ask it. Like the real
// thing together with its provider it lets a guest be taken over by its VMID.
type cluster struct {
	mu        sync.Mutex
	guests    map[int][]string // tags by VMID
	reserved  map[int]id.ID
	created   map[int]int // how often each was made
	tasks     []provider.TaskStatus
	gone      bool // away
	refreshed int  // how often the inventory was asked to look
}

func newCluster() *cluster {
	return &cluster{guests: map[int][]string{}, reserved: map[int]id.ID{}, created: map[int]int{}}
}

func (c *cluster) Reserve(_ context.Context, _, _, stack id.ID, number int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return 0, fault.New(fault.Unavailable, "The cluster does not answer.")
	}
	for n := max(number, 100); ; n++ {
		owner, kept := c.reserved[n]
		if _, exists := c.guests[n]; !exists && (!kept || owner == stack) {
			c.reserved[n] = stack
			return n, nil
		}
		if number != 0 {
			return 0, fault.New(fault.Conflict, "The number %d is taken.", number)
		}
	}
}

func (c *cluster) Exists(_ context.Context, _, _ id.ID, number int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, exists := c.guests[number]
	return exists, nil
}

func (c *cluster) Owns(_ context.Context, _, _, stack id.ID, number int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags, exists := c.guests[number]
	if !exists {
		return false, fault.New(fault.NotFound, "There is no guest %d.", number)
	}
	owner, marked := provider.MarkedBy(tags)
	return marked && owner == stack, nil
}

func (c *cluster) HalfMade(context.Context, id.ID, id.ID, id.ID, int) (provider.Guest, bool, error) {
	return provider.Guest{}, false, nil
}

func (c *cluster) NoteTasks(context.Context, id.ID, id.ID, id.ID, id.ID, time.Time) ([]provider.TaskStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tasks), nil
}

func (c *cluster) Refresh(context.Context, id.ID, id.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshed++
}

// create makes a guest, or takes the one that is there.
func (c *cluster) create(vmid int, tags []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, exists := c.guests[vmid]; exists {
		return
	}
	c.guests[vmid] = tags
	c.created[vmid]++
	c.tasks = append(c.tasks, provider.TaskStatus{Ref: fmt.Sprintf("UPID:pve1:%d", vmid), Type: "qmcreate", Subject: strconv.Itoa(vmid), Exit: "OK", OK: true})
}

func (c *cluster) remove(vmid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.guests, vmid)
}

func (c *cluster) vmids() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.guests))
}

// thingOf is a resource as the fake engine knows it.
type thingOf struct {
	typ        string
	vmid       int
	tags       []string
	properties string // canonical text
}

// engine runs programs against the cluster: it knows creating, changing and
// deleting, keeps a state, leaves locks and pending creates behind, and says
// secrets aloud where it is told to.
type engine struct {
	cluster *cluster

	mu      sync.Mutex
	state   map[string]thingOf // by name
	pending []Pending
	locked  bool
	ups     int
	drift   []Change
	verify  []Change // what a preview with refresh still finds after a run

	// before, when set, is called before each creation in Up.
	before func(ctx context.Context, name string) error
	leak   string // said in events, diffs, outputs and errors
}

func newEngine(c *cluster) *engine { return &engine{cluster: c, state: map[string]thingOf{}} }

func (e *engine) parse(program []byte) (map[string]thingOf, error) {
	var doc struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
	}
	if err := yaml.Unmarshal(program, &doc); err != nil {
		return nil, err
	}
	found := map[string]thingOf{}
	for name, r := range doc.Resources {
		t := thingOf{typ: r.Type, properties: fmt.Sprint(r.Properties)}
		t.vmid, _ = r.Properties["vmId"].(int)
		tags, _ := r.Properties["tags"].([]any)
		for _, tag := range tags {
			t.tags = append(t.tags, fmt.Sprint(tag))
		}
		found[name] = t
	}
	return found, nil
}

func urn(name string) string { return "urn:pulumi:s::p::t::" + name }

// plan is called with the lock held.
func (e *engine) plan(r Run) ([]Change, map[string]thingOf, error) {
	want := map[string]thingOf{}
	if !r.Destroy {
		var err error
		if want, err = e.parse(r.Program); err != nil {
			return nil, nil, err
		}
	}
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w := want[name]
		have, ok := e.state[name]
		switch {
		case !ok:
			changes = append(changes, Change{URN: urn(name), Type: w.typ, Name: name, Op: OpCreate, Diffs: []Diff{{Path: "secret", New: e.leak}}})
		case have.vmid != w.vmid:
			changes = append(changes, Change{URN: urn(name), Type: w.typ, Name: name, Op: OpReplace})
		case have.properties != w.properties:
			changes = append(changes, Change{URN: urn(name), Type: w.typ, Name: name, Op: OpUpdate})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.state)) {
		if _, ok := want[name]; !ok {
			changes = append(changes, Change{URN: urn(name), Type: e.state[name].typ, Name: name, Op: OpDelete})
		}
	}
	return changes, want, nil
}

func (e *engine) result(r Run, changes []Change) Result {
	res := Result{Changes: changes, Digest: sum(fmt.Sprint(r.Destroy, string(r.Program), changes)), Outputs: map[string]any{"said": e.leak}}
	if r.Refresh {
		res.Drift = e.drift
	}
	return res
}

// usable is called with the lock held.
func (e *engine) usable(r Run) error {
	if e.locked || len(e.pending) > 0 {
		return fmt.Errorf("%w: the stack is locked", ErrInterrupted)
	}
	if r.Passphrase == "" || r.Env["PROXMOX_VE_API_TOKEN"] == "" {
		return errors.New("no credentials")
	}
	return nil
}

func (e *engine) Preview(_ context.Context, r Run, on func(EngineEvent)) (Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(r); err != nil {
		return Result{}, err
	}
	changes, _, err := e.plan(r)
	if on != nil {
		on(EngineEvent{Time: time.Now(), Kind: "diagnostic", Status: "info", Message: "previewing " + e.leak})
	} else if r.Refresh && len(e.verify) > 0 {
		changes = e.verify
	}
	return e.result(r, changes), err
}

func (e *engine) Up(ctx context.Context, r Run, on func(EngineEvent)) (Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(r); err != nil {
		return Result{}, err
	}
	e.ups++
	changes, want, err := e.plan(r)
	res := e.result(r, changes)
	if err != nil || r.ExpectDigest != "" && res.Digest != r.ExpectDigest {
		return Result{}, errors.Join(err, ErrPlanChanged)
	}
	for _, c := range changes {
		on(EngineEvent{Time: time.Now(), Kind: "resource", Status: "started", URN: c.URN, Type: c.Type, Name: c.Name, Op: c.Op, Message: e.leak})
		if e.before != nil {
			if err := e.before(ctx, c.Name); err != nil {
				res.Failed = append(res.Failed, c.URN)
				return res, err
			}
		}
		e.do(c, want[c.Name])
	}
	return res, nil
}

func (e *engine) do(c Change, t thingOf) {
	guest := guestTypes[canonical(c.Type)].kind != ""
	if guest && (c.Op == OpDelete || c.Op == OpReplace) {
		e.cluster.remove(e.state[c.Name].vmid)
	}
	if guest && (c.Op == OpCreate || c.Op == OpReplace) {
		e.cluster.create(t.vmid, t.tags)
	}
	if c.Op == OpDelete {
		delete(e.state, c.Name)
		return
	}
	e.state[c.Name] = t
}

// cutOff makes the guest and loses the engine before its state says so.
func (e *engine) cutOff(r thingOf, name string) error {
	e.cluster.create(r.vmid, r.tags)
	e.locked = true
	e.pending = append(e.pending, Pending{URN: urn(name), Type: r.typ, Name: name, Op: OpCreate, Inputs: map[string]any{"vmId": r.vmid}})
	return fmt.Errorf("%w: killed", ErrInterrupted)
}

func (e *engine) Destroy(_ context.Context, r Run, on func(EngineEvent)) (Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(r); err != nil {
		return Result{}, err
	}
	r.Destroy = true
	changes, _, err := e.plan(r)
	res := e.result(r, changes)
	if err != nil || r.ExpectDigest != "" && res.Digest != r.ExpectDigest {
		return Result{}, errors.Join(err, ErrPlanChanged)
	}
	for _, c := range changes {
		if len(r.Targets) == 0 || slices.Contains(r.Targets, c.URN) {
			e.do(c, thingOf{})
		}
	}
	on(EngineEvent{Time: time.Now(), Kind: "summary", Status: "done"})
	return res, nil
}

func (e *engine) Refresh(_ context.Context, r Run, _ func(EngineEvent)) (Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drift = nil
	return Result{}, nil
}

func (e *engine) Recover(context.Context, Run) ([]Pending, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.locked = false
	return slices.Clone(e.pending), nil
}

func (e *engine) Adopt(_ context.Context, r Run, u, resource string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.unpend(u)
	vmid, err := strconv.Atoi(resource)
	if err == nil {
		e.state[p.Name] = thingOf{typ: p.Type, vmid: vmid, properties: "read"}
	}
	return err
}

func (e *engine) Clear(_ context.Context, _ Run, u string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unpend(u)
	return nil
}

func (e *engine) unpend(u string) (found Pending) {
	e.pending = slices.DeleteFunc(e.pending, func(p Pending) bool {
		if p.URN == u {
			found = p
		}
		return p.URN == u
	})
	return found
}

func (e *engine) Resources(context.Context, Run) ([]Resource, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Resource
	for _, name := range slices.Sorted(maps.Keys(e.state)) {
		t := e.state[name]
		all = append(all, Resource{URN: urn(name), Type: t.typ, Name: name, ID: strconv.Itoa(t.vmid)})
	}
	return all, nil
}

func (e *engine) Export(context.Context, Run) ([]byte, error) {
	return []byte(`{"version":3,"deployment":{}}`), nil
}

func (e *engine) Validate(program []byte) []Diagnostic {
	if _, err := e.parse(program); err != nil {
		return []Diagnostic{{Severity: "error", Line: 1, Message: "not YAML"}}
	}
	return nil
}

func (e *engine) Schema() (Schema, error) { return Schema{}, nil }
