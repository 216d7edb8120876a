package proxmox

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func (c *cluster) collect(t *testing.T, r provider.CollectRequest) provider.Collection {
	t.Helper()
	out, err := c.Collect(t.Context(), r)
	must(t, err)
	return out
}

func item(t *testing.T, out provider.Collection, key string) cmdb.Observed {
	t.Helper()
	i := slices.IndexFunc(out.Items, func(o cmdb.Observed) bool { return o.Key == key })
	if i < 0 {
		t.Fatalf("%s was not collected", key)
	}
	return out.Items[i]
}

func TestCollectEverything(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	stack := id.New()
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web", Running: true, Config: map[string]string{
		"cores": "4", "memory": "2048", "tags": strings.Join(provider.MarkTags(stack, "Web"), ";"),
		"smbios1": "uuid=02905CAB-b976-4245-90bf-6a441c48067e", "meta": "creation-qemu=10.0.13,ctime=1795403866"}}))
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 200, Kind: "lxc", Name: "ct", Config: map[string]string{
		"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:E7:C9:07"}}))
	out := open(t, e).collect(t, provider.CollectRequest{})
	if out.Version != pvesim.Version || len(out.Partial) != 0 {
		t.Errorf("version %q, partial %v", out.Version, out.Partial)
	}
	web := item(t, out, "qemu/100")
	if web.Kind != cmdb.VM || web.Name != "web" || web.Status != "running" || !web.Managed || web.StackID != stack {
		t.Errorf("web: %+v", web)
	}
	if web.Properties["vmid"] != 100 || web.Properties["cores"] != 4 || web.Properties["memory_bytes"] != int64(2<<30) {
		t.Errorf("properties: %v", web.Properties)
	}
	if !slices.Equal(web.Marks, []string{"uuid=02905cab-b976-4245-90bf-6a441c48067e", "ctime=1795403866"}) {
		t.Errorf("marks: %q", web.Marks)
	}
	if ct := item(t, out, "lxc/200"); ct.Kind != cmdb.Container || ct.Managed || !slices.Contains(ct.Marks, "mac=bc:24:11:e7:c9:07") {
		t.Errorf("container: %+v", ct)
	}
	for key, kind := range map[string]cmdb.Kind{"node/pve1": cmdb.Node, "storage/pve1/local": cmdb.Storage, "network/pve1/bridge/vmbr0": cmdb.Network} {
		if got := item(t, out, key); got.Kind != kind || got.Name == "" {
			t.Errorf("%s: %+v", key, got)
		}
	}
}

func TestANodeThatIsAwayLeavesItsGuestsSilent(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, RoleName)
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Node: "pve2", Name: "web"}))
	must(t, sim.SetNodeOffline("pve2", true))
	out := open(t, e).collect(t, provider.CollectRequest{})
	if g := item(t, out, "qemu/100"); !g.Silent || g.Status != cmdb.StatusUnknown || len(g.Marks) != 0 {
		t.Errorf("guest: %+v", g)
	}
	if n := item(t, out, "node/pve2"); n.Status == "online" {
		t.Errorf("node: %+v", n)
	}
}

func TestAReusedNumberIsSeen(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, "PVEAdmin")
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := open(t, e)
	first := c.collect(t, provider.CollectRequest{})
	known := map[string]cmdb.Known{"qemu/100": {Name: "web", Marks: item(t, first, "qemu/100").Marks, MarksReadAt: time.Now()}}
	time.Sleep(1100 * time.Millisecond) // the task log counts in seconds
	var ref text
	must(t, c.do(t.Context(), "DELETE", "/nodes/pve1/qemu/100", nil, &ref))
	if s := finish(t, c, string(ref)); !s.OK {
		t.Fatalf("destroy: %+v", s)
	}
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web", Config: map[string]string{"smbios1": "uuid=11111111-1111-1111-1111-111111111111"}}))
	second := c.collect(t, provider.CollectRequest{Known: known, Position: first.Position})
	if g := item(t, second, "qemu/100"); !g.Recreated || slices.Equal(g.Marks, known["qemu/100"].Marks) {
		t.Errorf("guest made anew: %+v", g)
	}
	third := c.collect(t, provider.CollectRequest{Known: known, Position: second.Position})
	if g := item(t, third, "qemu/100"); g.Recreated {
		t.Error("the same evidence was used twice")
	}
}

func TestATokenThatSeesLittleSaysSo(t *testing.T) {
	t.Parallel()
	sim, e := simulated(t, pvesim.Config{}, "PVESysAdmin")
	must(t, sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100}))
	out := open(t, e).collect(t, provider.CollectRequest{Known: map[string]cmdb.Known{"qemu/100": {}, "qemu/101": {}}})
	if !slices.Contains(out.Partial, cmdb.VM) || !slices.Contains(out.Partial, cmdb.Storage) || slices.Contains(out.Partial, cmdb.Node) {
		t.Errorf("partial: %v", out.Partial)
	}
	if !slices.Equal(out.Gone, []string{"qemu/101"}) {
		t.Errorf("gone: %v; 100 is hidden and 101 is free", out.Gone)
	}
}

func TestRobustness47ThousandGuestsAreCollectedWithFewRequests(t *testing.T) {
	sim, e := simulated(t, pvesim.Config{Guests: 1000}, RoleName)
	c := open(t, e)
	known := map[string]cmdb.Known{}
	first := c.collect(t, provider.CollectRequest{})
	for _, o := range first.Items {
		known[o.Key] = cmdb.Known{Name: o.Name, Marks: []string{"uuid=x"}, MarksReadAt: time.Now()}
	}
	before, goroutines := len(sim.Requests()), runtime.NumGoroutine()
	start := time.Now()
	for range 3 {
		c.collect(t, provider.CollectRequest{Known: known, Position: first.Position})
	}
	t.Logf("a collection of 1,000 guests takes %v", time.Since(start)/3)
	if asked := len(sim.Requests()) - before; asked > 3*(4+3+refreshEach) {
		t.Errorf("three collections made %d requests", asked)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2*8 {
		t.Errorf("goroutines grew from %d to %d", goroutines, n)
	}
}

func TestDoubtfulPrefersWhatChanged(t *testing.T) {
	t.Parallel()
	vm := func(key, name string) cmdb.Observed { return cmdb.Observed{Kind: cmdb.VM, Key: key, Name: name} }
	var items []cmdb.Observed
	known := map[string]cmdb.Known{}
	for i := range 400 {
		key := fmt.Sprintf("qemu/%d", i)
		items = append(items, vm(key, "same"))
		known[key] = cmdb.Known{Name: "same", Marks: []string{"m"}, MarksReadAt: time.Unix(int64(1000-i), 0)}
	}
	items[3].Name = "renamed"
	items[5].Silent = true
	delete(known, "qemu/7")
	chosen := doubtful(items, known)
	if len(chosen) != 2+refreshEach || chosen[0] != 3 || chosen[1] != 7 || chosen[2] != 399 || slices.Contains(chosen, 5) {
		t.Errorf("chosen: %v", chosen)
	}
	if n := len(doubtful(items, nil)); n != maxConfigs {
		t.Errorf("at first %d configurations are read, want %d", n, maxConfigs)
	}
}

// The rows are those of a genuine 9.1.7, with numbers as strings here and there.
func TestGenuineResourcesAreUnderstood(t *testing.T) {
	t.Parallel()
	raw := `[{"id":"/pool/devpool","pool":"devpool","type":"pool"},
	 {"vmid":"300","id":"qemu/300","status":"unknown","node":"pve2","type":"qemu"},
	 {"id":"network/pve1/zone/localnetwork","network":"localnetwork","network-type":"zone","status":"ok","type":"network","node":"pve1"},
	 {"content":"vztmpl,images,backup","plugintype":"dir","id":"storage/pve1/local","storage":"local","shared":"0","status":"available","maxdisk":"270553174016","node":"pve1","type":"storage","disk":37015920640},
	 {"maxcpu":2,"vmid":200,"template":0,"node":"pve1","name":"ct1","type":"lxc","id":"lxc/200","status":"stopped","maxmem":134217728},
	 {"type":"openvz","id":"openvz/1"}]`
	var rows []resource
	must(t, json.NewDecoder(strings.NewReader(raw)).Decode(&rows))
	out := provider.Collection{Items: observe(rows)}
	if len(out.Items) != 5 {
		t.Fatalf("%d items", len(out.Items))
	}
	if p := item(t, out, "pool/devpool"); p.Kind != cmdb.Pool || p.Name != "devpool" {
		t.Errorf("pool: %+v", p)
	}
	if g := item(t, out, "qemu/300"); !g.Silent || g.Name != "VM 300" {
		t.Errorf("guest of an offline node: %+v", g)
	}
	if s := item(t, out, "storage/pve1/local"); s.Properties["disk_bytes"] != int64(270553174016) || s.Properties["shared"] != false {
		t.Errorf("storage: %+v", s)
	}
}
