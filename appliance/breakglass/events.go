package breakglass

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "breakglass.session.requested", Priority: audit.Critical, Description: "emergency rights were asked for, with the reason"},
	audit.EventType{Code: "breakglass.session.approved", Priority: audit.Critical, Description: "one approval"},
	audit.EventType{Code: "breakglass.session.opened", Priority: audit.Critical, Description: "emergency rights hold from here"},
	audit.EventType{Code: "breakglass.session.refused", Priority: audit.Critical, Description: "not given"},
	audit.EventType{Code: "breakglass.session.expired", Priority: audit.Critical, Description: "the request or session ran out of time"},
	audit.EventType{Code: "breakglass.session.ended", Priority: audit.Critical, Description: "emergency rights are over"},
)
