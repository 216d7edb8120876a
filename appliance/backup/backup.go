// Package backup makes backups that are proven by restoring them.
//
// # What is in one
//
// A backup is one file: a tar with a header first and a manifest last, packed
// with zstd, encrypted with age to the recovery kit and to whom else the
// settings name. What is in it is read in an order that is safe:
//
//  1. the anchors of the audit trail, which may be older than the trail, never
//     newer;
//  2. all databases of the cluster, the application's and Temporal's, as they
//     were at one moment, that of the end of this part;
//  3. the keys, the settings, Pulumi's state, which may be newer than the
//     databases, never older. Keys are added and never changed, so every key
//     that a row needs is there. A state that knows of a machine whose
//     deployment the database still sees under way is what the deployment finds
//     and goes on from; the reverse would make the machine twice.
//
// Between backups the finished segments of Postgres's log are sent too, when
// the settings say so: with them any moment can be restored.
//
// # Where it is
//
// In the target (a directory, a bucket, a server that speaks SFTP) below
// backups/ and wal/. A backup is there when its summary is: that is written last.
package backup

import (
	"time"

	"nimbus/appliance/id"
)

// The permissions.
const (
	Read   = "system:backup:read"
	Create = "system:backup:create"
	Update = "system:backup:update"
	Delete = "system:backup:delete"
	Check  = "system:backup:verify"
)

// Kind says why a backup was made.
type Kind string

// The kinds.
const (
	Scheduled     Kind = "scheduled"
	Manual        Kind = "manual"
	BeforeUpgrade Kind = "before_upgrade"
)

// State is how far a backup is.
type State string

// The states.
const (
	Running   State = "running"
	Verifying State = "verifying"
	Done      State = "done"
	Failed    State = "failed"
	Pruned    State = "pruned"
)

// Backup is one backup in the catalogue.
type Backup struct {
	ID         id.ID      `json:"id"`
	Kind       Kind       `json:"kind" enum:"scheduled,manual,before_upgrade"`
	State      State      `json:"state" enum:"running,verifying,done,failed,pruned"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// Bytes is the size of the encrypted file.
	Bytes  int64  `json:"bytes"`
	Target string `json:"target"`
	// Includes names the parts that are in it.
	Includes []string `json:"includes"`
	WALFrom  string   `json:"wal_from,omitempty"`
	WALTo    string   `json:"wal_to,omitempty"`
	// VerifiedAt is when it was last restored and found whole.
	VerifiedAt  *time.Time `json:"verified_at,omitempty"`
	VerifyError string     `json:"verify_error,omitempty"`
	Error       string     `json:"error,omitempty"`
	Stopping    bool       `json:"stopping,omitempty" doc:"Somebody stopped it while it was made: what was written of it is removed."`
	// Progress is what is being done now, and how far it is.
	Progress *Progress `json:"progress,omitempty"`
	// By is who asked for it.
	By string `json:"by,omitempty"`
	// Workflow is the id of the workflow that makes it.
	Workflow string `json:"workflow_id,omitempty"`
}

// Progress is how far something long is.
type Progress struct {
	Stage   string `json:"stage"`
	Percent int    `json:"percent" minimum:"0" maximum:"100"`
}

// Report tells how far something is. It may be called often.
type Report func(stage string, percent int)

// open tells that something still works on it.
func (b Backup) open() bool { return b.State == Running || b.State == Verifying }

// Proven tells that it was restored, and found whole the last time that somebody tried.
func (b Backup) Proven() bool { return b.VerifiedAt != nil && b.VerifyError == "" }

// ahead tells that it was begun by a clock that ran ahead: it says nothing of how old
// the newest backup is.
func (b Backup) ahead(now time.Time) bool { return b.StartedAt.After(now.Add(time.Minute)) }

// Base says which part of the log of which cluster makes the databases whole.
type Base struct {
	Timeline string `json:"timeline"`
	StartLSN string `json:"start_lsn"`
	EndLSN   string `json:"end_lsn"`
	SystemID string `json:"system_id"`
	StartWAL string `json:"start_wal"`
	EndWAL   string `json:"end_wal"`
	// Moment is when it ended: what the databases held then is what comes back.
	Moment time.Time `json:"moment"`
}

// Head is the newest record of an audit chain: what is restored must go at
// least so far and agree there.
type Head struct {
	Chain    string `json:"chain"`
	Sequence int64  `json:"sequence"`
	Link     string `json:"link"`
}
