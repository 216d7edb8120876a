package pvesim

import (
	"fmt"
	"net/url"
	"strings"
)

// cloudInitDrive is the key of the drive that carries the cloud-init data, or "".
func (g *guest) cloudInitDrive() string {
	for _, key := range g.disks() {
		if strings.HasSuffix(stemOf(driveFile(g.Config[key])), "-cloudinit") {
			return key
		}
	}
	return ""
}

func regenerateCloudInit(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if g.cloudInitDrive() == "" {
		return nil, fail("no cloudinit drive found")
	}
	return nil, nil
}

// pendingCloudInit lists the cloud-init options; the drive is always written anew, so none is pending.
func pendingCloudInit(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	result := []map[string]any{}
	shown := show(g.Kind, g.Config)
	for _, key := range sortedKeys(g.Config) {
		if privilegeFor(key, "") == "VM.Config.Cloudinit" || privilegeFor(key, "") == "VM.Config.Network" && !networkKey.MatchString(key) {
			result = append(result, map[string]any{"key": key, "value": shown[key]})
		}
	}
	return result, nil
}

// dumpCloudInit writes the documents that the guest would read from the drive.
func dumpCloudInit(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	switch req.p["type"] {
	case "network":
		return networkDocument(g), nil
	case "meta":
		return "instance-id: " + digestOf(userDocument(g)+networkDocument(g)) + "\n", nil
	}
	return userDocument(g), nil
}

func userDocument(g *guest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#cloud-config\nhostname: %s\nmanage_etc_hosts: true\nfqdn: %s\n", g.name(), fqdn(g))
	if g.Config["ciuser"] != "" {
		fmt.Fprintf(&b, "user: %s\n", g.Config["ciuser"])
	}
	if g.Config["cipassword"] != "" {
		fmt.Fprintf(&b, "password: %s\n", g.Config["cipassword"])
	}
	if keys, err := url.PathUnescape(g.Config["sshkeys"]); err == nil && keys != "" {
		b.WriteString("ssh_authorized_keys:\n")
		for _, key := range strings.Split(strings.TrimSpace(keys), "\n") {
			fmt.Fprintf(&b, "  - %s\n", key)
		}
	}
	b.WriteString("chpasswd:\n  expire: False\nusers:\n  - default\npackage_upgrade: true\n")
	return b.String()
}

func fqdn(g *guest) string {
	if domain := g.Config["searchdomain"]; domain != "" {
		return g.name() + "." + domain
	}
	return g.name()
}

func networkDocument(g *guest) string {
	var b strings.Builder
	b.WriteString("version: 1\nconfig:\n")
	for _, key := range sortedKeys(g.Config) {
		if !networkKey.MatchString(key) {
			continue
		}
		n := key[3:]
		address := strings.ToLower(parseOption("qemu", key, g.Config[key])["macaddr"])
		fmt.Fprintf(&b, "    - type: physical\n      name: eth%s\n      mac_address: '%s'\n      subnets:\n", n, address)
		ip, err := parsePropertyString(ipconfigKeys, g.Config["ipconfig"+n])
		if err != nil || ip["ip"] == "" || ip["ip"] == "dhcp" {
			b.WriteString("      - type: dhcp4\n")
			continue
		}
		fmt.Fprintf(&b, "      - type: static\n        address: '%s'\n", ip["ip"])
		if ip["gw"] != "" {
			fmt.Fprintf(&b, "        gateway: '%s'\n", ip["gw"])
		}
	}
	if server := g.Config["nameserver"]; server != "" {
		fmt.Fprintf(&b, "    - type: nameserver\n      address:\n      - '%s'\n", server)
	}
	return b.String()
}
