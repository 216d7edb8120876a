package appliance

import "nimbus/appliance/audit"

// What the appliance as a whole records.
var _ = audit.Declare(
	audit.EventType{Code: "system.appliance.started", Priority: audit.Notice, Description: "the appliance started; with its version and the one before"},
	audit.EventType{Code: "system.appliance.upgraded", Priority: audit.Warning, Description: "it started with another version than the last time"},
	audit.EventType{Code: "system.appliance.stopped", Priority: audit.Notice, Description: "it was stopped cleanly"},
	audit.EventType{Code: "system.appliance.killed", Priority: audit.Warning, Description: "found at a start: the run before ended without a stop, by a crash, a kill or a loss of power"},
	audit.EventType{Code: "system.disk.low", Priority: audit.Critical, Description: "the disk of the data directory has less than 1 GiB or 5 % left"},
	audit.EventType{Code: "system.disk.recovered", Priority: audit.Notice, Description: "it has twice that again"},
	audit.EventType{Code: "system.address.updated", Priority: audit.Warning, Description: "another name or address of the appliance"},
	audit.EventType{Code: "system.node.admitted", Priority: audit.Critical, Description: "the keys of the appliance were sealed for another machine, which can join with them"},
	audit.EventType{Code: "system.database.moved", Priority: audit.Critical, Description: "the appliance moved to services outside; the first record there, with numbers and digests of what both sides hold"},
	audit.EventType{Code: "system.database.returned", Priority: audit.Critical, Description: "it returned to its own databases, before anything was written outside"},
	audit.EventType{Code: "system.outbound.updated", Priority: audit.Warning, Description: "which private addresses sign-in providers may have"},
)
