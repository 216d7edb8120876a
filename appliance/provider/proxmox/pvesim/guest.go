package pvesim

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// guest is a virtual machine or a container. Config is what the configuration file holds; Pending
// and Dropped wait for the guest to stop.
type guest struct {
	VMID       int
	Kind, Node string // qemu or lxc
	Config     map[string]string
	Pending    map[string]string
	Dropped    []string
	Running    bool
	Paused     bool
	Started    time.Time
	Created    time.Time
	PID        int
	HasAgent   bool
	Snapshots  []*snapshot // oldest first
	Parent     string      // snapshot that the present state comes from
}

type snapshot struct {
	Name, Description, Parent string
	Time                      int64
	State                     bool // holds the memory
	Config                    map[string]string
	Sizes                     map[string]int64 // of the volumes
}

func configFile(kind, node string, vmid int) string {
	folder := "qemu-server"
	if kind == "lxc" {
		folder = "lxc"
	}
	return fmt.Sprintf("nodes/%s/%s/%d.conf", node, folder, vmid)
}

// short is how texts call the guest: VM 100 or CT 100.
func (g *guest) short() string { return shortName(g.Kind, g.VMID) }

func shortName(kind string, vmid int) string {
	if kind == "lxc" {
		return "CT " + strconv.Itoa(vmid)
	}
	return "VM " + strconv.Itoa(vmid)
}

func (g *guest) id() string { return strconv.Itoa(g.VMID) }

func (g *guest) name() string {
	key := "name"
	if g.Kind == "lxc" {
		key = "hostname"
	}
	if name := g.Config[key]; name != "" {
		return name
	}
	return g.short()
}

func (g *guest) template() bool { return g.Config["template"] == "1" }

// kind tells from the path whether a method is about virtual machines or containers.
func (req *call) kind() string {
	if parts := segments(req.path); len(parts) > 2 && parts[2] == "lxc" {
		return "lxc"
	}
	return "qemu"
}

// guest is the guest of the path; it has to be on the node of the path.
func (req *call) guest() (*guest, error) {
	return req.guestOf(req.kind(), req.p["node"], req.p.int("vmid"))
}

func (c *Cluster) guestOf(kind, node string, vmid int) (*guest, error) {
	g := c.state.Guests[vmid]
	if g == nil || g.Node != node || g.Kind != kind {
		return nil, fail("Configuration file '%s' does not exist", configFile(kind, node, vmid))
	}
	return g, nil
}

// locked is the refusal to touch a guest that something else is working on.
func (g *guest) locked() error {
	if lock := g.Config["lock"]; lock != "" {
		kind, _, _ := strings.Cut(g.short(), " ")
		return fail("%s is locked (%s)", kind, lock)
	}
	return nil
}

// digest is the checksum of the configuration file.
func (g *guest) digest() string {
	var text strings.Builder
	for _, k := range sortedKeys(g.Config) {
		text.WriteString(k + ": " + g.Config[k] + "\n")
	}
	for _, k := range sortedKeys(g.Pending) {
		text.WriteString("[PENDING] " + k + ": " + g.Pending[k] + "\n")
	}
	text.WriteString(strings.Join(g.Dropped, ",") + g.Parent)
	return digestOf(text.String())
}

// effective is the configuration as it will be after the next stop.
func (g *guest) effective() map[string]string {
	config := maps.Clone(g.Config)
	maps.Copy(config, g.Pending)
	for _, key := range g.Dropped {
		delete(config, key)
	}
	return config
}

// show types a configuration as the server does: what the schema calls integer or boolean is a
// number, all else is text.
func show(kind string, config map[string]string) map[string]any {
	props := schemas()["POST /nodes/{node}/"+kind].Params
	result := map[string]any{}
	for key, value := range config {
		result[key] = value
		if prop := lookup(props, key); prop != nil && (prop.Type == "integer" || prop.Type == "boolean") {
			if n, err := strconv.Atoi(value); err == nil {
				result[key] = n
			}
		}
	}
	if result["cipassword"] != nil {
		result["cipassword"] = "**********"
	}
	return result
}

var diskKey = regexp.MustCompile(`^(ide|sata|scsi|virtio|efidisk|tpmstate|unused|mp)\d+$|^rootfs$`)

// disks are the keys of the configuration that name volumes, sorted with numbers in order.
func (g *guest) disks() []string { return diskKeys(g.Config) }

func diskKeys(config map[string]string) []string {
	var keys []string
	for key := range config {
		if diskKey.MatchString(key) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareNumbered)
	return keys
}

func compareNumbered(a, b string) int {
	ma, mb := numbered.FindStringSubmatch(a), numbered.FindStringSubmatch(b)
	if ma == nil || mb == nil || ma[1] != mb[1] {
		return strings.Compare(a, b)
	}
	na, _ := strconv.Atoi(ma[2])
	nb, _ := strconv.Atoi(mb[2])
	return na - nb
}

// driveFile is the volume, or none or cdrom, that a disk option starts with.
func driveFile(option string) string {
	first, _, _ := strings.Cut(option, ",")
	for _, prefix := range []string{"file=", "volume="} {
		first = strings.TrimPrefix(first, prefix)
	}
	return first
}

func driveOption(option, name string) string {
	for _, part := range strings.Split(option, ",") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			return value
		}
	}
	return ""
}

// volumes are the identifiers of all volumes that the guest or a snapshot of it names.
func (g *guest) volumes() []string {
	var ids []string
	configs := []map[string]string{g.Config, g.Pending}
	for _, snap := range g.Snapshots {
		configs = append(configs, snap.Config)
	}
	for _, config := range configs {
		for _, key := range diskKeys(config) {
			if id := driveFile(config[key]); strings.Contains(id, ":") && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// owned are the volumes that belong to the guest, not files it merely uses.
func (s *state) owned(g *guest) []*volume {
	var result []*volume
	for _, id := range g.volumes() {
		if v := s.volume(g.Node, id); v != nil && v.VMID == g.VMID {
			result = append(result, v)
		}
	}
	return result
}

func (s *state) removeGuest(g *guest) {
	for _, v := range s.owned(g) {
		s.removeVolume(g.Node, v.ID)
	}
	s.forget(g)
}

// forget drops a guest from everything that names it.
func (s *state) forget(g *guest) {
	delete(s.Guests, g.VMID)
	delete(s.Firewalls, "guest/"+g.id())
	for _, p := range s.Pools {
		delete(p.Guests, g.VMID)
	}
	s.ACL = slices.DeleteFunc(s.ACL, func(e aclEntry) bool { return e.Path == "/vms/"+g.id() })
}

// powerOn starts a guest and powerOff stops it and applies what was pending.
func (c *Cluster) powerOn(g *guest) {
	c.state.NextPID += 3
	g.Running, g.Paused, g.Started, g.PID = true, false, c.now(), c.state.NextPID
}

func (g *guest) powerOff() {
	g.Running, g.Paused, g.PID = false, false, 0
	g.Config = g.effective()
	g.Pending, g.Dropped = nil, nil
}

// taken tells where a VMID is in use.
func (s *state) taken(vmid int) error {
	g := s.Guests[vmid]
	if g == nil {
		return nil
	}
	return fail("unable to create %s - %s already exists on node '%s'", g.short(), g.short(), g.Node)
}

func (s *state) addForeign(f ForeignGuest, now time.Time) *guest {
	g := &guest{VMID: f.VMID, Kind: f.Kind, Node: f.Node, Config: map[string]string{}, Created: now}
	if g.Kind == "" {
		g.Kind = "qemu"
	}
	if g.Kind == "lxc" {
		maps.Copy(g.Config, map[string]string{"hostname": f.Name, "memory": "512", "swap": "512", "arch": "amd64", "ostype": "debian", "unprivileged": "1"})
	} else {
		maps.Copy(g.Config, map[string]string{"name": f.Name, "memory": "1024", "cores": "1", "ostype": "l26", "boot": " ", "smbios1": "uuid=" + newUUID(), "vmgenid": newUUID()})
	}
	maps.Copy(g.Config, f.Config)
	for key, value := range g.Config {
		if value == "" {
			delete(g.Config, key)
		}
	}
	s.Guests[g.VMID] = g
	return g
}

// addFixtureGuest makes one of the guests of Config.Guests: every fourth is a container, half of them run.
func (s *state) addFixtureGuest(vmid int, node string, now time.Time) {
	kind := "qemu"
	if vmid%4 == 3 {
		kind = "lxc"
	}
	g := s.addForeign(ForeignGuest{VMID: vmid, Node: node, Kind: kind, Name: fmt.Sprintf("guest-%d", vmid)}, now.Add(-24*time.Hour))
	if vmid%2 == 0 {
		g.Running, g.Started, g.PID = true, now.Add(-time.Duration(vmid)*time.Minute), 10000+vmid
	}
}
