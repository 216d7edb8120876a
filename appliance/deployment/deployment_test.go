package deployment

import (
	"testing"
	"time"

	"nimbus/appliance/fault"
)

func TestDestructive(t *testing.T) {
	t.Parallel()
	vm := "proxmoxve:index/vmLegacy:VmLegacy"
	for name, c := range map[string]struct {
		change Change
		want   bool
	}{
		"delete":               {Change{Type: "any", Op: OpDelete}, true},
		"replace":              {Change{Type: vm, Op: OpReplace}, true},
		"create":               {Change{Type: vm, Op: OpCreate, Diffs: []Diff{{Path: "disks[0]", New: 1}}}, false},
		"memory":               {Change{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "memory.dedicated", Old: 1, New: 2}}}, false},
		"a disk goes":          {Change{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "disks[1]", Old: 1}}}, true},
		"a disk comes":         {Change{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "disks[1]", New: 1}}}, false},
		"a disk grows":         {Change{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "disks[0].size", Old: 1, New: 2}}}, false},
		"a disk is another":    {Change{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "disks[0].interface", Old: "scsi0", New: "scsi1"}}}, true},
		"a mount point goes":   {Change{Type: "proxmoxve:ContainerLegacy", Op: OpUpdate, Diffs: []Diff{{Path: "mountPoints[0]", Old: 1}}}, true},
		"a pool's disk is not": {Change{Type: "proxmoxve:PoolLegacy", Op: OpUpdate, Diffs: []Diff{{Path: "disks[0]", Old: 1}}}, false},
	} {
		if got := c.change.destroys(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNeedsPerson(t *testing.T) {
	t.Parallel()
	update := Plan{Changes: []Change{{Op: OpUpdate}}}
	for name, c := range map[string]struct {
		plan Plan
		o    Operation
		want bool
	}{
		"nothing to do":         {Plan{}, Up, false},
		"a change":              {update, Up, true},
		"only a preview":        {update, Preview, false},
		"destructive":           {Plan{Destructive: true}, Up, true},
		"drift to take over":    {Plan{Drifted: []Change{{}}}, Refresh, true},
		"no drift to take over": {update, Refresh, false},
	} {
		if got := c.plan.NeedsPerson(c.o); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	plan := func(changes ...Change) Plan { return Plan{Changes: changes} }
	for name, c := range map[string]struct {
		approved, rest Plan
		want           bool
	}{
		"nothing is left":           {plan(Change{URN: "a", Op: OpCreate}), plan(), true},
		"the same":                  {plan(Change{URN: "a", Op: OpCreate}), plan(Change{URN: "a", Op: OpCreate}), true},
		"created, not yet right":    {plan(Change{URN: "a", Op: OpCreate}), plan(Change{URN: "a", Op: OpUpdate}), true},
		"created, now replaced":     {plan(Change{URN: "a", Op: OpCreate}), plan(Change{URN: "a", Op: OpReplace}), false},
		"half replaced":             {plan(Change{URN: "a", Op: OpReplace}), plan(Change{URN: "a", Op: OpCreate}), true},
		"an update became a delete": {plan(Change{URN: "a", Op: OpUpdate}), plan(Change{URN: "a", Op: OpDelete}), false},
		"a disk goes that stayed": {plan(Change{URN: "a", Op: OpUpdate, Type: "proxmoxve:VmLegacy", Diffs: []Diff{{Path: "memory.dedicated", Old: 1.0, New: 2.0}}}),
			plan(Change{URN: "a", Op: OpUpdate, Type: "proxmoxve:VmLegacy", Diffs: []Diff{{Path: "disks[1]", Old: map[string]any{}}}}), false},
		"a disk goes, as approved": {plan(Change{URN: "a", Op: OpUpdate, Type: "proxmoxve:VmLegacy", Diffs: []Diff{{Path: "disks[1]", Old: map[string]any{}}}}),
			plan(Change{URN: "a", Op: OpUpdate, Type: "proxmoxve:VmLegacy", Diffs: []Diff{{Path: "disks[1]", Old: map[string]any{}}}}), true},
		"something else": {plan(Change{URN: "a", Op: OpCreate}), plan(Change{URN: "b", Op: OpCreate}), false},
	} {
		if got := c.approved.Covers(c.rest); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	d := Deployment{Status: Accepted}
	for i, to := range []Status{Previewing, Previewing, AwaitingApproval, Applying, Compensating, Failed} {
		must(t, d.advance(to, now.Add(time.Duration(i)*time.Second), ""))
	}
	if len(d.Steps) != 4 || d.Steps[2].Status != "failed" || d.Steps[3].Status != "succeeded" || d.EndedAt == nil || !d.StartedAt.Equal(now) {
		t.Errorf("got %+v", d)
	}
	for _, to := range []Status{Failed, Applying, Succeeded} {
		if err := d.advance(to, now, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("a failed deployment became %s: %v", to, err)
		}
	}
	skip := Deployment{Status: Previewing}
	if err := skip.advance(Applying, now, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("applying without an approval: %v", err)
	}
}
