package pvesim

import (
	"maps"
	"net/netip"
	"strconv"
	"strings"
)

var sdnMethods = map[string]handler{
	"PUT /cluster/sdn":                                  applySDN,
	"GET /cluster/sdn/zones":                            listZones,
	"POST /cluster/sdn/zones":                           createZone,
	"GET /cluster/sdn/zones/{zone}":                     readZone,
	"PUT /cluster/sdn/zones/{zone}":                     updateZone,
	"DELETE /cluster/sdn/zones/{zone}":                  deleteZone,
	"GET /cluster/sdn/vnets":                            listVNets,
	"POST /cluster/sdn/vnets":                           createVNet,
	"GET /cluster/sdn/vnets/{vnet}":                     readVNet,
	"PUT /cluster/sdn/vnets/{vnet}":                     updateVNet,
	"DELETE /cluster/sdn/vnets/{vnet}":                  deleteVNet,
	"GET /cluster/sdn/vnets/{vnet}/subnets":             listSubnets,
	"POST /cluster/sdn/vnets/{vnet}/subnets":            createSubnet,
	"GET /cluster/sdn/vnets/{vnet}/subnets/{subnet}":    readSubnet,
	"PUT /cluster/sdn/vnets/{vnet}/subnets/{subnet}":    updateSubnet,
	"DELETE /cluster/sdn/vnets/{vnet}/subnets/{subnet}": deleteSubnet,
}

// sdnObject is a zone, VNet or subnet as it is shown. Its state says new or changed until it is applied;
// the answer leaves it out unless pending changes are asked for.
func (req *call) sdnObject(key, name string, options map[string]string) map[string]any {
	result := map[string]any{key: name}
	for k, v := range options {
		if k == "state" && !req.p.flag("pending") {
			continue
		}
		result[k] = v
		if n, err := strconv.Atoi(v); err == nil && k != "dns" {
			result[k] = n
		}
	}
	return result
}

// edit applies delete and the given options to an object and marks it as changed.
func (req *call) edit(options map[string]string, skip ...string) {
	for _, key := range splitList(req.p["delete"]) {
		delete(options, key)
	}
	maps.Copy(options, req.fromRequest(append(skip, "delete", "digest", "lock-token")...))
	if options["state"] != "new" {
		options["state"] = "changed"
	}
}

// applySDN makes all pending objects real on every node, in one task per cluster.
func applySDN(req *call) (any, error) {
	return req.start(job{kind: "reloadnetworkall", node: req.localNode(), work: func(log func(string)) error {
		for _, table := range []map[string]map[string]string{req.state.Zones, req.state.VNets, req.state.Subnets} {
			for _, options := range table {
				delete(options, "state")
			}
		}
		for _, name := range req.cfg.Nodes {
			log(name + ": reloading network config")
		}
		return nil
	}}), nil
}

func listZones(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(req.state.Zones) {
		wanted := req.p["type"] == "" || req.p["type"] == req.state.Zones[name]["type"]
		if wanted && req.canAny("/sdn/zones/"+name, "SDN.Audit", "SDN.Allocate") {
			result = append(result, req.sdnObject("zone", name, req.state.Zones[name]))
		}
	}
	return result, nil
}

func createZone(req *call) (any, error) {
	name := req.p["zone"]
	if req.state.Zones[name] != nil {
		return nil, fail("create sdn zone object failed: sdn zone object ID '%s' already defined", name)
	}
	zone := req.fromRequest("zone", "lock-token")
	zone["state"] = "new"
	req.state.Zones[name] = zone
	return nil, nil
}

func (req *call) zone() (map[string]string, error) {
	if zone := req.state.Zones[req.p["zone"]]; zone != nil {
		return zone, nil
	}
	return nil, fail("sdn '%s' does not exist", req.p["zone"])
}

func readZone(req *call) (any, error) {
	zone, err := req.zone()
	if err != nil {
		return nil, err
	}
	return req.sdnObject("zone", req.p["zone"], zone), nil
}

func updateZone(req *call) (any, error) {
	zone, err := req.zone()
	if err != nil {
		return nil, err
	}
	req.edit(zone, "zone")
	return nil, nil
}

func deleteZone(req *call) (any, error) {
	if _, err := req.zone(); err != nil {
		return nil, err
	}
	for name, vnet := range req.state.VNets {
		if vnet["zone"] == req.p["zone"] {
			return nil, fail("delete sdn zone object failed: zone %s is used by vnet %s", req.p["zone"], name)
		}
	}
	delete(req.state.Zones, req.p["zone"])
	return nil, nil
}

func (req *call) vnetPath(vnet map[string]string, name string) string {
	return "/sdn/zones/" + vnet["zone"] + "/" + name
}

func listVNets(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(req.state.VNets) {
		vnet := req.state.VNets[name]
		if req.canAny(req.vnetPath(vnet, name), "SDN.Audit", "SDN.Allocate") {
			result = append(result, req.sdnObject("vnet", name, vnet))
		}
	}
	return result, nil
}

func createVNet(req *call) (any, error) {
	name, zone := req.p["vnet"], req.p["zone"]
	if err := req.require("/sdn/zones/"+zone+"/"+name, "SDN.Allocate"); err != nil {
		return nil, err
	}
	switch {
	case req.state.VNets[name] != nil:
		return nil, fail("create sdn vnet object failed: sdn vnet object ID '%s' already defined", name)
	case req.state.Zones[zone] == nil:
		return nil, fail("create sdn vnet object failed: zone %s don't exist", zone)
	}
	vnet := req.fromRequest("vnet", "lock-token")
	vnet["state"], vnet["type"] = "new", "vnet"
	req.state.VNets[name] = vnet
	return nil, nil
}

// vnet is the VNet of the path, which the caller may manage.
func (req *call) vnet(priv string) (map[string]string, error) {
	name := req.p["vnet"]
	vnet := req.state.VNets[name]
	if vnet == nil {
		return nil, fail("sdn '%s' does not exist", name)
	}
	return vnet, req.requireAny(req.vnetPath(vnet, name), priv, "SDN.Allocate")
}

func readVNet(req *call) (any, error) {
	vnet, err := req.vnet("SDN.Audit")
	if err != nil {
		return nil, err
	}
	return req.sdnObject("vnet", req.p["vnet"], vnet), nil
}

func updateVNet(req *call) (any, error) {
	vnet, err := req.vnet("SDN.Allocate")
	if err != nil {
		return nil, err
	}
	req.edit(vnet, "vnet")
	return nil, nil
}

func deleteVNet(req *call) (any, error) {
	if _, err := req.vnet("SDN.Allocate"); err != nil {
		return nil, err
	}
	for _, subnet := range req.state.Subnets {
		if subnet["vnet"] == req.p["vnet"] {
			return nil, fail("delete sdn vnet object failed: Can't delete vnet if subnets exists")
		}
	}
	delete(req.state.VNets, req.p["vnet"])
	return nil, nil
}

func listSubnets(req *call) (any, error) {
	if _, err := req.vnet("SDN.Audit"); err != nil {
		return nil, err
	}
	result := []any{}
	for _, id := range sortedKeys(req.state.Subnets) {
		if req.state.Subnets[id]["vnet"] == req.p["vnet"] {
			result = append(result, req.sdnObject("subnet", id, req.state.Subnets[id]))
		}
	}
	return result, nil
}

// createSubnet keeps a subnet under "zone-address-mask".
func createSubnet(req *call) (any, error) {
	vnet, err := req.vnet("SDN.Allocate")
	if err != nil {
		return nil, err
	}
	prefix, err := netip.ParsePrefix(req.p["subnet"])
	if err != nil {
		return nil, badParam("subnet", "invalid format - value does not look like a valid CIDR network\n")
	}
	id := vnet["zone"] + "-" + strings.ReplaceAll(prefix.String(), "/", "-")
	if req.state.Subnets[id] != nil {
		return nil, fail("create sdn subnet object failed: sdn subnet object ID '%s' already defined", id)
	}
	subnet := req.fromRequest("subnet", "lock-token")
	maps.Copy(subnet, map[string]string{
		"state": "new", "type": "subnet", "zone": vnet["zone"], "cidr": prefix.String(),
		"network": prefix.Masked().Addr().String(), "mask": strconv.Itoa(prefix.Bits()),
	})
	req.state.Subnets[id] = subnet
	return nil, nil
}

func (req *call) subnet(priv string) (map[string]string, error) {
	if _, err := req.vnet(priv); err != nil {
		return nil, err
	}
	if subnet := req.state.Subnets[req.p["subnet"]]; subnet != nil {
		return subnet, nil
	}
	return nil, fail("sdn '%s' does not exist", req.p["subnet"])
}

func readSubnet(req *call) (any, error) {
	subnet, err := req.subnet("SDN.Audit")
	if err != nil {
		return nil, err
	}
	return req.sdnObject("subnet", req.p["subnet"], subnet), nil
}

func updateSubnet(req *call) (any, error) {
	subnet, err := req.subnet("SDN.Allocate")
	if err != nil {
		return nil, err
	}
	req.edit(subnet, "subnet", "vnet")
	return nil, nil
}

func deleteSubnet(req *call) (any, error) {
	if _, err := req.subnet("SDN.Allocate"); err != nil {
		return nil, err
	}
	delete(req.state.Subnets, req.p["subnet"])
	return nil, nil
}
