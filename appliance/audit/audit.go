// Package audit is the record of everything that happened, kept so that a
// change to it shows.
//
// A record is written in the transaction of the change it tells of; if it
// cannot be written the change does not happen. Within a second a sealer links
// it into the hash chain of its tenant (the provider level has its own):
//
//	link(0) = SHA-256("nimbus audit chain v1\n" ‖ chain name)
//	link(n) = SHA-256(0x01 ‖ link(n-1) ‖ n ‖ len(body) ‖ body)
//
// with n and len as 64-bit big-endian numbers and body the stored bytes, which
// are never marshalled again. Sequence numbers have no gaps.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"nimbus/appliance/actor"
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
	Hash     []byte
	Previous []byte
	SealedAt time.Time
	Body     []byte // as stored and hashed
}

// Hash is a link of the chain.
type Hash = [sha256.Size]byte

// Genesis is the link before the first record of a chain; tenant is zero for
// the provider's.
func Genesis(tenant id.ID) Hash {
	return sha256.Sum256([]byte("nimbus audit chain v1\n" + chainName(tenant)))
}

func chainName(tenant id.ID) string {
	if tenant.IsZero() {
		return "provider"
	}
	return tenant.String()
}

// Link is the hash of the record with that sequence number.
func Link(previous Hash, sequence int64, body []byte) Hash {
	h := sha256.New()
	var head [1 + sha256.Size + 16]byte
	head[0] = 0x01
	copy(head[1:], previous[:])
	binary.BigEndian.PutUint64(head[1+sha256.Size:], uint64(sequence))
	binary.BigEndian.PutUint64(head[9+sha256.Size:], uint64(len(body)))
	h.Write(head[:])
	h.Write(body)
	return Hash(h.Sum(nil))
}

// The kinds of breaks that Verify finds.
const (
	BreakGap     = "gap"     // sequence numbers are missing
	BreakMissing = "missing" // the link is there, its record is not
	BreakHash    = "hash"    // record or link was changed
	BreakIndex   = "index"   // a column differs from the record's body
	BreakUnknown = "orphan"  // an old record was never linked, or its link was removed
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
	Head     Hash
	Breaks   []Break
	Duration time.Duration
}

// OK reports whether the chain holds.
func (v Verification) OK() bool { return len(v.Breaks) == 0 }
