package pvesim

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var lxcMethods = map[string]handler{
	"GET /nodes/{node}/lxc":                   listGuests("lxc"),
	"POST /nodes/{node}/lxc":                  createCT,
	"GET /nodes/{node}/lxc/{vmid}":            indexOf("config", "pending", "status", "snapshot", "firewall", "rrddata", "clone", "resize", "template", "interfaces"),
	"DELETE /nodes/{node}/lxc/{vmid}":         destroyGuest,
	"GET /nodes/{node}/lxc/{vmid}/config":     readConfig,
	"PUT /nodes/{node}/lxc/{vmid}/config":     updateCT,
	"GET /nodes/{node}/lxc/{vmid}/pending":    readPending,
	"PUT /nodes/{node}/lxc/{vmid}/resize":     resizeDisk,
	"POST /nodes/{node}/lxc/{vmid}/clone":     cloneGuest,
	"POST /nodes/{node}/lxc/{vmid}/template":  makeTemplate,
	"GET /nodes/{node}/lxc/{vmid}/interfaces": containerInterfaces,
	"GET /nodes/{node}/lxc/{vmid}/rrddata":    guestRRD,

	"GET /nodes/{node}/lxc/{vmid}/status":           indexOf("current", "start", "stop", "shutdown", "reboot"),
	"GET /nodes/{node}/lxc/{vmid}/status/current":   guestStatus,
	"POST /nodes/{node}/lxc/{vmid}/status/start":    startCT,
	"POST /nodes/{node}/lxc/{vmid}/status/stop":     whileRunning("vzstop", (*guest).powerOff),
	"POST /nodes/{node}/lxc/{vmid}/status/shutdown": whileRunning("vzshutdown", (*guest).powerOff),
	"POST /nodes/{node}/lxc/{vmid}/status/reboot":   rebootCT,

	"GET /nodes/{node}/lxc/{vmid}/snapshot":                      listSnapshots,
	"POST /nodes/{node}/lxc/{vmid}/snapshot":                     takeSnapshot,
	"DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}":        deleteSnapshot,
	"GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":    readSnapshot,
	"PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":    describeSnapshot,
	"POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback": rollBack,
}

var mountKey = regexp.MustCompile(`^(rootfs|mp\d+)$`)

// createCT makes the configuration at once and unpacks the template in the task.
func createCT(req *call) (any, error) {
	vmid, node := req.p.int("vmid"), req.p["node"]
	if err := req.mayCreate(vmid); err != nil {
		return nil, err
	}
	settings := req.settings()
	if err := req.maySet(vmid, settings); err != nil {
		return nil, err
	}
	if req.p.flag("restore") {
		return restoreGuest(req, "lxc")
	}
	if err := req.state.taken(vmid); err != nil {
		return nil, err
	}
	if settings["rootfs"] == "" {
		settings["rootfs"] = firstOf(req.p["storage"], "local") + ":4"
	}
	if err := req.checkMounts(settings); err != nil {
		return nil, err
	}
	g := &guest{VMID: vmid, Kind: "lxc", Node: node, Config: map[string]string{"lock": "create"}, Created: req.now()}
	req.reserve(g)
	return req.start(job{
		kind: "vzcreate", id: g.id(), makes: g,
		work: func(log func(string)) error { return req.finishContainer(g, settings, log) },
	}), nil
}

// checkMounts refuses storages that do not exist or may not be used.
func (req *call) checkMounts(settings map[string]string) error {
	template := req.p["ostemplate"]
	if !volumeShape.MatchString(template) && !strings.HasPrefix(template, "/") {
		return badParam("ostemplate", "invalid format - unable to parse volume ID '"+template+"'\n")
	}
	if name, _, _ := strings.Cut(template, ":"); req.state.Storages[name] == nil {
		return fail("storage '%s' does not exist", name)
	}
	for _, key := range diskKeys(settings) {
		file := driveFile(settings[key])
		name, _, isVolume := strings.Cut(file, ":")
		if !isVolume {
			continue // a bind mount
		}
		if _, err := req.state.usableStorage(name, req.p["node"], "rootdir"); err != nil {
			return err
		}
		if err := req.require("/storage/"+name, "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	return nil
}

func (req *call) finishContainer(g *guest, settings map[string]string, log func(string)) error {
	config := map[string]string{"arch": "amd64", "memory": "512", "swap": "512", "hostname": "CT" + g.id()}
	maps.Copy(config, settings)
	template := req.p["ostemplate"]
	if err := req.state.placeMounts(g, config, config, log, req.now()); err != nil {
		req.state.discard(g, config, settings)
		req.state.removeGuest(g)
		return fmt.Errorf("unable to create CT %d - %w", g.VMID, err)
	}
	v := req.state.volume(g.Node, template)
	if v == nil {
		log(fmt.Sprintf("volume '%s' does not exist", template))
		req.state.discard(g, config, settings)
		req.state.removeGuest(g)
		return fmt.Errorf("unable to create CT %d - volume '%s' does not exist", g.VMID, template)
	}
	logUnpack(req.state.filePath(v), v.Size, config["hostname"], log)
	config["ostype"] = firstOf(config["ostype"], osOf(template))
	storedContainer(config)
	g.Config = config
	req.startCreated(g, "vzstart", log)
	return nil
}

// osOf guesses the distribution from the template's name, as Proxmox does from its files.
func osOf(template string) string {
	for _, name := range []string{"alpine", "archlinux", "centos", "debian", "devuan", "fedora", "gentoo", "nixos", "opensuse", "ubuntu"} {
		if strings.Contains(template, name) {
			return name
		}
	}
	return "unmanaged"
}

func logUnpack(file string, size int64, host string, log func(string)) {
	log("extracting archive '" + file + "'")
	log(fmt.Sprintf("Total bytes read: %d (%s, 160MiB/s)", size*3, readableSize(size*3)))
	log("Detected container architecture: amd64")
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		log("Creating SSH host key 'ssh_host_" + kind + "_key' - this may take some time ...")
		log("done: SHA256:" + randomHex(21) + " root@" + host)
	}
}

// storedContainer brings values into the form in which the server keeps them.
func storedContainer(config map[string]string) {
	for key := range config {
		if networkKey.MatchString(key) {
			device := parseOption("lxc", key, config[key])
			if device["hwaddr"] == "" {
				device["hwaddr"] = newAddress()
			}
			config[key] = containerNetwork(device)
		}
	}
	if text, ok := config["description"]; ok && !strings.HasSuffix(text, "\n") {
		config["description"] = text + "\n"
	}
	normalise(config)
}

// containerNetwork is the name and the rest sorted; the type is always veth.
func containerNetwork(device map[string]string) string {
	device["type"] = "veth"
	device["head"] = "name=" + device["name"]
	name := device["name"]
	delete(device, "name")
	result := printPropertyString(device, "head")
	device["name"] = name
	return result
}

// placeMounts makes the volumes that STORAGE:SIZE asks for and writes all mounts in stored form.
func (s *state) placeMounts(g *guest, config, wanted map[string]string, log func(string), now time.Time) error {
	for _, key := range diskKeys(wanted) {
		if !mountKey.MatchString(key) {
			continue
		}
		mount := parseOption("lxc", key, wanted[key])
		if m := newDisk.FindStringSubmatch(mount["volume"]); m != nil {
			v, err := s.allocate(g.Node, m[1], g.VMID, parseSize(m[2]+"G"), "raw", "rootdir", now)
			if err != nil {
				return err
			}
			logFormat(s.created(v), v.Size, log)
			mount["volume"], mount["size"] = v.ID, formatSize(v.Size)
		} else if v := s.volume(g.Node, mount["volume"]); v != nil {
			mount["size"] = formatSize(v.Size)
		} else if strings.Contains(mount["volume"], ":") {
			return fmt.Errorf("volume '%s' does not exist", mount["volume"])
		}
		config[key] = printPropertyString(mount, "volume")
	}
	return nil
}

func logFormat(created string, size int64, log func(string)) {
	log(created)
	log(fmt.Sprintf("Creating filesystem with %d 4k blocks and %d inodes", size/4096, size/16384))
	log("Filesystem UUID: " + newUUID())
	log("Superblock backups stored on blocks: ")
	log("\t" + superblocks(size/4096))
}

// superblocks lists where ext4 keeps copies of its superblock: in the block groups 1 and the powers
// of 3, 5 and 7 (ext4 disk layout, sparse_super).
func superblocks(blocks int64) string {
	const group = 32768
	copies := []int64{group}
	for _, base := range []int64{3, 5, 7} {
		for n := base; n*group < blocks; n *= base {
			copies = append(copies, n*group)
		}
	}
	slices.Sort(copies)
	texts := make([]string, len(copies))
	for i, block := range copies {
		texts[i] = strconv.FormatInt(block, 10)
	}
	return strings.Join(texts, ", ")
}

func updateCT(req *call) (any, error) {
	wanted := req.settings()
	if len(wanted) == 0 && !req.p.has("delete") && !req.p.has("revert") {
		return nil, fail("no options specified")
	}
	if err := req.checkDeletes(); err != nil {
		return nil, err
	}
	if err := req.maySet(req.p.int("vmid"), wanted); err != nil {
		return nil, err
	}
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if digest := req.p["digest"]; digest != "" && digest != g.digest() {
		return nil, fail("checksum mismatch (file change by other user?)")
	}
	if err := g.locked(); err != nil {
		return nil, err
	}
	return nil, req.applyContainer(g, wanted)
}

func (req *call) applyContainer(g *guest, wanted map[string]string) error {
	placed := maps.Clone(wanted)
	if err := req.state.placeMounts(g, placed, wanted, func(string) {}, req.now()); err != nil {
		req.state.discard(g, placed, wanted)
		return fail("%s", err)
	}
	for _, key := range splitList(req.p["delete"]) {
		if mountKey.MatchString(key) && g.Running {
			return fail("unable to detach mount point '%s' of a running container", key)
		}
		req.state.drop(g, key, false)
	}
	storedContainer(placed)
	if _, given := wanted["tags"]; given && placed["tags"] == "" {
		delete(g.Config, "tags")
	}
	for key, value := range placed {
		g.Config[key] = value // what a container may use can change while it runs
	}
	return nil
}

func startCT(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if g.Running {
		return nil, fail("CT %d already running", g.VMID)
	}
	return req.start(job{kind: "vzstart", id: g.id(), work: func(func(string)) error {
		if g.template() {
			return errors.New("you can't start a CT if it's a template")
		}
		if err := g.locked(); err != nil {
			return err
		}
		req.powerOn(g)
		return nil
	}}), nil
}

func rebootCT(req *call) (any, error) {
	return whileRunning("vzreboot", func(g *guest) {
		g.powerOff()
		req.powerOn(g)
	})(req)
}

// containerInterfaces is null unless the container runs.
func containerInterfaces(req *call) (any, error) {
	g, err := req.guest()
	if err != nil || !g.Running {
		return nil, err
	}
	result := []any{loopbackInterface()}
	for _, key := range sortedKeys(g.Config) {
		if networkKey.MatchString(key) {
			device := parseOption("lxc", key, g.Config[key])
			result = append(result, map[string]any{
				"name": device["name"], "hwaddr": strings.ToLower(device["hwaddr"]), "hardware-address": strings.ToLower(device["hwaddr"]),
				"inet":         addressOf(g, device["ip"]) + "/24",
				"ip-addresses": []any{map[string]any{"ip-address": addressOf(g, device["ip"]), "ip-address-type": "inet", "prefix": "24"}},
			})
		}
	}
	return result, nil
}

func loopbackInterface() map[string]any {
	return map[string]any{
		"name": "lo", "hwaddr": "00:00:00:00:00:00", "hardware-address": "00:00:00:00:00:00", "inet": "127.0.0.1/8",
		"ip-addresses": []any{map[string]any{"ip-address": "127.0.0.1", "ip-address-type": "inet", "prefix": "8"}},
	}
}

// addressOf is the address in a device's configuration, or one that DHCP would have given.
func addressOf(g *guest, ip string) string {
	if host, _, ok := strings.Cut(ip, "/"); ok {
		return host
	}
	return fmt.Sprintf("10.99.%d.%d", 1+g.VMID/200%200, 10+g.VMID%200)
}
