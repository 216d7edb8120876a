package appliance

import "nimbus/appliance/audit"

// What the appliance as a whole records.
var _ = audit.Declare(
	audit.EventType{Code: "system.address.updated", Priority: audit.Warning, Description: "another name or address of the appliance"},
	audit.EventType{Code: "system.outbound.updated", Priority: audit.Warning, Description: "which private addresses sign-in providers may have"},
)
