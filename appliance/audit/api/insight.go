package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// registerInsight declares the routes about anomalies and compliance.
func registerInsight(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/anomalies/rules", Tag: tag,
		Summary: "Read the rules by which anomalies are found", Permission: audit.ReadAnomalies}, h.anomalyRules)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/audit/anomalies/rules", Tag: tag,
		Summary: "Change rules by which anomalies are found", Description: "Rules that are left out stay as they are.", Permission: audit.UpdateAnomalies}, h.setAnomalyRules)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/anomalies", Tag: tag,
		Summary: "List anomalies, newest first", Permission: audit.ReadAnomalies}, h.anomalies)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/anomalies/{id}", Tag: tag,
		Summary: "Read an anomaly", Permission: audit.ReadAnomalies}, h.anomaly)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/anomalies/run", Tag: tag, Status: http.StatusAccepted,
		Summary: "Look for anomalies now", Permission: audit.UpdateAnomalies}, h.runAnomalies)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/compliance", Tag: tag,
		Summary: "Read the compliance dashboard", Description: "The last thirty days when no period is given.", Permission: audit.ReadReports}, h.compliance)
	web.HandleDownload(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/compliance/reports/{report}", Tag: tag,
		Summary: "Make a compliance report", Description: "The last part is a kind of report and its format, such as break-glass.html or failed-sign-ins.csv.", Permission: audit.ReadReports, Sensitive: true}, h.report)
	for verb, to := range map[string]struct {
		state   audit.AnomalyState
		summary string
	}{
		"acknowledge":    {audit.AnomalyAcknowledged, "Acknowledge an anomaly"},
		"false-positive": {audit.AnomalyFalsePositive, "Call an anomaly a false positive; its pattern makes no new ones until it is reopened"},
		"reopen":         {audit.AnomalyOpen, "Open an anomaly again"},
	} {
		web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/anomalies/{id}/" + verb, Tag: tag,
			Summary: to.summary, Permission: audit.UpdateAnomalies}, func(ctx context.Context, in *decideInput) (anomaly, error) {
			found, err := h.DecideAnomaly(ctx, in.ID, to.state, in.Body.Note)
			return presentAnomaly(found), err
		})
	}
}

type rulesBody struct {
	Items []audit.AnomalyRule `json:"items" maxItems:"20"`
}

type rulesInput struct {
	Body rulesBody
}

func (h handlers) anomalyRules(ctx context.Context, _ *web.None) (rulesBody, error) {
	all, err := h.AnomalyRules(ctx)
	return rulesBody{all}, err
}

func (h handlers) setAnomalyRules(ctx context.Context, in *rulesInput) (rulesBody, error) {
	all, err := h.SetAnomalyRules(ctx, in.Body.Items)
	return rulesBody{all}, err
}

type anomaliesInput struct {
	State  string `query:"state" enum:"open,acknowledged,false_positive"`
	Kind   string `query:"kind" enum:"brute_force,unusual_time,new_address,privilege_escalation,bulk_read,failure_spike"`
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type decideInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Note string `json:"note" required:"false" maxLength:"2000"`
	}
}

type anomaly struct {
	ID         id.ID                `json:"id"`
	Kind       audit.AnomalyKind    `json:"kind"`
	Severity   audit.Severity       `json:"severity" enum:"low,medium,high,critical"`
	State      audit.AnomalyState   `json:"state" enum:"open,acknowledged,false_positive"`
	Subject    audit.AnomalySubject `json:"subject"`
	Summary    string               `json:"summary"`
	Chain      string               `json:"evidence_chain" enum:"own,provider" doc:"Whose sequence numbers the evidence has. Sign-ins are in the provider's chain."`
	Evidence   []int64              `json:"evidence"`
	FirstAt    time.Time            `json:"first_at"`
	LastAt     time.Time            `json:"last_at"`
	Count      int64                `json:"count"`
	Suppressed int64                `json:"suppressed" doc:"Records that came while it was a false positive."`
	DecidedBy  *person              `json:"decided_by"`
	DecidedAt  *time.Time           `json:"decided_at"`
	Note       string               `json:"note"`
}

type anomalyPage struct {
	Items []anomaly `json:"items"`
	Next  *string   `json:"next"`
}

func (h handlers) anomalies(ctx context.Context, in *anomaliesInput) (anomalyPage, error) {
	f := audit.AnomalyFilter{State: audit.AnomalyState(in.State), Kind: audit.AnomalyKind(in.Kind), Limit: in.Limit}
	if in.Cursor != "" {
		before, err := id.Parse(in.Cursor)
		if err != nil {
			return anomalyPage{}, fault.BadField("query.cursor", "The cursor is not one that a page before gave.")
		}
		f.Before = before
	}
	found, err := h.Anomalies(ctx, f)
	p := anomalyPage{Items: make([]anomaly, len(found))}
	for i, a := range found {
		p.Items[i] = presentAnomaly(a)
	}
	if len(found) == in.Limit && len(found) > 0 {
		next := found[len(found)-1].ID.String()
		p.Next = &next
	}
	return p, err
}

type anomalyInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) anomaly(ctx context.Context, in *anomalyInput) (anomaly, error) {
	found, err := h.Anomaly(ctx, in.ID)
	return presentAnomaly(found), err
}

func presentAnomaly(a audit.Anomaly) anomaly {
	p := anomaly{
		ID: a.ID, Kind: a.Kind, Severity: a.Severity, State: a.State, Subject: a.Subject, Summary: a.Summary, Chain: "own", Evidence: a.Evidence,
		FirstAt: a.FirstAt, LastAt: a.LastAt, Count: a.Count, Suppressed: a.Suppressed, Note: a.Note,
	}
	if a.Provider {
		p.Chain = "provider"
	}
	if !a.DecidedAt.IsZero() {
		p.DecidedBy, p.DecidedAt = &person{ID: a.DecidedBy, Name: a.Decider, Kind: "user"}, &a.DecidedAt
	}
	return p
}

type started struct {
	Started bool `json:"started"`
}

func (h handlers) runAnomalies(ctx context.Context, _ *web.None) (started, error) {
	err := h.RunAnomalies(ctx)
	return started{err == nil}, err
}

type periodInput struct {
	From time.Time `query:"from"`
	To   time.Time `query:"to"`
}

func (h handlers) compliance(ctx context.Context, in *periodInput) (audit.Dashboard, error) {
	return h.Compliance(ctx, audit.Period{From: in.From, To: in.To})
}

type reportInput struct {
	Report string    `path:"report" example:"break-glass.html"`
	From   time.Time `query:"from"`
	To     time.Time `query:"to"`
}

func (h handlers) report(ctx context.Context, in *reportInput) (web.Download, error) {
	kind, format, _ := strings.Cut(in.Report, ".")
	r, err := h.Report(ctx, kind, format, audit.Period{From: in.From, To: in.To})
	return web.Download{ContentType: r.ContentType, Filename: r.Filename, Write: r.Write}, err
}
