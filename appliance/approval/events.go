package approval

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "approval.request.opened", Priority: audit.Notice, Description: "somebody has to approve"},
	audit.EventType{Code: "approval.request.approved", Priority: audit.Notice, Description: "by one person, or finally"},
	audit.EventType{Code: "approval.request.rejected", Priority: audit.Notice, Description: "which ends the run"},
	audit.EventType{Code: "approval.request.voided", Priority: audit.Notice, Description: "what was asked for changed"},
	audit.EventType{Code: "approval.request.expired", Priority: audit.Notice, Description: "nobody decided in time"},
)
