package audit

// What this domain records.
var _ = Declare(
	EventType{Code: "audit.chain.verified", Description: "somebody verified a chain; critical when it does not hold"},
	EventType{Code: "audit.export.started", Priority: Warning, Description: "somebody asked for a file with records; with the filter"},
	EventType{Code: "audit.export.finished", Description: "it was written, failed or was cancelled"},
	EventType{Code: "audit.export.downloaded", Priority: Warning, Description: "recorded before the first byte"},
	EventType{Code: "audit.export.deleted", Priority: Notice, Description: "stopped, or its file removed"},
	EventType{Code: "audit.trail.recovered", Priority: Critical, Description: "the trail takes records again; `details` says since when it did not and how many were refused"},
	EventType{Code: "audit.checkpoint.refused", Priority: Critical, Description: "the chain is not what a checkpoint before said; no checkpoint is signed"},
	EventType{Code: "audit.key.introduced", Priority: Warning, Description: "checkpoints are signed with this key from here on"},
	EventType{Code: "audit.signer.failed", Priority: Critical, Description: "the key that signs checkpoints cannot be used; with the reason"},
	EventType{Code: "audit.signer.recovered", Priority: Notice, Description: "it can be used again; what waited was signed"},
	EventType{Code: "audit.query.saved", Description: "somebody saved a query of the trail; `after` is its filter and whether others see it"},
	EventType{Code: "audit.query.changed", Description: "somebody changed a saved query"},
	EventType{Code: "audit.query.deleted", Description: "somebody deleted a saved query"},
	EventType{Code: "audit.sink.created", Priority: Warning, Description: "a collector gets the trail from here on"},
	EventType{Code: "audit.sink.updated", Priority: Warning, Description: "with before and after; pausing and resuming too"},
	EventType{Code: "audit.sink.deleted", Priority: Warning, Description: "a collector gets the trail no more"},
	EventType{Code: "audit.sink.tested", Description: "a test message was sent; a failure says why"},
	EventType{Code: "audit.sink.probe", Description: "only sent to collectors, as a test message with the sequence 0; it is no record"},
	EventType{Code: "audit.sink.replayed", Priority: Notice, Description: "records are delivered again from a sequence number on"},
	EventType{Code: "audit.sink.failed", Priority: Warning, Description: "a collector took nothing in five attempts, with the reason; it is tried on"},
	EventType{Code: "audit.sink.recovered", Priority: Notice, Description: "it takes records again"},
	EventType{Code: "audit.sink.dead_lettered", Priority: Warning, Description: "a collector refused records while it took others; they wait for a replay"},
	EventType{Code: "audit.dead_letter.replayed", Priority: Notice, Description: "refused records are sent again"},
	EventType{Code: "audit.dead_letter.deleted", Priority: Warning, Description: "somebody gave a refused record up; it stays in the trail"},
)
