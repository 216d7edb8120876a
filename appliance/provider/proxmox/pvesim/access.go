package pvesim

import (
	"slices"
	"strconv"
	"strings"
)

type group struct{ Comment string }

var accessMethods = map[string]handler{
	"GET /access":                                   indexOf("users", "groups", "roles", "acl", "domains", "ticket", "permissions", "password"),
	"POST /access/ticket":                           createTicket,
	"GET /access/domains":                           listDomains,
	"GET /access/permissions":                       listPermissions,
	"PUT /access/password":                          changePassword,
	"GET /access/acl":                               listACL,
	"PUT /access/acl":                               updateACL,
	"GET /access/roles":                             listRoles,
	"POST /access/roles":                            createRole,
	"GET /access/roles/{roleid}":                    readRole,
	"PUT /access/roles/{roleid}":                    updateRole,
	"DELETE /access/roles/{roleid}":                 deleteRole,
	"GET /access/groups":                            listGroups,
	"POST /access/groups":                           createGroup,
	"GET /access/groups/{groupid}":                  readGroup,
	"PUT /access/groups/{groupid}":                  updateGroup,
	"DELETE /access/groups/{groupid}":               deleteGroup,
	"GET /access/users":                             listUsers,
	"POST /access/users":                            createUser,
	"GET /access/users/{userid}":                    readUser,
	"PUT /access/users/{userid}":                    updateUser,
	"DELETE /access/users/{userid}":                 deleteUser,
	"GET /access/users/{userid}/token":              listTokens,
	"GET /access/users/{userid}/token/{tokenid}":    readToken,
	"POST /access/users/{userid}/token/{tokenid}":   createToken,
	"PUT /access/users/{userid}/token/{tokenid}":    updateToken,
	"DELETE /access/users/{userid}/token/{tokenid}": deleteToken,
}

func listDomains(*call) (any, error) {
	return []any{
		map[string]any{"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
		map[string]any{"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
	}, nil
}

// listPermissions is what an actor may do, on one path or on all that matter to it.
func listPermissions(req *call) (any, error) {
	who := req.who
	if id := req.p["userid"]; id != "" && id != who.name() {
		if err := req.require("/access", "Sys.Audit"); err != nil {
			return nil, err
		}
		who.user, who.token, _ = strings.Cut(id, "!")
	}
	paths := req.permissionPaths()
	if req.p.has("path") {
		paths = []string{req.p["path"]}
	}
	result := map[string]map[string]int{}
	for _, path := range paths {
		privs := map[string]int{}
		for priv, propagate := range req.privilegesOf(who, path) {
			privs[priv] = flag(propagate)
		}
		if len(privs) > 0 {
			result[path] = privs
		}
	}
	return result, nil
}

func (req *call) permissionPaths() []string {
	paths := setOf([]string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"})
	for _, e := range req.state.ACL {
		paths[e.Path] = true
	}
	for _, p := range req.state.Pools {
		for vmid := range p.Guests {
			paths["/vms/"+strconv.Itoa(vmid)] = true
		}
		for name := range p.Storages {
			paths["/storage/"+name] = true
		}
	}
	return sortedKeys(paths)
}

func changePassword(req *call) (any, error) {
	u, err := req.user()
	if err != nil {
		return nil, err
	}
	if req.p["userid"] == rootUser {
		req.state.RootPassword = req.p["password"]
		return nil, nil
	}
	u.setPassword(req.p["password"])
	return nil, nil
}

func listACL(req *call) (any, error) {
	result := []any{}
	for _, e := range req.state.ACL {
		if req.can("/access", "Sys.Audit") || req.can(e.Path, "Permissions.Modify") {
			result = append(result, map[string]any{"path": e.Path, "roleid": e.Role, "type": e.Kind, "ugid": e.Who, "propagate": flag(e.Propagate)})
		}
	}
	return result, nil
}

// aclRoots are the first parts of the paths that permissions can be set on.
var aclRoots = []string{"", "access", "nodes", "pool", "sdn", "storage", "vms", "mapping"}

func updateACL(req *call) (any, error) {
	path := "/" + strings.Trim(req.p["path"], "/")
	first, _, _ := strings.Cut(path[1:], "/")
	if !slices.Contains(aclRoots, first) {
		return nil, badParam("path", "invalid ACL path '"+path+"'")
	}
	if !req.p.has("users") && !req.p.has("groups") && !req.p.has("tokens") {
		return nil, badParam("users", "either 'users', 'groups' or 'tokens' is required.")
	}
	for _, role := range splitList(req.p["roles"]) {
		if !req.state.roleExists(role) {
			return nil, fail("ACL update failed: role '%s' does not exist", role)
		}
		for _, kind := range []string{"group", "user", "token"} {
			for _, who := range splitList(req.p[kind+"s"]) {
				if err := req.setACL(aclEntry{Path: path, Role: role, Kind: kind, Who: who, Propagate: req.p["propagate"] != "0"}); err != nil {
					return nil, err
				}
			}
		}
	}
	return nil, nil
}

func (req *call) setACL(e aclEntry) error {
	if !req.state.exists(e.Kind, e.Who) {
		return fail("ACL update failed: %s '%s' does not exist", e.Kind, e.Who)
	}
	if req.p.flag("delete") {
		req.state.ACL = slices.DeleteFunc(req.state.ACL, e.same)
		return nil
	}
	req.state.addACL(e)
	return nil
}

func (s *state) exists(kind, who string) bool {
	switch kind {
	case "group":
		return s.Groups[who] != nil
	case "token":
		owner, name, _ := strings.Cut(who, "!")
		return s.Users[owner] != nil && s.Users[owner].Tokens[name] != nil
	}
	return s.Users[who] != nil
}

func (e aclEntry) same(other aclEntry) bool {
	e.Propagate = other.Propagate
	return e == other
}

func (s *state) addACL(e aclEntry) {
	s.ACL = append(slices.DeleteFunc(s.ACL, e.same), e)
}

func listRoles(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(systemRoles) {
		result = append(result, map[string]any{"roleid": name, "privs": systemRoles[name], "special": 1})
	}
	for _, name := range sortedKeys(req.state.Roles) {
		result = append(result, map[string]any{"roleid": name, "privs": strings.Join(req.state.Roles[name], ","), "special": 0})
	}
	return result, nil
}

func createRole(req *call) (any, error) {
	name := req.p["roleid"]
	if req.state.roleExists(name) {
		return nil, fail("create role failed: role '%s' already exists", name)
	}
	privs, err := checkPrivileges(req.p["privs"])
	if err != nil {
		return nil, err
	}
	req.state.Roles[name] = privs
	return nil, nil
}

func checkPrivileges(list string) ([]string, error) {
	known := grant(systemPrivileges()["Administrator"])
	privs := splitList(list)
	for _, priv := range privs {
		if _, ok := known[priv]; !ok {
			return nil, badParam("privs", "invalid format - invalid privilege '"+priv+"'\n")
		}
	}
	slices.Sort(privs)
	return slices.Compact(privs), nil
}

func readRole(req *call) (any, error) {
	if !req.state.roleExists(req.p["roleid"]) {
		return nil, fail("role '%s' does not exist", req.p["roleid"])
	}
	result := map[string]int{}
	for _, priv := range req.state.rolePrivileges(req.p["roleid"]) {
		result[priv] = 1
	}
	return result, nil
}

func (req *call) ownRole() (string, error) {
	name := req.p["roleid"]
	if _, ok := systemRoles[name]; ok {
		return "", fail("auto-generated role '%s' cannot be modified", name)
	}
	if _, ok := req.state.Roles[name]; !ok {
		return "", fail("role '%s' does not exist", name)
	}
	return name, nil
}

func updateRole(req *call) (any, error) {
	name, err := req.ownRole()
	if err != nil {
		return nil, err
	}
	list := req.p["privs"]
	if req.p.flag("append") {
		list += "," + strings.Join(req.state.Roles[name], ",")
	}
	privs, err := checkPrivileges(list)
	if err != nil {
		return nil, err
	}
	req.state.Roles[name] = privs
	return nil, nil
}

func deleteRole(req *call) (any, error) {
	name, err := req.ownRole()
	if err != nil {
		return nil, err
	}
	delete(req.state.Roles, name)
	req.state.ACL = slices.DeleteFunc(req.state.ACL, func(e aclEntry) bool { return e.Role == name })
	return nil, nil
}

func listGroups(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(req.state.Groups) {
		if !req.canAny("/access/groups", "User.Modify", "Sys.Audit", "Group.Allocate") {
			continue
		}
		result = append(result, map[string]any{"groupid": name, "comment": req.state.Groups[name].Comment, "users": strings.Join(req.state.membersOf(name), ",")})
	}
	return result, nil
}

func (s *state) membersOf(name string) []string {
	members := []string{}
	for _, id := range sortedKeys(s.Users) {
		if slices.Contains(s.Users[id].Groups, name) {
			members = append(members, id)
		}
	}
	return members
}

func createGroup(req *call) (any, error) {
	if req.state.Groups[req.p["groupid"]] != nil {
		return nil, fail("create group failed: group '%s' already exists", req.p["groupid"])
	}
	req.state.Groups[req.p["groupid"]] = &group{Comment: req.p["comment"]}
	return nil, nil
}

func (req *call) group() (*group, error) {
	if g := req.state.Groups[req.p["groupid"]]; g != nil {
		return g, nil
	}
	return nil, fail("group '%s' does not exist", req.p["groupid"])
}

func readGroup(req *call) (any, error) {
	g, err := req.group()
	if err != nil {
		return nil, err
	}
	return map[string]any{"comment": g.Comment, "members": req.state.membersOf(req.p["groupid"])}, nil
}

func updateGroup(req *call) (any, error) {
	g, err := req.group()
	if err != nil {
		return nil, err
	}
	g.Comment = req.p["comment"]
	return nil, nil
}

func deleteGroup(req *call) (any, error) {
	if _, err := req.group(); err != nil {
		return nil, err
	}
	name := req.p["groupid"]
	delete(req.state.Groups, name)
	req.state.ACL = slices.DeleteFunc(req.state.ACL, func(e aclEntry) bool { return e.Kind == "group" && e.Who == name })
	for _, u := range req.state.Users {
		u.Groups = slices.DeleteFunc(u.Groups, func(g string) bool { return g == name })
	}
	return nil, nil
}
