package pvesim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// node is one server. Networks are what /etc/network/interfaces says; Staged is that file's
// successor until the network is reloaded.
type node struct {
	Name     string
	Address  string
	CPUs     int
	Memory   int64
	Disk     int64
	Offline  bool
	Networks map[string]map[string]string
	Staged   map[string]map[string]string
	DNS      map[string]string
	Hosts    string
}

func newNode(name string, index int) *node {
	address := fmt.Sprintf("10.99.0.%d", index+1)
	return &node{
		Name: name, Address: address, CPUs: 16, Memory: 64 * gib, Disk: 252 * gib,
		Networks: defaultNetworks(address), DNS: map[string]string{"search": "lab.test", "dns1": "10.99.0.254"},
		Hosts: "127.0.0.1 localhost\n" + address + " " + name + ".lab.test " + name + "\n",
	}
}

var nodeMethods = map[string]handler{
	"GET /version":                               listVersion,
	"GET /":                                      indexOf("version", "cluster", "nodes", "storage", "access", "pools"),
	"GET /nodes":                                 listNodes,
	"GET /nodes/{node}":                          indexOf("qemu", "lxc", "network", "tasks", "storage", "firewall", "status", "services", "subscription", "dns", "hosts", "disks", "rrddata", "report", "time", "version", "vzdump"),
	"GET /nodes/{node}/version":                  listVersion,
	"GET /nodes/{node}/status":                   nodeStatus,
	"GET /nodes/{node}/time":                     nodeTime,
	"GET /nodes/{node}/dns":                      readDNS,
	"PUT /nodes/{node}/dns":                      writeDNS,
	"GET /nodes/{node}/hosts":                    readHosts,
	"POST /nodes/{node}/hosts":                   writeHosts,
	"GET /nodes/{node}/report":                   nodeReport,
	"GET /nodes/{node}/services":                 listServices,
	"GET /nodes/{node}/services/{service}/state": serviceState,
	"GET /nodes/{node}/subscription":             subscription,
	"GET /nodes/{node}/syslog":                   nodeSyslog,
	"GET /nodes/{node}/rrddata":                  nodeRRD,
	"GET /nodes/{node}/disks/list":               listDisks,
	"GET /nodes/{node}/apt/update":               emptyList,
	"GET /nodes/{node}/aplinfo":                  listAppliances,
	"POST /nodes/{node}/vzdump":                  backupGuests,
}

func emptyList(*call) (any, error) { return []any{}, nil }

func listVersion(*call) (any, error) {
	return map[string]string{"version": Version, "release": release, "repoid": repoID}, nil
}

// listNodes shows statistics only to those who may audit the node, and none of an offline one.
func listNodes(req *call) (any, error) {
	result := []any{}
	for _, name := range req.cfg.Nodes {
		n := req.state.Nodes[name]
		entry := map[string]any{"node": name, "id": "node/" + name, "type": "node", "status": "online", "level": "", "ssl_fingerprint": req.certs.fingerprint()}
		switch {
		case n.Offline:
			entry["status"] = "offline"
		case req.can("/nodes/"+name, "Sys.Audit"):
			req.addNodeLoad(n, entry)
		}
		result = append(result, entry)
	}
	return result, nil
}

func (c *Cluster) addNodeLoad(n *node, entry map[string]any) {
	now := c.now()
	entry["maxcpu"], entry["maxmem"], entry["maxdisk"] = n.CPUs, n.Memory, n.Disk
	entry["cpu"], entry["mem"], entry["disk"] = c.nodeCPU(n, now), c.nodeMemory(n, now), 12*gib
	entry["uptime"] = c.uptime()
}

func (c *Cluster) uptime() int64 { return int64(c.now().Sub(c.state.Boot).Seconds()) }

// nodeCPU and nodeMemory are what the node itself and its guests use.
func (c *Cluster) nodeCPU(n *node, at time.Time) float64 {
	sum := 0.2 + 0.3*c.noise(n.Name+"cpu", at, 15*time.Second)
	for _, g := range c.state.Guests {
		if g.Node == n.Name {
			sum += c.loadOf(g, at).cpu * float64(c.coresOf(g))
		}
	}
	return math.Min(sum/float64(n.CPUs), 1)
}

func (c *Cluster) nodeMemory(n *node, at time.Time) int64 {
	sum := 2*gib + int64(float64(gib)*c.noise(n.Name+"mem", at, time.Minute))
	for _, g := range c.state.Guests {
		if g.Node == n.Name {
			sum += c.loadOf(g, at).mem
		}
	}
	return min(sum, n.Memory)
}

func nodeStatus(req *call) (any, error) {
	n, now := req.state.Nodes[req.p["node"]], req.now()
	used, cpu := req.nodeMemory(n, now), req.nodeCPU(n, now)
	const kernel = "6.17.2-1-pve"
	return map[string]any{
		"uptime": req.uptime(), "cpu": cpu, "idle": 0, "wait": 0, "ksm": map[string]any{"shared": 0},
		"memory":     map[string]any{"total": n.Memory, "used": used, "free": (n.Memory - used) / 2, "available": n.Memory - used},
		"rootfs":     map[string]any{"total": n.Disk, "used": 12 * gib, "free": n.Disk - 12*gib, "avail": n.Disk - 24*gib},
		"swap":       map[string]any{"total": 0, "used": 0, "free": 0},
		"loadavg":    []string{load3(cpu, n, 1), load3(cpu, n, 0.9), load3(cpu, n, 0.8)},
		"pveversion": "pve-manager/" + Version + "/" + repoID, "kversion": "Linux " + kernel + " #1 SMP PREEMPT_DYNAMIC PMX " + kernel,
		"current-kernel": map[string]any{"sysname": "Linux", "release": kernel, "version": "#1 SMP PREEMPT_DYNAMIC PMX " + kernel, "machine": "x86_64"},
		"boot-info":      map[string]any{"mode": "legacy-bios"},
		"cpuinfo": map[string]any{
			"model": "Simulated CPU", "vendor": "GenuineIntel", "family": "6", "sockets": 1, "cores": n.CPUs, "cpus": n.CPUs,
			"mhz": "2300.000", "user_hz": 100, "hvm": "1", "flags": "fpu vme de pse tsc msr pae mce cx8 apic sep vmx",
		},
	}, nil
}

func load3(cpu float64, n *node, factor float64) string {
	return strconv.FormatFloat(cpu*float64(n.CPUs)*factor, 'f', 2, 64)
}

func nodeTime(req *call) (any, error) {
	now := req.now().Unix()
	return map[string]any{"time": now, "localtime": now, "timezone": "UTC"}, nil
}

func readDNS(req *call) (any, error) { return req.state.Nodes[req.p["node"]].DNS, nil }

func writeDNS(req *call) (any, error) {
	dns := req.state.Nodes[req.p["node"]].DNS
	for _, key := range []string{"search", "dns1", "dns2", "dns3"} {
		if req.p.has(key) {
			dns[key] = req.p[key]
		}
	}
	return nil, nil
}

func readHosts(req *call) (any, error) {
	hosts := req.state.Nodes[req.p["node"]].Hosts
	return map[string]any{"data": hosts, "digest": digestOf(hosts)}, nil
}

func writeHosts(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	if d := req.p["digest"]; d != "" && d != digestOf(n.Hosts) {
		return nil, fail("detected modified configuration - file changed by other user? Try again.")
	}
	n.Hosts = req.p["data"]
	return nil, nil
}

func nodeReport(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	var b strings.Builder
	fmt.Fprintf(&b, "\n==== general system info ====\n\n# hostname\n%s\n\n# pveversion --verbose\npve-manager: %s (running version: %s/%s)\nqemu-server: 9.1.1\npve-qemu-kvm: %s-1\n", n.Name, Version, Version, repoID, qemuVersion)
	fmt.Fprintf(&b, "\n# cat /etc/hosts\n%s\n==== info about storage ====\n\n# pvesm status\n", n.Hosts)
	for _, name := range sortedKeys(req.state.Storages) {
		used, total := req.state.usage(name, n.Name)
		fmt.Fprintf(&b, "%-16s %8s active %14d %14d\n", name, req.state.Storages[name].Type, total/1024, used/1024)
	}
	return b.String(), nil
}

var serviceNames = []string{"corosync", "cron", "ksmtuned", "postfix", "pve-cluster", "pve-firewall", "pvedaemon", "pveproxy", "pvescheduler", "pvestatd", "sshd"}

func listServices(req *call) (any, error) {
	result := []any{}
	for _, name := range serviceNames {
		result = append(result, serviceEntry(name))
	}
	return result, nil
}

func serviceEntry(name string) map[string]any {
	return map[string]any{"service": name, "name": name, "desc": name + " service", "state": "running", "active-state": "active", "unit-state": "enabled"}
}

func serviceState(req *call) (any, error) { return serviceEntry(req.p["service"]), nil }

func subscription(req *call) (any, error) {
	return map[string]any{
		"status": "notfound", "message": "There is no subscription key", "serverid": strings.ToUpper(digestOf(req.p["node"])[:32]),
		"url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
	}, nil
}

func nodeSyslog(req *call) (any, error) {
	lines := []map[string]any{}
	for i, e := range req.state.Log {
		if e.Node == req.p["node"] {
			lines = append(lines, map[string]any{"n": i + 1, "t": e.Message})
		}
	}
	return listing{data: lines, beside: map[string]any{"total": len(lines)}}, nil
}

func listDisks(req *call) (any, error) {
	n := req.state.Nodes[req.p["node"]]
	return []any{map[string]any{
		"devpath": "/dev/vda", "size": n.Disk + 4*gib, "type": "unknown", "model": "unknown", "vendor": "0x1af4", "serial": "unknown",
		"wwn": "unknown", "health": "UNKNOWN", "wearout": "N/A", "rpm": -1, "gpt": 0, "mounted": 1, "used": "mounted", "osdid": -1, "osdid-list": nil,
	}}, nil
}

func listAppliances(*call) (any, error) {
	return []any{map[string]any{
		"template": "debian-13-standard_13.1-2_amd64.tar.zst", "package": "debian-13-standard", "version": "13.1-2", "os": "debian-13",
		"section": "system", "type": "lxc", "architecture": "amd64", "headline": "Debian 13 Trixie (standard)", "source": "https://download.proxmox.com/images",
	}}, nil
}
