package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"flag"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

var update = flag.Bool("update", false, "write the golden files")

const hostile = `<img src=x onerror=alert(1)>"&'`

// bookkeeping is a watch whose tenant has holders, settings and a history.
func bookkeeping(t *testing.T) (*watch, Period) {
	t.Helper()
	w := newWatch(t)
	zone, err := time.LoadLocation("Europe/Vienna")
	must(t, err)
	w.zone = zone
	w.alice.ID, w.chief.ID = id.MustParse("01900000-0000-7000-8000-00000000000a"), id.MustParse("01900000-0000-7000-8000-00000000000c")
	w.alice.Name, w.people[w.alpha] = hostile, []id.ID{w.alice.ID, w.chief.ID}
	w.Insight.Privileged = func(_ context.Context, tenant id.ID) ([]Holder, error) {
		if tenant != w.alpha {
			return []Holder{}, nil
		}
		return []Holder{
			{Kind: "user", ID: w.alice.ID, Name: hostile, Permissions: []string{"permission:role:assign"}, Via: "role Tenant Administrator"},
			{Kind: "group", ID: id.MustParse("01900000-0000-7000-8000-00000000000d"), Name: "=cmd|' /C calc'!A0", Permissions: []string{"identity:user:create", "deployment:stack:approve"}, Via: "a grant", Conditional: true},
		}, nil
	}
	w.Insight.Posture = func(context.Context, id.ID) (Posture, error) {
		return Posture{TenantName: "Alpha & Sons", MFARequiredFor: "administrators", ApprovalPolicy: "second_person", PasswordLength: 12, BreachedCheck: true, RootKey: "file"}, nil
	}
	p := Period{time.Date(2026, 3, 27, 0, 0, 0, 0, zone), time.Date(2026, 4, 1, 0, 0, 0, 0, zone)} // the clocks change on the 29th
	w.history(p)
	return w, p
}

// history is what is in the reports, with something before and after the period.
func (w *watch) history(p Period) {
	run := func(n, event, digest string, e Entry) Entry {
		e.Event, e.Target = event, Target{Kind: "deployment", ID: "run-" + n, Name: "web" + n}
		if e.Details == nil {
			e.Details = map[string]any{}
		}
		e.Details["digest"], e.Details["operation"] = digest, "up"
		return e
	}
	day := func(n int) time.Time { return p.From.In(w.zone).AddDate(0, 0, n).Add(9 * time.Hour) }
	self := func(yes bool) Entry {
		return Entry{Details: map[string]any{"confirmed_self": yes, "requested_by": "Chief"}}
	}
	w.refuse(p.From.Add(-time.Second), w.alice.ID, hostile, "198.51.100.1")
	w.refuse(p.From, w.alice.ID, hostile, "198.51.100.1")
	w.refuse(time.Date(2026, 3, 29, 23, 30, 0, 0, w.zone), w.chief.ID, "@SUM(1)", "198.51.100.2")
	w.refuse(day(3), id.New(), "somebody else's", "198.51.100.3")
	w.refuse(p.To, w.alice.ID, hostile, "198.51.100.1")
	w.at(day(0), w.chief, w.alpha, run("1", "approval.request.approved", "d1", self(false)))
	w.at(day(0), w.alice, w.alpha, run("1", "deployment.run.started", "d1", Entry{}))
	w.at(day(1), w.alice, w.alpha, run("2", "deployment.run.started", "d2", Entry{}))
	w.at(day(1), w.chief, w.alpha, run("2", "approval.request.approved", "d2", self(false))) // too late
	w.at(day(2), w.chief, w.alpha, run("3", "approval.request.approved", "d3", self(true)))
	w.at(day(2), w.alice, w.alpha, run("3", "deployment.run.started", "d3", Entry{}))
	w.at(day(3), w.chief, w.alpha, run("4", "approval.request.approved", "d4", self(false)))
	w.at(day(3), w.alice, w.alpha, run("4", "deployment.run.started", "changed", Entry{}))
	w.emergency(day(3))
}

// emergency opens break-glass for Chief, who uses it, and ends it.
func (w *watch) emergency(at time.Time) {
	session := id.MustParse("01900000-0000-7000-8000-0000000000b1")
	raised := w.chief
	raised.BreakGlass = session
	for i, status := range []string{"requested", "opened", "ended"} {
		w.at(at.Add(time.Duration(i)*10*time.Minute), w.chief, w.alpha, Entry{
			Event: "breakglass.session." + status, Priority: Critical, Reason: "+the cluster burns", Target: Target{Kind: "breakglass", ID: session.String(), Name: "Chief"},
			Details: map[string]any{
				"user": map[string]any{"id": w.chief.ID, "name": "Chief"}, "requested_by": map[string]any{"name": "Chief"}, "minutes": 20,
				"approvals":   []any{map[string]any{"user": map[string]any{"name": "Bob"}}, map[string]any{"user": map[string]any{"name": "Eve"}}},
				"signed_with": map[string]any{"kind": "hsm", "label": "break-glass"},
			},
		})
	}
	w.at(at.Add(12*time.Minute), raised, w.alpha, Entry{Event: "identity.user.updated", Target: Target{Kind: "user", ID: "x"}})
	w.at(at.Add(13*time.Minute), w.chief, w.alpha, Entry{Event: "identity.user.updated", Target: Target{Kind: "user", ID: "x"}})
	for _, chain := range []id.ID{{}, w.alpha} {
		must(w.t, w.seal(w.t.Context(), chain))
	}
}

// varying is what differs from run to run.
var varying = regexp.MustCompile(`link [0-9a-f]{64}|Made</dt><dd>[^<]*|Made,[^\n]*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (w *watch) report(kind, format string, p Period) string {
	w.t.Helper()
	r, err := w.Report(w.as(w.alpha), kind, format, p)
	must(w.t, err)
	var b bytes.Buffer
	must(w.t, r.Write(w.t.Context(), &b))
	return b.String()
}

// TestReports compares every report with its golden file. The chain grows by
// the record of each report; what it says of the head is in its own test.
func TestReports(t *testing.T) {
	t.Parallel()
	w, p := bookkeeping(t)
	for _, kind := range ReportKinds {
		for _, format := range ReportFormats {
			got := varying.ReplaceAllStringFunc(w.report(kind, format, p), func(s string) string {
				if strings.HasPrefix(s, "01900000-") {
					return s
				}
				return "VARIES"
			})
			file := filepath.Join("testdata", "report", kind+"."+format)
			if *update {
				must(t, os.MkdirAll(filepath.Dir(file), 0o755))
				must(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != got {
				t.Errorf("%s differs (%v): run go test ./appliance/audit -run Reports -update and look at the diff\n%s", file, err, got)
			}
		}
	}
}

// TestReportsRunNothing looks for what a browser or a spreadsheet would run.
func TestReportsRunNothing(t *testing.T) {
	t.Parallel()
	w, p := bookkeeping(t)
	for _, kind := range ReportKinds {
		page := w.report(kind, "html", p)
		_, style, _ := strings.Cut(page, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		allowed := "content=\"default-src &#39;none&#39;; style-src &#39;sha256-" + template.HTMLEscapeString(base64.StdEncoding.EncodeToString(sum[:])) + "&#39;\""
		if strings.Contains(page, "<img") || strings.Contains(page, "<script") || !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), strings.ReplaceAll(allowed, "&#43;", "+")) {
			t.Errorf("%s: %s", kind, page)
		}
		r := csv.NewReader(strings.NewReader(w.report(kind, "csv", p)))
		r.FieldsPerRecord = -1
		for {
			cells, err := r.Read()
			if err == io.EOF {
				break
			}
			must(t, err)
			for _, cell := range cells {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("%s: a cell is a formula: %q", kind, cell)
				}
			}
		}
	}
}

// TestReportsAreTheTenants looks at reports as other people do.
func TestReportsAreTheTenants(t *testing.T) {
	t.Parallel()
	w, p := bookkeeping(t)
	r, err := w.Report(w.as(w.beta), "failed-sign-ins", "csv", p)
	must(t, err)
	var b bytes.Buffer
	must(t, r.Write(t.Context(), &b))
	if !strings.Contains(b.String(), "End of the report: 0 rows") {
		t.Errorf("another tenant sees %s", b.String())
	}
	must(t, w.seal(t.Context(), w.beta))
	if all, err := w.List(w.as(w.beta), Filter{Events: []string{"audit.report.created"}, Limit: 5}); err != nil || len(all) != 1 || all[0].Target.ID != "failed-sign-ins" {
		t.Errorf("the report is recorded %d times, %v", len(all), err)
	}
	for _, c := range []struct {
		kind, format string
		period       Period
		want         fault.Kind
	}{
		{"horoscope", "csv", p, fault.NotFound}, {"break-glass", "exe", p, fault.NotFound}, {"break-glass", "csv", Period{p.To, p.From}, fault.Invalid},
		{"break-glass", "csv", Period{p.From.AddDate(-9, 0, 0), p.To}, fault.Invalid},
	} {
		if _, err := w.Report(w.as(w.alpha), c.kind, c.format, c.period); !fault.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	w.denied[ReadReports] = true
	if _, err := w.Report(w.as(w.alpha), "break-glass", "csv", p); !fault.Is(err, fault.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
	if _, err := w.Compliance(w.as(w.alpha), p); !fault.Is(err, fault.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
	if _, err := w.Report(actor.With(t.Context(), actor.Actor{}), "break-glass", "csv", p); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("without an actor: %v", err)
	}
}

func TestCompliance(t *testing.T) {
	t.Parallel()
	w, p := bookkeeping(t)
	d, err := w.Compliance(w.as(w.alpha), p)
	must(t, err)
	want := map[string]int64{"2026-03-27": 1, "2026-03-29": 1}
	if d.Failed.Total != 2 || len(d.Failed.ByDay) != 5 {
		t.Errorf("%+v", d.Failed)
	}
	for _, day := range d.Failed.ByDay {
		if day.Count != want[day.Day] {
			t.Errorf("%+v", day)
		}
	}
	if d.Unapproved.Count != 3 || len(d.BreakGlass) != 1 || d.BreakGlass[0].Actions != 1 || d.BreakGlass[0].Status != "ended" || len(d.Privileged) != 2 {
		t.Errorf("%+v %+v", d.Unapproved, d.BreakGlass)
	}
	checks := map[string]bool{}
	for _, c := range d.Score {
		checks[c.Check] = c.OK
		if c.Detail == "" || c.Fix == "" {
			t.Errorf("%+v says nothing", c)
		}
	}
	for check, ok := range map[string]bool{
		"checkpoint_published": false, "chain_verified": false, "signing_key": false, "no_critical_anomaly": true, "changes_approved": false,
		"no_break_glass": false, "mfa_for_administrators": true, "second_person_approves": true, "passwords": true, "root_key": false,
	} {
		if got, there := checks[check]; got != ok || !there {
			t.Errorf("%s is %t, %t", check, got, there)
		}
	}
	must2(w.Verify(w.as(w.alpha)))
	must(t, w.seal(t.Context(), w.alpha))
	d = must2(w.Compliance(w.as(w.alpha), p))
	if d.Coverage.VerifiedAt == nil || d.Coverage.OK == nil || !*d.Coverage.OK || !d.Score[1].OK {
		t.Errorf("after a verification: %+v", d.Coverage)
	}
}

// TestScoreBoundaries has checks at the edge of their limits.
func TestScoreBoundaries(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	good, bad := true, false
	for _, c := range []struct {
		c                   Coverage
		published, verified bool
	}{
		{Coverage{}, false, false},
		{Coverage{Records: 9, Published: 8, PublishedAt: ago(24 * time.Hour), VerifiedAt: ago(7 * 24 * time.Hour), OK: &good}, true, true},
		{Coverage{Records: 9, Published: 8, PublishedAt: ago(24*time.Hour + 1), VerifiedAt: ago(7*24*time.Hour + 1), OK: &good}, false, false},
		{Coverage{Records: 9, Published: 9, PublishedAt: ago(99 * time.Hour), VerifiedAt: ago(time.Hour), OK: &bad}, true, false},
	} {
		if got := published(c.c, now); got.OK != c.published {
			t.Errorf("%+v: %+v", c.c, got)
		}
		if got := verifiedLately(c.c, now); got.OK != c.verified {
			t.Errorf("%+v: %+v", c.c, got)
		}
	}
}
