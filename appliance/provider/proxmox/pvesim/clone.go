package pvesim

import (
	"fmt"
	"maps"
	"strings"
)

// cloneGuest copies a guest: templates are linked unless a full copy is asked for.
func cloneGuest(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	vmid, node := req.p.int("newid"), firstOf(req.p["target"], g.Node)
	full := !g.template()
	if req.p.has("full") {
		full = req.p.flag("full")
	}
	if err := req.checkClone(g, vmid, node, full); err != nil {
		return nil, err
	}
	clone := &guest{VMID: vmid, Kind: g.Kind, Node: node, Config: map[string]string{"lock": "clone"}, Created: req.now(), HasAgent: g.HasAgent}
	source := g.Config
	if name := req.p["snapname"]; name != "" {
		source = g.snapshot(name).Config
	}
	req.reserve(clone)
	kind := "qmclone"
	if g.Kind == "lxc" {
		kind = "vzclone"
	}
	return req.start(job{
		kind: kind, id: g.id(), makes: clone,
		begin: []string{fmt.Sprintf("creating a clone of %s with ID %d", g.short(), vmid)},
		work:  func(log func(string)) error { return req.finishClone(g, clone, source, full, log) },
	}), nil
}

func (req *call) checkClone(g *guest, vmid int, node string, full bool) error {
	if err := g.locked(); err != nil {
		return err
	}
	if req.state.Guests[vmid] != nil {
		return fail("unable to create %s: config file already exists", shortName(g.Kind, vmid))
	}
	if req.state.Nodes[node] == nil {
		return badParam("target", "target node is unknown")
	}
	if name := req.p["snapname"]; name != "" && g.snapshot(name) == nil {
		return fail("snapshot '%s' does not exist", name)
	}
	if name, ok := req.p["pool"]; ok && req.state.Pools[name] == nil {
		return fail("pool '%s' does not exist", name)
	}
	if name, ok := req.p["storage"]; ok {
		if _, err := req.state.usableStorage(name, node, contentOf(g.Kind)); err != nil {
			return err
		}
	}
	for _, key := range g.disks() {
		if err := req.checkCloneDisk(g, key, node, full); err != nil {
			return err
		}
	}
	return nil
}

func contentOf(kind string) string {
	if kind == "lxc" {
		return "rootdir"
	}
	return "images"
}

func (req *call) checkCloneDisk(g *guest, key, node string, full bool) error {
	v := req.state.volume(g.Node, driveFile(g.Config[key]))
	if v == nil || v.VMID != g.VMID || strings.HasPrefix(key, "unused") {
		return nil
	}
	base := strings.HasPrefix(stemOf(v.ID), "base-")
	if !full && !base && !strings.HasSuffix(stemOf(v.ID), "-cloudinit") {
		return fail("Linked clone feature is not supported for '%s' (%s)", v.ID, key)
	}
	target := firstOf(req.p["storage"], v.storage())
	if node != g.Node && !req.state.Storages[v.storage()].shared() {
		return fail("can't clone to non-shared storage '%s'", v.storage())
	}
	return req.require("/storage/"+target, "Datastore.AllocateSpace")
}

func (req *call) finishClone(g, clone *guest, source map[string]string, full bool, log func(string)) error {
	config := maps.Clone(source)
	for _, key := range []string{"lock", "template", "parent", "snaptime"} {
		delete(config, key)
	}
	for _, key := range diskKeys(source) {
		if err := req.cloneDrive(g, clone, config, key, full, log); err != nil {
			clone.Config = config // names the disks that were made before it failed
			req.state.removeGuest(clone)
			return fmt.Errorf("clone failed: %w", err)
		}
	}
	for key := range config {
		if networkKey.MatchString(key) {
			config[key] = freshAddress(clone.Kind, config[key])
		}
	}
	req.rename(g, config)
	clone.Config = config
	return nil
}

// rename gives the clone its own identity.
func (req *call) rename(g *guest, config map[string]string) {
	if g.Kind == "lxc" {
		config["hostname"] = firstOf(req.p["hostname"], "Copy-of-CT-"+g.name())
	} else {
		config["name"] = firstOf(req.p["name"], "Copy-of-VM-"+g.name())
		config["smbios1"], config["vmgenid"] = "uuid="+newUUID(), newUUID()
	}
	if req.p.has("description") {
		config["description"] = req.p["description"]
	}
}

func (req *call) cloneDrive(g, clone *guest, config map[string]string, key string, full bool, log func(string)) error {
	v := req.state.volume(g.Node, driveFile(config[key]))
	if strings.HasPrefix(key, "unused") {
		delete(config, key)
		return nil
	}
	if v == nil || v.VMID != g.VMID {
		return nil // a CD drive, or a file that both use
	}
	if strings.HasSuffix(stemOf(v.ID), "-cloudinit") {
		option, err := req.state.placeCloudInit(clone, map[string]string{"file": v.storage() + ":cloudinit"}, req.now())
		config[key] = option
		return err
	}
	word := "linked"
	if full {
		word = "full"
	}
	log(fmt.Sprintf("create %s clone of drive %s (%s)", word, key, v.ID))
	copied, err := req.state.cloneVolume(v, clone.Node, firstOf(req.p["storage"], v.storage()), req.p["format"], clone.VMID, !full, req.now())
	if err != nil {
		return err
	}
	logClone(req.state, v, copied, full, log)
	config[key] = strings.Replace(config[key], driveFile(config[key]), copied.ID, 1)
	return nil
}

func logClone(s *state, from, to *volume, full bool, log func(string)) {
	if !full {
		file := stemOf(to.ID) + ".qcow2"
		log(fmt.Sprintf("clone %s: images, %s, %d to %s (base=../%s)", afterColon(from.ID), file, to.VMID, file, afterColon(from.ID)))
	}
	log(s.created(to))
	if full {
		logTransfer(log, to.Size)
	}
}

// freshAddress replaces the hardware address of a network device.
func freshAddress(kind, option string) string {
	if kind == "lxc" {
		device := parseOption("lxc", "net0", option)
		device["hwaddr"] = newAddress()
		return containerNetwork(device)
	}
	device := parseOption("qemu", "net0", option)
	delete(device, "macaddr")
	return storedNetwork(printPropertyString(device, "model"))
}
