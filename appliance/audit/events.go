package audit

// What this domain records.
var _ = Declare(
	EventType{Code: "audit.chain.verified", Description: "somebody verified a chain; critical when it does not hold"},
	EventType{Code: "audit.export.started", Priority: Warning, Description: "somebody asked for a file with records; with the filter"},
	EventType{Code: "audit.export.finished", Description: "it was written, failed or was cancelled"},
	EventType{Code: "audit.export.downloaded", Priority: Warning, Description: "recorded before the first byte"},
	EventType{Code: "audit.export.deleted", Priority: Notice, Description: "stopped, or its file removed"},
	EventType{Code: "audit.trail.recovered", Priority: Critical, Description: "the trail takes records again; `details` says since when it did not and how many were refused"},
	EventType{Code: "audit.verification.cancelled", Description: "somebody ended a verification before it was done"},
	EventType{Code: "audit.checkpoint.requested", Description: "somebody had the head of a chain signed"},
	EventType{Code: "audit.checkpoint.set-aside", Priority: Critical, Description: "the last checkpoint was put aside on the console, after a restore; `details` has it"},
	EventType{Code: "audit.publication.updated", Priority: Warning, Description: "where checkpoints are published was changed"},
	EventType{Code: "audit.publication.failed", Priority: Error, Description: "checkpoints cannot be published to a place; with the reason"},
	EventType{Code: "audit.publication.recovered", Priority: Notice, Description: "checkpoints are published there again"},
	EventType{Code: PrunedEvent, Priority: Warning, Description: "records whose retention was over were deleted; `details` has their ranges and the segment they are in"},
	EventType{Code: "audit.checkpoint.refused", Priority: Critical, Description: "the chain is not what a checkpoint before said; no checkpoint is signed"},
	EventType{Code: "audit.key.introduced", Priority: Warning, Description: "checkpoints are signed with this key from here on"},
	EventType{Code: "audit.signer.failed", Priority: Critical, Description: "the key that signs checkpoints cannot be used; with the reason"},
	EventType{Code: "audit.signer.recovered", Priority: Notice, Description: "it can be used again; what waited was signed"},
)
