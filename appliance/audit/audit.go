// Package audit is the record of everything that happened, kept so that a
// change to it shows.
//
// A record is written in the transaction of the change it tells of; if it
// cannot be written the change does not happen. Within a second a sealer gives
// it the next sequence number of its tenant's chain (the provider level has
// its own) and links it; package ledger says how.
package audit

import (
	"encoding/json"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/id"
)

// Outcome says how it ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Denied  Outcome = "denied"
)

// Priority says how much it matters.
type Priority string

// The priorities, least first.
const (
	Debug    Priority = "debug"
	Info     Priority = "info"
	Notice   Priority = "notice"
	Warning  Priority = "warning"
	Error    Priority = "error"
	Critical Priority = "critical"
)

// Target is what was acted upon.
type Target struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Entry is what a service says about what it did. Before, After and Details
// must marshal to JSON and hold no secrets; members whose names look like
// secrets are masked all the same.
type Entry struct {
	Event         string // stable code: domain.resource.verb-in-the-past
	Target        Target
	Outcome       Outcome  // "" is Success
	Priority      Priority // "" is Info
	Reason        string
	Before, After any
	Details       map[string]any

	whole bool // the tenant's redaction rules do not apply
}

// Record is an entry with who, when and where: the body that is stored and
// hashed, in the order of these fields.
type Record struct {
	Version  int             `json:"v"`
	ID       id.ID           `json:"id"`
	Time     time.Time       `json:"time"`
	Tenant   id.ID           `json:"tenant,omitzero"`
	Event    string          `json:"event"`
	Outcome  Outcome         `json:"outcome"`
	Priority Priority        `json:"priority"`
	Actor    actor.Actor     `json:"actor"`
	Target   Target          `json:"target"`
	Reason   string          `json:"reason,omitempty"`
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Details  json.RawMessage `json:"details,omitempty"`
}

// Sealed is a record with its place in the chain.
type Sealed struct {
	Record
	Sequence int64
	Leaf     []byte
	Link     []byte
	Previous []byte // the link before; empty for the first
	SealedAt time.Time
	Body     []byte // as stored and hashed
	// Pruned says that only the leaf is left: the record was archived and
	// taken away.
	Pruned bool
}

// Hash is a leaf, a link or a node of the tree.
type Hash = ledger.Hash

// chainName names the chain of a tenant; zero is the provider's.
func chainName(tenant id.ID) string {
	if tenant.IsZero() {
		return "provider"
	}
	return tenant.String()
}

// The kinds of breaks that Verify finds.
const (
	BreakGap     = "gap"     // sequence numbers are missing
	BreakMissing = "missing" // a record is gone, its leaf is not
	BreakHash    = "hash"    // record or entry was changed
	BreakIndex   = "index"   // a column differs from the record's body
	BreakUnknown = "orphan"  // an old record was never linked, or its entry was removed

	BreakOrder      = "order"      // a sequence number is there twice
	BreakTile       = "tile"       // a tile of the tree differs or is missing
	BreakCheckpoint = "checkpoint" // a signed head does not fit or does not hold
	BreakTruncated  = "truncated"  // the end that was signed is missing
	BreakMore       = "more"       // the last one: how many more there are than are listed
)

// Break is one place where a chain does not hold.
type Break struct {
	Sequence int64  `json:"sequence"`
	Kind     string `json:"kind"`
	Detail   string `json:"detail"`
}

// Verification is the result of verifying a chain from its first record.
type Verification struct {
	Tenant   id.ID
	Checked  int64
	First    int64
	Last     int64
	Head     Hash // link of the last record
	Root     Hash // of the tree; zero when it cannot be computed
	Breaks   []Break
	Found    int64 // breaks, also those that are not listed
	Duration time.Duration
	// Checkpoints are the signed heads that were compared, CheckpointsFailed
	// those that do not fit.
	Checkpoints, CheckpointsFailed int64
}

// OK reports whether the chain holds.
func (v Verification) OK() bool { return len(v.Breaks) == 0 }
