package pvesim

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	qemuDrive   = regexp.MustCompile(`^(ide|sata|scsi|virtio|efidisk|tpmstate)\d+$`)
	networkKey  = regexp.MustCompile(`^net\d+$`)
	newDisk     = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9\-_.]*):(\d+(?:\.\d+)?)$`)
	cloudInitID = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9\-_.]*):cloudinit$`)
)

// parseOption reads a property string of a guest's configuration by its schema.
func parseOption(kind, key, value string) map[string]string {
	prop := lookup(schemas()["POST /nodes/{node}/"+kind].Params, key)
	if prop == nil || prop.Keys == nil {
		return map[string]string{}
	}
	values, err := parsePropertyString(prop.Keys, value)
	if err != nil {
		return map[string]string{}
	}
	return values
}

// checkDrives refuses at once what the server refuses before it starts a task: storages that do
// not exist or may not be used, and paths.
func (req *call) checkDrives(vmid int, wanted map[string]string) error {
	for _, key := range sortedKeys(wanted) {
		if !qemuDrive.MatchString(key) {
			continue
		}
		drive := parseOption("qemu", key, wanted[key])
		if err := req.checkDrive(vmid, drive); err != nil {
			return err
		}
	}
	return nil
}

func (req *call) checkDrive(vmid int, drive map[string]string) error {
	file := drive["file"]
	if file == "none" || file == "cdrom" {
		return nil
	}
	if strings.HasPrefix(file, "/") {
		if req.who.isRoot() {
			return nil
		}
		return fail("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
	}
	name, _, _ := strings.Cut(file, ":")
	if req.state.Storages[name] == nil {
		return fail("storage '%s' does not exist", name)
	}
	if source := drive["import-from"]; source != "" {
		if err := req.checkSource(source); err != nil {
			return err
		}
	}
	if newDisk.MatchString(file) || cloudInitID.MatchString(file) {
		if _, err := req.state.usableStorage(name, req.p["node"], "images"); err != nil {
			return err
		}
		return req.require("/storage/"+name, "Datastore.AllocateSpace")
	}
	return req.checkExisting(vmid, name, file)
}

// checkExisting lets a guest use its own volumes, and those of others only with rights on the storage.
func (req *call) checkExisting(vmid int, name, file string) error {
	v := req.state.volume(req.p["node"], file)
	if v == nil || v.VMID == vmid {
		return nil
	}
	if v.Content == "iso" || v.Content == "vztmpl" || v.Content == "import" {
		return req.requireAny("/storage/"+name, "Datastore.Audit", "Datastore.AllocateSpace")
	}
	return req.require("/storage/"+name, "Datastore.Allocate")
}

func (req *call) checkSource(source string) error {
	name, _, _ := strings.Cut(source, ":")
	if strings.HasPrefix(source, "/") {
		return fail("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
	}
	if req.state.Storages[name] == nil {
		return fail("storage '%s' does not exist", name)
	}
	return req.requireAny("/storage/"+name, "Datastore.Audit", "Datastore.AllocateSpace")
}

// placeDrives makes or looks up the volumes of the wanted drives, gives network devices their
// addresses, and writes all of them in stored form into config.
func (s *state) placeDrives(g *guest, config, wanted map[string]string, log func(string), now time.Time) error {
	for _, key := range diskKeys(wanted) {
		if !qemuDrive.MatchString(key) {
			continue
		}
		option, err := s.placeDrive(g, key, wanted[key], log, now)
		if err != nil {
			return err
		}
		config[key] = option
	}
	for _, key := range sortedKeys(wanted) {
		if networkKey.MatchString(key) {
			config[key] = storedNetwork(wanted[key])
		}
	}
	return nil
}

func (s *state) placeDrive(g *guest, key, option string, log func(string), now time.Time) (string, error) {
	drive := parseOption("qemu", key, option)
	file := drive["file"]
	switch {
	case file == "none" || file == "cdrom" || strings.HasPrefix(file, "/"):
		return printPropertyString(drive, "file"), nil
	case cloudInitID.MatchString(file):
		return s.placeCloudInit(g, drive, now)
	case newDisk.MatchString(file):
		return s.placeNew(g, key, drive, log, now)
	}
	v := s.volume(g.Node, file)
	if v == nil {
		return "", fmt.Errorf("volume '%s' does not exist", file)
	}
	drive["size"] = formatSize(v.Size)
	if v.Content == "images" && strings.Contains(stemOf(v.ID), "cloudinit") {
		delete(drive, "size")
	}
	return printPropertyString(drive, "file"), nil
}

func (s *state) placeNew(g *guest, key string, drive map[string]string, log func(string), now time.Time) (string, error) {
	m := newDisk.FindStringSubmatch(drive["file"])
	size, err := s.newDiskSize(g.Node, key, m[2], drive["import-from"])
	if err != nil {
		return "", err
	}
	v, err := s.allocate(g.Node, m[1], g.VMID, size, drive["format"], "images", now)
	if err != nil {
		return "", err
	}
	log(s.created(v))
	if drive["import-from"] != "" {
		log("transferred 0.0 B of " + readableSize(size) + " (0.00%)")
		log("transferred " + readableSize(size) + " of " + readableSize(size) + " (100.00%)")
	}
	delete(drive, "format")
	delete(drive, "import-from")
	drive["file"], drive["size"] = v.ID, formatSize(size)
	option := printPropertyString(drive, "file")
	log(fmt.Sprintf("%s: successfully created disk '%s'", key, option))
	return option, nil
}

// newDiskSize is what STORAGE:SIZE asks for, or the size of what is imported. Firmware disks have fixed sizes.
func (s *state) newDiskSize(node, key, gigabytes, source string) (int64, error) {
	switch {
	case strings.HasPrefix(key, "efidisk"):
		return 528 << 10, nil
	case strings.HasPrefix(key, "tpmstate"):
		return 4 << 20, nil
	case source == "":
		return parseSize(gigabytes + "G"), nil
	}
	v := s.volume(node, source)
	if v == nil {
		return 0, fmt.Errorf("volume '%s' does not exist", source)
	}
	if v.Virtual > 0 {
		return v.Virtual, nil
	}
	return v.Size, nil
}

const cloudInitSize = 4 << 20

func (s *state) placeCloudInit(g *guest, drive map[string]string, now time.Time) (string, error) {
	name := cloudInitID.FindStringSubmatch(drive["file"])[1]
	st, err := s.usableStorage(name, g.Node, "images")
	if err != nil {
		return "", err
	}
	format := "qcow2"
	if !st.fileBased() {
		format = "raw"
	}
	id := imageID(st, name, g.VMID, "vm-"+g.id()+"-cloudinit", format)
	s.addVolume(&volume{ID: id, Node: st.home(g.Node), Content: "images", Format: format, Size: cloudInitSize, VMID: g.VMID, CTime: now.Unix()})
	drive["file"], drive["media"] = id, "cdrom"
	delete(drive, "size")
	delete(drive, "format")
	return printPropertyString(drive, "file"), nil
}

// storedNetwork is "model=address" and the rest sorted; a missing hardware address is made up.
func storedNetwork(option string) string {
	device := parseOption("qemu", "net0", option)
	if device["model"] == "" {
		return option
	}
	address := strings.ToUpper(device["macaddr"])
	if address == "" {
		address = newAddress()
	}
	device["head"] = device["model"] + "=" + address
	delete(device, "model")
	delete(device, "macaddr")
	return printPropertyString(device, "head")
}

// newAddress is a random hardware address under the prefix that Proxmox registered.
func newAddress() string {
	b := make([]byte, 3)
	if _, err := rand.Read(b); err != nil {
		panic("pvesim: no randomness: " + err.Error())
	}
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", b[0], b[1], b[2])
}
