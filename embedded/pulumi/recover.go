package pulumi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Recovery is what Recover did and what is left for the caller to decide.
type Recovery struct {
	Stopped  int       `json:"stopped"`  // processes of the interrupted operation
	Unlocked bool      `json:"unlocked"` // a lock was left and is removed
	Pending  []Pending `json:"pending,omitempty"`
}

// Pending is a change that was begun and of which the state does not know how
// it ended. A pending create blocks the stack until Adopt or Clear; the others
// settle with the next run that has Refresh.
type Pending struct {
	URN    string         `json:"urn"`
	Type   string         `json:"type"`
	Name   string         `json:"name"`
	Op     Op             `json:"op"`
	ID     string         `json:"id,omitempty"` // of a resource that existed before
	Inputs map[string]any `json:"inputs"`       // secrets masked; vmId and nodeName among them
	// Uncertain marks a create that failed rather than being cut off: the
	// provider may have asked for it before it died. It does not block the stack.
	Uncertain bool `json:"uncertain,omitempty"`
}

// Recover brings a stack whose operation was killed to a known point: it stops
// what is left of that operation, removes the lock and lists what was in the
// middle of being changed. It is safe to call at any time, also when there is
// nothing to recover; a running operation of this Engine gives ErrBusy.
//
// For each pending create the caller looks whether the resource exists (by the
// vmid among its Inputs, and once the cluster's own task has ended) and calls
// Adopt or Clear.
func (e *Engine) Recover(ctx context.Context, r Run) (Recovery, error) {
	ctx, end, err := e.begin(ctx, &r)
	if err != nil {
		return Recovery{}, err
	}
	defer end()
	var rec Recovery
	j, err := e.readJournal(&r)
	if err != nil {
		return rec, err
	}
	if j.ID != "" {
		if rec.Stopped, err = stopMarked(ctx, envRun, j.ID); err != nil {
			return rec, fmt.Errorf("stop the interrupted operation on %s: %w", r.key(), err)
		}
	}
	if rec.Unlocked, err = e.unlock(&r); err != nil {
		return rec, err
	}
	rec.Pending, err = e.pendings(&r, j)
	return rec, err
}

// pendings lists those in the state and those in the journal.
func (e *Engine) pendings(r *Run, j entry) ([]Pending, error) {
	s, err := e.readState(r)
	if errors.Is(err, ErrNoStack) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Pending
	for _, op := range s.doc.PendingOperations {
		list = append(list, pendingOf(op))
	}
	for _, op := range j.Uncertain {
		urn := string(op.Resource.URN)
		if s.find(urn) == nil && s.pending(urn) == nil {
			p := pendingOf(op)
			p.Uncertain = true
			list = append(list, p)
		}
	}
	return list, nil
}

func pendingOf(op apitype.OperationV2) Pending {
	res := op.Resource
	p := Pending{
		URN: string(res.URN), Type: string(res.Type), Name: nameOf(string(res.URN)),
		ID: string(res.ID), Op: OpUpdate, Inputs: map[string]any{},
	}
	switch op.Type {
	case apitype.OperationTypeCreating:
		p.Op = OpCreate
	case apitype.OperationTypeDeleting:
		p.Op = OpDelete
	case apitype.OperationTypeReading:
		p.Op = OpRead
	}
	if m, ok := clean(unseal(res.Inputs)).(map[string]any); ok {
		p.Inputs = m
	}
	return p
}

// Adopt ends a pending create by taking the resource that exists under the
// provider's id into the state, and reads its real properties. The next Up
// brings it to what the program says.
func (e *Engine) Adopt(ctx context.Context, r Run, urn, id string) error {
	if id == "" {
		return fmt.Errorf("adopt %s: give the id of the resource that exists", nameOf(urn))
	}
	return e.settle(ctx, r, urn, func(d *deploymentDoc, op apitype.OperationV2) {
		d.adopt(op.Resource, id)
	}, func(ctx context.Context, o *operation) error {
		return o.simple(ctx, "refresh", "--yes", "--skip-preview", "--suppress-progress", "--target", urn)
	})
}

// Clear ends a pending create of which the caller has made sure that nothing
// exists: the next Up creates it anew.
func (e *Engine) Clear(ctx context.Context, r Run, urn string) error {
	return e.settle(ctx, r, urn, func(*deploymentDoc, apitype.OperationV2) {}, nil)
}

// settle rewrites the state without a pending create, by way of the CLI's own
// import, which checks it.
func (e *Engine) settle(ctx context.Context, r Run, urn string, edit func(*deploymentDoc, apitype.OperationV2),
	then func(context.Context, *operation) error,
) error {
	ctx, end, err := e.begin(ctx, &r)
	if err != nil {
		return err
	}
	defer end()
	o := &operation{Engine: e, run: &r, id: newID()}
	if err := o.ensureProject(); err != nil {
		return err
	}
	s, err := e.readState(&r)
	if err != nil {
		return err
	}
	j, err := e.readJournal(&r)
	if err != nil {
		return err
	}
	op, err := findPending(s, j, urn)
	if err != nil {
		return err
	}
	d, err := newDeploymentDoc(s.raw)
	if err != nil {
		return err
	}
	d.drop(urn)
	edit(d, *op)
	if err := o.importState(ctx, d); err != nil {
		return err
	}
	if err := o.forget(j, urn); err != nil {
		return err
	}
	if then != nil {
		return then(ctx, o)
	}
	return nil
}

func findPending(s *state, j entry, urn string) (*apitype.OperationV2, error) {
	if op := s.pending(urn); op != nil {
		return op, nil
	}
	for i := range j.Uncertain {
		if string(j.Uncertain[i].Resource.URN) == urn && s.find(urn) == nil {
			return &j.Uncertain[i], nil
		}
	}
	return nil, fmt.Errorf("no pending create of %s; call Recover for what there is", nameOf(urn))
}

// forget removes a create from the journal.
func (o *operation) forget(j entry, urn string) error {
	kept := j.Uncertain[:0]
	for _, op := range j.Uncertain {
		if string(op.Resource.URN) != urn {
			kept = append(kept, op)
		}
	}
	j.Uncertain = kept
	if err := o.writeJournal(o.run, j); err != nil {
		return err
	}
	s, err := o.readState(o.run)
	if err != nil || len(s.creating()) > 0 {
		return err
	}
	return o.unjournal()
}

// simple runs a CLI command on the stack of which only success matters.
func (o *operation) simple(ctx context.Context, args ...string) error {
	args = append(args, "--stack", o.run.qualified())
	out, err := o.exec(ctx, command{run: o.run, id: o.id, args: args})
	return o.verdict(ctx, args[0], out, err, newCollector(nil), nil)
}

// importState replaces the stack's state.
func (o *operation) importState(ctx context.Context, d *deploymentDoc) error {
	data, err := d.export()
	if err != nil {
		return err
	}
	path := filepath.Join(o.tmp(), o.id+".json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("import the state of %s: %w", o.run.key(), err)
	}
	defer os.Remove(path)
	return o.simple(ctx, "stack", "import", "--file", path)
}

// deploymentDoc is a deployment that is changed without losing what this
// version does not know.
type deploymentDoc struct {
	fields    map[string]json.RawMessage
	resources []map[string]any
	pending   []map[string]any
}

func newDeploymentDoc(raw json.RawMessage) (*deploymentDoc, error) {
	d := &deploymentDoc{}
	if err := json.Unmarshal(raw, &d.fields); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	for key, into := range map[string]*[]map[string]any{"resources": &d.resources, "pending_operations": &d.pending} {
		if len(d.fields[key]) == 0 {
			continue
		}
		if err := json.Unmarshal(d.fields[key], into); err != nil {
			return nil, fmt.Errorf("read the state's %s: %w", key, err)
		}
	}
	return d, nil
}

// drop removes the pending operations on a URN.
func (d *deploymentDoc) drop(urn string) {
	kept := []map[string]any{}
	for _, op := range d.pending {
		res, _ := op["resource"].(map[string]any)
		if res == nil || res["urn"] != urn {
			kept = append(kept, op)
		}
	}
	d.pending = kept
}

// adopt adds a resource as if its creation had ended: its outputs begin as what
// was asked for, which keeps the inputs that cannot be read back (a clone's
// source, a password) from looking like changes. A refresh does the rest.
func (d *deploymentDoc) adopt(res apitype.ResourceV3, id string) {
	data, err := json.Marshal(res)
	var entry map[string]any
	if err != nil || json.Unmarshal(data, &entry) != nil {
		return // cannot be: it came from JSON
	}
	outputs := map[string]any{}
	for key, value := range res.Inputs {
		if key != defaultsKey {
			outputs[key] = value
		}
	}
	outputs["id"] = id
	entry["id"], entry["outputs"], entry["custom"] = id, outputs, true
	for _, old := range d.resources {
		if old["urn"] == entry["urn"] {
			old["delete"] = true // the other half of a replacement
		}
	}
	d.resources = append(d.resources, entry)
}

// export gives the document that "pulumi stack import" takes.
func (d *deploymentDoc) export() ([]byte, error) {
	var err error
	if d.fields["resources"], err = json.Marshal(d.resources); err != nil {
		return nil, err
	}
	delete(d.fields, "pending_operations")
	if len(d.pending) > 0 {
		if d.fields["pending_operations"], err = json.Marshal(d.pending); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"version": 3, "deployment": d.fields})
}
