package proxmox

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
)

// lowestID is the first number that Proxmox gives to a guest.
const lowestID = 100

// guests lists the guests that the token may see.
func (c *cluster) guests(ctx context.Context) ([]resource, error) {
	var rows []resource
	err := c.get(ctx, "/cluster/resources", url.Values{"type": {"vm"}}, &rows)
	return rows, err
}

// NextID returns a number that no guest has, visible or not. From zero on it
// is the cluster's own choice, which follows the range set in the datacenter.
func (c *cluster) NextID(ctx context.Context, from int) (int, error) {
	if from <= 0 {
		var next number
		err := c.get(ctx, "/cluster/nextid", nil, &next)
		return int(next), err
	}
	rows, err := c.guests(ctx)
	if err != nil {
		return 0, err
	}
	taken := make(map[int]bool, len(rows))
	for _, r := range rows {
		taken[int(r.VMID)] = true
	}
	for candidate := max(from, lowestID); ; candidate++ {
		if taken[candidate] {
			continue
		}
		exists, err := c.Exists(ctx, candidate)
		if err != nil || !exists {
			return candidate, err
		}
	}
}

// Exists asks the cluster itself, whose list of numbers holds the guests of
// nodes that are away and those that the token may not see.
func (c *cluster) Exists(ctx context.Context, number int) (bool, error) {
	var free text
	err := c.get(ctx, "/cluster/nextid", url.Values{"vmid": {strconv.Itoa(number)}}, &free)
	if fault.Is(err, fault.Invalid) && strings.Contains(err.Error(), "already exists") {
		return true, nil
	}
	return false, err
}

// Find returns where the guest with that number is. It asks the cluster, and
// not what was collected.
func (c *cluster) Find(ctx context.Context, number int) (provider.Guest, error) {
	rows, err := c.guests(ctx)
	if err != nil {
		return provider.Guest{}, err
	}
	i := slices.IndexFunc(rows, func(r resource) bool { return int(r.VMID) == number })
	if i < 0 {
		return provider.Guest{}, fault.New(fault.NotFound, "The cluster shows no machine %d.", number)
	}
	return provider.Guest{Kind: guestKind(rows[i]), Key: string(rows[i].ID), Node: string(rows[i].Node), Lock: string(rows[i].Lock)}, nil
}

func guestKind(r resource) cmdb.Kind {
	if r.Type == "lxc" {
		return cmdb.Container
	}
	return cmdb.VM
}

// config is what is read of a guest's configuration.
type config struct {
	Name     text `json:"name"`
	Hostname text `json:"hostname"`
	Tags     text `json:"tags"`
	SMBIOS   text `json:"smbios1"`
	Meta     text `json:"meta"`
	Digest   text `json:"digest"`
	networks []text
}

func (c *cluster) config(ctx context.Context, g provider.Guest) (config, error) {
	path, err := guestPath(g)
	if err != nil {
		return config{}, err
	}
	var raw map[string]text
	if err := c.get(ctx, path+"/config", nil, &raw); err != nil {
		return config{}, err
	}
	cfg := config{
		Name: raw["name"], Hostname: raw["hostname"], Tags: raw["tags"],
		SMBIOS: raw["smbios1"], Meta: raw["meta"], Digest: raw["digest"],
	}
	for key, value := range raw {
		if digits, ok := strings.CutPrefix(key, "net"); ok && isNumber(digits) {
			cfg.networks = append(cfg.networks, value)
		}
	}
	return cfg, nil
}

func isNumber(digits string) bool {
	_, err := strconv.Atoi(digits)
	return err == nil
}

// marks tell a guest from another one under the same number. A virtual machine
// has the UUID of its SMBIOS, which survives everything but a person's hand,
// and the time of its creation; either is enough. A container has neither:
// its network addresses and its name stand in, and destroying one is seen in
// the task log besides.
func (cfg config) marks(kind cmdb.Kind) []string {
	var marks []string
	add := func(name, value string) {
		if value != "" {
			marks = append(marks, name+"="+strings.ToLower(value))
		}
	}
	if kind == cmdb.VM {
		add("uuid", propertiesOf(cfg.SMBIOS)["uuid"])
		add("ctime", propertiesOf(cfg.Meta)["ctime"])
		return marks
	}
	add("name", string(cfg.Hostname))
	for _, network := range cfg.networks {
		add("mac", propertiesOf(network)["hwaddr"])
	}
	slices.Sort(marks)
	return marks
}

// Tags reads a guest's tags from its configuration.
func (c *cluster) Tags(ctx context.Context, g provider.Guest) ([]string, error) {
	cfg, err := c.config(ctx, g)
	return splitTags(cfg.Tags), err
}

// Mark adds tags. The configuration's digest guards against somebody who
// changes it in between: that is fault.Conflict.
func (c *cluster) Mark(ctx context.Context, g provider.Guest, tags []string) error {
	cfg, err := c.config(ctx, g)
	if err != nil {
		return err
	}
	all := append(splitTags(cfg.Tags), tags...)
	slices.Sort(all)
	all = slices.Compact(all)
	path, err := guestPath(g)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPut, path+"/config", map[string]any{"tags": strings.Join(all, ";"), "digest": string(cfg.Digest)}, nil)
}
