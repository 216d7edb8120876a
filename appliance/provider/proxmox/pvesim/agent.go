package pvesim

import "strings"

var agentMethods = map[string]handler{
	"GET /nodes/{node}/qemu/{vmid}/agent":                        indexOf("get-host-name", "get-osinfo", "info", "network-get-interfaces", "ping"),
	"POST /nodes/{node}/qemu/{vmid}/agent/ping":                  agentAnswer(func(*guest) any { return map[string]any{} }),
	"GET /nodes/{node}/qemu/{vmid}/agent/info":                   agentAnswer(agentInfo),
	"GET /nodes/{node}/qemu/{vmid}/agent/get-host-name":          agentAnswer(func(g *guest) any { return map[string]any{"host-name": g.name()} }),
	"GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo":             agentAnswer(agentOS),
	"GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": agentAnswer(agentInterfaces),
}

// agentAnswer asks the guest agent: it has to be configured, the machine to run, and the agent to be inside.
func agentAnswer(answer func(*guest) any) handler {
	return func(req *call) (any, error) {
		g, err := req.guest()
		switch {
		case err != nil:
			return nil, err
		case !agentEnabled(g):
			return nil, fail("No QEMU guest agent configured")
		case !g.Running:
			return nil, fail("VM %d is not running", g.VMID)
		case !g.HasAgent:
			return nil, fail("QEMU guest agent is not running")
		}
		return map[string]any{"result": answer(g)}, nil
	}
}

func agentInfo(*guest) any {
	var commands []map[string]any
	for _, name := range []string{"guest-ping", "guest-info", "guest-get-host-name", "guest-get-osinfo", "guest-network-get-interfaces"} {
		commands = append(commands, map[string]any{"name": name, "enabled": true, "success-response": true})
	}
	return map[string]any{"version": "10.0.2", "supported_commands": commands}
}

func agentOS(*guest) any {
	return map[string]any{
		"id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 13 (trixie)", "version": "13 (trixie)", "version-id": "13",
		"machine": "x86_64", "kernel-release": "6.12.43+deb13-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1",
	}
}

// agentInterfaces are the addresses that cloud-init was told, or what DHCP would have given.
func agentInterfaces(g *guest) any {
	result := []any{map[string]any{
		"name": "lo", "hardware-address": "00:00:00:00:00:00",
		"ip-addresses": []any{map[string]any{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}},
	}}
	for _, key := range sortedKeys(g.Config) {
		if !networkKey.MatchString(key) {
			continue
		}
		address := strings.ToLower(parseOption("qemu", key, g.Config[key])["macaddr"])
		config, _ := parsePropertyString(ipconfigKeys, g.Config["ipconfig"+key[3:]])
		result = append(result, map[string]any{
			"name": "eth" + key[3:], "hardware-address": address,
			"ip-addresses": []any{map[string]any{"ip-address": addressOf(g, config["ip"]), "ip-address-type": "ipv4", "prefix": 24}},
			"statistics":   map[string]any{"rx-bytes": 0, "tx-bytes": 0, "rx-packets": 0, "tx-packets": 0, "rx-errs": 0, "tx-errs": 0, "rx-dropped": 0, "tx-dropped": 0},
		})
	}
	return result
}
