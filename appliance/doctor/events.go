package doctor

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "system.support.created", Priority: audit.Warning, Description: "a support bundle was made"},
	audit.EventType{Code: "system.schedule.paused", Priority: audit.Warning, Description: "a schedule runs no more until it is resumed"},
	audit.EventType{Code: "system.schedule.resumed", Priority: audit.Warning, Description: "a paused schedule runs again"},
	audit.EventType{Code: "system.schedule.triggered", Priority: audit.Warning, Description: "a schedule was run at once"},
)
