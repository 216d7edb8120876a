package backup

import "nimbus/appliance/audit"

// What this domain records.
var _ = audit.Declare(
	audit.EventType{Code: "backup.archive.started", Priority: audit.Notice, Description: "a backup was asked for, by a person or the schedule"},
	audit.EventType{Code: "backup.archive.finished", Priority: audit.Notice, Description: "it was made, failed (with the reason) or was cancelled"},
	audit.EventType{Code: "backup.archive.verified", Priority: audit.Notice, Description: "a backup was restored into a scratch directory; a failure says what does not hold"},
	audit.EventType{Code: "backup.archive.deleted", Priority: audit.Warning, Description: "somebody deleted a backup, or stopped one"},
	audit.EventType{Code: "backup.archive.pruned", Priority: audit.Notice, Description: "a backup that the policy does not keep was deleted; `file_stays` where it lies in a place that the settings do not name any more"},
	audit.EventType{Code: "backup.upgrade.skipped", Priority: audit.Warning, Description: "the data was brought to a later release without a backup; with the reason"},
	audit.EventType{Code: "backup.settings.updated", Priority: audit.Warning, Description: "where, when or to whom backups are made was changed; with before and after, without secrets"},
	audit.EventType{Code: "backup.target.tested", Description: "somebody tested the target; a failure says why"},
	audit.EventType{Code: "backup.alarm.raised", Priority: audit.Critical, Description: "the newest backup is too old, or Postgres's log does not reach the target; with the reason"},
	audit.EventType{Code: "backup.alarm.cleared", Priority: audit.Notice, Description: "that is over"},
	audit.EventType{Code: "backup.log.interrupted", Priority: audit.Critical, Description: "the spool of Postgres's log was full because the target was away: moments from here to the next backup cannot be restored"},
	audit.EventType{Code: "backup.appliance.restored", Priority: audit.Critical, Description: "this appliance was restored from a backup; `details` says from which, and to which moment"},
)
