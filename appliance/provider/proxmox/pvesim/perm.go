package pvesim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
)

// systemRoles are the roles that every Proxmox VE 9 has.
var systemRoles = map[string]string{
	"NoAccess":          "",
	"PVEAdmin":          "Datastore.Allocate,Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit,Group.Allocate,Mapping.Audit,Mapping.Use,Pool.Allocate,Pool.Audit,Realm.AllocateUser,SDN.Allocate,SDN.Audit,SDN.Use,Sys.Audit,Sys.Console,Sys.Syslog,User.Modify," + vmPrivileges,
	"PVEAuditor":        "Datastore.Audit,Mapping.Audit,Pool.Audit,SDN.Audit,Sys.Audit,VM.Audit,VM.GuestAgent.Audit",
	"PVEDatastoreAdmin": "Datastore.Allocate,Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit",
	"PVEDatastoreUser":  "Datastore.AllocateSpace,Datastore.Audit",
	"PVEMappingAdmin":   "Mapping.Audit,Mapping.Modify,Mapping.Use",
	"PVEMappingUser":    "Mapping.Audit,Mapping.Use",
	"PVEPoolAdmin":      "Pool.Allocate,Pool.Audit",
	"PVEPoolUser":       "Pool.Audit",
	"PVESDNAdmin":       "SDN.Allocate,SDN.Audit,SDN.Use",
	"PVESDNUser":        "SDN.Audit,SDN.Use",
	"PVESysAdmin":       "Sys.Audit,Sys.Console,Sys.Syslog",
	"PVETemplateUser":   "VM.Audit,VM.Clone",
	"PVEUserAdmin":      "Group.Allocate,Realm.AllocateUser,User.Modify",
	"PVEVMAdmin":        vmPrivileges,
	"PVEVMUser":         "VM.Audit,VM.Backup,VM.Config.CDROM,VM.Config.Cloudinit,VM.Console,VM.GuestAgent.Audit,VM.GuestAgent.FileRead,VM.GuestAgent.FileSystemMgmt,VM.GuestAgent.FileWrite,VM.PowerMgmt",
	"Administrator":     "Datastore.Allocate,Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit,Group.Allocate,Mapping.Audit,Mapping.Modify,Mapping.Use,Permissions.Modify,Pool.Allocate,Pool.Audit,Realm.Allocate,Realm.AllocateUser,SDN.Allocate,SDN.Audit,SDN.Use,Sys.AccessNetwork,Sys.Audit,Sys.Console,Sys.Incoming,Sys.Modify,Sys.PowerMgmt,Sys.Syslog,User.Modify," + vmPrivileges,
}

const vmPrivileges = "VM.Allocate,VM.Audit,VM.Backup,VM.Clone,VM.Config.CDROM,VM.Config.CPU,VM.Config.Cloudinit,VM.Config.Disk,VM.Config.HWType,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.Console,VM.GuestAgent.Audit,VM.GuestAgent.FileRead,VM.GuestAgent.FileSystemMgmt,VM.GuestAgent.FileWrite,VM.GuestAgent.Unrestricted,VM.Migrate,VM.PowerMgmt,VM.Replicate,VM.Snapshot,VM.Snapshot.Rollback"

// privileges are what somebody may do on a path; the value says whether it holds below it too.
type privileges map[string]bool

type aclEntry struct {
	Path, Role, Kind, Who string // Kind is user, group or token
	Propagate             bool
}

// systemPrivileges are the lists of systemRoles, split once.
var systemPrivileges = sync.OnceValue(func() map[string][]string {
	result := map[string][]string{}
	for role, text := range systemRoles {
		result[role] = splitList(text)
	}
	return result
})

func (s *state) rolePrivileges(role string) []string {
	if privs, ok := systemPrivileges()[role]; ok {
		return privs
	}
	return s.Roles[role]
}

func (s *state) roleExists(role string) bool {
	_, system := systemRoles[role]
	_, own := s.Roles[role]
	return system || own
}

// privilegesOf computes what an actor may do on a path. A token with privilege separation may do
// what both it and its user may.
func (c *Cluster) privilegesOf(who actor, path string) privileges {
	if who.token == "" {
		return c.userPrivileges(who.user, path)
	}
	own := c.userPrivileges(who.user, path)
	u := c.state.Users[who.user]
	if u == nil || u.Tokens[who.token] == nil {
		return nil
	}
	if !u.Tokens[who.token].Privsep {
		return own
	}
	separate := c.resolve(path, func(e aclEntry) int { return rank(e.Kind == "token" && e.Who == who.name(), 2) })
	maps.DeleteFunc(separate, func(priv string, _ bool) bool { _, ok := own[priv]; return !ok })
	return separate
}

func (c *Cluster) userPrivileges(userID, path string) privileges {
	if userID == rootUser {
		return grant(systemPrivileges()["Administrator"])
	}
	u := c.state.Users[userID]
	if u == nil {
		return nil
	}
	return c.resolve(path, func(e aclEntry) int {
		return max(rank(e.Kind == "user" && e.Who == userID, 2), rank(e.Kind == "group" && slices.Contains(u.Groups, e.Who), 1))
	})
}

func rank(matches bool, value int) int {
	if matches {
		return value
	}
	return 0
}

func grant(privs []string) privileges {
	result := make(privileges, len(privs))
	for _, priv := range privs {
		result[priv] = true
	}
	return result
}

// resolve walks from the root to the path: deeper entries replace higher ones, a user's own entries
// beat those of groups on the same path, and membership in a pool adds what holds on the pool.
func (c *Cluster) resolve(path string, applies func(aclEntry) int) privileges {
	result := privileges{}
	at := ""
	for _, part := range append([]string{""}, segments(path)...) {
		at = strings.TrimSuffix(at, "/") + "/" + part
		if level, found := c.level(at, at == path, applies); found {
			result = level
		}
	}
	if name := c.poolOf(path); name != "" {
		for priv := range c.resolve("/pool/"+name, applies) {
			if _, ok := result[priv]; !ok {
				result[priv] = false
			}
		}
	}
	return result
}

func (c *Cluster) level(at string, leaf bool, applies func(aclEntry) int) (privileges, bool) {
	best := 0
	result := privileges{}
	for _, e := range c.state.ACL {
		r := applies(e)
		if e.Path != at || r == 0 || r < best || !leaf && !e.Propagate {
			continue
		}
		if r > best {
			best, result = r, privileges{}
		}
		for _, priv := range c.state.rolePrivileges(e.Role) {
			result[priv] = result[priv] || e.Propagate
		}
	}
	return result, best > 0
}

// poolOf is the pool that a guest's or storage's path belongs to, or "".
func (c *Cluster) poolOf(path string) string {
	parts := segments(path)
	if len(parts) != 2 || parts[0] != "vms" && parts[0] != "storage" {
		return ""
	}
	for name, p := range c.state.Pools {
		if p.contains(parts[0], parts[1]) {
			return name
		}
	}
	return ""
}

// can tells whether the caller has all privileges on a path.
func (req *call) can(path string, privs ...string) bool {
	if req.who.isRoot() {
		return true
	}
	have := req.privilegesOf(req.who, path)
	for _, priv := range privs {
		if _, ok := have[priv]; !ok {
			return false
		}
	}
	return true
}

func (req *call) canAny(path string, privs ...string) bool {
	return slices.ContainsFunc(privs, func(priv string) bool { return req.can(path, priv) })
}

// require is a 403 in the server's words unless the caller has all privileges on the path.
func (req *call) require(path string, privs ...string) error {
	if req.can(path, privs...) {
		return nil
	}
	return forbidden("Permission check failed (" + path + ", " + strings.Join(privs, ", ") + ")")
}

func (req *call) requireAny(path string, privs ...string) error {
	if req.canAny(path, privs...) {
		return nil
	}
	return forbidden("Permission check failed (" + path + ", " + strings.Join(privs, "|") + ")")
}

// permitted applies the check that the method tree names for a method.
func (req *call) permitted(m *methodSchema) error {
	if m.Perm.User == "world" || m.Perm.User == "all" || req.who.isRoot() {
		return nil
	}
	if len(m.Perm.Check) == 0 {
		return forbidden("Permission check failed")
	}
	var check []any
	if err := json.Unmarshal(m.Perm.Check, &check); err != nil {
		return fail("permission check of this method cannot be read: %s", err)
	}
	return req.evaluate(check)
}

func (req *call) evaluate(check []any) error {
	kind, _ := check[0].(string)
	switch kind {
	case "and":
		return req.evaluateAll(check[1:])
	case "or":
		return req.evaluateOne(check[1:])
	case "perm":
		return req.evaluatePerm(check)
	case "perm-modify":
		path, _ := req.expand(check[1].(string))
		return req.requireAny(path, "Permissions.Modify")
	case "userid-param":
		return req.evaluateUserParam(check[1].(string))
	case "userid-group":
		return req.requireAny("/access/groups", stringsOf(check[1])...)
	}
	return forbidden("Permission check failed")
}

func (req *call) evaluateAll(checks []any) error {
	for _, check := range checks {
		if err := req.evaluate(check.([]any)); err != nil {
			return err
		}
	}
	return nil
}

func (req *call) evaluateOne(checks []any) error {
	for _, check := range checks {
		if req.evaluate(check.([]any)) == nil {
			return nil
		}
	}
	return forbidden("Permission check failed")
}

func (req *call) evaluatePerm(check []any) error {
	options := map[string]any{}
	for i := 3; i+1 < len(check); i += 2 {
		options[check[i].(string)] = check[i+1]
	}
	if need, ok := options["require_param"].(string); ok && !req.p.has(need) {
		return forbidden("Permission check failed")
	}
	path, complete := req.expand(check[1].(string))
	if !complete {
		return forbidden("Permission check failed")
	}
	if options["any"] != nil {
		return req.requireAny(path, stringsOf(check[2])...)
	}
	return req.require(path, stringsOf(check[2])...)
}

func (req *call) evaluateUserParam(what string) error {
	if what == "self" {
		if req.p["userid"] == req.who.user {
			return nil
		}
		return forbidden("Permission check failed")
	}
	_, realm, _ := strings.Cut(req.p["userid"], "@")
	return req.require("/access/realm/"+realm, what)
}

// expand fills the parameters into a path template; false when one is missing.
func (req *call) expand(template string) (string, bool) {
	complete := true
	parts := segments(template)
	for i, part := range parts {
		if part[0] == '{' {
			value, ok := req.p[part[1:len(part)-1]]
			complete = complete && ok
			parts[i] = strings.Trim(value, "/")
		}
	}
	return "/" + strings.Join(parts, "/"), complete
}

func stringsOf(v any) []string {
	items, _ := v.([]any)
	result := make([]string, len(items))
	for i, item := range items {
		result[i], _ = item.(string)
	}
	return result
}

// capabilities is the summary that a ticket carries for the web interface.
func (c *Cluster) capabilities(who actor) map[string]map[string]int {
	areas := []struct {
		name, path string
		belongs    func(string) bool
	}{
		{"vms", "/vms", prefixed("VM.", "Permissions.")},
		{"storage", "/storage", prefixed("Datastore.", "Permissions.")},
		{"access", "/access", prefixed("User.", "Group.", "Permissions.")},
		{"nodes", "/nodes", prefixed("Sys.", "Permissions.")},
		{"sdn", "/sdn", prefixed("SDN.", "Permissions.")},
		{"dc", "/", prefixed("SDN.", "Sys.Audit", "Sys.Modify")},
		{"mapping", "/mapping", prefixed("Mapping.", "Permissions.")},
	}
	result := map[string]map[string]int{}
	for _, area := range areas {
		result[area.name] = map[string]int{}
		for priv := range c.privilegesOf(who, area.path) {
			if area.belongs(priv) {
				result[area.name][priv] = 1
			}
		}
	}
	return result
}

func prefixed(prefixes ...string) func(string) bool {
	return func(priv string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(priv, prefix) })
	}
}
