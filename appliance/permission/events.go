package permission

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "permission.check.denied", Priority: audit.Notice, Description: "a refusal, with the permission and the reason"},
	audit.EventType{Code: "permission.role.created", Priority: audit.Notice, Description: "a role was created"},
	audit.EventType{Code: "permission.role.updated", Priority: audit.Notice, Description: "with before and after"},
	audit.EventType{Code: "permission.role.deleted", Priority: audit.Notice, Description: "a role was deleted"},
	audit.EventType{Code: "permission.role.assigned", Priority: audit.Notice, Description: "a role was assigned"},
	audit.EventType{Code: "permission.role.unassigned", Priority: audit.Notice, Description: "a role was unassigned"},
	audit.EventType{Code: "permission.grant.created", Priority: audit.Notice, Description: "a direct grant"},
	audit.EventType{Code: "permission.grant.deleted", Priority: audit.Notice, Description: "a grant was deleted"},
)
