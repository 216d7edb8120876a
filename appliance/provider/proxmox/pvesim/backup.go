package pvesim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// backupGuests is POST vzdump: an archive of each guest that is asked for.
func backupGuests(req *call) (any, error) {
	name := firstOf(req.p["storage"], "local")
	if _, err := req.state.usableStorage(name, req.p["node"], "backup"); err != nil {
		return nil, err
	}
	guests, err := req.toBackUp()
	if err != nil {
		return nil, err
	}
	if err := req.require("/storage/"+name, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	mode, id := firstOf(req.p["mode"], "snapshot"), ""
	if len(guests) == 1 {
		id = guests[0].id()
	}
	first := "INFO: starting new backup job: vzdump " + strings.Join(splitList(req.p["vmid"]), " ") + " --mode " + mode + " --node " + req.p["node"] + " --storage " + name
	return req.start(job{kind: "vzdump", id: id, begin: []string{first}, work: func(log func(string)) error {
		for _, g := range guests {
			req.backUp(g, name, mode, log)
		}
		log("INFO: Backup job finished successfully")
		return nil
	}}), nil
}

func (req *call) toBackUp() ([]*guest, error) {
	var result []*guest
	for _, vmid := range sortedKeys(req.state.Guests) {
		g := req.state.Guests[vmid]
		named := req.p.flag("all") || slices.Contains(splitList(req.p["vmid"]), g.id())
		if !named || g.Node != req.p["node"] {
			continue
		}
		if err := req.require("/vms/"+g.id(), "VM.Backup"); err != nil {
			return nil, err
		}
		result = append(result, g)
	}
	if len(result) == 0 && req.p.has("vmid") {
		return nil, fail("unable to find VM '%s'", req.p["vmid"])
	}
	return result, nil
}

func (req *call) backUp(g *guest, name, mode string, log func(string)) {
	now := req.now()
	stamp := now.UTC().Format("2006_01_02-15_04_05")
	file := fmt.Sprintf("vzdump-%s-%d-%s.%s.zst", g.Kind, g.VMID, stamp, map[string]string{"qemu": "vma", "lxc": "tar"}[g.Kind])
	v := newFile(name+":backup/"+file, req.state.Storages[name].home(g.Node), "backup", 1<<20, now)
	v.VMID, v.Config, v.Kind, v.Notes = g.VMID, maps.Clone(g.Config), g.Kind, g.name()
	for _, d := range req.state.owned(g) {
		v.Size += d.used()
	}
	log(fmt.Sprintf("INFO: Starting Backup of VM %d (%s)", g.VMID, g.Kind))
	log("INFO: Backup started at " + now.UTC().Format("2006-01-02 15:04:05"))
	log("INFO: status = " + g.status())
	log("INFO: backup mode: " + mode)
	log("INFO: ionice priority: 7")
	log("INFO: VM Name: " + g.name())
	log("INFO: creating vzdump archive '" + req.state.filePath(v) + "'")
	log("INFO: archive file size: " + readableSize(v.Size))
	log(fmt.Sprintf("INFO: Finished Backup of VM %d (00:00:03)", g.VMID))
	req.state.addVolume(v)
}

// restoreGuest makes a guest anew out of an archive; with force over one that exists.
func restoreGuest(req *call, kind string) (any, error) {
	vmid, node := req.p.int("vmid"), req.p["node"]
	archive := firstOf(req.p["archive"], req.p["ostemplate"])
	v := req.state.volume(node, archive)
	if v == nil || v.Content != "backup" || v.Kind != kind {
		return nil, fail("unable to restore %s - volume '%s' does not exist", shortName(kind, vmid), archive)
	}
	old := req.state.Guests[vmid]
	if old != nil && !req.p.flag("force") {
		return nil, req.state.taken(vmid)
	}
	if old != nil && old.Running {
		return nil, fail("unable to restore %s - %s is running", old.short(), old.short())
	}
	taskKind := map[string]string{"qemu": "qmrestore", "lxc": "vzrestore"}[kind]
	return req.start(job{kind: taskKind, id: strconv.Itoa(vmid), takes: durations["qmclone"], work: func(log func(string)) error {
		if other := req.state.Guests[vmid]; other != old {
			return errors.New("unable to restore - the guest has changed meanwhile")
		}
		log("restore " + archive)
		return req.restore(v, vmid, old, log)
	}}), nil
}

func (req *call) restore(v *volume, vmid int, old *guest, log func(string)) error {
	if old != nil {
		req.state.removeGuest(old)
	}
	g := &guest{VMID: vmid, Kind: v.Kind, Node: req.p["node"], Config: maps.Clone(v.Config), Created: req.now()}
	delete(g.Config, "lock")
	for _, key := range g.disks() {
		size := parseSize(driveOption(g.Config[key], "size"))
		if size == 0 || driveOption(g.Config[key], "media") == "cdrom" {
			continue
		}
		target, _, _ := strings.Cut(driveFile(g.Config[key]), ":")
		disk, err := req.state.allocate(g.Node, firstOf(req.p["storage"], target), vmid, size, "", contentOf(g.Kind), req.now())
		if err != nil {
			return err
		}
		log(req.state.created(disk))
		g.Config[key] = strings.Replace(g.Config[key], driveFile(g.Config[key]), disk.ID, 1)
	}
	req.reserve(g)
	return nil
}
