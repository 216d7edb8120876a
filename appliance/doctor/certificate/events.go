package certificate

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "system.certificate.updated", Priority: audit.Warning, Description: "another certificate for the HTTPS port, or another way to get one"},
	audit.EventType{Code: "system.certificate.renewed", Priority: audit.Warning, Description: "the authority gave a new certificate, or refused to"},
)
