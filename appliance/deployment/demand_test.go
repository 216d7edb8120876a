package deployment

import (
	"maps"
	"testing"

	"nimbus/appliance/fault"
	"nimbus/appliance/tenancy"
)

func TestDemandOfAPlan(t *testing.T) {
	t.Parallel()
	const vm, container = "proxmoxve:VmLegacy", "proxmoxve:index/containerLegacy:ContainerLegacy"
	set := func(pairs ...any) (all []Diff) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, Diff{Path: pairs[i].(string), New: pairs[i+1]})
		}
		return all
	}
	for name, c := range map[string]struct {
		changes []Change
		want    Demand
	}{
		"nothing": {nil, Demand{}},
		"a machine": {[]Change{{Type: vm, Op: OpCreate, Diffs: set("cpu.cores", 2.0, "cpu.sockets", 2.0, "memory.dedicated", 2048.0,
			"disks[0].size", 20.0, "disks[0].interface", "scsi0", "disks[1].interface", "scsi1")}},
			Demand{tenancy.Guests: 1, tenancy.VCPU: 4, tenancy.MemoryMiB: 2048, tenancy.DiskGiB: 28}},
		"what is not said": {[]Change{{Type: vm, Op: OpCreate}}, Demand{tenancy.Guests: 1, tenancy.VCPU: 1, tenancy.MemoryMiB: 512, tenancy.DiskGiB: 0}},
		"two containers": {[]Change{{Type: container, Op: OpCreate, Diffs: set("disk.size", 4.0)}, {Type: container, Op: OpCreate, Diffs: set("disk.datastoreId", "local")}},
			Demand{tenancy.Guests: 2, tenancy.VCPU: 2, tenancy.MemoryMiB: 1024, tenancy.DiskGiB: 12}},
		"growing": {[]Change{{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "memory.dedicated", Old: 1024.0, New: 4096.0}, {Path: "cpu.cores", Old: 4.0, New: 2.0}, {Path: "disks[0].size", Old: 8.0, New: 10.0}}}},
			Demand{tenancy.VCPU: 0, tenancy.MemoryMiB: 3072, tenancy.DiskGiB: 2}},
		"a disk more": {[]Change{{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "disks[1]", New: map[string]any{"interface": "scsi1", "size": 500.0}}}}},
			Demand{tenancy.VCPU: 0, tenancy.MemoryMiB: 0, tenancy.DiskGiB: 500}},
		"more sockets": {[]Change{{Type: vm, Op: OpUpdate, Diffs: []Diff{{Path: "cpu.cores", Old: 4.0, New: 8.0}, {Path: "cpu.sockets", Old: 1.0, New: 2.0}}}},
			Demand{tenancy.VCPU: 12, tenancy.MemoryMiB: 0}},
		"a mount point": {[]Change{{Type: container, Op: OpCreate, Diffs: set("disk.size", 4.0, "mountPoints[0].size", "100G", "mountPoints[0].path", "/srv", "mountPoints[1].size", "512M")}},
			Demand{tenancy.Guests: 1, tenancy.VCPU: 1, tenancy.MemoryMiB: 512, tenancy.DiskGiB: 105}},
		"a clone": {[]Change{{Type: "proxmoxve:cloned/vm:Vm", Op: OpCreate, Diffs: set("memory.size", 8192.0, "disk.scsi0.sizeGb", 64.0, "disk.scsi1.file", "x")}},
			Demand{tenancy.Guests: 1, tenancy.VCPU: 1, tenancy.MemoryMiB: 8192, tenancy.DiskGiB: 72}},
		"text":                {[]Change{{Type: vm, Op: OpCreate, Diffs: set("cpu.cores", "16")}}, Demand{tenancy.Guests: 1, tenancy.VCPU: 16, tenancy.MemoryMiB: 512, tenancy.DiskGiB: 0}},
		"going, and no guest": {[]Change{{Type: vm, Op: OpDelete}, {Type: "proxmoxve:Pool", Op: OpCreate}}, Demand{}},
	} {
		if got := (Plan{Changes: c.changes}).demand(); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v instead of %v", name, got, c.want)
		}
	}
}

// TestWhatCannotBeCountedIsRefused: a size that is hidden must not pass as the default.
func TestWhatCannotBeCountedIsRefused(t *testing.T) {
	t.Parallel()
	for path, counted := range map[string]bool{
		"cpu.cores": true, "cpu": true, "memory.dedicated": true, "memory.size": true, "disks[3]": true, "disks[3].size": true, "disk.size": true,
		"disk.scsi0": true, "disk.scsi0.sizeGb": true, "mountPoints[0].size": true,
		"disks[3].serial": false, "initialization.userAccount.password": false, "cpu.type": false, "description": false,
	} {
		for _, hidden := range []any{Mask, Unknown} {
			p := Plan{Changes: []Change{{Type: "proxmoxve:VmLegacy", Name: "web", Op: OpCreate, Diffs: []Diff{{Path: path, New: hidden}}}}}
			if err := p.countable(); fault.Is(err, fault.Invalid) != counted {
				t.Errorf("%s %v: %v", path, hidden, err)
			}
		}
	}
}
