// Package approval lets people decide about what is about to happen: a request
// names its subject and the digest of exactly what would be done, people
// decide, and the subject goes on when enough of them approved.
//
// The rows are the truth. Whoever waits for a decision is woken by a hook and
// reads the request again; a wake-up that is lost or comes twice does no harm.
package approval

import (
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Policy says who may approve. A request keeps the policy it was made under.
type Policy string

// The policies.
const (
	SecondPerson Policy = "second_person" // anybody with the permission but the requester
	ConfirmSelf  Policy = "confirm_self"  // the requester too, after signing in again
)

// ParsePolicy reads a stored policy. Anything unknown is SecondPerson, the
// stricter one.
func ParsePolicy(text string) Policy {
	if Policy(text) == ConfirmSelf {
		return ConfirmSelf
	}
	return SecondPerson
}

// Status of a request. All but Pending are final.
type Status string

// The statuses.
const (
	Pending  Status = "pending"
	Approved Status = "approved"
	Rejected Status = "rejected"
	Expired  Status = "expired"
	Void     Status = "void" // what was asked about changed or went away
)

// Verdict is one person's decision.
type Verdict string

// The verdicts.
const (
	Approve Verdict = "approve"
	Reject  Verdict = "reject"
)

// Freshness is how recent the sign-in of somebody who confirms themselves has
// to be.
const Freshness = 5 * time.Minute

// skew is how far a sign-in may lie in the future: clocks differ a little, and
// a clock that was set back must not make an old sign-in fresh.
const skew = 30 * time.Second

// Decision is what one person said, and when.
type Decision struct {
	ActorID   id.ID
	ActorName string
	Verdict   Verdict
	Comment   string
	// Self is true when the requester confirmed themselves.
	Self bool
	At   time.Time
	// ReauthenticatedAt is when the person last proved who they are.
	ReauthenticatedAt time.Time
}

// Request asks for decisions about one digest of one subject.
type Request struct {
	ID            id.ID
	SubjectKind   string // e.g. "deployment"
	SubjectID     id.ID
	SubjectName   string
	Digest        string // of what would be done, hex
	Policy        Policy
	Permission    string // needed to decide
	Needed        int    // approvals; zero or less can never be reached
	Status        Status
	RequestedBy   id.ID // zero when no person asked
	RequesterName string
	CreatedAt     time.Time
	ExpiresAt     time.Time
	EndedAt       time.Time
	Decisions     []Decision
}

// Decide applies one decision and returns the request with it; r itself is not
// changed. The person's permission is checked elsewhere. It returns
// fault.Forbidden when the person may not decide, fault.StepUp when they have
// to sign in again first, fault.Conflict when the digest is another one, the
// request is over or the person decided already, and fault.Invalid for an
// unknown verdict.
func (r Request) Decide(a actor.Actor, v Verdict, digest, comment string, now time.Time) (Request, error) {
	if v != Approve && v != Reject {
		return r, fault.New(fault.Invalid, "Decide with %q or %q.", Approve, Reject)
	}
	if err := r.open(digest, v, now); err != nil {
		return r, err
	}
	if err := r.Entitled(a, v, now); err != nil {
		return r, err
	}
	r.Decisions = append(slices.Clone(r.Decisions), Decision{
		ActorID: a.ID, ActorName: a.Name, Verdict: v, Comment: comment,
		Self: a.ID == r.RequestedBy, At: now, ReauthenticatedAt: a.AuthenticatedAt,
	})
	if r.Status = r.verdict(); r.Status != Pending {
		r.EndedAt = now
	}
	return r, nil
}

// open refuses what is over or about something else. A rejection may leave the
// digest out: saying no needs no knowledge of the plan.
func (r Request) open(digest string, v Verdict, now time.Time) error {
	switch {
	case r.Status != Pending:
		return fault.New(fault.Conflict, "This request is %s already.", r.Status)
	case !now.Before(r.ExpiresAt):
		return fault.New(fault.Conflict, "This request expired at %s. Start again.", r.ExpiresAt.UTC().Format(time.RFC3339))
	case digest != r.Digest && (v == Approve || digest != ""):
		return fault.New(fault.Conflict, "The plan changed since you looked at it. Read it again before you decide.")
	}
	return nil
}

// Entitled tells whether the rules let a person give that verdict, whatever
// their permissions: nil, fault.Forbidden, fault.StepUp, or fault.Conflict when
// they decided already.
func (r Request) Entitled(a actor.Actor, v Verdict, now time.Time) error {
	if a.Kind != actor.User || a.ID.IsZero() {
		return fault.New(fault.Forbidden, "Only a person can decide this. Sign in as one.")
	}
	if slices.ContainsFunc(r.Decisions, func(d Decision) bool { return d.ActorID == a.ID }) {
		return fault.New(fault.Conflict, "You decided already.")
	}
	if v != Approve || a.ID != r.RequestedBy {
		return nil
	}
	if r.Policy != ConfirmSelf {
		return fault.New(fault.Forbidden, "You asked for this yourself. Somebody else with the permission %s has to approve it.", r.Permission)
	}
	if !fresh(a.AuthenticatedAt, now) {
		return fault.New(fault.StepUp, "Enter your password again to confirm what you asked for yourself.")
	}
	return nil
}

func fresh(authenticated, now time.Time) bool {
	age := now.Sub(authenticated)
	return age <= Freshness && age >= -skew
}

// verdict is the status that the decisions amount to: one rejection ends it,
// and only counted approvals of distinct people pass it. Nothing needed is
// nothing approved.
func (r Request) verdict() Status {
	people := map[id.ID]bool{}
	for _, d := range r.Decisions {
		if d.Verdict == Reject {
			return Rejected
		}
		if d.Verdict == Approve && !d.ActorID.IsZero() {
			people[d.ActorID] = true
		}
	}
	if r.Needed > 0 && len(people) >= r.Needed {
		return Approved
	}
	return Pending
}

// Allows reports whether the request lets exactly this digest go ahead. It
// counts the decisions again instead of trusting the status alone.
func (r Request) Allows(digest string) bool {
	return r.Status == Approved && r.verdict() == Approved && digest != "" && digest == r.Digest
}

// SelfConfirmed reports whether the requester was among those who approved.
func (r Request) SelfConfirmed() bool {
	return slices.ContainsFunc(r.Decisions, func(d Decision) bool { return d.Self && d.Verdict == Approve })
}
