package cmdb

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "cmdb.inventory.changed", Description: "what was collected differs from what was known"},
	audit.EventType{Code: "cmdb.ci.power-requested", Description: "a guest is to be started, stopped or restarted"},
)
