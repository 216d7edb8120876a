package proxmox

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/provider"
)

// A collection is four requests, one per node for its bridges, and a bounded
// number for configurations, however large the cluster is.
const (
	maxConfigs  = 250 // configurations that one collection reads
	refreshEach = 20  // of which so many again, oldest first
	parallel    = 4   // requests under way at once
	maxProbes   = 50  // numbers asked for one by one
)

// Collect lists nodes, guests, storages, networks and pools.
func (c *cluster) Collect(ctx context.Context, r provider.CollectRequest) (provider.Collection, error) {
	var out provider.Collection
	var err error
	if out.Version, err = c.version(ctx); err != nil {
		return out, err
	}
	granted, err := c.permissions(ctx)
	if err != nil {
		return out, err
	}
	destroyed, position, err := c.destroyed(ctx, r.Position)
	if err != nil {
		return out, err
	}
	var rows []resource
	if err := c.get(ctx, "/cluster/resources", nil, &rows); err != nil {
		return out, err
	}
	out.Position = position
	out.Items, out.Partial = observe(rows), partial(granted)
	for i := range out.Items {
		out.Items[i].Recreated = destroyed[out.Items[i].Key]
	}
	if err := c.addBridges(ctx, &out); err != nil {
		return out, err
	}
	if err := c.addMarks(ctx, out.Items, r.Known); err != nil {
		return out, err
	}
	return out, c.probe(ctx, &out, r.Known)
}

// partial lists the kinds of which the token may not see all.
func partial(granted permissions) []cmdb.Kind {
	var kinds []cmdb.Kind
	for _, k := range []struct {
		path, privilege string
		kinds           []cmdb.Kind
	}{
		{"/nodes", "Sys.Audit", []cmdb.Kind{cmdb.Node}},
		{"/vms", "VM.Audit", []cmdb.Kind{cmdb.VM, cmdb.Container}},
		{"/storage", "Datastore.Audit", []cmdb.Kind{cmdb.Storage}},
		{"/pool", "Pool.Audit", []cmdb.Kind{cmdb.Pool}},
		{"/sdn", "SDN.Audit", []cmdb.Kind{cmdb.Network}},
	} {
		if !granted.has(k.path, k.privilege) {
			kinds = append(kinds, k.kinds...)
		}
	}
	return kinds
}

// destroyed reads from the task log which guests were destroyed since the
// position, the start of the newest task seen before: one that is listed all
// the same was made anew. The first collection knows no position and finds none.
func (c *cluster) destroyed(ctx context.Context, position string) (map[string]bool, string, error) {
	rows, err := c.tasks(ctx)
	if err != nil {
		return nil, "", err
	}
	since, _ := strconv.ParseInt(position, 10, 64)
	newest := since
	keys := map[string]bool{}
	for _, row := range rows {
		u, err := parseUPID(string(row.UPID))
		if err != nil {
			continue
		}
		started := u.started.Unix()
		newest = max(newest, started)
		if key := destroyedKey(u); key != "" && position != "" && started > since && succeeded(string(row.Status)) {
			keys[key] = true
		}
	}
	return keys, strconv.FormatInt(newest, 10), nil
}

func destroyedKey(u upid) string {
	switch u.kind {
	case "qmdestroy":
		return "qemu/" + u.subject
	case "vzdestroy":
		return "lxc/" + u.subject
	}
	return ""
}

// observe turns rows of /cluster/resources into what the cmdb stores. Types
// that it does not know are left out.
func observe(rows []resource) []cmdb.Observed {
	items := make([]cmdb.Observed, 0, len(rows))
	for _, r := range rows {
		switch r.Type {
		case "qemu", "lxc":
			items = append(items, observeGuest(r))
		case "node":
			items = append(items, cmdb.Observed{Kind: cmdb.Node, Key: string(r.ID), Name: string(r.Node), Node: string(r.Node),
				Status: statusOf(r), Properties: load(r, map[string]any{})})
		case "storage":
			items = append(items, observeStorage(r))
		case "network", "sdn":
			name := cmp.Or(r.Network, r.SDN)
			items = append(items, cmdb.Observed{Kind: cmdb.Network, Key: string(r.ID), Name: string(name), Node: string(r.Node),
				Status: statusOf(r), Properties: map[string]any{"type": string(cmp.Or(r.NetworkType, "zone"))}})
		case "pool":
			items = append(items, cmdb.Observed{Kind: cmdb.Pool, Key: "pool/" + string(r.Pool), Name: string(r.Pool),
				Status: "ok", Properties: map[string]any{}})
		}
	}
	return items
}

func statusOf(r resource) string { return string(cmp.Or(r.Status, cmdb.StatusUnknown)) }

func observeGuest(r resource) cmdb.Observed {
	o := cmdb.Observed{Kind: guestKind(r), Key: string(r.ID), Name: string(r.Name), Node: string(r.Node), Status: statusOf(r)}
	o.Silent = o.Status == cmdb.StatusUnknown
	if o.Name == "" {
		o.Name = strings.ToUpper(string(o.Kind)) + " " + strconv.Itoa(int(r.VMID))
	}
	tags := splitTags(r.Tags)
	o.StackID, o.Managed = provider.MarkedBy(tags)
	o.Properties = load(r, map[string]any{"vmid": int(r.VMID), "tags": tags, "template": r.Template > 0})
	for name, value := range map[string]text{"pool": r.Pool, "lock": r.Lock, "ha_state": r.HAState} {
		if value != "" {
			o.Properties[name] = string(value)
		}
	}
	return o
}

func observeStorage(r resource) cmdb.Observed {
	content := strings.FieldsFunc(string(r.Content), func(c rune) bool { return c == ',' })
	slices.Sort(content) // Proxmox lists it in any order
	return cmdb.Observed{
		Kind: cmdb.Storage, Key: string(r.ID), Name: string(r.Storage), Node: string(r.Node),
		Status: statusOf(r), Silent: r.Status == cmdb.StatusUnknown,
		Properties: map[string]any{
			"type": string(r.PluginType), "content": content, "shared": r.Shared > 0,
			"disk_bytes": int64(r.MaxDisk), "disk_used_bytes": int64(r.Disk),
		},
	}
}

// load adds size and load of a node or guest.
func load(r resource, properties map[string]any) map[string]any {
	properties["cores"] = int(r.MaxCPU)
	properties["cpu"] = float64(r.CPU)
	properties["memory_bytes"] = int64(r.MaxMem)
	properties["memory_used_bytes"] = int64(r.Mem)
	properties["disk_bytes"] = int64(r.MaxDisk)
	properties["uptime_seconds"] = int64(r.Uptime)
	return properties
}

// addBridges reads the bridges of the nodes that are online. A node that fails
// to answer leaves the list of networks incomplete.
func (c *cluster) addBridges(ctx context.Context, out *provider.Collection) error {
	for _, node := range slices.Clone(out.Items) {
		if node.Kind != cmdb.Node || node.Status != "online" {
			continue
		}
		var rows []bridge
		err := c.get(ctx, route("nodes", node.Node, "network"), url.Values{"type": {"any_bridge"}}, &rows)
		if _, dead := provider.AsFailure(err); dead || ctx.Err() != nil {
			return err
		}
		if err != nil {
			out.Partial = append(out.Partial, cmdb.Network)
			continue
		}
		for _, b := range rows {
			out.Items = append(out.Items, observeBridge(node.Node, b))
		}
	}
	return nil
}

func observeBridge(node string, b bridge) cmdb.Observed {
	status := "inactive"
	if b.Active > 0 {
		status = "active"
	}
	return cmdb.Observed{
		Kind: cmdb.Network, Key: "network/" + node + "/bridge/" + string(b.Iface), Name: string(b.Iface), Node: node, Status: status,
		Properties: map[string]any{"type": string(b.Type), "cidr": string(b.CIDR), "ports": string(b.Ports),
			"comment": strings.TrimSpace(string(b.Comment)), "vlan_aware": b.VLANs > 0},
	}
}

// addMarks reads the configurations of those guests about which there is doubt
// and, a few at a time, of all others.
func (c *cluster) addMarks(ctx context.Context, items []cmdb.Observed, known map[string]cmdb.Known) error {
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, i := range doubtful(items, known) {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			o := &items[i]
			cfg, err := c.config(ctx, provider.Guest{Kind: o.Kind, Key: o.Key, Node: o.Node})
			if err == nil {
				o.Marks = cfg.marks(o.Kind)
			}
		})
	}
	wait.Wait()
	return ctx.Err()
}

// doubtful chooses whose configuration to read: first guests that changed
// their name or were made anew, then those never read, then the ones read
// longest ago.
func doubtful(items []cmdb.Observed, known map[string]cmdb.Known) []int {
	var changed, unread, read []int
	for i, o := range items {
		if o.Kind != cmdb.VM && o.Kind != cmdb.Container || o.Silent {
			continue
		}
		k, seen := known[o.Key]
		switch {
		case seen && (k.Name != o.Name || o.Recreated):
			changed = append(changed, i)
		case !seen || len(k.Marks) == 0:
			unread = append(unread, i)
		default:
			read = append(read, i)
		}
	}
	slices.SortStableFunc(read, func(a, b int) int {
		return known[items[a].Key].MarksReadAt.Compare(known[items[b].Key].MarksReadAt)
	})
	chosen := append(changed, unread...)
	chosen = append(chosen, read[:min(len(read), refreshEach)]...)
	return chosen[:min(len(chosen), maxConfigs)]
}

// probe asks for guests that are no longer shown to a token that may not see
// all: a number that is free says that the guest is gone, and not hidden.
func (c *cluster) probe(ctx context.Context, out *provider.Collection, known map[string]cmdb.Known) error {
	if !slices.Contains(out.Partial, cmdb.VM) {
		return nil
	}
	shown := make(map[string]bool, len(out.Items))
	for _, o := range out.Items {
		shown[o.Key] = true
	}
	asked := 0
	for key := range known {
		if shown[key] || asked == maxProbes {
			continue
		}
		asked++
		_, digits, _ := strings.Cut(key, "/")
		number, err := strconv.Atoi(digits)
		if err != nil {
			continue
		}
		exists, err := c.Exists(ctx, number)
		if err != nil {
			return err
		}
		if !exists {
			out.Gone = append(out.Gone, key)
		}
	}
	return nil
}
