package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ReadReports lets somebody see the compliance dashboard and make reports.
const ReadReports = "audit:report:read"

// longestPeriod is the longest time a dashboard or report tells about.
const longestPeriod = 5 * 366 * 24 * time.Hour

// Period is the time that a dashboard or report tells about; To is not in it.
type Period struct{ From, To time.Time }

// within has the last thirty days for what is left out.
func (p Period) within(now time.Time) (Period, error) {
	if p.To.IsZero() {
		p.To = now
	}
	if p.From.IsZero() {
		p.From = p.To.AddDate(0, 0, -30)
	}
	p.From, p.To = p.From.UTC(), p.To.UTC()
	switch {
	case !p.From.Before(p.To):
		return p, fault.BadField("query.to", "The period ends before it begins.")
	case p.To.Sub(p.From) > longestPeriod:
		return p, fault.BadField("query.from", "A period is five years at most.")
	}
	return p, nil
}

// Dashboard is how well a tenant keeps to what is asked of it.
type Dashboard struct {
	From       time.Time     `json:"from"`
	To         time.Time     `json:"to"`
	TimeZone   string        `json:"time_zone" doc:"In which the days are."`
	Privileged []Holder      `json:"privileged"`
	Failed     FailedSignIns `json:"failed_sign_ins"`
	Unapproved Unapproved    `json:"changes_without_approval"`
	BreakGlass []Emergency   `json:"break_glass"`
	Coverage   Coverage      `json:"coverage"`
	Retention  Kept          `json:"retention"`
	Anomalies  OpenAnomalies `json:"open_anomalies"`
	Score      []Check       `json:"score"`
}

// FailedSignIns counts refused sign-ins and second factors.
type FailedSignIns struct {
	Total int64 `json:"total"`
	ByDay []Day `json:"by_day"`
}

// Day is a number of one day in the tenant's time zone.
type Day struct {
	Day   string `json:"day" example:"2026-11-26"`
	Count int64  `json:"count"`
}

// Unapproved are executions that nobody but who asked for them approved.
type Unapproved struct {
	Count int64              `json:"count"`
	Items []UnapprovedChange `json:"items" doc:"The newest, a hundred at most."`
}

// UnapprovedChange is one of them.
type UnapprovedChange struct {
	Sequence  int64     `json:"sequence"`
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"`
	Kind      string    `json:"kind"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Operation string    `json:"operation"`
	Why       string    `json:"why"`
}

// Emergency is one use of break-glass, or the attempt.
type Emergency struct {
	ID          string     `json:"id"`
	User        string     `json:"user"`
	RequestedBy string     `json:"requested_by"`
	Reason      string     `json:"reason"`
	Minutes     int        `json:"minutes"`
	Status      string     `json:"status"`
	Approvers   []string   `json:"approvers"`
	SignedWith  string     `json:"signed_with"`
	RequestedAt time.Time  `json:"requested_at"`
	OpenedAt    *time.Time `json:"opened_at"`
	EndedAt     *time.Time `json:"ended_at"`
	Actions     int64      `json:"actions" doc:"Records of what was done with the raised rights."`
	Evidence    []int64    `json:"evidence"`

	user id.ID
}

// Coverage is how much of the chain is signed, published and verified.
type Coverage struct {
	Records           int64      `json:"records"`
	Checkpointed      int64      `json:"checkpointed"`
	Published         int64      `json:"published"`
	SignedAt          *time.Time `json:"signed_at"`
	PublishedAt       *time.Time `json:"published_at"`
	OldestUnpublished *time.Time `json:"oldest_unpublished" doc:"Since when a signed head waits to be published."`
	KeyKind           string     `json:"key_kind" enum:"hsm,file,none"`
	VerifiedAt        *time.Time `json:"verified_at"`
	OK                *bool      `json:"ok" doc:"Whether the last verification found no break."`

	note string
	link []byte
}

// Kept is how long records are kept, and what became of those that were not.
type Kept struct {
	Policy        Retention   `json:"policy"`
	Oldest        *time.Time  `json:"oldest" doc:"Of the records in the database."`
	Holds         int64       `json:"holds" doc:"Legal holds that hold."`
	Archive       ArchiveKind `json:"archive" enum:"none,directory,s3"`
	Archived      int64       `json:"archived" doc:"Records that are in the archive."`
	Pruned        int64       `json:"pruned" doc:"Records that are in the archive only."`
	Segments      int64       `json:"segments"`
	Damaged       int64       `json:"damaged" doc:"Segments that did not hold when they were last read back."`
	ReadBackAt    *time.Time  `json:"read_back_at" doc:"When the segment was read back that was not for longest."`
	RanAt         *time.Time  `json:"ran_at"`
	FailingSince  *time.Time  `json:"failing_since"`
	FailingReason string      `json:"failing_reason"`
	Waiting
}

// OpenAnomalies counts open findings.
type OpenAnomalies struct {
	Total    int64 `json:"total"`
	Critical int64 `json:"critical"`
}

// Check is one item of the score.
type Check struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix" doc:"Where in the interface to change it."`
}

// Compliance returns the dashboard of the actor's tenant. It returns
// fault.Forbidden without audit:report:read and fault.Invalid for a period that
// is none.
func (s *Service) Compliance(ctx context.Context, p Period) (Dashboard, error) {
	a, err := s.authorise(ctx, ReadReports)
	if err != nil {
		return Dashboard{}, err
	}
	if p, err = p.within(time.Now()); err != nil {
		return Dashboard{}, err
	}
	zone := s.zone(ctx, a.TenantID)
	d := Dashboard{From: p.From, To: p.To, TimeZone: zone.String(), Privileged: []Holder{}}
	if s.Insight.Privileged != nil {
		if d.Privileged, err = s.Insight.Privileged(ctx, a.TenantID); err != nil {
			return d, err
		}
	}
	var posture *Posture
	if s.Insight.Posture != nil {
		at, err := s.Insight.Posture(ctx, a.TenantID)
		if err != nil {
			return d, err
		}
		posture = &at
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		return s.fill(ctx, a.TenantID, &d, p, zone)
	})
	d.Score = score(d, posture, time.Now())
	return d, err
}

// fill reads what records say.
func (s *Service) fill(ctx context.Context, tenant id.ID, d *Dashboard, p Period, zone *time.Location) (err error) {
	if d.Failed, err = s.failedByDay(ctx, tenant, p, zone); err != nil {
		return err
	}
	d.Unapproved.Items = []UnapprovedChange{}
	err = unapproved(ctx, p, func(c UnapprovedChange) error {
		d.Unapproved.Count++
		d.Unapproved.Items = append(d.Unapproved.Items, c)
		d.Unapproved.Items = d.Unapproved.Items[max(len(d.Unapproved.Items)-100, 0):]
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(d.Unapproved.Items)
	if d.BreakGlass, err = emergencies(ctx, p); err != nil {
		return err
	}
	if d.Coverage, err = (insightStore{}).coverage(ctx); err != nil {
		return err
	}
	if d.Retention, err = s.kept(ctx); err != nil {
		return err
	}
	open, err := insightStore{}.openAnomalies(ctx)
	for severity, n := range open {
		d.Anomalies.Total += n
		if severity == Severe {
			d.Anomalies.Critical = n
		}
	}
	return err
}

// refusedSignIns calls fn for refused sign-ins that the tenant may know of: those in
// its own chain, and those of its people in the provider's.
func (s *Service) refusedSignIns(ctx context.Context, tenant id.ID, p Period, fn func(chain string, r seen) error) error {
	own := func(r seen) error { return fn(chainName(s.chainOf(tenant)), r) }
	st := insightStore{}
	if err := st.during(ctx, p, refusals, nil, own); err != nil || tenant.IsZero() || s.IsRoot(tenant) || s.Insight.People == nil {
		return err
	}
	people, err := s.Insight.People(ctx, tenant)
	if err != nil || len(people) == 0 {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		return st.during(ctx, p, refusals, people, func(r seen) error { return fn("provider", r) })
	})
}

func (s *Service) failedByDay(ctx context.Context, tenant id.ID, p Period, zone *time.Location) (f FailedSignIns, err error) {
	f.ByDay = []Day{}
	days := map[string]int64{}
	err = s.refusedSignIns(ctx, tenant, p, func(_ string, r seen) error {
		f.Total++
		days[r.Time.In(zone).Format(time.DateOnly)]++
		return nil
	})
	last := p.To.Add(-time.Nanosecond).In(zone).Format(time.DateOnly)
	for at := p.From.In(zone); ; at = at.AddDate(0, 0, 1) {
		day := at.Format(time.DateOnly)
		if day > last {
			return f, err
		}
		f.ByDay = append(f.ByDay, Day{day, days[day]})
	}
}

const approvalsReach = 60 * 24 * time.Hour // an approval can be this much older than what it lets go ahead

// consent is what was approved of one subject.
type consent struct {
	sequence int64
	digest   string
	self     bool
}

// unapproved calls fn for executions in a period that no second person approved.
func unapproved(ctx context.Context, p Period, fn func(UnapprovedChange) error) error {
	given := map[string][]consent{}
	st := insightStore{}
	err := st.during(ctx, Period{p.From.Add(-approvalsReach), p.To}, []string{"approval.request.approved"}, nil, func(r seen) error {
		c := detailsIn(r.Body)
		given[r.TargetKind+r.TargetID] = append(given[r.TargetKind+r.TargetID], consent{r.Sequence, c.Details.Digest, c.Details.ConfirmedSelf})
		return nil
	})
	if err != nil {
		return err
	}
	return st.during(ctx, p, []string{"deployment.run.started"}, nil, func(r seen) error {
		c := detailsIn(r.Body)
		why := withoutApproval(r, c, given[r.TargetKind+r.TargetID])
		if why == "" {
			return nil
		}
		return fn(UnapprovedChange{Sequence: r.Sequence, Time: r.Time, Actor: r.ActorName, Kind: r.TargetKind, ID: r.TargetID, Name: r.TargetName,
			Operation: c.Details.Operation, Why: why})
	})
}

// detailed is what deployments, approvals and break-glass write into details.
type detailed struct {
	Reason string `json:"reason"`
	Actor  struct {
		BreakGlass id.ID `json:"break_glass"`
	} `json:"actor"`
	Details struct {
		Digest        string `json:"digest"`
		Operation     string `json:"operation"`
		ConfirmedSelf bool   `json:"confirmed_self"`
		Minutes       int    `json:"minutes"`
		Status        string `json:"status"`
		User          struct {
			ID   id.ID  `json:"id"`
			Name string `json:"name"`
		} `json:"user"`
		RequestedBy struct {
			Name string `json:"name"`
		} `json:"requested_by"`
		Approvals []struct {
			User struct {
				Name string `json:"name"`
			} `json:"user"`
		} `json:"approvals"`
		SignedWith *struct {
			Kind  string `json:"kind"`
			Label string `json:"label"`
		} `json:"signed_with"`
	} `json:"details"`
}

// detailsIn reads a body as far as it has what is asked: approvals and
// break-glass name those who asked in different ways.
func detailsIn(body []byte) (d detailed) {
	_ = json.Unmarshal(body, &d)
	return d
}

// withoutApproval says why nothing that a second person said covers an
// execution; "" when something does.
func withoutApproval(r seen, c detailed, given []consent) string {
	given = slices.DeleteFunc(slices.Clone(given), func(g consent) bool { return g.sequence > r.Sequence })
	switch {
	case len(r.Body) == 0:
		return "The contents of the record were archived; whether it was approved cannot be told from here."
	case !c.Actor.BreakGlass.IsZero():
		return "It was done with raised rights (break-glass)."
	case len(given) == 0:
		return "No approval is recorded."
	}
	given = slices.DeleteFunc(given, func(g consent) bool { return g.digest != c.Details.Digest })
	if len(given) == 0 {
		return "Only another plan was approved."
	}
	if !slices.ContainsFunc(given, func(g consent) bool { return !g.self }) {
		return "Only who asked for it approved it, as the tenant's policy allows."
	}
	return ""
}

// emergencies are the uses of break-glass that were asked for, opened or ended
// in a period.
func emergencies(ctx context.Context, p Period) ([]Emergency, error) {
	found := map[string]*Emergency{}
	order := []string{}
	st := insightStore{}
	err := st.during(ctx, p, []string{
		"breakglass.session.requested", "breakglass.session.approved", "breakglass.session.opened",
		"breakglass.session.refused", "breakglass.session.expired", "breakglass.session.ended",
	}, nil, func(r seen) error {
		e := found[r.TargetID]
		if e == nil {
			e = &Emergency{ID: r.TargetID, RequestedAt: r.Time}
			found[r.TargetID] = e
			order = append(order, r.TargetID)
		}
		e.add(r)
		return nil
	})
	all := make([]Emergency, len(order))
	for i, key := range order {
		e := found[key]
		if e.OpenedAt != nil && err == nil {
			e.Actions, err = st.raised(ctx, e.user, e.ID, *e.OpenedAt, e.EndedAt)
		}
		all[i] = *e
	}
	return all, err
}

// add takes what one more record says of it.
func (e *Emergency) add(r seen) {
	d := detailsIn(r.Body)
	e.Evidence = append(e.Evidence, r.Sequence)
	e.User, e.user, e.RequestedBy, e.Reason, e.Minutes = d.Details.User.Name, d.Details.User.ID, d.Details.RequestedBy.Name, d.Reason, d.Details.Minutes
	if e.User == "" {
		e.User = r.TargetName
	}
	e.Status = strings.TrimPrefix(r.Event, "breakglass.session.")
	e.Approvers = []string{}
	for _, a := range d.Details.Approvals {
		e.Approvers = append(e.Approvers, a.User.Name)
	}
	if d.Details.SignedWith != nil {
		e.SignedWith = d.Details.SignedWith.Kind + " " + d.Details.SignedWith.Label
	}
	at := r.Time
	switch e.Status {
	case "opened":
		e.OpenedAt = &at
	case "ended", "expired", "refused":
		e.EndedAt = &at
	}
}

// kept reads how records are kept, in the transaction's scope.
func (s *Service) kept(ctx context.Context) (k Kept, err error) {
	archive, err := s.store.archive(ctx)
	if err != nil {
		return k, err
	}
	k.Archive, k.RanAt, k.FailingSince, k.FailingReason = archive.Kind, archive.RanAt, archive.FailedAt, archive.Error
	k.Waiting = archive.Waiting
	if k.Policy, err = s.store.retention(ctx); err != nil {
		return k, err
	}
	return k, s.store.keptCounts(ctx, &k)
}

// archiveWorks is a check where there is an archive, or something in one.
func archiveWorks(k Kept) []Check {
	if k.Archive == ArchiveNone && k.Segments == 0 {
		return nil
	}
	check := Check{Check: "archive_works", OK: k.FailingSince == nil && k.Damaged == 0 && k.Records == 0, Fix: "/audit-settings/archive",
		Detail: fmt.Sprintf("%d records are in the archive, %d of them there only; every segment was whole when it was last read back.", k.Archived, k.Pruned)}
	if k.Damaged > 0 {
		check.Detail = fmt.Sprintf("%d segments of the archive are damaged. Bring them back from a copy of it.", k.Damaged)
	} else if k.FailingSince != nil {
		check.Detail = "The archive fails since " + k.FailingSince.UTC().Format(time.RFC3339) + ". " + k.FailingReason
	} else if k.Records > 0 {
		check.Detail, check.Fix = k.Waiting.said(), "/audit-settings/siem"
	}
	return []Check{check}
}

// score are the checks of a dashboard. What a hook does not tell is not checked.
func score(d Dashboard, p *Posture, now time.Time) []Check {
	c := d.Coverage
	all := []Check{
		published(c, now), verifiedLately(c, now),
		{"signing_key", c.KeyKind == "hsm", map[string]string{
			"hsm": "Checkpoints are signed by a key in a hardware security module.", "file": "Checkpoints are signed by a key in a file; a hardware security module would keep it from being copied.",
			"none": "No checkpoint was signed yet."}[c.KeyKind], "/audit/settings"},
		{"no_critical_anomaly", d.Anomalies.Critical == 0, none(d.Anomalies.Total, "Nothing unusual is open.", "%d findings are open, %d of them critical.", d.Anomalies.Total, d.Anomalies.Critical), "/audit/anomalies"},
		{"changes_approved", d.Unapproved.Count == 0, none(d.Unapproved.Count, "Nothing was executed in the period without a second person's approval.", "Executed in the period without a second person's approval: %d.", d.Unapproved.Count), "/audit/compliance"},
		{"no_break_glass", len(d.BreakGlass) == 0, none(len(d.BreakGlass), "Nobody asked for break-glass in the period.", "Requests for break-glass in the period: %d.", len(d.BreakGlass)), "/audit/compliance"},
	}
	all = append(all, archiveWorks(d.Retention)...)
	if p == nil {
		return all
	}
	return append(all,
		Check{"mfa_for_administrators", p.MFARequiredFor == "administrators" || p.MFARequiredFor == "everybody", "A second factor is required for " + p.MFARequiredFor + ".", "/tenant/settings"},
		Check{"second_person_approves", p.ApprovalPolicy == "second_person", map[bool]string{true: "Somebody else has to approve.", false: "Who asks may approve it themselves."}[p.ApprovalPolicy == "second_person"], "/tenant/settings"},
		Check{"passwords", p.PasswordLength >= 12 && p.BreachedCheck, fmt.Sprintf("Passwords have at least %d characters, and those known to attackers are %s.", p.PasswordLength, map[bool]string{true: "refused", false: "accepted"}[p.BreachedCheck]), "/tenant/settings"},
		Check{"root_key", p.RootKey == "hsm", "The root key of all secrets lies in a " + map[bool]string{true: "hardware security module", false: "file of this machine"}[p.RootKey == "hsm"] + ".", "/system/hsm"},
	)
}

// none is one sentence for nothing, and another with numbers.
func none[N int | int64](n N, nothing, format string, args ...any) string {
	if n == 0 {
		return nothing
	}
	return fmt.Sprintf(format, args...)
}

func published(c Coverage, now time.Time) Check {
	check := Check{Check: "checkpoint_published", Fix: "/audit/settings", Detail: "No checkpoint was published yet. Without one nobody outside can see a rewrite of the whole chain."}
	if c.PublishedAt != nil {
		check.OK = now.Sub(*c.PublishedAt) <= 24*time.Hour || c.Published == c.Records
		check.Detail = "The last checkpoint was published at " + c.PublishedAt.UTC().Format(time.RFC3339) + "; one in 24 hours is asked for."
	}
	return check
}

func verifiedLately(c Coverage, now time.Time) Check {
	check := Check{Check: "chain_verified", Fix: "/audit/verify", Detail: "The chain was never verified from the interface or the command line."}
	if c.VerifiedAt == nil {
		return check
	}
	check.OK = c.OK != nil && *c.OK && now.Sub(*c.VerifiedAt) <= 7*24*time.Hour
	check.Detail = "The last verification, at " + c.VerifiedAt.UTC().Format(time.RFC3339) + ", found no break; one in seven days is asked for."
	if c.OK != nil && !*c.OK {
		check.Detail = "The last verification, at " + c.VerifiedAt.UTC().Format(time.RFC3339) + ", found breaks. Look at it at once."
	}
	return check
}
