package pvesim

import (
	"slices"
	"strconv"
)

type pool struct {
	Comment  string
	Guests   map[int]bool
	Storages map[string]bool
}

func (p *pool) contains(kind, id string) bool {
	if kind == "storage" {
		return p.Storages[id]
	}
	vmid, err := strconv.Atoi(id)
	return err == nil && p.Guests[vmid]
}

var poolMethods = map[string]handler{
	"GET /pools":             listPools,
	"POST /pools":            createPool,
	"PUT /pools":             updatePool,
	"DELETE /pools":          deletePool,
	"GET /pools/{poolid}":    readPool,
	"PUT /pools/{poolid}":    updatePool,
	"DELETE /pools/{poolid}": deletePool,
}

// listPools lists pools without members, or with poolid that one pool with them.
func listPools(req *call) (any, error) {
	if req.p.has("poolid") {
		entry, err := req.showPool(req.p["poolid"])
		if err != nil {
			return nil, err
		}
		return []any{entry}, nil
	}
	result := []map[string]any{}
	for _, name := range sortedKeys(req.state.Pools) {
		if req.can("/pool/"+name, "Pool.Audit") {
			result = append(result, poolEntry(name, req.state.Pools[name]))
		}
	}
	return result, nil
}

func poolEntry(name string, p *pool) map[string]any {
	entry := map[string]any{"poolid": name}
	if p.Comment != "" {
		entry["comment"] = p.Comment
	}
	return entry
}

func readPool(req *call) (any, error) {
	entry, err := req.showPool(req.p["poolid"])
	if err != nil {
		return nil, err
	}
	delete(entry, "poolid")
	entry["poolid"] = req.p["poolid"]
	return entry, nil
}

func (req *call) showPool(name string) (map[string]any, error) {
	if err := req.require("/pool/"+name, "Pool.Audit"); err != nil {
		return nil, err
	}
	p := req.state.Pools[name]
	if p == nil {
		return nil, fail("pool '%s' does not exist", name)
	}
	entry := poolEntry(name, p)
	entry["members"] = req.members(p)
	return entry, nil
}

func (req *call) members(p *pool) []map[string]any {
	members, now := []map[string]any{}, req.now()
	wanted := func(kind string) bool { return !req.p.has("type") || req.p["type"] == kind }
	for _, vmid := range sortedKeys(p.Guests) {
		if g := req.state.Guests[vmid]; g != nil && wanted(g.Kind) {
			members = append(members, req.resource(g, now))
		}
	}
	for _, name := range sortedKeys(p.Storages) {
		for _, node := range req.cfg.Nodes {
			if req.state.Storages[name] != nil && wanted("storage") {
				members = append(members, req.storageResource(name, node))
			}
		}
	}
	for _, m := range members {
		delete(m, "pool")
		delete(m, "tags")
	}
	return members
}

func createPool(req *call) (any, error) {
	name := req.p["poolid"]
	if req.state.Pools[name] != nil {
		return nil, fail("create pool failed: pool '%s' already exists", name)
	}
	req.state.Pools[name] = &pool{Comment: req.p["comment"], Guests: map[int]bool{}, Storages: map[string]bool{}}
	return nil, nil
}

func updatePool(req *call) (any, error) {
	name := req.p["poolid"]
	p := req.state.Pools[name]
	if p == nil {
		return nil, fail("update pools failed: pool '%s' does not exist", name)
	}
	if req.p.has("comment") {
		p.Comment = req.p["comment"]
	}
	for _, id := range splitList(req.p["vms"]) {
		vmid, err := strconv.Atoi(id)
		if err == nil {
			err = req.changeMember(name, p, vmid)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, id := range splitList(req.p["storage"]) {
		if req.p.flag("delete") {
			delete(p.Storages, id)
			continue
		}
		p.Storages[id] = true
	}
	return nil, nil
}

func (req *call) changeMember(name string, p *pool, vmid int) error {
	if err := req.require("/vms/"+strconv.Itoa(vmid), "VM.Allocate"); err != nil {
		return err
	}
	if req.p.flag("delete") {
		if !p.Guests[vmid] {
			return fail("update pools failed: VM %d is not a pool member", vmid)
		}
		delete(p.Guests, vmid)
		return nil
	}
	if req.state.Guests[vmid] == nil {
		return fail("update pools failed: VM %d does not exist", vmid)
	}
	other := req.poolOf("/vms/" + strconv.Itoa(vmid))
	if other != "" && other != name {
		if !req.p.flag("allow-move") {
			return fail("update pools failed: VM %d belongs already to pool '%s' and 'allow-move' is not set", vmid, other)
		}
		delete(req.state.Pools[other].Guests, vmid)
	}
	p.Guests[vmid] = true
	return nil
}

func deletePool(req *call) (any, error) {
	name := req.p["poolid"]
	p := req.state.Pools[name]
	switch {
	case p == nil:
		return nil, fail("delete pool failed: pool '%s' does not exist", name)
	case len(p.Guests)+len(p.Storages) > 0:
		return nil, fail("delete pool failed: pool '%s' is not empty", name)
	}
	delete(req.state.Pools, name)
	req.state.ACL = slices.DeleteFunc(req.state.ACL, func(e aclEntry) bool { return e.Path == "/pool/"+name })
	return nil, nil
}
