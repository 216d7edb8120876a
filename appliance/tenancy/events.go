package tenancy

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "tenancy.tenant.created", Priority: audit.Notice, Description: "a tenant was created"},
	audit.EventType{Code: "tenancy.tenant.updated", Priority: audit.Notice, Description: "renamed or described"},
	audit.EventType{Code: "tenancy.tenant.moved", Priority: audit.Warning, Description: "a tenant was moved"},
	audit.EventType{Code: "tenancy.tenant.suspended", Priority: audit.Warning, Description: "with the reason"},
	audit.EventType{Code: "tenancy.tenant.resumed", Priority: audit.Warning, Description: "a tenant was resumed"},
	audit.EventType{Code: "tenancy.tenant.deleted", Priority: audit.Warning, Description: "can be restored"},
	audit.EventType{Code: "tenancy.tenant.restored", Priority: audit.Warning, Description: "a tenant was restored"},
	audit.EventType{Code: "tenancy.tenant.purge_requested", Priority: audit.Warning, Description: "before its time"},
	audit.EventType{Code: "tenancy.tenant.purged", Priority: audit.Warning, Description: "gone for good; in the provider's chain only"},
	audit.EventType{Code: "tenancy.tenant.exported", Priority: audit.Warning, Description: "recorded before the first byte"},
	audit.EventType{Code: "tenancy.settings.updated", Priority: audit.Notice, Description: "with before and after"},
	audit.EventType{Code: "tenancy.quota.updated", Priority: audit.Notice, Description: "a quota was updated"},
	audit.EventType{Code: "tenancy.quota.soft_passed", Priority: audit.Warning, Description: "a quota was soft passed"},
	audit.EventType{Code: "tenancy.domain.created", Priority: audit.Notice, Description: "a domain was created"},
	audit.EventType{Code: "tenancy.domain.verified", Priority: audit.Notice, Description: "a domain was verified"},
	audit.EventType{Code: "tenancy.domain.deleted", Priority: audit.Notice, Description: "a domain was deleted"},
	audit.EventType{Code: "tenancy.compartment.created", Description: "a compartment was created"},
	audit.EventType{Code: "tenancy.compartment.updated", Description: "a compartment was updated"},
	audit.EventType{Code: "tenancy.compartment.moved", Description: "a compartment was moved"},
	audit.EventType{Code: "tenancy.compartment.deleted", Description: "a compartment was deleted"},
)
