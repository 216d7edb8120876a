package pvesim

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
)

var networkMethods = map[string]handler{
	"GET /nodes/{node}/network":            listNetworks,
	"POST /nodes/{node}/network":           createNetwork,
	"PUT /nodes/{node}/network":            reloadNetworks,
	"DELETE /nodes/{node}/network":         revertNetworks,
	"GET /nodes/{node}/network/{iface}":    readNetwork,
	"PUT /nodes/{node}/network/{iface}":    updateNetwork,
	"DELETE /nodes/{node}/network/{iface}": deleteNetwork,
}

func defaultNetworks(address string) map[string]map[string]string {
	return map[string]map[string]string{
		"eno1": {"type": "eth", "method": "manual", "method6": "manual", "priority": "3"},
		"vmbr0": {
			"type": "bridge", "method": "static", "method6": "manual", "address": address, "netmask": "24", "cidr": address + "/24",
			"gateway": "10.99.0.254", "autostart": "1", "bridge_ports": "eno1", "bridge_stp": "off", "bridge_fd": "0", "priority": "4",
		},
	}
}

// planned are the networks as they will be after a reload.
func (n *node) planned() map[string]map[string]string {
	if n.Staged != nil {
		return n.Staged
	}
	return n.Networks
}

// stage returns the planned networks for changing.
func (n *node) stage() map[string]map[string]string {
	if n.Staged == nil {
		n.Staged = map[string]map[string]string{}
		for name, options := range n.Networks {
			n.Staged[name] = maps.Clone(options)
		}
	}
	return n.Staged
}

func (n *node) showNetwork(name string) map[string]any {
	result := map[string]any{"families": []string{"inet"}}
	for k, v := range n.planned()[name] {
		result[k] = v
		if k == "priority" || k == "autostart" || k == "bridge_vlan_aware" || k == "mtu" {
			result[k], _ = strconv.Atoi(v)
		}
	}
	if n.Networks[name]["address"] != "" {
		result["active"] = 1
	}
	return result
}

func listNetworks(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	shown := []map[string]any{}
	for _, name := range sortedKeys(n.planned()) {
		if networkWanted(req.p["type"], n.planned()[name]["type"]) {
			entry := n.showNetwork(name)
			entry["iface"] = name
			shown = append(shown, entry)
		}
	}
	if maps.EqualFunc(n.planned(), n.Networks, maps.Equal) {
		return shown, nil
	}
	return listing{data: shown, beside: map[string]any{"changes": n.changes()}}, nil
}

func networkWanted(filter, kind string) bool {
	switch filter {
	case "":
		return true
	case "any_bridge", "any_local_bridge", "include_sdn":
		return kind == "bridge" || kind == "OVSBridge"
	}
	return filter == kind
}

// changes says in the manner of diff what a reload would do.
func (n *node) changes() string {
	var b strings.Builder
	b.WriteString("--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n")
	for _, name := range sortedKeys(n.Networks) {
		if n.Staged[name] == nil {
			fmt.Fprintf(&b, "-iface %s inet %s\n", name, n.Networks[name]["method"])
		}
	}
	for _, name := range sortedKeys(n.Staged) {
		if maps.Equal(n.Staged[name], n.Networks[name]) {
			continue
		}
		fmt.Fprintf(&b, "+auto %s\n+iface %s inet %s\n", name, name, n.Staged[name]["method"])
		for _, key := range sortedKeys(n.Staged[name]) {
			if strings.HasPrefix(key, "bridge_") || key == "cidr" {
				fmt.Fprintf(&b, "+\t%s %s\n", strings.ReplaceAll(key, "_", "-"), n.Staged[name][key])
			}
		}
	}
	return b.String()
}

func (req *call) networkOptions() map[string]string {
	options := map[string]string{"method": "manual", "method6": "manual"}
	for k, v := range req.p {
		if k != "node" && k != "iface" && k != "delete" {
			options[k] = v
		}
	}
	if prefix, err := netip.ParsePrefix(options["cidr"]); err == nil {
		options["method"], options["address"], options["netmask"] = "static", prefix.Addr().String(), strconv.Itoa(prefix.Bits())
	}
	if options["type"] == "bridge" {
		for key, value := range map[string]string{"bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0"} {
			if _, ok := options[key]; !ok {
				options[key] = value
			}
		}
	}
	if text, ok := options["comments"]; ok && !strings.HasSuffix(text, "\n") {
		options["comments"] = text + "\n"
	}
	return options
}

func createNetwork(req *call) (any, error) {
	n, name := req.state.Nodes[req.p["node"]], req.p["iface"]
	if n.planned()[name] != nil {
		return nil, badParam("iface", "interface already exists")
	}
	if err := req.portsExist(n); err != nil {
		return nil, err
	}
	options := req.networkOptions()
	options["priority"] = strconv.Itoa(3 + len(n.planned()))
	n.stage()[name] = options
	return nil, nil
}

func (req *call) portsExist(n *node) error {
	for _, port := range splitList(req.p["bridge_ports"]) {
		base, _, _ := strings.Cut(port, ".")
		if port != "none" && n.planned()[base] == nil {
			return badParam("bridge_ports", fmt.Sprintf("interface '%s' does not exist", port))
		}
	}
	return nil
}

func (req *call) network() (*node, string, error) {
	n, name := req.state.Nodes[req.p["node"]], req.p["iface"]
	if n.planned()[name] == nil {
		return nil, "", badParam("iface", "interface does not exist")
	}
	return n, name, nil
}

func readNetwork(req *call) (any, error) {
	n, name, err := req.network()
	if err != nil {
		return nil, err
	}
	return n.showNetwork(name), nil
}

func updateNetwork(req *call) (any, error) {
	n, name, err := req.network()
	if err != nil {
		return nil, err
	}
	if err := req.portsExist(n); err != nil {
		return nil, err
	}
	options := n.stage()[name]
	maps.Copy(options, req.networkOptions())
	for _, key := range splitList(req.p["delete"]) {
		delete(options, key)
	}
	return nil, nil
}

func deleteNetwork(req *call) (any, error) {
	n, name, err := req.network()
	if err != nil {
		return nil, err
	}
	delete(n.stage(), name)
	return nil, nil
}

// reloadNetworks makes the staged networks real in a task.
func reloadNetworks(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	if refusal := req.faults.takeFailure(refusedReload); refusal != nil {
		return nil, fail("%s", *refusal)
	}
	return req.start(job{kind: "srvreload", id: "networking", work: func(func(string)) error {
		if n.Staged != nil {
			n.Networks, n.Staged = n.Staged, nil
		}
		return nil
	}}), nil
}

func revertNetworks(req *call) (any, error) {
	req.state.Nodes[req.p["node"]].Staged = nil
	return nil, nil
}

const refusedReload = "network reload"

// RefuseNextReload makes the next network reload fail before it becomes a task.
func (c *Cluster) RefuseNextReload(text string) { c.FailNextTask(refusedReload, text) }
