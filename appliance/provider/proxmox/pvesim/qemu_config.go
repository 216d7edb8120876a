package pvesim

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readConfig is GET config: with what is pending, unless only what runs is asked for.
func readConfig(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	config, snap := g.effective(), req.p["snapshot"]
	if req.p.flag("current") {
		config = g.Config
	}
	if snap != "" {
		s := g.snapshot(snap)
		if s == nil {
			return nil, fail("snapshot '%s' does not exist", snap)
		}
		config = s.Config
	}
	result := show(g.Kind, config)
	result["digest"] = g.digest()
	if g.Parent != "" && snap == "" {
		result["parent"] = g.Parent
	}
	return result, nil
}

func readPending(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	now, later := show(g.Kind, g.Config), show(g.Kind, g.Pending)
	result := []map[string]any{{"key": "digest", "value": g.digest()}}
	for _, key := range sortedKeys(setOf(append(sortedKeys(now), sortedKeys(later)...))) {
		entry := map[string]any{"key": key}
		if value, ok := now[key]; ok {
			entry["value"] = value
		}
		if value, ok := later[key]; ok {
			entry["pending"] = value
		}
		if slices.Contains(g.Dropped, key) {
			entry["delete"] = 1
		}
		result = append(result, entry)
	}
	return result, nil
}

// rootOnly are options that give power over the host.
var rootOnly = map[string]bool{"args": true, "lock": true, "hookscript": true, "parallel": true, "arch": true, "affinity": true, "ivshmem": true}

// privilegeFor says which privilege changing an option needs.
func privilegeFor(key, value string) string {
	stem := strings.TrimRight(key, "0123456789")
	switch stem {
	case "memory", "balloon", "shares", "hugepages", "keephugepages", "allow-ksm":
		return "VM.Config.Memory"
	case "cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus":
		return "VM.Config.CPU"
	case "net", "ipconfig", "nameserver", "searchdomain":
		return "VM.Config.Network"
	case "cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "sshkeys":
		return "VM.Config.Cloudinit"
	case "ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "unused", "rootfs", "mp":
		return drivePrivilege(value)
	case "audio", "bios", "hostpci", "keyboard", "kvm", "machine", "ostype", "rng", "scsihw", "serial", "smbios", "spice_enhancements", "tablet", "usb", "vga", "vmgenid", "watchdog":
		return "VM.Config.HWType"
	}
	return "VM.Config.Options"
}

func drivePrivilege(option string) string {
	switch {
	case cloudInitID.MatchString(driveFile(option)):
		return "VM.Config.Cloudinit"
	case driveOption(option, "media") == "cdrom":
		return "VM.Config.CDROM"
	}
	return "VM.Config.Disk"
}

// maySet checks the right to every single option, in the order in which the server complains.
func (req *call) maySet(vmid int, settings map[string]string) error {
	if req.who.isRoot() {
		return nil
	}
	creating := req.state.Guests[vmid] == nil
	for _, key := range sortedKeys(settings) {
		if err := onlyForRoot(req.kind(), key, settings[key]); err != nil {
			return err
		}
		if err := req.mayUseBridge(key, settings[key]); err != nil {
			return err
		}
		if creating && req.can("/pool/"+req.p["pool"], privilegeFor(key, settings[key])) {
			continue
		}
		if err := req.require("/vms/"+strconv.Itoa(vmid), privilegeFor(key, settings[key])); err != nil {
			return err
		}
	}
	return nil
}

func onlyForRoot(kind, key, value string) error {
	stem := strings.TrimRight(key, "0123456789")
	switch {
	case kind == "lxc" && key != "hookscript":
		return nil
	case rootOnly[stem]:
		return fail("only root can set '%s' config", key)
	case stem == "hostpci" && driveOption(value, "mapping") == "":
		return fail("only root can set '%s' config for non-mapped devices", key)
	case stem == "usb" && strings.Contains(value, "host=") && !strings.Contains(value, "spice"):
		return fail("only root can set '%s' config for real devices", key)
	case stem == "serial" && value != "socket":
		return fail("only root can set '%s' config for real devices", key)
	}
	return nil
}

func (req *call) mayUseBridge(key, value string) error {
	bridge := driveOption(value, "bridge")
	if !networkKey.MatchString(key) || bridge == "" {
		return nil
	}
	zone := "localnetwork"
	if vnet := req.state.VNets[bridge]; vnet != nil {
		zone = vnet["zone"]
	}
	return req.require("/sdn/zones/"+zone+"/"+bridge, "SDN.Use")
}

// updateVM is PUT config: done when it answers. updateVMAsync is the same as a task.
func updateVM(req *call) (any, error) {
	g, wanted, err := req.prepareUpdate()
	if err != nil {
		return nil, err
	}
	return nil, req.apply(g, wanted, func(string) {})
}

func updateVMAsync(req *call) (any, error) {
	g, wanted, err := req.prepareUpdate()
	if err != nil {
		return nil, err
	}
	line := "update VM " + g.id() + ":"
	for _, key := range sortedKeys(wanted) {
		line += " -" + key + " " + wanted[key]
	}
	if req.p.has("delete") {
		line += " -delete " + req.p["delete"]
	}
	return req.start(job{kind: "qmconfig", id: g.id(), begin: []string{line}, work: func(log func(string)) error {
		return req.apply(g, wanted, log)
	}}), nil
}

// prepareUpdate is everything that is checked before anything changes.
func (req *call) prepareUpdate() (*guest, map[string]string, error) {
	for _, key := range req.nulls {
		return nil, nil, fail("unable to parse value of '%s' - got undefined value", key)
	}
	wanted := req.settings()
	if len(wanted) == 0 && !req.p.has("delete") && !req.p.has("revert") {
		return nil, nil, fail("no options specified")
	}
	if err := req.checkDeletes(); err != nil {
		return nil, nil, err
	}
	vmid := req.p.int("vmid")
	if err := req.maySet(vmid, wanted); err != nil {
		return nil, nil, err
	}
	if err := req.maySet(vmid, deletions(req.p["delete"])); err != nil {
		return nil, nil, err
	}
	if err := req.checkDrives(vmid, wanted); err != nil {
		return nil, nil, err
	}
	g, err := req.guest()
	if err != nil {
		return nil, nil, err
	}
	if digest := req.p["digest"]; digest != "" && digest != g.digest() {
		return nil, nil, fail("checksum mismatch (file change by other user?)")
	}
	if err := g.locked(); err != nil && !req.p.flag("skiplock") {
		return nil, nil, err
	}
	return g, wanted, nil
}

func deletions(list string) map[string]string {
	result := map[string]string{}
	for _, key := range splitList(list) {
		result[key] = ""
		if strings.HasPrefix(key, "serial") {
			result[key] = "socket"
		}
	}
	return result
}

func (req *call) checkDeletes() error {
	props := schemas()["POST /nodes/{node}/"+req.kind()].Params
	for _, key := range splitList(req.p["delete"]) {
		if notConfig[key] || lookup(props, key) == nil {
			return badParam("delete", fmt.Sprintf("unknown option '%s'", key))
		}
		if req.p.has(key) {
			return badParam("delete", fmt.Sprintf("you can't use '-%s' and -delete %s' at the same time", key, key))
		}
	}
	return nil
}

// hotplugged are the options that take effect on a running machine; all others wait for its stop.
var hotplugged = regexp.MustCompile(`^(name|description|tags|onboot|startup|protection|hookscript|lock|shares|cpuunits|hotplug|boot|bootdisk|agent|migrate_.*|ci.*|ipconfig\d+|nameserver|searchdomain|sshkeys|net\d+|scsi\d+|virtio\d+|unused\d+|balloon|vmstatestorage)$`)

func (req *call) apply(g *guest, wanted map[string]string, log func(string)) error {
	placed := maps.Clone(wanted)
	if err := req.state.placeDrives(g, placed, wanted, log, req.now()); err != nil {
		req.state.discard(g, placed, wanted)
		return fail("%s", err)
	}
	normalise(placed)
	if _, given := wanted["tags"]; given && placed["tags"] == "" {
		delete(g.Config, "tags")
	}
	for _, key := range splitList(req.p["revert"]) {
		delete(g.Pending, key)
		g.Dropped = slices.DeleteFunc(g.Dropped, func(k string) bool { return k == key })
	}
	for _, key := range splitList(req.p["delete"]) {
		req.state.drop(g, key, req.p.flag("force"))
	}
	for _, key := range diskKeys(placed) {
		req.state.setDrive(g, key, placed[key])
		delete(placed, key)
	}
	for _, key := range sortedKeys(placed) {
		g.set(key, placed[key])
	}
	return nil
}

// discard frees the volumes that were made for the wanted drives and will not be used. Those that
// were there before stay.
func (s *state) discard(g *guest, placed, wanted map[string]string) {
	for _, key := range diskKeys(wanted) {
		file := driveFile(wanted[key])
		if newDisk.MatchString(file) || cloudInitID.MatchString(file) {
			s.destroyVolume(g, driveFile(placed[key]))
		}
	}
}

func (g *guest) set(key, value string) {
	if !g.Running || hotplugged.MatchString(key) {
		g.Config[key] = value
		delete(g.Pending, key)
		return
	}
	g.Dropped = slices.DeleteFunc(g.Dropped, func(k string) bool { return k == key })
	delete(g.Pending, key)
	if g.Config[key] == value {
		return
	}
	if g.Pending == nil {
		g.Pending = map[string]string{}
	}
	g.Pending[key] = value
}

// setDrive puts a drive in its place; a volume of the guest that it replaces becomes unused.
func (s *state) setDrive(g *guest, key, option string) {
	old := driveFile(g.Config[key])
	g.Config[key] = option
	if old != driveFile(option) {
		s.retire(g, old)
	}
	for _, unused := range g.disks() {
		if strings.HasPrefix(unused, "unused") && driveFile(g.Config[unused]) == driveFile(option) {
			delete(g.Config, unused)
		}
	}
}

// retire keeps a volume that no drive names any more as unused, except cloud-init drives, which are freed.
func (s *state) retire(g *guest, id string) {
	v := s.volume(g.Node, id)
	if v == nil || v.VMID != g.VMID || slices.ContainsFunc(g.disks(), func(k string) bool { return driveFile(g.Config[k]) == id }) {
		return
	}
	if strings.HasSuffix(stemOf(id), "-cloudinit") {
		s.removeVolume(g.Node, id)
		return
	}
	for n := 0; ; n++ {
		key := "unused" + strconv.Itoa(n)
		if g.Config[key] == "" {
			g.Config[key] = id
			return
		}
	}
}

// drop deletes an option. A detached disk becomes unused; an unused one, or any with force, is destroyed.
func (s *state) drop(g *guest, key string, force bool) {
	delete(g.Pending, key)
	value, set := g.Config[key]
	switch {
	case !set:
		return
	case diskKey.MatchString(key):
		delete(g.Config, key)
		if force || strings.HasPrefix(key, "unused") {
			s.destroyVolume(g, driveFile(value))
			return
		}
		s.retire(g, driveFile(value))
	case g.Running && !hotplugged.MatchString(key):
		if !slices.Contains(g.Dropped, key) {
			g.Dropped = append(g.Dropped, key)
		}
	default:
		delete(g.Config, key)
	}
}

func (s *state) destroyVolume(g *guest, id string) {
	if v := s.volume(g.Node, id); v != nil && v.VMID == g.VMID {
		s.removeVolume(g.Node, id)
	}
}

func unlinkDisks(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	for _, key := range splitList(req.p["idlist"]) {
		req.state.drop(g, key, req.p.flag("force"))
	}
	return nil, nil
}
