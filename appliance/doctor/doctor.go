// Package doctor examines the appliance and says what to do about what it
// finds; it packs what support needs, shows what Temporal runs, and looks after
// the certificate of the one port.
//
// A check looks and changes nothing. What cannot be known (because the part is
// not there or not asked for) is unknown, which is no failure.
package doctor

import (
	"context"
	"time"
)

// Permissions of this domain. They count at the provider level only.
const (
	ReadDoctor      = "system:doctor:read"
	CreateSupport   = "system:support:create"
	ReadWorkflows   = "system:workflow:read"
	UpdateWorkflows = "system:workflow:update"
)

// Status is what a check found.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // works, and will not for long, or not as well as it should
	Failed  Status = "failed"  // somebody has to do something
	Unknown Status = "unknown" // could not be looked at, or there is nothing to look at
)

// Finding is what a check found, and what to do about it.
type Finding struct {
	Status  Status         `json:"status" enum:"ok,warning,failed,unknown"`
	Summary string         `json:"summary"`
	Advice  string         `json:"advice" doc:"What to do; empty when there is nothing to do."`
	Measure map[string]any `json:"measured" nullable:"false"`
}

// Item is the finding of one check.
type Item struct {
	Check string `json:"check"`
	Group string `json:"group"`
	Finding
}

// Report is an examination.
type Report struct {
	CheckedAt time.Time `json:"checked_at"`
	Running   bool      `json:"running" doc:"Whether the appliance ran; without it fewer things can be looked at."`
	Items     []Item    `json:"items" nullable:"false"`
}

// Worst is the worst status of a report.
func (r Report) Worst() Status {
	worst := OK
	for _, i := range r.Items {
		if i.Status == Failed || i.Status == Warning && worst == OK {
			worst = i.Status
		}
	}
	return worst
}

// Check is one thing that is looked at.
type Check struct {
	Name, Group string
	Run         func(ctx context.Context) Finding
}

// Groups of checks.
const (
	Machine = "machine"
	Network = "network"
	Data    = "data"
	Inside  = "service"
	Proof   = "proof"
	Outside = "outside"
)

func fine(summary string) Finding { return Finding{Status: OK, Summary: summary} }

func warn(summary, advice string) Finding {
	return Finding{Status: Warning, Summary: summary, Advice: advice}
}

func fail(summary, advice string) Finding {
	return Finding{Status: Failed, Summary: summary, Advice: advice}
}

func unknown(summary string) Finding { return Finding{Status: Unknown, Summary: summary} }

// with adds what was measured.
func (f Finding) with(name string, value any) Finding {
	if f.Measure == nil {
		f.Measure = map[string]any{}
	}
	f.Measure[name] = value
	return f
}
