package pvesim

import (
	"fmt"
	"slices"
	"strings"
)

func showAlias(name string, alias map[string]string) map[string]any {
	result := map[string]any{"name": name, "ipversion": ipVersion(alias["cidr"]), "digest": digestOfMap(alias)}
	for k, v := range alias {
		result[k] = v
	}
	return result
}

func ipVersion(cidr string) int {
	if strings.Contains(cidr, ":") {
		return 6
	}
	return 4
}

func listAliases(req *call) (any, error) {
	result, aliases := []any{}, req.firewall().Aliases
	for _, name := range sortedKeys(aliases) {
		result = append(result, showAlias(name, aliases[name]))
	}
	return result, nil
}

func createAlias(req *call) (any, error) {
	aliases, name := req.firewall().Aliases, req.p["name"]
	if aliases[name] != nil {
		return nil, badParam("name", fmt.Sprintf("alias '%s' already exists", name))
	}
	aliases[name] = req.fromRequest("node", "vmid", "name")
	return nil, nil
}

func (req *call) alias() (map[string]string, error) {
	if alias := req.firewall().Aliases[req.p["name"]]; alias != nil {
		return alias, nil
	}
	return nil, fail("no such alias '%s'", req.p["name"])
}

func readAlias(req *call) (any, error) {
	alias, err := req.alias()
	if err != nil {
		return nil, err
	}
	return showAlias(req.p["name"], alias), nil
}

func updateAlias(req *call) (any, error) {
	if _, err := req.alias(); err != nil {
		return nil, err
	}
	aliases := req.firewall().Aliases
	delete(aliases, req.p["name"])
	name := firstOf(req.p["rename"], req.p["name"])
	aliases[name] = req.fromRequest("node", "vmid", "name", "rename", "digest")
	return nil, nil
}

func deleteAlias(req *call) (any, error) {
	if _, err := req.alias(); err != nil {
		return nil, err
	}
	delete(req.firewall().Aliases, req.p["name"])
	return nil, nil
}

func (s *ipset) digest() string { return rulesDigest(s.Entries) }

func listIPSets(req *call) (any, error) {
	result, sets := []any{}, req.firewall().IPSets
	for _, name := range sortedKeys(sets) {
		result = append(result, map[string]any{"name": name, "comment": sets[name].Comment, "digest": sets[name].digest()})
	}
	return result, nil
}

func createIPSet(req *call) (any, error) {
	sets, name := req.firewall().IPSets, req.p["name"]
	if old := req.p["rename"]; old != "" && sets[old] != nil {
		set := sets[old]
		delete(sets, old)
		set.Comment = req.p["comment"]
		sets[name] = set
		return nil, nil
	}
	if sets[name] != nil {
		return nil, badParam("name", fmt.Sprintf("IPSet '%s' already exists", name))
	}
	sets[name] = &ipset{Comment: req.p["comment"]}
	return nil, nil
}

func (req *call) ipset() (*ipset, error) {
	if set := req.firewall().IPSets[req.p["name"]]; set != nil {
		return set, nil
	}
	return nil, fail("no such IPSet '%s'", req.p["name"])
}

func showEntry(set *ipset, entry map[string]string) map[string]any {
	result := map[string]any{"digest": set.digest()}
	for k, v := range entry {
		result[k] = v
	}
	if entry["nomatch"] != "" {
		result["nomatch"] = flag(entry["nomatch"] == "1")
	}
	return result
}

func readIPSet(req *call) (any, error) {
	set, err := req.ipset()
	if err != nil {
		return nil, err
	}
	result := []any{}
	for _, entry := range set.Entries {
		result = append(result, showEntry(set, entry))
	}
	return result, nil
}

func addIPSetEntry(req *call) (any, error) {
	set, err := req.ipset()
	if err != nil {
		return nil, err
	}
	if _, err := req.ipsetEntry(); err == nil {
		return nil, badParam("cidr", fmt.Sprintf("address '%s' already exists", req.p["cidr"]))
	}
	set.Entries = append(set.Entries, req.fromRequest("node", "vmid", "name"))
	return nil, nil
}

func deleteIPSet(req *call) (any, error) {
	set, err := req.ipset()
	if err != nil {
		return nil, err
	}
	if len(set.Entries) > 0 && !req.p.flag("force") {
		return nil, fail("IPSet '%s' is not empty", req.p["name"])
	}
	delete(req.firewall().IPSets, req.p["name"])
	return nil, nil
}

func (req *call) ipsetEntry() (int, error) {
	set, err := req.ipset()
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(set.Entries, func(e map[string]string) bool { return e["cidr"] == req.p["cidr"] })
	if i < 0 {
		return 0, fail("no such IP/Network '%s' in IPSet '%s'", req.p["cidr"], req.p["name"])
	}
	return i, nil
}

func readIPSetEntry(req *call) (any, error) {
	i, err := req.ipsetEntry()
	if err != nil {
		return nil, err
	}
	set := req.firewall().IPSets[req.p["name"]]
	return showEntry(set, set.Entries[i]), nil
}

func updateIPSetEntry(req *call) (any, error) {
	i, err := req.ipsetEntry()
	if err != nil {
		return nil, err
	}
	req.firewall().IPSets[req.p["name"]].Entries[i] = req.fromRequest("node", "vmid", "name", "digest")
	return nil, nil
}

func deleteIPSetEntry(req *call) (any, error) {
	i, err := req.ipsetEntry()
	if err != nil {
		return nil, err
	}
	set := req.firewall().IPSets[req.p["name"]]
	set.Entries = slices.Delete(set.Entries, i, i+1)
	return nil, nil
}
