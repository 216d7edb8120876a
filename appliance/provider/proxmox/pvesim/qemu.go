package pvesim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

const qemuVersion = "10.0.13"

var qemuMethods = map[string]handler{
	"GET /nodes/{node}/qemu":           listGuests("qemu"),
	"POST /nodes/{node}/qemu":          createVM,
	"GET /nodes/{node}/qemu/{vmid}":    indexOf("config", "pending", "unlink", "vncproxy", "status", "rrddata", "agent", "resize", "move_disk", "migrate", "clone", "feature", "template", "snapshot", "firewall", "cloudinit"),
	"DELETE /nodes/{node}/qemu/{vmid}": destroyGuest,

	"GET /nodes/{node}/qemu/{vmid}/config":     readConfig,
	"PUT /nodes/{node}/qemu/{vmid}/config":     updateVM,
	"POST /nodes/{node}/qemu/{vmid}/config":    updateVMAsync,
	"GET /nodes/{node}/qemu/{vmid}/pending":    readPending,
	"PUT /nodes/{node}/qemu/{vmid}/unlink":     unlinkDisks,
	"PUT /nodes/{node}/qemu/{vmid}/resize":     resizeDisk,
	"POST /nodes/{node}/qemu/{vmid}/move_disk": moveDisk,
	"POST /nodes/{node}/qemu/{vmid}/clone":     cloneGuest,
	"POST /nodes/{node}/qemu/{vmid}/template":  makeTemplate,
	"GET /nodes/{node}/qemu/{vmid}/migrate":    migratePreconditions,
	"POST /nodes/{node}/qemu/{vmid}/migrate":   migrateVM,
	"GET /nodes/{node}/qemu/{vmid}/feature":    vmFeature,
	"GET /nodes/{node}/qemu/{vmid}/rrddata":    guestRRD,

	"GET /nodes/{node}/qemu/{vmid}/status":           indexOf("current", "start", "stop", "reset", "shutdown", "suspend", "reboot"),
	"GET /nodes/{node}/qemu/{vmid}/status/current":   guestStatus,
	"POST /nodes/{node}/qemu/{vmid}/status/start":    startVM,
	"POST /nodes/{node}/qemu/{vmid}/status/stop":     stopVM("qmstop"),
	"POST /nodes/{node}/qemu/{vmid}/status/shutdown": stopVM("qmshutdown"),
	"POST /nodes/{node}/qemu/{vmid}/status/reboot":   rebootVM,
	"POST /nodes/{node}/qemu/{vmid}/status/reset":    whileRunning("qmreset", func(*guest) {}),
	"POST /nodes/{node}/qemu/{vmid}/status/suspend":  whileRunning("qmpause", func(g *guest) { g.Paused = true }),
	"POST /nodes/{node}/qemu/{vmid}/status/resume":   whileRunning("qmresume", func(g *guest) { g.Paused = false }),

	"GET /nodes/{node}/qemu/{vmid}/snapshot":                      listSnapshots,
	"POST /nodes/{node}/qemu/{vmid}/snapshot":                     takeSnapshot,
	"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":           indexOf("config", "rollback"),
	"DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":        deleteSnapshot,
	"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    readSnapshot,
	"PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    describeSnapshot,
	"POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback": rollBack,
	"GET /nodes/{node}/qemu/{vmid}/cloudinit":                     pendingCloudInit,
	"PUT /nodes/{node}/qemu/{vmid}/cloudinit":                     regenerateCloudInit,
	"GET /nodes/{node}/qemu/{vmid}/cloudinit/dump":                dumpCloudInit,
}

// notConfig are parameters of create and update that do not end up in the configuration.
var notConfig = map[string]bool{
	"node": true, "vmid": true, "archive": true, "bwlimit": true, "force": true, "pool": true, "start": true,
	"storage": true, "unique": true, "live-restore": true, "import-working-storage": true, "ha-managed": true,
	"delete": true, "revert": true, "skiplock": true, "digest": true, "background_delay": true,
	"ostemplate": true, "password": true, "ssh-public-keys": true, "restore": true, "ignore-unpack-errors": true,
}

// settings are the configuration that a request asks for.
func (req *call) settings() map[string]string {
	result := map[string]string{}
	for k, v := range req.p {
		if !notConfig[k] {
			result[k] = v
		}
	}
	return result
}

// createVM makes the configuration at once, locked, and the disks in the task.
func createVM(req *call) (any, error) {
	vmid, node := req.p.int("vmid"), req.p["node"]
	if err := req.mayCreate(vmid); err != nil {
		return nil, err
	}
	settings := req.settings()
	if err := req.maySet(vmid, settings); err != nil {
		return nil, err
	}
	if req.p.has("archive") {
		return restoreGuest(req, "qemu")
	}
	if err := req.state.taken(vmid); err != nil {
		return nil, err
	}
	if err := req.checkDrives(vmid, settings); err != nil {
		return nil, err
	}
	g := &guest{VMID: vmid, Kind: "qemu", Node: node, Config: map[string]string{"lock": "create"}, Created: req.now(), HasAgent: req.cfg.GuestAgents}
	req.reserve(g)
	return req.start(job{
		kind: "qmcreate", id: g.id(), makes: g,
		work: func(log func(string)) error { return req.finishCreate(g, settings, log) },
	}), nil
}

// mayCreate is the check that createVM and createCT make themselves: on the guest or on its pool.
func (req *call) mayCreate(vmid int) error {
	pool, inPool := req.p["pool"]
	allowed := req.can("/vms/"+strconv.Itoa(vmid), "VM.Allocate") || inPool && req.can("/pool/"+pool, "VM.Allocate")
	if !allowed {
		return forbidden("Permission check failed")
	}
	if inPool && req.state.Pools[pool] == nil {
		return fail("pool '%s' does not exist", pool)
	}
	return nil
}

// reserve puts a new guest on the cluster and into the pool that was asked for.
func (req *call) reserve(g *guest) {
	req.state.Guests[g.VMID] = g
	if name, ok := req.p["pool"]; ok {
		req.state.Pools[name].Guests[g.VMID] = true
	}
}

func (req *call) finishCreate(g *guest, settings map[string]string, log func(string)) error {
	config := map[string]string{
		"meta":    fmt.Sprintf("creation-qemu=%s,ctime=%d", qemuVersion, req.now().Unix()),
		"smbios1": "uuid=" + newUUID(), "vmgenid": newUUID(),
	}
	maps.Copy(config, settings)
	if err := req.state.placeDrives(g, config, config, log, req.now()); err != nil {
		req.state.discard(g, config, settings)
		req.state.removeGuest(g)
		return fmt.Errorf("unable to create VM %d - %w", g.VMID, err)
	}
	normalise(config)
	if config["boot"] == "" {
		config["boot"] = defaultBoot(config)
	}
	g.Config = config
	req.startCreated(g, "qmstart", log)
	return nil
}

// startCreated starts a new guest within the task that made it. A failure only leaves it stopped.
func (req *call) startCreated(g *guest, kind string, log func(string)) {
	if !req.p.flag("start") {
		return
	}
	if planned := req.faults.takeFailure(kind); planned != nil {
		log("start failed: " + *planned)
		return
	}
	req.powerOn(g)
}

// normalise brings values into the form in which the server keeps them.
func normalise(config map[string]string) {
	if tags, ok := config["tags"]; ok {
		config["tags"] = joinSorted(setOf(splitList(tags)), ";")
		if config["tags"] == "" {
			delete(config, "tags")
		}
	}
	if order, ok := config["boot"]; ok && order == "" {
		delete(config, "boot")
	}
}

func setOf(items []string) map[string]bool {
	set := map[string]bool{}
	for _, item := range items {
		set[item] = true
	}
	return set
}

// defaultBoot is the order that the server writes for a new machine: its first disk, then CD, then network.
func defaultBoot(config map[string]string) string {
	var disk, cd, network string
	for _, key := range diskKeys(config) {
		switch {
		case strings.HasPrefix(key, "unused") || strings.HasPrefix(key, "efi") || strings.HasPrefix(key, "tpm"):
		case driveOption(config[key], "media") == "cdrom":
			cd = firstOf(cd, key)
		default:
			disk = firstOf(disk, key)
		}
	}
	for n := range indexed["net"] {
		if key := "net" + strconv.Itoa(n); config[key] != "" {
			network = firstOf(network, key)
		}
	}
	var order []string
	for _, device := range []string{disk, cd, network} {
		if device != "" {
			order = append(order, device)
		}
	}
	if len(order) == 0 {
		return " "
	}
	return "order=" + strings.Join(order, ";")
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// destroyGuest removes a stopped guest; linked clones of it stand in the way.
func destroyGuest(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if g.Config["protection"] == "1" {
		return nil, fail("can't remove %s - protection mode enabled", g.short())
	}
	if g.Running && g.Kind == "lxc" && !req.p.flag("force") {
		return nil, fail("unable to destroy %s - container is running", g.short())
	}
	if g.Running && g.Kind == "qemu" {
		return nil, fail("VM %d is running - destroy failed", g.VMID)
	}
	kind := "qmdestroy"
	if g.Kind == "lxc" {
		kind = "vzdestroy"
	}
	return req.start(job{kind: kind, id: g.id(), work: func(log func(string)) error {
		if err := req.state.inUse(g); err != nil {
			return err
		}
		if err := g.locked(); err != nil {
			return err
		}
		if req.p.flag("purge") {
			log("purging " + g.short() + " from related configurations..")
		}
		req.state.removeGuest(g)
		return nil
	}}), nil
}

func (s *state) inUse(g *guest) error {
	for _, v := range s.owned(g) {
		for _, other := range s.Volumes {
			if other.Parent == v.ID && other.Node == v.Node {
				return fmt.Errorf("base volume '%s' is still in use by linked cloned", v.ID)
			}
		}
	}
	return nil
}

// lagging is true while cluster-wide statistics do not know a guest yet.
func (c *Cluster) lagging(g *guest, at time.Time) bool { return at.Sub(g.Created) < c.cfg.StatsLag }
