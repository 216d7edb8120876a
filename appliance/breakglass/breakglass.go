// Package breakglass raises one person's rights in one tenant for at most an
// hour, when two approvers prove with their passwords that they want it.
//
// What they approve becomes a challenge that a key signs, in the hardware
// security module where there is one; without a good signature nothing opens.
// It needs the database and that key, and neither the workflow engine, an
// identity provider nor mail. Everything about it is recorded as critical, in
// the provider's chain and in the tenant's.
package breakglass

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain. None of them is ever satisfied by an emergency
// session: the raised person cannot approve the next one.
const (
	ReadPermission    = "breakglass:session:read"
	RequestPermission = "breakglass:session:request"
	ApprovePermission = "breakglass:session:approve"
)

// The events, for everybody in the tenant and at the provider level.
const (
	EventOpened = "breakglass.opened"
	EventEnded  = "breakglass.ended"
)

const (
	// Needed is how many different people must approve.
	Needed = 2
	// MaxMinutes is how long a session may be asked for.
	MaxMinutes = 60
	// waits is how long a request can be approved.
	waits = 15 * time.Minute
	// enoughPeople can approve without the requester.
	enoughPeople = 3
	longest      = 500 // characters of a reason
)

// Status of a request.
type Status string

// The statuses. Pending becomes Open, Expired or Refused; Open becomes Ended.
const (
	Pending Status = "pending"
	Open    Status = "open"
	Ended   Status = "ended"
	Expired Status = "expired" // not approved in time
	Refused Status = "refused" // turned down or withdrawn before it opened
)

// Person is somebody as they were called then. Without an ID it is somebody
// with a shell on the machine, or the appliance itself.
type Person struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// Approval is one approver's consent. Self says that the approver is also the
// person whose rights are raised.
type Approval struct {
	User Person    `json:"user"`
	At   time.Time `json:"at"`
	Self bool      `json:"self"`
}

// Key names what signed the challenge.
type Key struct {
	Kind      string `json:"kind" enum:"hsm,file"`
	Label     string `json:"label"`
	Algorithm string `json:"algorithm"`
}

// Request is one request with what became of it.
type Request struct {
	ID          id.ID      `json:"id"`
	TenantID    id.ID      `json:"tenant_id"`
	User        Person     `json:"user"` // whose rights are raised
	RequestedBy Person     `json:"requested_by"`
	Reason      string     `json:"reason"`
	Minutes     int        `json:"minutes"`
	Status      Status     `json:"status"`
	CreatedAt   time.Time  `json:"created_at"`
	Approvals   []Approval `json:"approvals"`
	Needed      int        `json:"needed"`
	OpenedAt    *time.Time `json:"opened_at"`
	EndsAt      *time.Time `json:"ends_at"`
	EndedAt     *time.Time `json:"ended_at"`
	EndedBy     *Person    `json:"ended_by"`
	Key         *Key       `json:"key"`
}

// Session is an open request, as the banner shows it.
type Session struct {
	ID       id.ID     `json:"id"`
	Reason   string    `json:"reason"`
	EndsAt   time.Time `json:"ends_at"`
	UserName string    `json:"user_name"`
	UserID   id.ID     `json:"-"`
	TenantID id.ID     `json:"-"`
}

// validAsk returns the trimmed reason, or fault.Invalid.
func validAsk(reason string, minutes int) (string, error) {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n < 5 || n > longest {
		return "", fault.BadField("body.reason", "Say in 5 to %d characters why it is needed; the approvers and the audit trail show it.", longest)
	}
	if minutes < 1 || minutes > MaxMinutes {
		return "", fault.BadField("body.minutes", "Ask for 1 to %d minutes.", MaxMinutes)
	}
	return reason, nil
}

// mayApprove decides whether the approver's consent counts when so many people
// could give theirs. The requester's own counts only where fewer than three
// can; fault.Forbidden otherwise. A second consent of the same person is
// fault.Conflict, and a request that is over is fault.Gone.
func (r Request) mayApprove(approver id.ID, people int) error {
	if r.Status == Expired {
		return fault.New(fault.Gone, "This request was not approved within %d minutes. Ask again.", int(waits.Minutes()))
	}
	if r.Status != Pending {
		return fault.New(fault.Conflict, "This request is %s; there is nothing to approve.", r.Status)
	}
	if r.approvedBy(approver) {
		return fault.New(fault.Conflict, "You have approved this already. Somebody else has to approve it too.")
	}
	if approver == r.RequestedBy.ID && people >= enoughPeople {
		return fault.New(fault.Forbidden, "You asked for this yourself. Two others have to approve it.")
	}
	return nil
}

func (r Request) approvedBy(user id.ID) bool {
	for _, a := range r.Approvals {
		if a.User.ID == user {
			return true
		}
	}
	return false
}

// session is the request as an open session.
func (r Request) session() Session {
	s := Session{ID: r.ID, Reason: r.Reason, UserName: r.User.Name, UserID: r.User.ID, TenantID: r.TenantID}
	if r.EndsAt != nil {
		s.EndsAt = *r.EndsAt
	}
	return s
}

// challenge is what the key signs: 32 random bytes and everything that was
// approved. Each part has its length before it as a 64-bit big-endian number,
// so that no two requests have the same encoding.
func (r Request) challenge() []byte {
	nonce := make([]byte, 32)
	rand.Read(nonce)
	return r.encode(nonce)
}

func (r Request) encode(nonce []byte) []byte {
	parts := [][]byte{
		[]byte("nimbus breakglass challenge v1"), nonce, r.ID[:], r.TenantID[:], r.User.ID[:], []byte(r.Reason),
		binary.BigEndian.AppendUint64(nil, uint64(r.Minutes)),
	}
	for _, a := range r.Approvals {
		parts = append(parts, a.User.ID[:])
	}
	var out []byte
	for _, p := range parts {
		out = append(binary.BigEndian.AppendUint64(out, uint64(len(p))), p...)
	}
	return out
}
