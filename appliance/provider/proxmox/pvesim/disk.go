package pvesim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// resizeDisk only ever grows; asking for less is a failed task.
func resizeDisk(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	key, want := req.p["disk"], req.p["size"]
	return req.start(job{kind: "resize", id: g.id(), work: func(log func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		if g.Config[key] == "" {
			return fmt.Errorf("disk '%s' does not exist", key)
		}
		v := req.state.volume(g.Node, driveFile(g.Config[key]))
		if v == nil {
			return fmt.Errorf("volume '%s' does not exist", driveFile(g.Config[key]))
		}
		size := parseSize(want)
		if strings.HasPrefix(want, "+") {
			size += v.Size
		}
		if size < v.Size {
			return errors.New("shrinking disks is not supported")
		}
		if err := req.state.grow(v, g.Node, size); err != nil {
			return err
		}
		g.Config[key] = withOption(g.Kind, key, g.Config[key], "size", formatSize(size))
		log("Image resized.")
		return nil
	}}), nil
}

func (s *state) grow(v *volume, node string, size int64) error {
	if used, total := s.usage(v.storage(), node); used+size-v.Size > total {
		return fmt.Errorf("unable to resize image: not enough free space on storage '%s'", v.storage())
	}
	v.Size = size
	return nil
}

// withOption sets one key of a drive's property string.
func withOption(kind, key, option, name, value string) string {
	head := "file"
	if kind == "lxc" {
		head = "volume"
	}
	drive := parseOption(kind, key, option)
	if len(drive) == 0 {
		drive[head] = driveFile(option)
	}
	drive[name] = value
	return printPropertyString(drive, head)
}

// moveDisk copies a drive to another storage; the source stays as unused unless delete is set.
func moveDisk(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	key, name := req.p["disk"], req.p["storage"]
	if _, err := req.state.usableStorage(name, g.Node, "images"); err != nil {
		return nil, err
	}
	if err := req.require("/storage/"+name, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	old := req.state.volume(g.Node, driveFile(g.Config[key]))
	switch {
	case old == nil:
		return nil, fail("disk '%s' does not exist", key)
	case old.storage() == name && (req.p["format"] == "" || req.p["format"] == old.Format):
		return nil, fail("you can't move to the same storage with same format")
	}
	return req.start(job{kind: "qmmove", id: g.id(), work: func(log func(string)) error {
		return req.copyDrive(g, key, old, log)
	}}), nil
}

func (req *call) copyDrive(g *guest, key string, old *volume, log func(string)) error {
	log(fmt.Sprintf("create full clone of drive %s (%s)", key, old.ID))
	format := firstOf(req.p["format"], old.Format)
	v, err := req.state.allocate(g.Node, req.p["storage"], g.VMID, old.Size, format, "images", req.now())
	if err != nil {
		return err
	}
	log(req.state.created(v))
	logTransfer(log, v.Size)
	g.Config[key] = withOption(g.Kind, key, g.Config[key], "file", v.ID)
	if req.p.flag("delete") {
		req.state.removeVolume(g.Node, old.ID)
		return nil
	}
	req.state.retire(g, old.ID)
	return nil
}

func logTransfer(log func(string), size int64) {
	log(fmt.Sprintf("transferred 0.0 B of %s (0.00%%)", readableSize(size)))
	log(fmt.Sprintf("transferred %s of %s (100.00%%)", readableSize(size), readableSize(size)))
}

// makeTemplate renames the disks to bases; a template cannot be started again.
func makeTemplate(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	switch {
	case g.template():
		return nil, fail("you can't convert a template to a template")
	case g.Running && g.Kind == "lxc":
		return nil, fail("you can't convert a CT to template if the CT is running")
	case g.Running:
		return nil, fail("you can't convert a VM to template if VM is running")
	case len(g.Snapshots) > 0:
		return nil, fail("unable to create template, because VM contains snapshots")
	}
	kind := "qmtemplate"
	if g.Kind == "lxc" {
		kind = "vztemplate"
	}
	return req.start(job{kind: kind, id: g.id(), work: func(func(string)) error {
		if err := g.locked(); err != nil {
			return err
		}
		req.state.toBases(g)
		g.Config["template"] = "1"
		return nil
	}}), nil
}

func (s *state) toBases(g *guest) {
	for _, key := range g.disks() {
		id := driveFile(g.Config[key])
		v := s.volume(g.Node, id)
		if v == nil || v.VMID != g.VMID || !strings.HasPrefix(stemOf(id), "vm-") || strings.HasSuffix(stemOf(id), "-cloudinit") {
			continue
		}
		s.removeVolume(g.Node, id)
		v.ID = strings.Replace(id, "vm-"+g.id()+"-", "base-"+g.id()+"-", 1)
		s.addVolume(v)
		g.Config[key] = strings.Replace(g.Config[key], id, v.ID, 1)
	}
}

// hasSnapshots tells whether a volume's storage and format can be frozen.
func (s *state) hasSnapshots(v *volume) bool {
	switch s.Storages[v.storage()].Type {
	case "lvmthin", "zfspool", "rbd", "btrfs":
		return true
	}
	return v.Format == "qcow2"
}

// cloneVolume copies a volume for another guest, in full or as a thin layer over a base.
func (s *state) cloneVolume(v *volume, node, target, format string, vmid int, linked bool, now time.Time) (*volume, error) {
	if format == "" {
		format = v.Format
	}
	if linked && s.Storages[v.storage()].fileBased() {
		format = "qcow2"
	}
	clone, err := s.allocate(node, target, vmid, v.Size, format, v.Content, now)
	if err != nil || !linked {
		return clone, err
	}
	s.removeVolume(node, clone.ID)
	clone.Parent = v.ID
	name, rest, _ := strings.Cut(clone.ID, ":")
	clone.ID = name + ":" + afterColon(v.ID) + "/" + rest
	s.addVolume(clone)
	return clone, nil
}
