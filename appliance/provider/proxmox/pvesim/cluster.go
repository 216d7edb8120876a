package pvesim

import (
	"strconv"
	"time"
)

var clusterMethods = map[string]handler{
	"GET /cluster":                           indexOf("backup", "firewall", "ha", "log", "nextid", "options", "replication", "resources", "sdn", "status", "tasks"),
	"GET /cluster/status":                    clusterStatus,
	"GET /cluster/resources":                 clusterResources,
	"GET /cluster/nextid":                    nextID,
	"GET /cluster/options":                   readOptions,
	"PUT /cluster/options":                   writeOptions,
	"GET /cluster/log":                       clusterLog,
	"GET /cluster/backup":                    emptyList,
	"GET /cluster/backup-info/not-backed-up": notBackedUp,
	"GET /cluster/replication":               emptyList,
	"GET /cluster/ha/resources":              emptyList,
	"GET /cluster/ha/status/current":         haStatus,
}

// clusterStatus has a line for the cluster itself only when there is more than one node.
func clusterStatus(req *call) (any, error) {
	result := []any{}
	online := 0
	for i, name := range req.cfg.Nodes {
		n := req.state.Nodes[name]
		nodeID := i + 1
		if len(req.cfg.Nodes) == 1 {
			nodeID = 0
		}
		online += 1 - flag(n.Offline)
		result = append(result, map[string]any{
			"type": "node", "id": "node/" + name, "name": name, "nodeid": nodeID, "ip": n.Address, "level": "",
			"local": flag(name == req.localNode()), "online": 1 - flag(n.Offline),
		})
	}
	if total := len(req.cfg.Nodes); total > 1 {
		result = append(result, map[string]any{
			"type": "cluster", "id": "cluster", "name": "simulated", "version": total, "nodes": total, "quorate": flag(online*2 > total),
		})
	}
	return result, nil
}

func clusterResources(req *call) (any, error) {
	result, now := []map[string]any{}, req.now()
	wanted := func(kind string) bool { return req.p["type"] == "" || req.p["type"] == kind }
	if req.p["type"] == "" {
		result = append(result, req.poolResources()...)
	}
	if wanted("vm") {
		result = append(result, req.guestResources(now)...)
	}
	if wanted("node") {
		result = append(result, req.nodeResources()...)
	}
	if wanted("storage") {
		result = append(result, req.storageResources()...)
	}
	if req.p["type"] == "" || req.p["type"] == "sdn" {
		result = append(result, req.zoneResources()...)
	}
	return result, nil
}

func (req *call) poolResources() []map[string]any {
	var result []map[string]any
	for _, name := range sortedKeys(req.state.Pools) {
		if req.can("/pool/"+name, "Pool.Audit") {
			result = append(result, map[string]any{"id": "/pool/" + name, "pool": name, "type": "pool"})
		}
	}
	return result
}

func (req *call) guestResources(now time.Time) []map[string]any {
	var result []map[string]any
	for _, vmid := range sortedKeys(req.state.Guests) {
		if g := req.state.Guests[vmid]; req.can("/vms/"+g.id(), "VM.Audit") {
			result = append(result, req.resource(g, now))
		}
	}
	return result
}

// resource is a guest in the cluster-wide view. Of a guest on an unreachable node, or one that
// the statistics do not know yet, only the configuration's place is known.
func (c *Cluster) resource(g *guest, now time.Time) map[string]any {
	result := map[string]any{"id": g.Kind + "/" + g.id(), "vmid": g.VMID, "type": g.Kind, "node": g.Node, "status": "unknown"}
	if g.Config["tags"] != "" {
		result["tags"] = g.Config["tags"]
	}
	if name := c.poolOf("/vms/" + g.id()); name != "" {
		result["pool"] = name
	}
	if c.state.Nodes[g.Node].Offline || c.lagging(g, now) {
		return result
	}
	l := c.loadOf(g, now)
	for k, v := range map[string]any{
		"name": g.name(), "status": g.status(), "template": flag(g.template()), "cpu": l.cpu, "maxcpu": c.coresOf(g),
		"mem": l.mem, "maxmem": memoryOf(g), "disk": 0, "maxdisk": c.bootDiskSize(g), "uptime": l.uptime,
		"netin": l.netIn, "netout": l.netOut, "diskread": l.diskRead, "diskwrite": l.write,
	} {
		result[k] = v
	}
	result["memhost"] = l.mem
	if g.Config["lock"] != "" {
		result["lock"] = g.Config["lock"]
	}
	return result
}

func (req *call) nodeResources() []map[string]any {
	var result []map[string]any
	for _, name := range req.cfg.Nodes {
		n := req.state.Nodes[name]
		entry := map[string]any{"id": "node/" + name, "node": name, "type": "node", "status": "online"}
		switch {
		case n.Offline:
			entry["status"] = "offline"
		case req.can("/nodes/"+name, "Sys.Audit"):
			entry["level"], entry["cgroup-mode"] = "", 2
			req.addNodeLoad(n, entry)
		}
		result = append(result, entry)
	}
	return result
}

func (req *call) storageResources() []map[string]any {
	var result []map[string]any
	for _, name := range sortedKeys(req.state.Storages) {
		for _, node := range req.cfg.Nodes {
			if req.seesStorage(name) && req.state.Storages[name].availableOn(node) {
				result = append(result, req.storageResource(name, node))
			}
		}
	}
	return result
}

func (c *Cluster) storageResource(name, node string) map[string]any {
	st := c.state.Storages[name]
	entry := map[string]any{
		"id": "storage/" + node + "/" + name, "storage": name, "node": node, "type": "storage", "plugintype": st.Type,
		"content": st.Options["content"], "shared": flag(st.shared()), "status": "unknown",
	}
	if !c.state.Nodes[node].Offline {
		used, total := c.state.usage(name, node)
		entry["status"], entry["disk"], entry["maxdisk"] = "available", used, total
	}
	return entry
}

func (req *call) zoneResources() []map[string]any {
	var result []map[string]any
	for _, node := range req.cfg.Nodes {
		for _, zone := range append([]string{"localnetwork"}, sortedKeys(req.state.Zones)...) {
			if !req.can("/sdn/zones/"+zone, "SDN.Audit") || zone != "localnetwork" && req.state.Zones[zone]["state"] == "new" {
				continue
			}
			result = append(result, map[string]any{
				"id": "network/" + node + "/zone/" + zone, "network": zone, "network-type": "zone", "node": node, "status": "ok", "type": "network",
			})
		}
	}
	return result
}

// nextID finds a free number or checks one. It reserves nothing: two callers may get the same.
func nextID(req *call) (any, error) {
	if req.p.has("vmid") {
		if g := req.state.Guests[req.p.int("vmid")]; g != nil {
			return nil, badParam("vmid", g.short()+" already exists")
		}
		return req.p["vmid"], nil
	}
	for vmid := 100; ; vmid++ {
		if req.state.Guests[vmid] == nil {
			return strconv.Itoa(vmid), nil
		}
	}
}

func readOptions(req *call) (any, error) {
	result := map[string]any{"description": "", "mac_prefix": "BC:24:11", "allowed-tags": []string{}}
	for k, v := range req.state.Options {
		result[k] = v
	}
	return result, nil
}

func writeOptions(req *call) (any, error) {
	for _, key := range splitList(req.p["delete"]) {
		delete(req.state.Options, key)
	}
	for k, v := range req.p {
		if k != "delete" {
			req.state.Options[k] = v
		}
	}
	return nil, nil
}

func clusterLog(req *call) (any, error) {
	result := []any{}
	for i, e := range req.state.Log {
		result = append(result, map[string]any{
			"uid": i + 1, "time": e.Time, "node": e.Node, "user": e.User, "tag": e.Tag, "msg": e.Message, "pid": e.PID, "pri": e.Priority,
		})
	}
	return result, nil
}

func notBackedUp(req *call) (any, error) {
	result := []any{}
	for _, vmid := range sortedKeys(req.state.Guests) {
		if g := req.state.Guests[vmid]; req.can("/vms/"+g.id(), "VM.Audit") {
			result = append(result, map[string]any{"vmid": vmid, "type": g.Kind, "name": g.name()})
		}
	}
	return result, nil
}

func haStatus(req *call) (any, error) {
	return []any{map[string]any{"id": "quorum", "type": "quorum", "node": req.localNode(), "status": "OK", "quorate": 1}}, nil
}
