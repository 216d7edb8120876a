package pvesim

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// listSeparator stands between the values of a parameter that was given more than once.
const listSeparator = "\x00"

// formats are the named formats of PVE::JSONSchema that the claimed methods use, with the
// genuine error texts. A format that is not here accepts everything.
var formats = map[string]func(string) error{
	"pve-vmid":                 shape(`[1-9][0-9]{2,8}`, "value does not look like a valid VM ID\n"),
	"pve-node":                 shape(`[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?`, "value does not look like a valid node name\n"),
	"pve-configid":             quoted(`[a-zA-Z][a-zA-Z0-9_-]+`, "invalid configuration ID '%s'\n"),
	"pve-storage-id":           quoted(`[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]`, "storage ID '%s' contains illegal characters\n"),
	"pve-poolid":               quoted(`[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}`, "value '%s' does not look like a valid pool name\n"),
	"pve-userid":               quoted(`[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+`, "value '%s' does not look like a valid user name\n"),
	"pve-groupid":              quoted(`[A-Za-z0-9._-]+`, "value '%s' does not look like a valid group name\n"),
	"pve-roleid":               quoted(`[A-Za-z0-9._-]+`, "value '%s' does not look like a valid role name\n"),
	"pve-realm":                shape(`[A-Za-z][A-Za-z0-9.\-_]+`, "value does not look like a valid realm\n"),
	"pve-tokenid":              quoted(`[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+`, "value '%s' does not look like a valid token ID\n"),
	"pve-tag":                  shape(`[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*`, "invalid characters in tag\n"),
	"pve-iface":                quoted(`[a-zA-Z][a-zA-Z0-9_]{1,20}([:.]\d+)?`, "invalid network interface name '%s'\n"),
	"pve-bridge-id":            quoted(`[-_.\w]+`, "invalid bridge id '%s'\n"),
	"dns-name":                 shape(`([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)*`, "value does not look like a valid DNS name\n"),
	"email":                    shape(`[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*`, "value does not look like a valid email address\n"),
	"urlencoded":               quoted(`[-%a-zA-Z0-9_.!~*'()]*`, "invalid urlencoded string: %s\n"),
	"mac-addr":                 shape(`[a-fA-F0-9][02468aceACE]([:][a-fA-F0-9]{2}){5}`, "value does not look like a valid unicast MAC address\n"),
	"disk-size":                quoted(`\d+(\.\d+)?[KMGT]?`, "value does not look like a valid disk size: %s\n"),
	"pve-volume-id":            volumeID,
	"pve-volume-id-or-qm-path": volumeOrQemuPath,
	"ip":                       parsed(netip.ParseAddr, "value does not look like a valid IP address\n"),
	"ipv4":                     ipv4,
	"ipv6":                     ipv6,
	"CIDR":                     parsed(netip.ParsePrefix, "value does not look like a valid CIDR network\n"),
	"CIDRv4":                   parsed(netip.ParsePrefix, "value does not look like a valid IPv4 network\n"),
	"CIDRv6":                   parsed(netip.ParsePrefix, "value does not look like a valid IPv6 network\n"),
	"IPorCIDR":                 ipOrCIDR,
	"IPorCIDRorAlias":          ipCIDROrAlias,
	"pve-ipv4-config":          ipv4Config,
	"pve-ipv6-config":          ipv6Config,
	"pve-fw-dport-spec":        portSpec,
	"pve-fw-sport-spec":        portSpec,
	"pve-storage-path":         quoted(`/.*`, "value '%s' does not look like a valid path\n"),
}

// ipconfigKeys are the keys of the cloud-init parameter ipconfig[n].
var ipconfigKeys = map[string]*property{
	"ip":  {Type: "string", Format: "pve-ipv4-config", Optional: true},
	"ip6": {Type: "string", Format: "pve-ipv6-config", Optional: true},
	"gw":  {Type: "string", Format: "ipv4", Optional: true, Requires: "ip"},
	"gw6": {Type: "string", Format: "ipv6", Optional: true, Requires: "ip6"},
}

// keyedFormats are the named formats that are property strings.
var keyedFormats = map[string]map[string]*property{"pve-qm-ipconfig": ipconfigKeys}

// checkFormat applies a named format; "x-list" holds several x, "x-opt" may be empty.
func checkFormat(name, value string) error {
	if f := formats[name]; f != nil {
		return f(value)
	}
	if keys := keyedFormats[name]; keys != nil {
		_, err := parsePropertyString(keys, value)
		return err
	}
	if base, ok := strings.CutSuffix(name, "-opt"); ok && value != "" {
		return checkFormat(base, value)
	}
	if base, ok := strings.CutSuffix(name, "-list"); ok && formats[base] != nil {
		for _, item := range splitList(value) {
			if err := checkFormat(base, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitList splits at the separators that Proxmox accepts: comma, semicolon, blank and zero.
func splitList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool {
		return strings.ContainsRune(",; \t\r\n\x00", r)
	})
}

func shape(pattern, text string) func(string) error {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(value string) error {
		if re.MatchString(value) {
			return nil
		}
		return errors.New(text)
	}
}

func quoted(pattern, text string) func(string) error {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(value string) error {
		if re.MatchString(value) {
			return nil
		}
		return fmt.Errorf(text, value)
	}
}

func parsed[T any](parse func(string) (T, error), text string) func(string) error {
	return func(value string) error {
		if _, err := parse(value); err != nil {
			return errors.New(text)
		}
		return nil
	}
}

var volumeShape = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:.+$`)

func volumeID(value string) error {
	if volumeShape.MatchString(value) {
		return nil
	}
	return fmt.Errorf("unable to parse volume ID '%s'\n", value)
}

func volumeOrQemuPath(value string) error {
	if value == "none" || value == "cdrom" || strings.HasPrefix(value, "/") {
		return nil
	}
	return volumeID(value)
}

func ipv4(value string) error {
	if a, err := netip.ParseAddr(value); err != nil || !a.Is4() {
		return errors.New("value does not look like a valid IPv4 address\n")
	}
	return nil
}

func ipv6(value string) error {
	if a, err := netip.ParseAddr(value); err != nil || !a.Is6() {
		return errors.New("value does not look like a valid IPv6 address\n")
	}
	return nil
}

func ipOrCIDR(value string) error {
	_, errAddr := netip.ParseAddr(value)
	_, errPrefix := netip.ParsePrefix(value)
	if errAddr != nil && errPrefix != nil {
		return errors.New("value does not look like a valid IP address or CIDR network\n")
	}
	return nil
}

var aliasShape = regexp.MustCompile(`^(dc/|guest/)?[A-Za-z][A-Za-z0-9\-_]+$`)

func ipCIDROrAlias(value string) error {
	if aliasShape.MatchString(value) {
		return nil
	}
	return ipOrCIDR(value)
}

func ipv4Config(value string) error {
	p, err := netip.ParsePrefix(value)
	if value == "dhcp" || value == "manual" || err == nil && p.Addr().Is4() {
		return nil
	}
	return errors.New("value does not look like a valid ipv4 network configuration\n")
}

func ipv6Config(value string) error {
	p, err := netip.ParsePrefix(value)
	if value == "dhcp" || value == "auto" || value == "manual" || err == nil && p.Addr().Is6() {
		return nil
	}
	return errors.New("value does not look like a valid ipv6 network configuration\n")
}

var serviceName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-]*$`)

// portSpec accepts ports, ranges "a:b" and service names, separated by commas.
func portSpec(value string) error {
	for _, item := range splitList(value) {
		for _, port := range strings.SplitN(item, ":", 2) {
			n, err := strconv.Atoi(port)
			if err != nil && serviceName.MatchString(port) {
				continue
			}
			if err != nil || n < 0 || n > 65535 {
				return fmt.Errorf("invalid port '%s'\n", port)
			}
		}
	}
	return nil
}
