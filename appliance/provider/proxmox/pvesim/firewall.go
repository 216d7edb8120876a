package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// firewall is the rule file of the cluster, a node or a guest. The cluster's also has groups.
type firewall struct {
	Options map[string]string
	Rules   []map[string]string
	Aliases map[string]map[string]string
	IPSets  map[string]*ipset
	Groups  map[string]*ruleGroup
}

type ipset struct {
	Comment string
	Entries []map[string]string
}

type ruleGroup struct {
	Comment string
	Rules   []map[string]string
}

// firewallMethods are the same methods under every level that has a firewall.
func firewallMethods() map[string]handler {
	table := map[string]handler{
		"GET /cluster/firewall/groups":                  listRuleGroups,
		"POST /cluster/firewall/groups":                 createRuleGroup,
		"DELETE /cluster/firewall/groups/{group}":       deleteRuleGroup,
		"GET /cluster/firewall/groups/{group}":          listRules,
		"POST /cluster/firewall/groups/{group}":         createRule,
		"GET /cluster/firewall/groups/{group}/{pos}":    readRule,
		"PUT /cluster/firewall/groups/{group}/{pos}":    updateRule,
		"DELETE /cluster/firewall/groups/{group}/{pos}": deleteRule,
	}
	for _, base := range []string{"/cluster", "/nodes/{node}", "/nodes/{node}/qemu/{vmid}", "/nodes/{node}/lxc/{vmid}"} {
		addFirewallMethods(table, base+"/firewall")
	}
	for _, base := range []string{"/cluster", "/nodes/{node}/qemu/{vmid}"} {
		addSetMethods(table, base+"/firewall")
	}
	return table
}

func addFirewallMethods(table map[string]handler, base string) {
	maps.Copy(table, map[string]handler{
		"GET " + base + "/options":        readFirewallOptions,
		"PUT " + base + "/options":        writeFirewallOptions,
		"GET " + base + "/rules":          listRules,
		"POST " + base + "/rules":         createRule,
		"GET " + base + "/rules/{pos}":    readRule,
		"PUT " + base + "/rules/{pos}":    updateRule,
		"DELETE " + base + "/rules/{pos}": deleteRule,
	})
}

func addSetMethods(table map[string]handler, base string) {
	maps.Copy(table, map[string]handler{
		"GET " + base + "/aliases":                listAliases,
		"POST " + base + "/aliases":               createAlias,
		"GET " + base + "/aliases/{name}":         readAlias,
		"PUT " + base + "/aliases/{name}":         updateAlias,
		"DELETE " + base + "/aliases/{name}":      deleteAlias,
		"GET " + base + "/ipset":                  listIPSets,
		"POST " + base + "/ipset":                 createIPSet,
		"GET " + base + "/ipset/{name}":           readIPSet,
		"POST " + base + "/ipset/{name}":          addIPSetEntry,
		"DELETE " + base + "/ipset/{name}":        deleteIPSet,
		"GET " + base + "/ipset/{name}/{cidr}":    readIPSetEntry,
		"PUT " + base + "/ipset/{name}/{cidr}":    updateIPSetEntry,
		"DELETE " + base + "/ipset/{name}/{cidr}": deleteIPSetEntry,
	})
}

// firewall is the rule file that the path is about; it exists as soon as it is asked for.
func (req *call) firewall() *firewall {
	key := "cluster"
	switch {
	case req.p.has("vmid") && strings.HasPrefix(req.path, "/nodes/"):
		key = "guest/" + req.p["vmid"]
	case strings.HasPrefix(req.path, "/nodes/"):
		key = "node/" + req.p["node"]
	}
	fw := req.state.Firewalls[key]
	if fw == nil {
		fw = &firewall{Options: map[string]string{}, Aliases: map[string]map[string]string{}, IPSets: map[string]*ipset{}, Groups: map[string]*ruleGroup{}}
		req.state.Firewalls[key] = fw
	}
	return fw
}

func digestOfMap(values map[string]string) string {
	var b strings.Builder
	for _, k := range sortedKeys(values) {
		b.WriteString(k + ": " + values[k] + "\n")
	}
	return digestOf(b.String())
}

// fromRequest takes the named parameters of a request that are not empty.
func (req *call) fromRequest(skip ...string) map[string]string {
	result := map[string]string{}
	for k, v := range req.p {
		if v != "" && !slices.Contains(skip, k) {
			result[k] = v
		}
	}
	return result
}

func readFirewallOptions(req *call) (any, error) {
	options := req.firewall().Options
	result := map[string]any{"digest": digestOfMap(options)}
	for k, v := range options {
		result[k] = v
		if n, err := strconv.Atoi(v); err == nil {
			result[k] = n
		}
	}
	return result, nil
}

func writeFirewallOptions(req *call) (any, error) {
	options := req.firewall().Options
	for _, key := range splitList(req.p["delete"]) {
		delete(options, key)
	}
	maps.Copy(options, req.fromRequest("node", "vmid", "digest", "delete"))
	return nil, nil
}

// rules is the list that the path is about: of the file or of one of its groups.
func (req *call) rules() (*[]map[string]string, error) {
	fw := req.firewall()
	name, ok := req.p["group"]
	if !ok {
		return &fw.Rules, nil
	}
	if g := fw.Groups[name]; g != nil {
		return &g.Rules, nil
	}
	return nil, fail("no such security group '%s'", name)
}

func rulesDigest(rules []map[string]string) string {
	var b strings.Builder
	for _, rule := range rules {
		b.WriteString(digestOfMap(rule))
	}
	return digestOf(b.String())
}

func showRule(rules []map[string]string, pos int) map[string]any {
	result := map[string]any{"pos": pos, "digest": rulesDigest(rules)}
	for k, v := range rules[pos] {
		result[k] = v
	}
	enable, err := strconv.Atoi(rules[pos]["enable"])
	if err == nil {
		result["enable"] = enable
	}
	return result
}

func listRules(req *call) (any, error) {
	rules, err := req.rules()
	if err != nil {
		return nil, err
	}
	result := []any{}
	for pos := range *rules {
		result = append(result, showRule(*rules, pos))
	}
	return result, nil
}

// createRule puts a rule in front of all others.
func createRule(req *call) (any, error) {
	rules, err := req.rules()
	if err != nil {
		return nil, err
	}
	rule := req.fromRequest("node", "vmid", "digest", "pos", "group")
	if rule["enable"] == "" {
		rule["enable"] = "0"
	}
	if (rule["dport"] != "" || rule["sport"] != "") && rule["proto"] == "" {
		return nil, badParam("proto", "missing property - 'dport' requires this property")
	}
	*rules = slices.Insert(*rules, min(req.p.int("pos"), len(*rules)), rule)
	return nil, nil
}

func (req *call) rule() (*[]map[string]string, int, error) {
	rules, err := req.rules()
	if err != nil {
		return nil, 0, err
	}
	pos := req.p.int("pos")
	if pos >= len(*rules) {
		return nil, 0, badParam("pos", "no rule at position "+req.p["pos"])
	}
	if digest := req.p["digest"]; digest != "" && digest != rulesDigest(*rules) {
		return nil, 0, fail("detected modified configuration - file changed by other user? Try again.")
	}
	return rules, pos, nil
}

// readRule shows one rule; unlike in lists its position is text.
func readRule(req *call) (any, error) {
	rules, pos, err := req.rule()
	if err != nil {
		return nil, err
	}
	result := showRule(*rules, pos)
	result["pos"] = req.p["pos"]
	return result, nil
}

func updateRule(req *call) (any, error) {
	rules, pos, err := req.rule()
	if err != nil {
		return nil, err
	}
	if req.p.has("moveto") {
		rule := (*rules)[pos]
		rest := slices.Delete(slices.Clone(*rules), pos, pos+1)
		to := req.p.int("moveto")
		if to > pos {
			to--
		}
		*rules = slices.Insert(rest, min(to, len(rest)), rule)
		return nil, nil
	}
	rule := (*rules)[pos]
	for k, v := range req.p {
		if v == "" {
			delete(rule, k)
		}
	}
	for _, key := range splitList(req.p["delete"]) {
		delete(rule, key)
	}
	maps.Copy(rule, req.fromRequest("node", "vmid", "digest", "pos", "group", "delete"))
	return nil, nil
}

func deleteRule(req *call) (any, error) {
	rules, pos, err := req.rule()
	if err != nil {
		return nil, err
	}
	*rules = slices.Delete(*rules, pos, pos+1)
	return nil, nil
}

func listRuleGroups(req *call) (any, error) {
	result, groups := []any{}, req.firewall().Groups
	for _, name := range sortedKeys(groups) {
		result = append(result, map[string]any{"group": name, "comment": groups[name].Comment, "digest": rulesDigest(groups[name].Rules)})
	}
	return result, nil
}

func createRuleGroup(req *call) (any, error) {
	groups, name := req.firewall().Groups, req.p["group"]
	if groups[name] != nil && !req.p.has("rename") {
		return nil, badParam("group", fmt.Sprintf("Security group '%s' already exists", name))
	}
	if old := req.p["rename"]; old != "" {
		if groups[old] == nil {
			return nil, badParam("rename", fmt.Sprintf("Security group '%s' does not exist", old))
		}
		groups[name] = groups[old]
		groups[name].Comment = req.p["comment"]
		if old != name {
			delete(groups, old)
		}
		return nil, nil
	}
	groups[name] = &ruleGroup{Comment: req.p["comment"]}
	return nil, nil
}

func deleteRuleGroup(req *call) (any, error) {
	groups, name := req.firewall().Groups, req.p["group"]
	if groups[name] != nil && len(groups[name].Rules) > 0 {
		return nil, fail("Security group '%s' is not empty", name)
	}
	delete(groups, name)
	return nil, nil
}
