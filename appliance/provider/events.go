package provider

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "provider.connection.created", Description: "a cluster was connected"},
	audit.EventType{Code: "provider.connection.deleted", Description: "with what was known of it"},
	audit.EventType{Code: "provider.connection.fingerprint-accepted", Priority: audit.Notice, Description: "a changed certificate was accepted"},
	audit.EventType{Code: "provider.connection.reached", Description: "a cluster answers again"},
	audit.EventType{Code: "provider.connection.lost", Priority: audit.Warning, Description: "a cluster does not answer; with the reason"},
	audit.EventType{Code: "provider.task.finished", Description: "a task of Proxmox ended; `details` has its UPID"},
	audit.EventType{Code: "provider.task.noted", Description: "a task of Proxmox began; `details` has its UPID"},
)
