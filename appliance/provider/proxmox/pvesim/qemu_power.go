package pvesim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// startVM answers with a task even for machines that do not exist or already run: the task fails.
func startVM(req *call) (any, error) {
	return req.start(job{kind: "qmstart", id: req.p["vmid"], work: func(log func(string)) error {
		g, err := req.guest()
		switch {
		case err != nil:
			return err
		case g.template():
			return errors.New("you can't start a vm if it's a template")
		case g.Running:
			return fmt.Errorf("VM %d already running", g.VMID)
		}
		if err := g.locked(); err != nil {
			return err
		}
		if err := g.bootable(log); err != nil {
			return err
		}
		req.powerOn(g)
		return nil
	}}), nil
}

// bootable fails as QEMU does on a host without an optical drive.
func (g *guest) bootable(log func(string)) error {
	for _, key := range g.disks() {
		if driveFile(g.Config[key]) == "cdrom" {
			log("WARN: no physical CD-ROM available, ignoring")
			log("qemu-system-x86_64: -blockdev driver=host_cdrom,filename=: The 'file' option requires a file name")
			return errors.New("start failed: QEMU exited with code 1")
		}
	}
	return nil
}

// stopVM is stop and shutdown. Stopping a stopped machine is a success.
func stopVM(kind string) handler {
	return func(req *call) (any, error) {
		return req.start(job{kind: kind, id: req.p["vmid"], work: func(func(string)) error {
			g, err := req.guest()
			if err != nil {
				return err
			}
			if err := g.locked(); err != nil {
				return err
			}
			g.powerOff()
			return nil
		}}), nil
	}
}

func rebootVM(req *call) (any, error) {
	return whileRunning("qmreboot", func(g *guest) {
		g.powerOff()
		req.powerOn(g)
	})(req)
}

// whileRunning is a task on a machine that has to run when it is asked for.
func whileRunning(kind string, act func(*guest)) handler {
	return func(req *call) (any, error) {
		g, err := req.guest()
		if err != nil {
			return nil, err
		}
		if !g.Running {
			return nil, fail("%s not running", g.short())
		}
		return req.start(job{kind: kind, id: g.id(), work: func(func(string)) error {
			if err := g.locked(); err != nil {
				return err
			}
			act(g)
			return nil
		}}), nil
	}
}

// guestStatus is GET status/current.
func guestStatus(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	now := req.now()
	result := req.listEntry(g, now, true)
	result["ha"] = map[string]any{"managed": 0}
	if g.Kind == "lxc" {
		return result, nil
	}
	if agentEnabled(g) {
		result["agent"] = 1
	}
	if g.Running {
		req.addRunning(g, result, now)
	}
	return result, nil
}

// agentEnabled tells whether the configuration says that an agent may be asked.
func agentEnabled(g *guest) bool {
	return parseOption("qemu", "agent", g.Config["agent"])["enabled"] == "1"
}

// addRunning adds what only QEMU itself can tell.
func (c *Cluster) addRunning(g *guest, result map[string]any, now time.Time) {
	l := c.loadOf(g, now)
	result["running-qemu"], result["running-machine"] = qemuVersion, "pc-i440fx-10.0"
	result["proxmox-support"] = map[string]any{
		"backup-fleecing": true, "backup-access-api": true, "backup-max-workers": true, "pbs-dirty-bitmap": true,
		"pbs-dirty-bitmap-migration": true, "pbs-dirty-bitmap-savevm": true, "pbs-library-version": "1.5.2 (UNKNOWN)",
		"pbs-masterkey": true, "query-bitmap-info": true,
	}
	blocks, nics := map[string]any{}, map[string]any{}
	for i, key := range g.disks() {
		if qemuDrive.MatchString(key) {
			blocks[key] = blockStatistics(l, i == 0)
		}
	}
	for key := range g.Config {
		if networkKey.MatchString(key) {
			nics[fmt.Sprintf("tap%di%s", g.VMID, key[3:])] = map[string]any{"netin": l.netIn, "netout": l.netOut}
		}
	}
	result["blockstat"] = blocks
	if len(nics) > 0 {
		result["nics"] = nics
	}
}

// blockStatistics are QEMU's counters of a drive. Only the first drive is taken to be in use; one
// that never was has no idle time.
func blockStatistics(l load, inUse bool) map[string]any {
	result := map[string]any{"account_failed": true, "account_invalid": true, "timed_stats": []any{}, "wr_highest_offset": 0}
	for _, kind := range []string{"rd", "wr", "unmap", "zone_append"} {
		for _, what := range []string{"bytes", "merged", "operations", "total_time_ns"} {
			result[kind+"_"+what] = 0
		}
	}
	for _, kind := range []string{"rd", "wr", "unmap", "flush", "zone_append"} {
		result["failed_"+kind+"_operations"], result["invalid_"+kind+"_operations"] = 0, 0
	}
	result["flush_operations"], result["flush_total_time_ns"] = 0, 0
	if inUse {
		result["idle_time_ns"] = l.uptime * 1e8
		result["rd_bytes"], result["rd_operations"] = l.diskRead, l.diskRead/512
		result["wr_bytes"], result["wr_operations"], result["wr_highest_offset"] = l.write, l.write/4096, l.write
	}
	return result
}

// listGuests lists a node's guests of a kind that the caller may see.
func listGuests(kind string) handler {
	return func(req *call) (any, error) {
		result, now := []any{}, req.now()
		for _, vmid := range sortedKeys(req.state.Guests) {
			g := req.state.Guests[vmid]
			if g.Kind == kind && g.Node == req.p["node"] && req.can("/vms/"+g.id(), "VM.Audit") {
				result = append(result, req.listEntry(g, now, req.p.flag("full")))
			}
		}
		return result, nil
	}
}

// listEntry is a guest as its node's list shows it.
func (c *Cluster) listEntry(g *guest, now time.Time, full bool) map[string]any {
	l := c.loadOf(g, now)
	result := map[string]any{
		"vmid": g.VMID, "name": g.name(), "status": g.status(), "cpus": c.coresOf(g), "cpu": l.cpu,
		"mem": l.mem, "maxmem": memoryOf(g), "disk": 0, "maxdisk": c.bootDiskSize(g), "uptime": l.uptime,
		"netin": l.netIn, "netout": l.netOut,
	}
	for _, key := range []string{"tags", "lock"} {
		if g.Config[key] != "" {
			result[key] = g.Config[key]
		}
	}
	if g.template() {
		result["template"] = 1
	}
	if g.Kind == "lxc" {
		c.addContainer(g, result, l)
	} else {
		c.addMachine(g, result, l, full)
	}
	if g.Running {
		result["pid"] = g.PID
		addPressure(result)
	}
	return result
}

func addPressure(result map[string]any) {
	for _, what := range []string{"cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome"} {
		result["pressure"+what] = 0
	}
}

func (c *Cluster) addMachine(g *guest, result map[string]any, l load, full bool) {
	result["memhost"] = l.mem
	if g.Config["serial0"] != "" {
		result["serial"] = 1
	}
	if g.Running {
		result["diskread"], result["diskwrite"] = l.diskRead, l.write
	}
	if full {
		result["qmpstatus"] = g.status()
		if g.Paused {
			result["qmpstatus"] = "paused"
		}
	}
}

func (c *Cluster) addContainer(g *guest, result map[string]any, l load) {
	result["type"], result["diskread"], result["diskwrite"], result["swap"] = "lxc", l.diskRead, l.write, 0
	result["maxswap"] = parseSize(g.Config["swap"] + "M")
}

func (g *guest) status() string {
	if g.Running {
		return "running"
	}
	return "stopped"
}

// bootDiskSize is the size of the first real disk, or of a container's root.
func (c *Cluster) bootDiskSize(g *guest) int64 {
	for _, key := range g.disks() {
		usable := key == "rootfs" || qemuDrive.MatchString(key) && !firmware(key) && driveOption(g.Config[key], "media") != "cdrom"
		if v := c.state.volume(g.Node, driveFile(g.Config[key])); v != nil && usable {
			return v.Size
		}
	}
	return 0
}

func firmware(key string) bool {
	return strings.HasPrefix(key, "efidisk") || strings.HasPrefix(key, "tpmstate")
}
