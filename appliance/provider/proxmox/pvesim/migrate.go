package pvesim

import (
	"fmt"
	"slices"
	"strings"
)

func migratePreconditions(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	disks, allowed, refused := []any{}, []string{}, map[string]any{}
	for _, key := range g.disks() {
		v := req.state.volume(g.Node, driveFile(g.Config[key]))
		if v != nil && v.VMID == g.VMID && !req.state.Storages[v.storage()].shared() {
			disks = append(disks, localDisk(key, v))
		}
	}
	for _, name := range sortedKeys(req.state.Nodes) {
		if name == g.Node {
			continue
		}
		if missing := req.state.missingStorages(g, name); len(missing) > 0 {
			refused[name] = map[string]any{"unavailable_storages": missing}
			continue
		}
		allowed = append(allowed, name)
	}
	return map[string]any{
		"running": flag(g.Running), "allowed_nodes": allowed, "not_allowed_nodes": refused, "local_disks": disks,
		"local_resources": []any{}, "mapped-resources": []any{}, "mapped-resource-info": map[string]any{}, "has-dbus-vmstate": 1,
	}, nil
}

func localDisk(key string, v *volume) map[string]any {
	return map[string]any{
		"volid": v.ID, "drivename": key, "size": v.Size, "cdrom": 0, "shared": 0, "replicate": 1, "is_attached": 1,
		"is_unused": flag(strings.HasPrefix(key, "unused")), "is_vmstate": 0, "is_tpmstate": flag(strings.HasPrefix(key, "tpm")),
		"is_cloudinit": flag(strings.HasSuffix(stemOf(v.ID), "-cloudinit")),
	}
}

func (s *state) missingStorages(g *guest, node string) []string {
	var missing []string
	for _, id := range g.volumes() {
		name, _, _ := strings.Cut(id, ":")
		if st := s.Storages[name]; st != nil && !st.availableOn(node) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// migrateVM moves a machine and the volumes on its local storages to another node.
func migrateVM(req *call) (any, error) {
	target := req.p["target"]
	n := req.state.Nodes[target]
	switch {
	case target == req.p["node"]:
		return nil, badParam("target", "target is local node.")
	case n == nil:
		return nil, badParam("target", "target node is unknown")
	case n.Offline:
		return nil, bare(595, "No route to host")
	}
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if g.Running && !req.p.flag("online") {
		return nil, fail("can't migrate running VM without --online")
	}
	return req.start(job{kind: "qmigrate", id: g.id(), begin: []string{
		fmt.Sprintf("starting migration of VM %d to node '%s' (%s)", g.VMID, target, n.Address),
	}, work: func(log func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		if missing := req.state.missingStorages(g, target); len(missing) > 0 {
			return fmt.Errorf("migration aborted: storage '%s' is not available on node '%s'", missing[0], target)
		}
		req.state.move(g, target)
		log("migration finished successfully (duration 00:00:04)")
		return nil
	}}), nil
}

func (s *state) move(g *guest, target string) {
	for _, v := range s.owned(g) {
		if v.Node != "" {
			s.removeVolume(g.Node, v.ID)
			v.Node = target
			s.addVolume(v)
		}
	}
	g.Node = target
}

// vmFeature answers whether snapshot, clone or copy works for all disks of a machine.
func vmFeature(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	has := true
	for _, v := range req.state.owned(g) {
		switch req.p["feature"] {
		case "snapshot":
			has = has && req.state.hasSnapshots(v)
		case "clone":
			has = has && strings.HasPrefix(stemOf(v.ID), "base-")
		}
	}
	return map[string]any{"hasFeature": flag(has), "nodes": []string{g.Node}}, nil
}
