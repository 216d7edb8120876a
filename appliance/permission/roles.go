package permission

import "nimbus/appliance/id"

// System roles are part of the release: their grants come from here, so that
// an upgrade changes them everywhere at once, and they cannot be edited.
type systemRole struct {
	name, description string
	root              bool // exists in the root tenant; else in the others
	grants            []Grant
}

// The names of the system roles that code refers to.
const (
	ProviderAdministrator = "Provider Administrator"
	TenantAdministrator   = "Tenant Administrator"
)

var systemRoles = []systemRole{
	{ProviderAdministrator, "Everything, on every level.", true, allow("*:*:*")},
	{"Provider Operator", "Runs the appliance: clusters, inventory, health. No people, no permissions, no break-glass.", true, allow(
		"provider:*:*", "cmdb:*:*", "system:*:read", "tenancy:tenant:read", "deployment:*:read", "audit:record:read")},
	{"Auditor", "Reads everything and verifies the record, changes nothing.", true, auditor},
	{TenantAdministrator, "Everything inside the tenant.", false, allow("*:*:*")},
	{"Operator", "Inventory and power, and reads deployments.", false, allow(
		"cmdb:*:*", "provider:*:read", "deployment:*:read")},
	{"Deployer", "Writes stacks and asks for deployments; somebody else approves them.", false, allow(
		"cmdb:*:read", "provider:*:read", "deployment:*:*", "!deployment:stack:approve")},
	{"Approver", "Approves or rejects what others ask for.", false, allow(
		"cmdb:*:read", "provider:*:read", "deployment:*:read", "deployment:stack:approve")},
	{"Auditor", "Reads everything and verifies the record, changes nothing.", false, auditor},
	{"Reader", "Reads inventory and deployments.", false, allow(
		"cmdb:*:read", "provider:*:read", "deployment:*:read")},
}

var auditor = allow("*:*:read", "audit:chain:verify", "permission:policy:explain")

// allow makes grants; a leading "!" makes a denial.
func allow(permissions ...string) []Grant {
	grants := make([]Grant, len(permissions))
	for i, p := range permissions {
		grants[i] = Grant{Permission: p, Effect: Allow}
		if p[0] == '!' {
			grants[i] = Grant{Permission: p[1:], Effect: Deny}
		}
	}
	return grants
}

// SystemRoleID is the id of a system role in a tenant.
func SystemRoleID(tenant id.ID, name string) id.ID {
	return id.Derived("system role", tenant.String(), name)
}

func systemGrants(root bool, name string) []Grant {
	for _, r := range systemRoles {
		if r.root == root && r.name == name {
			return r.grants
		}
	}
	return nil
}
