package breakglass

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func TestMayApprove(t *testing.T) {
	t.Parallel()
	asker, one, two := id.New(), id.New(), id.New()
	r := Request{Status: Pending, RequestedBy: Person{ID: asker}, Approvals: []Approval{{User: Person{ID: one}}}}
	for name, c := range map[string]struct {
		status   Status
		approver id.ID
		people   int
		want     fault.Kind
	}{
		"another person":              {Pending, two, 3, ""},
		"the same person again":       {Pending, one, 3, fault.Conflict},
		"the requester among three":   {Pending, asker, 3, fault.Forbidden},
		"the requester among two":     {Pending, asker, 2, ""},
		"after it expired":            {Expired, two, 3, fault.Gone},
		"after it opened":             {Open, two, 3, fault.Conflict},
		"after it was turned down":    {Refused, two, 3, fault.Conflict},
		"with nobody counted, asking": {Pending, asker, 0, ""},
	} {
		r.Status = c.status
		if got := fault.KindOf(r.mayApprove(c.approver, c.people)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestValidAsk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason  string
		minutes int
		good    bool
	}{
		{"disk full", 1, true}, {"disk full", 60, true}, {"disk full", 0, false}, {"disk full", 61, false}, {"disk full", -5, false},
		{"     why     ", 5, false}, {"", 5, false}, {strings.Repeat("x", 501), 5, false},
	} {
		if _, err := validAsk(c.reason, c.minutes); (err == nil) != c.good {
			t.Errorf("%.20q for %d minutes: %v", c.reason, c.minutes, err)
		}
	}
}

// TestChallengeIsUnambiguous: no part can lend bytes to its neighbour, and no
// two challenges are the same.
func TestChallengeIsUnambiguous(t *testing.T) {
	t.Parallel()
	r := Request{ID: id.New(), TenantID: id.New(), User: Person{ID: id.New()}, Reason: "reason", Minutes: 5}
	a, b := id.New(), id.New()
	r.Approvals = []Approval{{User: Person{ID: a}}, {User: Person{ID: b}}}
	nonce := make([]byte, 32)
	base := r.encode(nonce)
	for name, change := range map[string]func(*Request){
		"id":        func(r *Request) { r.ID = id.New() },
		"tenant":    func(r *Request) { r.TenantID = id.New() },
		"user":      func(r *Request) { r.User.ID = id.New() },
		"minutes":   func(r *Request) { r.Minutes = 6 },
		"shifted":   func(r *Request) { r.Reason += "\x00" },
		"approvers": func(r *Request) { r.Approvals = r.Approvals[:1] },
	} {
		other := r
		change(&other)
		if bytes.Equal(other.encode(nonce), base) {
			t.Errorf("another %s gives the same challenge", name)
		}
	}
	if bytes.Equal(r.challenge(), r.challenge()) {
		t.Error("two challenges of one request are the same")
	}
}

func TestFileSigner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "breakglass.ed25519")
	first, err := NewFileSigner(path).Sign(t.Context(), []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewFileSigner(path).Sign(t.Context(), []byte("open"))
	if err != nil || !bytes.Equal(first.Public, second.Public) || first.Verify([]byte("open")) != nil || first.Verify([]byte("opem")) == nil {
		t.Fatalf("the key is not kept, or does not sign: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFileSigner(path).Sign(t.Context(), []byte("open")); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a damaged key: %v", err)
	}
}
