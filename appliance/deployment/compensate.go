package deployment

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
)

// compensate takes back what a failed run made, as far as it carries our mark,
// and lists what stays.
func (a activities) compensate(ctx context.Context, in Input) error {
	return a.step(ctx, in, func(ctx context.Context, j *job) error {
		if !j.d.run.begun {
			return nil
		}
		if err := j.enter(ctx, Compensating); err != nil {
			return err
		}
		if err := j.recover(ctx); err != nil {
			return err
		}
		created, err := j.created(ctx)
		if err != nil {
			return err
		}
		targets, left, err := j.removable(ctx, created)
		if err != nil {
			return err
		}
		more, err := j.remove(ctx, targets)
		if err != nil {
			return err
		}
		orphans, err := j.orphans(ctx)
		if err != nil {
			return err
		}
		return j.keepLeftovers(ctx, len(targets), slices.Concat(left, more, orphans))
	})
}

// created are the resources that were not there before the run began.
func (j *job) created(ctx context.Context) ([]Resource, error) {
	resources, err := j.Engine.Resources(ctx, j.run)
	if j.d.Operation != Up {
		return nil, err // destroying and refreshing make nothing
	}
	return slices.DeleteFunc(resources, func(r Resource) bool { return slices.Contains(j.d.run.before, r.URN) }), err
}

// removable parts what was created into what may be removed and what may not.
func (j *job) removable(ctx context.Context, created []Resource) (targets []Resource, left []Leftover, err error) {
	for _, r := range created {
		if guestTypes[canonical(r.Type)].kind == "" {
			targets = append(targets, r)
			continue
		}
		vmid, err := strconv.Atoi(r.ID)
		if err == nil {
			err = j.marked(ctx, r.Name, vmid)
		}
		switch {
		case err == nil:
			targets = append(targets, r)
		case fault.Is(err, fault.Unavailable):
			return nil, nil, err
		default:
			left = append(left, Leftover{r.URN, r.Type, r.Name, j.explain(err)})
		}
	}
	return targets, left, nil
}

// remove deletes the targets and nothing else. What the engine cannot delete is
// left over; what interrupts the engine is not its verdict and tried again.
func (j *job) remove(ctx context.Context, targets []Resource) ([]Leftover, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	run := j.run
	run.Refresh = true
	for _, r := range targets {
		run.Targets = append(run.Targets, r.URN)
	}
	_, failure := j.Engine.Destroy(ctx, run, j.log.add)
	if failure != nil && (ctx.Err() != nil || errors.Is(failure, ErrInterrupted)) {
		return nil, failure
	}
	if failure == nil {
		return nil, nil
	}
	if err := j.recover(ctx); err != nil {
		return nil, err
	}
	still, err := j.Engine.Resources(ctx, j.run)
	var left []Leftover
	for _, r := range still {
		if slices.Contains(run.Targets, r.URN) {
			left = append(left, Leftover{r.URN, r.Type, r.Name, "It could not be removed: " + j.explain(failure)})
		}
	}
	return left, err
}

// orphans are guests that the run made and the engine lost sight of: they carry
// our mark under a VMID of the program and are not in the state, or were left half
// made.
func (j *job) orphans(ctx context.Context) ([]Leftover, error) {
	if j.d.Operation != Up {
		return nil, nil
	}
	if err := j.pin(ctx); err != nil {
		return nil, err
	}
	guests, _, err := j.state(ctx)
	if err != nil {
		return nil, err
	}
	var left []Leftover
	for _, name := range sortedKeys(j.pins) {
		vmid := j.pins[name]
		if guests[name] == vmid {
			continue
		}
		detail, err := j.orphan(ctx, vmid)
		if err != nil {
			return nil, err
		}
		if detail != "" {
			left = append(left, Leftover{Name: name, Detail: detail})
		}
	}
	return left, nil
}

// orphan says what is left under a VMID, "" when nothing of ours is.
func (j *job) orphan(ctx context.Context, vmid int) (string, error) {
	owned, err := j.Guests.Owns(ctx, j.tenant, j.stack.ConnectionID, j.stack.ID, vmid)
	switch {
	case fault.Is(err, fault.NotFound):
		return "", nil
	case err != nil:
		return "", err
	case owned:
		return "Guest " + itoa(vmid) + " was made, but the engine does not know it. Remove it on the cluster.", nil
	}
	return j.halfMade(ctx, vmid)
}

func (j *job) keepLeftovers(ctx context.Context, removed int, left []Leftover) error {
	e := audit.Entry{Priority: audit.Notice, Details: map[string]any{"removed": removed, "left": len(left)}}
	return j.change(ctx, "deployment.run.compensated", e, func(_ context.Context, d *Deployment) error {
		for _, l := range left {
			d.addLeftover(l)
		}
		return nil
	})
}
