package pvesim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

func (g *guest) snapshot(name string) *snapshot {
	for _, s := range g.Snapshots {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// snapshotKind is the task type of a snapshot action: qmsnapshot, vzrollback, …
func snapshotKind(kind, action string) string {
	if kind == "lxc" {
		return "vz" + action
	}
	return "qm" + action
}

func listSnapshots(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	result := []map[string]any{}
	for _, s := range g.Snapshots {
		entry := map[string]any{"name": s.Name, "description": s.Description, "snaptime": s.Time}
		if g.Kind == "qemu" {
			entry["vmstate"] = flag(s.State)
		}
		if s.Parent != "" {
			entry["parent"] = s.Parent
		}
		result = append(result, entry)
	}
	current := map[string]any{"name": "current", "description": "You are here!", "running": flag(g.Running), "digest": g.digest()}
	if g.Parent != "" {
		current["parent"] = g.Parent
	}
	return append(result, current), nil
}

func takeSnapshot(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	name := req.p["snapname"]
	if name == "current" || name == "pending" {
		return nil, fail("unable to use snapshot name '%s' (reserved name)", name)
	}
	return req.start(job{kind: snapshotKind(g.Kind, "snapshot"), id: g.id(), work: func(log func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		if g.snapshot(name) != nil {
			return fmt.Errorf("snapshot name '%s' already used", name)
		}
		for _, v := range req.state.owned(g) {
			if !req.state.hasSnapshots(v) {
				return errors.New("snapshot feature is not available")
			}
		}
		req.freeze(g, name, log)
		return nil
	}}), nil
}

func (req *call) freeze(g *guest, name string, log func(string)) {
	s := &snapshot{
		Name: name, Description: req.p["description"], Parent: g.Parent, Time: req.now().Unix(),
		State: req.p.flag("vmstate") && g.Running, Config: maps.Clone(g.Config), Sizes: map[string]int64{},
	}
	delete(s.Config, "description") // a snapshot has its own
	for _, key := range g.disks() {
		if v := req.state.volume(g.Node, driveFile(g.Config[key])); v != nil && v.VMID == g.VMID {
			log(fmt.Sprintf("snapshotting 'drive-%s' (%s)", key, v.ID))
			s.Sizes[v.ID] = v.Size
		}
	}
	g.Snapshots = append(g.Snapshots, s)
	g.Parent = name
}

func readSnapshot(req *call) (any, error) {
	g, s, err := req.snapshot()
	if err != nil {
		return nil, err
	}
	result := show(g.Kind, s.Config)
	result["snaptime"] = s.Time
	if s.Description != "" {
		result["description"] = s.Description
	}
	if s.Parent != "" {
		result["parent"] = s.Parent
	}
	return result, nil
}

func (req *call) snapshot() (*guest, *snapshot, error) {
	g, err := req.guest()
	if err != nil {
		return nil, nil, err
	}
	s := g.snapshot(req.p["snapname"])
	if s == nil {
		return nil, nil, fail("snapshot '%s' does not exist", req.p["snapname"])
	}
	return g, s, nil
}

func describeSnapshot(req *call) (any, error) {
	_, s, err := req.snapshot()
	if err != nil {
		return nil, err
	}
	if req.p.has("description") {
		s.Description = req.p["description"]
	}
	return nil, nil
}

// rollBack restores configuration and disk sizes; the machine is stopped unless its memory was kept.
func rollBack(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	name := req.p["snapname"]
	return req.start(job{kind: snapshotKind(g.Kind, "rollback"), id: g.id(), work: func(func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		s := g.snapshot(name)
		if s == nil {
			return fmt.Errorf("snapshot '%s' does not exist", name)
		}
		g.powerOff()
		description := g.Config["description"]
		g.Config, g.Parent = maps.Clone(s.Config), name
		if description != "" {
			g.Config["description"] = description
		}
		for id, size := range s.Sizes {
			if v := req.state.volume(g.Node, id); v != nil {
				v.Size = size
			}
		}
		if s.State || req.p.flag("start") {
			req.powerOn(g)
		}
		return nil
	}}), nil
}

func deleteSnapshot(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	name := req.p["snapname"]
	return req.start(job{kind: snapshotKind(g.Kind, "delsnapshot"), id: g.id(), work: func(func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		s := g.snapshot(name)
		if s == nil {
			return fmt.Errorf("snapshot '%s' does not exist", name)
		}
		g.Snapshots = slices.DeleteFunc(g.Snapshots, func(other *snapshot) bool { return other == s })
		for _, other := range g.Snapshots {
			if other.Parent == name {
				other.Parent = s.Parent
			}
		}
		if g.Parent == name {
			g.Parent = s.Parent
		}
		return nil
	}}), nil
}
