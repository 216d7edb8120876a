package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ReportKinds are the reports there are.
var ReportKinds = []string{"privileged-access", "privileged-actions", "failed-sign-ins", "changes-without-approval", "break-glass", "proof-coverage"}

// ReportFormats are the formats of reports.
var ReportFormats = []string{"html", "csv"}

// Report is a report that can be written once.
type Report struct {
	Filename, ContentType string
	// Write sends it. When it fails the last line, which says how many rows
	// there are, is missing.
	Write func(ctx context.Context, w io.Writer) error
}

// paper is what every report says of itself.
type paper struct {
	Title, About             string
	Tenant, Chain            string
	From, To, Made, Zone     string
	Version                  string
	Head, Signed, Note, Data string
	Columns                  []string
}

// printer writes a report in one format.
type printer interface {
	begin(p paper) error
	row(cells []string) error
	end(rows int) error
}

// design is what makes one kind of report.
type design struct {
	title, about string
	columns      []string
	fill         func(ctx context.Context, s *Service, r *reporter) error
}

// reporter collects the rows of one report.
type reporter struct {
	tenant  id.ID
	period  Period
	zone    *time.Location
	holders []Holder
	posture *Posture
	print   printer
	rows    int
}

func (r *reporter) add(cells ...string) error {
	r.rows++
	return r.print.row(cells)
}

// at says a time in the tenant's time zone.
func (r *reporter) at(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.In(r.zone).Format("2006-01-02 15:04:05 -0700")
}

var designs = map[string]design{
	"privileged-access": {"Privileged access", "Who can change rights, people, approvals or the record itself, as it was when this report was made.",
		[]string{"Kind", "Name", "Id", "May", "Through", "Conditional", "Last recorded act"}, access},
	"privileged-actions": {"Privileged actions", "What those who have privileged access now did in the period.",
		[]string{"Time", "Sequence", "Who", "Event", "Outcome", "Target", "Address"}, actions},
	"failed-sign-ins": {"Failed sign-ins", "Refused sign-ins and second factors of the tenant's people. Attempts with names that nobody has are in the provider's report.",
		[]string{"Time", "Chain", "Sequence", "Account", "Event", "Address"}, failed},
	"changes-without-approval": {"Changes without approval", "Executions of deployments that no second person approved.",
		[]string{"Time", "Sequence", "Who", "Kind", "Name", "Id", "Operation", "Why it is listed"}, changes},
	"break-glass": {"Break-glass", "Every use of emergency access, and every attempt.",
		[]string{"Requested", "User", "Requested by", "Reason", "Minutes", "Status", "Approved by", "Opened", "Ended", "Signed with", "Actions", "Sequences"}, glass},
	"proof-coverage": {"Coverage of the proof", "How much of the record is signed, published and verified, and how the tenant is set up.",
		[]string{"Subject", "Value", "Assessment"}, proof},
}

// Report makes a report of the actor's tenant; making it is recorded. It
// returns fault.Forbidden without audit:report:read, fault.NotFound for a kind
// or format that there is not, and fault.Invalid for a period that is none.
func (s *Service) Report(ctx context.Context, kind, format string, p Period) (Report, error) {
	a, err := s.authorise(ctx, ReadReports)
	if err != nil {
		return Report{}, err
	}
	plan, ok := designs[kind]
	if !ok || !slices.Contains(ReportFormats, format) {
		return Report{}, fault.New(fault.NotFound, "There is no such report. The reports are %s, as html or csv.", strings.Join(ReportKinds, ", "))
	}
	if p, err = p.within(time.Now()); err != nil {
		return Report{}, err
	}
	err = s.RecordAlone(ctx, a.TenantID, Entry{
		Event: "audit.report.created", Priority: Notice, Target: Target{Kind: "report", ID: kind, Name: plan.title},
		Details: map[string]any{"from": p.From, "to": p.To, "format": format},
	})
	if err != nil {
		return Report{}, err
	}
	out := Report{Filename: fmt.Sprintf("%s_%s_%s.%s", kind, p.From.Format(time.DateOnly), p.To.Format(time.DateOnly), format), ContentType: "text/html; charset=utf-8"}
	if format == "csv" {
		out.ContentType = "text/csv; charset=utf-8"
	}
	out.Write = func(ctx context.Context, w io.Writer) error {
		return s.writeReport(ctx, w, plan, format, a.TenantID, p, time.Now())
	}
	return out, nil
}

func (s *Service) writeReport(ctx context.Context, w io.Writer, plan design, format string, tenant id.ID, p Period, now time.Time) error {
	r := &reporter{tenant: tenant, period: p, zone: s.zone(ctx, tenant), print: newPrinter(format, w)}
	about := paper{Title: plan.title, About: plan.about, Columns: plan.columns, Version: s.Insight.Version, Zone: r.zone.String(),
		From: r.at(&p.From), To: r.at(&p.To), Made: r.at(&now), Chain: chainName(s.chainOf(tenant))}
	var err error
	if s.Insight.Privileged != nil {
		if r.holders, err = s.Insight.Privileged(ctx, tenant); err != nil {
			return err
		}
	}
	if s.Insight.Posture != nil {
		posture, err := s.Insight.Posture(ctx, tenant)
		if err != nil {
			return err
		}
		about.Tenant, r.posture = posture.TenantName, &posture
	}
	return s.in(ctx, tenant, func(ctx context.Context) error {
		if err := snapshot(ctx); err != nil {
			return err
		}
		if err := describe(ctx, &about, r); err != nil {
			return err
		}
		if err := r.print.begin(about); err != nil {
			return err
		}
		if err := plan.fill(ctx, s, r); err != nil {
			return err
		}
		return r.print.end(r.rows)
	})
}

// describe says what the report is made from and how complete that is.
func describe(ctx context.Context, about *paper, r *reporter) error {
	st := insightStore{}
	c, err := st.coverage(ctx)
	if err != nil {
		return err
	}
	e, err := st.extent(ctx, r.period)
	if err != nil {
		return err
	}
	about.Head = fmt.Sprintf("record %d, link %s", c.Records, hex.EncodeToString(c.link))
	about.Signed, about.Note = "No checkpoint was signed yet.", c.note
	if c.SignedAt != nil {
		about.Signed = fmt.Sprintf("%d records, signed %s with a %s key", c.Checkpointed, r.at(c.SignedAt), c.KeyKind)
	}
	about.Data = completeness(e)
	return nil
}

func completeness(e extent) string {
	if e.Records == 0 {
		return fmt.Sprintf("No sealed record of the period is in the database; %d records were waiting to be sealed.", e.Waiting)
	}
	text := fmt.Sprintf("Made from %d sealed records of the period, sequence %d to %d.", e.Records, e.First, e.Last)
	if e.Pruned == 0 {
		text += " None between them is missing."
	} else {
		text += fmt.Sprintf(" %d between them are not in the database any more: what they say is in the archive and not in this report.", e.Pruned)
	}
	return text + fmt.Sprintf(" %d records were waiting to be sealed and are not in it. Older records of the period may have been archived.", e.Waiting)
}

func access(ctx context.Context, _ *Service, r *reporter) error {
	people := make([]id.ID, len(r.holders))
	for i, h := range r.holders {
		people[i] = h.ID
	}
	last, err := insightStore{}.lastActs(ctx, people)
	if err != nil {
		return err
	}
	for _, h := range r.holders {
		at := last[h.ID]
		if err := r.add(h.Kind, h.Name, h.ID.String(), strings.Join(h.Permissions, ", "), h.Via, yes(h.Conditional), r.at(&at)); err != nil {
			return err
		}
	}
	return nil
}

func actions(ctx context.Context, _ *Service, r *reporter) error {
	people := []id.ID{}
	for _, h := range r.holders {
		people = append(people, h.ID)
	}
	return insightStore{}.during(ctx, r.period, nil, people, func(e seen) error {
		return r.add(r.at(&e.Time), number(e.Sequence), e.ActorName, e.Event, string(e.Outcome), e.target(), e.Address)
	})
}

func (e seen) target() string {
	name := e.TargetName
	if name == "" {
		name = e.TargetID
	}
	return strings.TrimSpace(e.TargetKind + " " + name)
}

func failed(ctx context.Context, s *Service, r *reporter) error {
	return s.refusedSignIns(ctx, r.tenant, r.period, func(chain string, e seen) error {
		return r.add(r.at(&e.Time), chain, number(e.Sequence), accountOf(e).Name, e.Event, e.Address)
	})
}

func changes(ctx context.Context, _ *Service, r *reporter) error {
	return unapproved(ctx, r.period, func(c UnapprovedChange) error {
		return r.add(r.at(&c.Time), number(c.Sequence), c.Actor, c.Kind, c.Name, c.ID, c.Operation, c.Why)
	})
}

func glass(ctx context.Context, _ *Service, r *reporter) error {
	all, err := emergencies(ctx, r.period)
	for _, e := range all {
		if err != nil {
			return err
		}
		sequences := make([]string, len(e.Evidence))
		for i, n := range e.Evidence {
			sequences[i] = number(n)
		}
		err = r.add(r.at(&e.RequestedAt), e.User, e.RequestedBy, e.Reason, strconv.Itoa(e.Minutes), e.Status, strings.Join(e.Approvers, ", "),
			r.at(e.OpenedAt), r.at(e.EndedAt), e.SignedWith, number(e.Actions), strings.Join(sequences, " "))
	}
	return err
}

func proof(ctx context.Context, s *Service, r *reporter) error {
	d := Dashboard{}
	if err := s.fill(ctx, r.tenant, &d, r.period, r.zone); err != nil {
		return err
	}
	c := d.Coverage
	for _, line := range [][2]string{
		{"Records", number(c.Records)}, {"Signed", number(c.Checkpointed)}, {"Published", number(c.Published)},
		{"Last signed", r.at(c.SignedAt)}, {"Last published", r.at(c.PublishedAt)}, {"Waiting to be published since", r.at(c.OldestUnpublished)},
		{"Key", c.KeyKind}, {"Last verified", r.at(c.VerifiedAt)},
		{"Kept", d.Retention.Policy.said()}, {"Archive", string(d.Retention.Archive)}, {"In the archive", number(d.Retention.Archived)},
		{"In the archive only", number(d.Retention.Pruned)}, {"Waiting for collectors before they are pruned", waitingText(d.Retention.Waiting)}, {"Legal holds", number(d.Retention.Holds)},
	} {
		if err := r.add(line[0], line[1], ""); err != nil {
			return err
		}
	}
	for _, check := range score(d, r.posture, time.Now()) {
		if err := r.add("check "+check.Check, check.Detail, map[bool]string{true: "ok", false: "attention"}[check.OK]); err != nil {
			return err
		}
	}
	return nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func yes(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }
