package deployment

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "deployment.stack.created", Description: "somebody made a stack"},
	audit.EventType{Code: "deployment.stack.updated", Description: "with before and after"},
	audit.EventType{Code: "deployment.stack.deleted", Description: "the stack and its versions"},
	audit.EventType{Code: "deployment.stack.exported", Description: "its state left the appliance"},
	audit.EventType{Code: "deployment.run.requested", Description: "somebody asked for a deployment"},
	audit.EventType{Code: "deployment.run.previewed", Description: "the plan was computed"},
	audit.EventType{Code: "deployment.run.started", Description: "the plan is being carried out"},
	audit.EventType{Code: "deployment.run.executed", Description: "the plan was carried out"},
	audit.EventType{Code: "deployment.run.compensated", Description: "what a failed run made was removed"},
	audit.EventType{Code: "deployment.run.cancel_requested", Description: "somebody asked for the end of a run"},
	audit.EventType{Code: "deployment.run.succeeded", Description: "a run ended well"},
	audit.EventType{Code: "deployment.run.failed", Description: "a run failed; with the reason"},
	audit.EventType{Code: "deployment.run.rejected", Description: "an approver turned it down"},
	audit.EventType{Code: "deployment.run.cancelled", Description: "somebody ended it"},
	audit.EventType{Code: "deployment.run.expired", Description: "nobody decided in time"},
)
