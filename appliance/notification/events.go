package notification

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "system.mail.updated", Priority: audit.Warning, Description: "the mail server, without its password"},
	audit.EventType{Code: "system.mail.removed", Priority: audit.Warning, Description: "the mail server was removed"},
	audit.EventType{Code: "system.mail.tested", Description: "a test message; a failure says why"},
)
