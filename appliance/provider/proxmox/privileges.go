package proxmox

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"

	"nimbus/appliance/provider"
)

// need is what the token must be allowed to do on a path.
type need struct {
	path       string
	privileges []string
}

// needs is the smallest set of rights with which inventory, power and
// deployments work on Proxmox VE 9. It is the one place that says so: the test
// of a connection and Commands are made from it.
//
// Sys.AccessNetwork lets a node download cloud images and templates, and
// VM.GuestAgent.Audit reads the addresses of a machine from its agent.
var needs = []need{
	{"/nodes", []string{"Sys.Audit", "Sys.AccessNetwork"}},
	{"/vms", []string{
		"VM.Audit", "VM.PowerMgmt", "VM.Allocate", "VM.Clone",
		"VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk", "VM.Config.HWType",
		"VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.GuestAgent.Audit",
	}},
	{"/storage", []string{"Datastore.Audit", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"}},
	{"/pool", []string{"Pool.Audit", "Pool.Allocate"}},
	{"/sdn", []string{"SDN.Audit", "SDN.Use"}},
}

// RoleName is the role that Commands make on the cluster.
const RoleName = "Nimbus"

const defaultUser = "nimbus"

// Privileges lists all rights of that role.
func Privileges() []string {
	var all []string
	for _, n := range needs {
		all = append(all, n.privileges...)
	}
	return all
}

var userName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,30}$`)

// Commands are the lines to type on a node, as root, to make a user with a
// token that may do what Nimbus needs and nothing else. name becomes the
// user's and the token's name; one that is not a plain word is replaced by
// "nimbus", because a person will paste these lines into a shell. The role has
// all the rights, and each path uses those that have a meaning there.
func Commands(name string) []string {
	if !userName.MatchString(name) {
		name = defaultUser
	}
	lines := []string{
		fmt.Sprintf(`pveum role add %s --privs "%s"`, RoleName, strings.Join(Privileges(), ",")),
		fmt.Sprintf(`pveum user add %s@pve --comment "Nimbus"`, name),
	}
	for _, n := range needs {
		lines = append(lines, fmt.Sprintf(`pveum acl modify %s --users %s@pve --roles %s`, n.path, name, RoleName))
	}
	return append(lines, fmt.Sprintf(`pveum user token add %s@pve %s --privsep 0`, name, name))
}

// permissions are the token's rights: path, then privilege, then whether it
// holds below the path as well.
type permissions map[string]map[string]number

func (c *cluster) permissions(ctx context.Context) (permissions, error) {
	var p permissions
	err := c.get(ctx, "/access/permissions", nil, &p)
	return p, err
}

// has tells whether a privilege holds on at and all that is below. Rights on a
// path replace those from above it.
func (p permissions) has(at, privilege string) bool {
	for {
		if rights, ok := p[at]; ok {
			return rights[privilege] > 0
		}
		if at == "/" {
			return false
		}
		at = path.Dir(at)
	}
}

// Test tells who answers at the address and which rights the token lacks.
func (c *cluster) Test(ctx context.Context) provider.TestResult {
	r := provider.TestResult{Privileges: []provider.Privilege{}}
	version, err := c.version(ctx)
	r.Fingerprint = c.trust.fingerprint()
	if err != nil {
		r.Message = provider.Sentence(err)
		return r
	}
	r.Version = version
	granted, err := c.permissions(ctx)
	if err != nil {
		r.Message = provider.Sentence(err)
		return r
	}
	missing := 0
	for _, n := range needs {
		for _, privilege := range n.privileges {
			ok := granted.has(n.path, privilege)
			if !ok {
				missing++
			}
			r.Privileges = append(r.Privileges, provider.Privilege{Path: n.path, Privilege: privilege, OK: ok})
		}
	}
	r.OK = missing == 0
	r.Message = fmt.Sprintf("Connected to Proxmox VE %s with all the rights that are needed.", version)
	if missing > 0 {
		r.Message = fmt.Sprintf("Connected to Proxmox VE %s, but %d rights are missing. Run the commands shown on a node, or add them to the token's role.", version, missing)
	}
	return r
}

func (c *cluster) version(ctx context.Context) (string, error) {
	var v struct {
		Version text `json:"version"`
	}
	if err := c.get(ctx, "/version", nil, &v); err != nil {
		return "", err
	}
	if v.Version == "" {
		return "", &provider.Failure{Status: provider.StatusUnreachable,
			Detail: fmt.Sprintf("%s answers, but not like Proxmox VE. Check the address and port.", c.host)}
	}
	return plain(string(v.Version)), nil
}
