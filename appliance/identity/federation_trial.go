package identity

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestResult is what a login would yield.
type TestResult struct {
	Finished bool            `json:"finished"`
	Error    string          `json:"error" doc:"Why the provider's answer was not accepted; empty when it was."`
	Cause    string          `json:"cause"`
	Claims   json.RawMessage `json:"claims"`
	Subject  string          `json:"subject"`
	Email    string          `json:"email"`
	Verified *bool           `json:"email_verified"`
	Name     string          `json:"name"`
	MFA      bool            `json:"mfa"`
	WouldBe  WouldBe         `json:"would_be"`
}

// WouldBe is the account that a login would give.
type WouldBe struct {
	User   string       `json:"user" enum:"existing,new,refused"`
	Reason string       `json:"reason"`
	Roles  []GivenRole  `json:"roles"`
	Groups []GivenGroup `json:"groups"`
	Notes  []string     `json:"notes" doc:"What the mapping names and cannot be given."`
}

// GivenRole is a role by id and name.
type GivenRole struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// GivenGroup is a group by id and name.
type GivenGroup struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// errRollback ends a trial.
var errRollback = errors.New("only a trial")

// tested stores what the sign-in would have yielded, by doing it and rolling
// it back: there is no second set of rules.
func (f *Federation) tested(ctx context.Context, p sealedProvider, a attempt, who vouched, why error) (Arrival, error) {
	r := TestResult{Finished: true, Subject: who.Subject, Email: who.Email, Verified: who.Verified, Name: who.Name, MFA: who.MFA}
	now := time.Now().UTC()
	p.Status = ProviderStatus{OK: why == nil, Message: "A test sign-in succeeded.", CheckedAt: &now}
	if why != nil {
		r.Error, r.Cause = fault.Message(why), trimmed(causeOf(why), 500)
		r.WouldBe = WouldBe{User: "refused", Reason: r.Error}
		p.Status.Message = r.Error
	} else if err := f.trial(ctx, p, who, &r); err != nil {
		return Arrival{}, err
	}
	f.note(ctx, p)
	text, err := json.Marshal(r)
	if err != nil {
		return Arrival{}, err
	}
	err = f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error { return f.store.finishTest(ctx, a.Test, text) })
	joint := "?"
	if strings.Contains(a.ReturnTo, "?") {
		joint = "&"
	}
	return Arrival{ReturnTo: a.ReturnTo + joint + "test=" + a.Test.String()}, err
}

func (f *Federation) trial(ctx context.Context, p sealedProvider, who vouched, r *TestResult) error {
	said, err := json.Marshal(who.Claims)
	if err != nil {
		return err
	}
	r.Claims = said
	err = f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		a, err := f.admit(ctx, p, who)
		if err != nil {
			return err
		}
		if r.WouldBe, err = f.wouldBe(ctx, a); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
		return err
	}
	r.WouldBe = WouldBe{User: "refused", Reason: fault.Message(err)}
	return nil
}

func (f *Federation) wouldBe(ctx context.Context, a admission) (WouldBe, error) {
	w := WouldBe{User: "existing", Notes: a.Missing}
	if a.New {
		w.User = "new"
	}
	roles, err := f.Identity.Permissions.RolesOf(ctx, a.User)
	if err != nil {
		return w, err
	}
	for _, r := range roles {
		w.Roles = append(w.Roles, GivenRole{r.ID, r.Name})
	}
	w.Groups, err = f.store.groupsOf(ctx, a.User)
	return w, err
}

// TestResult shows how a test ended, or that it has not.
func (f *Federation) TestResult(ctx context.Context, provider, test id.ID) (TestResult, error) {
	a, err := f.Identity.authorise(ctx, UpdateProvider)
	if err != nil {
		return TestResult{}, err
	}
	var text []byte
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		text, err = f.store.test(ctx, provider, test)
		return err
	})
	r := TestResult{}
	if err == nil && text != nil {
		err = json.Unmarshal(text, &r)
	}
	return r.listed(), err
}

// listed makes lists of what is empty.
func (r TestResult) listed() TestResult {
	if r.Claims == nil {
		r.Claims = json.RawMessage("{}")
	}
	if r.WouldBe.Roles == nil {
		r.WouldBe.Roles = []GivenRole{}
	}
	if r.WouldBe.Groups == nil {
		r.WouldBe.Groups = []GivenGroup{}
	}
	if r.WouldBe.Notes == nil {
		r.WouldBe.Notes = []string{}
	}
	return r
}
