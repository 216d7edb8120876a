package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// job is one step's hold on a run: the rows, the engine's view of the stack
// with its secrets, and the way out for events, redacted.
type job struct {
	*Service
	tenant id.ID
	d      Deployment
	stack  Stack
	run    Run
	// What has to be kept out of everything that is written down.
	secrets *redactor
	log     *recorder
	pins    map[string]int // VMIDs by guest; after pin
}

// load reads what a step needs. The actor must be in the context.
func (s *Service) load(ctx context.Context, in Input) (*job, error) {
	j, err := s.loadStored(ctx, in)
	if err != nil {
		return nil, err
	}
	j.run.Env, err = s.Environment(ctx, in.Tenant, j.stack.ConnectionID)
	j.secrets = newRedactor(j.run)
	return j, err
}

// loadStored is load without the way to the cluster: a run can end, too, whose
// cluster is away for good or shows another certificate.
func (s *Service) loadStored(ctx context.Context, in Input) (*job, error) {
	if _, err := actor.Require(ctx); err != nil {
		return nil, err
	}
	j := &job{Service: s, tenant: in.Tenant}
	err := s.DB.Tenant(ctx, in.Tenant, func(ctx context.Context) (err error) {
		if j.d, err = s.store.deployment(ctx, in.Deployment, false); err != nil {
			return err
		}
		j.stack, err = s.store.stack(ctx, j.d.StackID, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	j.run, err = s.runOf(ctx, in.Tenant, j.stack)
	j.secrets = newRedactor(j.run)
	return j, err
}

// change edits the run's row in one transaction with its record and event; fn
// gets the row as it is now. Without a name there is no audit record.
func (j *job) change(ctx context.Context, name string, e audit.Entry, fn func(ctx context.Context, d *Deployment) error) error {
	return j.DB.Tenant(ctx, j.tenant, func(ctx context.Context) error {
		d, err := j.store.deployment(ctx, j.d.ID, true)
		if err != nil {
			return err
		}
		if err := fn(ctx, &d); err != nil {
			return err
		}
		if err := j.store.updateDeployment(ctx, d); err != nil {
			return err
		}
		j.d = d
		if name == "" {
			return j.publish(ctx, d)
		}
		return j.record(ctx, d, name, e)
	})
}

// enter moves the run to a step's status.
func (j *job) enter(ctx context.Context, to Status) error {
	return j.change(ctx, "", audit.Entry{}, func(_ context.Context, d *Deployment) error {
		return d.advance(to, j.now(), "")
	})
}

// recover settles what an earlier attempt or run left unfinished: the machine
// that it was making is adopted when it exists with our mark, else forgotten.
// It never makes a second one.
func (j *job) recover(ctx context.Context) error {
	pending, err := j.Engine.Recover(ctx, j.run)
	if err != nil {
		return err
	}
	for _, p := range pending {
		if p.Op != OpCreate {
			continue
		}
		resource, err := j.remnant(ctx, p)
		if err != nil {
			return err
		}
		if resource == "" {
			err = j.Engine.Clear(ctx, j.run, p.URN)
		} else {
			err = j.Engine.Adopt(ctx, j.run, p.URN, resource)
		}
		if err != nil {
			return err
		}
		j.log.say(p, resource)
	}
	return nil
}

// remnant is the provider's id of what a pending create made, "" for nothing.
func (j *job) remnant(ctx context.Context, p Pending) (string, error) {
	spec, ok := guestTypes[canonical(p.Type)]
	if !ok {
		return thing(p), nil
	}
	vmid, err := strconv.Atoi(written(p.Inputs[spec.id]))
	if err != nil {
		return "", nil // without a VMID from us the engine was never allowed to begin
	}
	if err := j.settle(ctx, vmid); err != nil {
		return "", err
	}
	owned, err := j.Guests.Owns(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, vmid)
	if fault.Is(err, fault.NotFound) || err == nil && !owned {
		return "", nil
	}
	return strconv.Itoa(vmid), err
}

// settleLimit is how long the cluster's own task may go on after the engine
// that started it is gone.
const settleLimit = 30 * time.Minute

// settle waits until no task that makes or changes the guest is running: the
// cluster goes on with what it was asked for.
func (j *job) settle(ctx context.Context, vmid int) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		tasks, err := j.Guests.NoteTasks(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, j.d.ID, j.d.CreatedAt)
		if err != nil {
			return err
		}
		// A clone's task names its source, so any running task counts.
		if !slices.ContainsFunc(tasks, func(t provider.TaskStatus) bool { return t.Running }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "A task of the cluster on guest %d does not end.", vmid)
		case <-time.After(time.Second):
		}
	}
}

// thing is the id of a resource that is no guest and was cut off while it was
// made. Reading it afterwards drops it again when it does not exist. One that
// failed is somebody else's or nothing.
func thing(p Pending) string {
	if p.Uncertain {
		return ""
	}
	pool, _ := p.Inputs["poolId"].(string)
	if canonical(p.Type) == "proxmoxve:index/poolLegacy:PoolLegacy" {
		return pool
	}
	return ""
}

// pin gives every guest of the program its VMID, for ever the same, and puts
// the program into the run.
func (j *job) pin(ctx context.Context) error {
	p, err := parseProgram(j.stack.Program, j.run.Config)
	if err != nil && j.d.Operation == Destroy {
		return nil // what is destroyed is in the state
	}
	if err != nil {
		return err
	}
	if j.pins, err = j.pinsOf(ctx, p); err != nil {
		return err
	}
	j.run.Program, err = p.pinned(j.pins, j.stack.ID)
	return err
}

func (j *job) pinsOf(ctx context.Context, p *program) (map[string]int, error) {
	var kept map[string]int
	err := j.DB.Tenant(ctx, j.tenant, func(ctx context.Context) (err error) {
		kept, err = j.store.pins(ctx, j.stack)
		return err
	})
	pins := map[string]int{}
	used := map[int]bool{}
	for _, g := range p.guests {
		used[g.vmid] = true
	}
	for _, g := range p.guests {
		if err != nil {
			return nil, err
		}
		if pins[g.name] = g.vmid; g.vmid != 0 {
			continue
		}
		if pins[g.name] = kept[g.name]; kept[g.name] == 0 {
			pins[g.name], err = j.reserve(ctx, g.name, used)
		}
		used[pins[g.name]] = true
	}
	return pins, err
}

// maxTries bounds how many VMIDs are tried.
const maxTries = 50

// reserve finds a VMID for a guest that no other guest of the stack has, and
// keeps it.
func (j *job) reserve(ctx context.Context, name string, used map[int]bool) (int, error) {
	ask := 0
	for range maxTries {
		vmid, err := j.Guests.Reserve(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, ask)
		switch {
		case err == nil && !used[vmid]:
			return vmid, j.DB.Tenant(ctx, j.tenant, func(ctx context.Context) error {
				return j.store.addPin(ctx, j.stack, name, vmid)
			})
		case err == nil:
			ask = vmid + 1
		case ask != 0 && fault.Is(err, fault.Conflict):
			ask++
		default:
			return 0, err
		}
	}
	return 0, fault.New(fault.Conflict, "No free VMID was found for %q. Give it one in the program.", name)
}

// state is the stack's guests by name, with their VMIDs, and all its URNs.
func (j *job) state(ctx context.Context) (guests map[string]int, urns []string, err error) {
	resources, err := j.Engine.Resources(ctx, j.run)
	if err != nil {
		return nil, nil, err
	}
	guests = map[string]int{}
	for _, r := range resources {
		urns = append(urns, r.URN)
		if guestTypes[canonical(r.Type)].kind == "" {
			continue
		}
		if guests[r.Name], err = strconv.Atoi(r.ID); err != nil {
			return nil, nil, fault.New(fault.Conflict, "The guest %q has the unknown id %q in the stack's state. Export the state and correct it.", r.Name, r.ID)
		}
	}
	return guests, urns, nil
}

// untaken refuses a program that would make a guest whose VMID is somebody
// else's: the provider would take the other guest over.
func (j *job) untaken(ctx context.Context) error {
	guests, _, err := j.state(ctx)
	if err != nil || j.d.Operation == Destroy || j.d.Operation == Refresh {
		return err
	}
	for _, name := range sortedKeys(j.pins) {
		vmid := j.pins[name]
		if guests[name] == vmid {
			continue
		}
		if _, err := j.Guests.Reserve(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, vmid); err != nil {
			return j.occupied(ctx, err, vmid, name)
		}
	}
	return nil
}

// occupied says what to do about a VMID that cannot be had.
func (j *job) occupied(ctx context.Context, why error, vmid int, name string) error {
	detail, err := j.halfMade(ctx, vmid)
	if err != nil {
		return err
	}
	if detail != "" {
		return taken(why, "VMID %d, meant for %q, is taken. %s", vmid, name, detail)
	}
	return taken(why, "VMID %d, meant for %q, is taken by a guest that is not part of this stack, or kept for another stack. "+
		"Nothing was changed. Choose another VMID, or remove that guest if it is a leftover.", vmid, name)
}

// halfMade says how a guest is removed that its node left half made, "" when it
// is none.
func (j *job) halfMade(ctx context.Context, vmid int) (string, error) {
	g, ok, err := j.Guests.HalfMade(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, vmid)
	if err != nil || !ok {
		return "", err
	}
	command := "qm"
	if g.Kind == cmdb.Container {
		command = "pct"
	}
	return fmt.Sprintf("Node %[1]s went down while guest %[2]d was being made, and Proxmox VE keeps it, unfinished and locked. "+
		"As root on %[1]s run `%[3]s unlock %[2]d` and `%[3]s destroy %[2]d`, then deploy again.", g.Node, vmid, command), nil
}

// guard refuses a plan that touches a guest without the stack's mark.
func (j *job) guard(ctx context.Context, p Plan) error {
	if err := j.untaken(ctx); err != nil {
		return err
	}
	guests, _, err := j.state(ctx)
	if err != nil {
		return err
	}
	for _, c := range p.Changes {
		if guestTypes[canonical(c.Type)].kind == "" || c.Op == OpCreate {
			continue
		}
		if err := j.marked(ctx, c.Name, guests[c.Name]); err != nil {
			return err
		}
	}
	return nil
}

// marked refuses a guest that exists and is not the stack's. One that is gone is
// nobody's.
func (j *job) marked(ctx context.Context, name string, vmid int) error {
	owned, err := j.Guests.Owns(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, vmid)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || owned {
		return err
	}
	return fault.New(fault.Conflict, "Guest %d (%q) does not carry this stack's mark, so Nimbus does not touch it. "+
		"If it is this stack's, give it the tags %s.", vmid, name, strings.Join(provider.MarkTags(j.stack.ID), " and "))
}

// allMarked checks every guest of the state after a run: one that somebody made
// in the same moment under the same VMID was taken over by the provider.
func (j *job) allMarked(ctx context.Context) error {
	guests, _, err := j.state(ctx)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(guests) {
		if err := j.marked(ctx, name, guests[name]); err != nil {
			return err
		}
	}
	return nil
}

// planOf is a preview's result as people and approvals see it.
func (j *job) planOf(res Result) Plan {
	p := Plan{Changes: j.secrets.changes(res.Changes), Drifted: j.secrets.changes(res.Drift), Drift: len(res.Drift) > 0}
	p.Summary.Same = res.Counts[OpSame]
	for _, c := range p.Changes {
		switch c.Op {
		case OpCreate:
			p.Summary.Create++
		case OpReplace:
			p.Summary.Replace++
		case OpDelete:
			p.Summary.Delete++
		default:
			p.Summary.Update++
		}
		p.Destructive = p.Destructive || c.destroys()
	}
	p.Digest = j.digest(p, res.Digest)
	return p
}

// digest binds an approval to the operation, the stack with its version (and so
// its program, parameters and target), what the engine would do and what the
// person was shown.
func (j *job) digest(p Plan, engine string) string {
	p.Digest = ""
	raw, err := json.Marshal([]any{
		"nimbus plan v1", j.d.Operation, j.d.Refresh, j.stack.ID, j.d.run.stackVersion, j.stack.ConnectionID, engine, p,
	})
	if err != nil {
		return "" // cannot be: everything came from JSON; an empty digest is never approved
	}
	return sum(string(raw))
}

// explain is an error in words that may be written down and shown.
func (j *job) explain(err error) string {
	text := err.Error()
	var f *fault.Error
	if errors.As(err, &f) {
		text = f.Message
	}
	return cut(j.secrets.text(strings.TrimSpace(text)), maxMessage)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func itoa(n int) string { return strconv.Itoa(n) }

// diagnosticOf is a fault of parseProgram with its place.
func diagnosticOf(err error) Diagnostic {
	d := Diagnostic{Severity: "error", Message: fault.Message(err)}
	var f *fault.Error
	if errors.As(err, &f) && len(f.Fields) > 0 {
		_, place, _ := strings.Cut(f.Fields[0].Location, ":")
		line, column, _ := strings.Cut(place, ":")
		d.Line, _ = strconv.Atoi(line) // at wrote numbers
		d.Column, _ = strconv.Atoi(column)
	}
	return d
}
