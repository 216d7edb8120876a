package approval

import (
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	alice = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Alice", AuthenticatedAt: noon.Add(-time.Hour)}
	bob   = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Bob", AuthenticatedAt: noon.Add(-time.Hour)}
	carol = actor.Actor{Kind: actor.User, ID: id.New(), Name: "Carol"}
)

func asked(policy Policy, needed int) Request {
	return Request{
		Digest: "d1", Policy: policy, Permission: "deployment:stack:approve", Needed: needed, Status: Pending,
		RequestedBy: alice.ID, CreatedAt: noon.Add(-time.Minute), ExpiresAt: noon.Add(time.Hour),
	}
}

func signedIn(a actor.Actor, ago time.Duration) actor.Actor {
	a.AuthenticatedAt = noon.Add(-ago)
	return a
}

func TestDecide(t *testing.T) {
	t.Parallel()
	expired := asked(SecondPerson, 1)
	expired.ExpiresAt = noon
	ended := asked(SecondPerson, 1)
	ended.Status = Rejected
	for name, c := range map[string]struct {
		request Request
		actor   actor.Actor
		verdict Verdict
		digest  string
		kind    fault.Kind
		status  Status
		self    bool
	}{
		"somebody else approves":                 {asked(SecondPerson, 1), bob, Approve, "d1", "", Approved, false},
		"requester never approves":               {asked(SecondPerson, 1), signedIn(alice, 0), Approve, "d1", fault.Forbidden, Pending, false},
		"requester may withdraw":                 {asked(SecondPerson, 1), alice, Reject, "d1", "", Rejected, true},
		"self with an old sign-in":               {asked(ConfirmSelf, 1), signedIn(alice, 5*time.Minute+time.Second), Approve, "d1", fault.StepUp, Pending, false},
		"self with a fresh sign-in":              {asked(ConfirmSelf, 1), signedIn(alice, 5*time.Minute), Approve, "d1", "", Approved, true},
		"self without a sign-in":                 {asked(ConfirmSelf, 1), signedIn(alice, noon.Sub(time.Time{})), Approve, "d1", fault.StepUp, Pending, false},
		"self with a sign-in in the future":      {asked(ConfirmSelf, 1), signedIn(alice, -time.Hour), Approve, "d1", fault.StepUp, Pending, false},
		"another person needs no step-up":        {asked(ConfirmSelf, 1), bob, Approve, "d1", "", Approved, false},
		"nothing needed is never approved":       {asked(SecondPerson, 0), bob, Approve, "d1", "", Pending, false},
		"a negative number is never approved":    {asked(SecondPerson, -1), bob, Approve, "d1", "", Pending, false},
		"one of two is not enough":               {asked(SecondPerson, 2), bob, Approve, "d1", "", Pending, false},
		"another digest":                         {asked(SecondPerson, 1), bob, Approve, "d2", fault.Conflict, Pending, false},
		"no digest":                              {asked(SecondPerson, 1), bob, Approve, "", fault.Conflict, Pending, false},
		"rejecting needs no digest":              {asked(SecondPerson, 1), bob, Reject, "", "", Rejected, false},
		"rejecting another digest":               {asked(SecondPerson, 1), bob, Reject, "d2", fault.Conflict, Pending, false},
		"expired":                                {expired, bob, Approve, "d1", fault.Conflict, Pending, false},
		"ended":                                  {ended, bob, Approve, "d1", fault.Conflict, Rejected, false},
		"unknown verdict":                        {asked(SecondPerson, 1), bob, "", "d1", fault.Invalid, Pending, false},
		"the appliance itself is nobody":         {asked(SecondPerson, 1), actor.Actor{Kind: actor.System, Name: "scheduler"}, Approve, "d1", fault.Forbidden, Pending, false},
		"a person without an id is nobody":       {asked(SecondPerson, 1), actor.Actor{Kind: actor.User}, Approve, "d1", fault.Forbidden, Pending, false},
		"unknown policy counts as second person": {asked("whatever", 1), signedIn(alice, 0), Approve, "d1", fault.Forbidden, Pending, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.request.Decide(c.actor, c.verdict, c.digest, "", noon)
			if fault.KindOf(err) != c.kind || got.Status != c.status {
				t.Fatalf("got %s, %v; want %s, kind %q", got.Status, err, c.status, c.kind)
			}
			if err == nil && got.Decisions[0].Self != c.self {
				t.Errorf("self is %v", got.Decisions[0].Self)
			}
			if len(c.request.Decisions) != 0 {
				t.Error("the request itself was changed")
			}
		})
	}
}

func TestTwoApprovalsNeedTwoPeople(t *testing.T) {
	t.Parallel()
	r, err := asked(SecondPerson, 2).Decide(bob, Approve, "d1", "", noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decide(bob, Approve, "d1", "", noon); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same person twice: %v", err)
	}
	r, err = r.Decide(carol, Approve, "d1", "", noon)
	if err != nil || r.Status != Approved || !r.Allows("d1") {
		t.Errorf("got %s, %v", r.Status, err)
	}
}

func TestRejectionEndsDespiteApprovals(t *testing.T) {
	t.Parallel()
	r, err := asked(SecondPerson, 2).Decide(bob, Approve, "d1", "", noon)
	if err != nil {
		t.Fatal(err)
	}
	r, err = r.Decide(carol, Reject, "", "not on a Friday", noon)
	if err != nil || r.Status != Rejected || r.Allows("d1") {
		t.Errorf("got %s, %v", r.Status, err)
	}
}

// TestAllowsCountsAgain covers a row whose status says more than its decisions.
func TestAllowsCountsAgain(t *testing.T) {
	t.Parallel()
	forged := asked(SecondPerson, 1)
	forged.Status = Approved
	if forged.Allows("d1") {
		t.Error("approved without a decision")
	}
	zero := asked(SecondPerson, 0)
	zero.Status = Approved
	if zero.Allows("d1") || (Request{Status: Approved}).Allows("") {
		t.Error("nothing needed counts as approved")
	}
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Policy{"confirm_self": ConfirmSelf, "second_person": SecondPerson, "": SecondPerson, "none": SecondPerson} {
		if got := ParsePolicy(text); got != want {
			t.Errorf("%q is %s", text, got)
		}
	}
}
