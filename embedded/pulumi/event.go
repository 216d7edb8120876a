package pulumi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Op is what is done to a resource.
type Op string

// The operations of a Plan. Replace stands for the creation of the new resource
// and the deletion of the old one together.
const (
	OpSame    Op = "same"
	OpCreate  Op = "create"
	OpUpdate  Op = "update"
	OpReplace Op = "replace"
	OpDelete  Op = "delete"
	OpRead    Op = "read"
	OpImport  Op = "import"
	OpRefresh Op = "refresh"
)

// Kind says what an Event tells.
type Kind string

// The kinds of events.
const (
	KindStarted    Kind = "resource-pre"     // a change of a resource begins (or is planned)
	KindDone       Kind = "resource-outputs" // it is done
	KindFailed     Kind = "resource-failed"
	KindDiagnostic Kind = "diagnostic"
	KindSummary    Kind = "summary" // last of an operation
)

// Event is one thing that happened in an operation. Secrets are masked.
type Event struct {
	Seq      int        `json:"seq"` // rises from 0 within the operation
	Time     time.Time  `json:"time"`
	Kind     Kind       `json:"kind"`
	URN      string     `json:"urn,omitempty"`
	Type     string     `json:"type,omitempty"`
	Name     string     `json:"name,omitempty"`
	ID       string     `json:"id,omitempty"` // the provider's, when known
	Op       Op         `json:"op,omitempty"`
	Planning bool       `json:"planning,omitempty"` // nothing is changed
	Diffs    []Diff     `json:"diffs,omitempty"`
	Severity string     `json:"severity,omitempty"`
	Message  string     `json:"message,omitempty"`
	Counts   map[Op]int `json:"counts,omitempty"` // of a summary
}

// collector turns the engine's event log into Events and gathers from it what a
// Result is made of.
type collector struct {
	notify func(Event)
	seq    int
	lines  int  // of the event log, as far as they could be read
	ended  bool // its last event was among them

	steps   map[string]*Change // by URN
	reading map[string]bool    // URNs being refreshed
	drift   map[string]*Change
	failed  []Failure
	diags   []Diagnostic
	said    map[string][]string // error messages by URN
	outputs map[string]any      // of the stack, secrets masked
}

func newCollector(notify func(Event)) *collector {
	return &collector{
		notify: notify,
		steps:  map[string]*Change{}, reading: map[string]bool{}, drift: map[string]*Change{}, said: map[string][]string{},
	}
}

// line takes one line of the event log. A line that cannot be read is skipped:
// it must not end an operation that is changing the world.
func (c *collector) line(data []byte) {
	var in apitype.EngineEvent
	if json.Unmarshal(data, &in) != nil {
		return
	}
	c.lines++
	at := time.Unix(int64(in.Timestamp), 0).UTC()
	switch {
	case in.ResourcePreEvent != nil:
		c.started(at, in.ResourcePreEvent)
	case in.ResOutputsEvent != nil:
		c.done(at, in.ResOutputsEvent)
	case in.ResOpFailedEvent != nil:
		c.fail(at, in.ResOpFailedEvent)
	case in.DiagnosticEvent != nil:
		c.diagnostic(at, in.DiagnosticEvent)
	case in.ErrorEvent != nil:
		c.diagnostic(at, &apitype.DiagnosticEvent{Severity: SeverityError, Message: in.ErrorEvent.Error})
	case in.SummaryEvent != nil:
		c.ended = true
		c.emit(Event{Time: at, Kind: KindSummary, Planning: in.SummaryEvent.IsPreview, Counts: c.counts()})
	}
}

// heard is an error when a run that ended well told nothing, not even that it began,
// or was not heard to its end: a plan that lacks changes would then look as if there
// were less to do, or nothing.
func (c *collector) heard(name string) error {
	switch {
	case c.lines == 0:
		return &Error{Op: name, Kind: ErrEngineFailed, Message: "nothing was heard of what it did; see that /proc is mounted"}
	case !c.ended:
		return &Error{Op: name, Kind: ErrEngineFailed, Message: "not all that it did was heard, as on a machine that stands still; try again"}
	}
	return nil
}

func (c *collector) emit(e Event) {
	e.Seq = c.seq
	c.seq++
	if c.notify != nil {
		c.notify(e)
	}
}

func (c *collector) resource(at time.Time, kind Kind, m *apitype.StepEventMetadata) Event {
	e := Event{Time: at, Kind: kind, URN: m.URN, Type: m.Type, Name: nameOf(m.URN), Op: opOf(m.Op)}
	for _, s := range []*apitype.StepEventStateMetadata{m.New, m.Old} {
		if s != nil && e.ID == "" && !isUnknown(s.ID) {
			e.ID = s.ID
		}
	}
	return e
}

func (c *collector) started(at time.Time, in *apitype.ResourcePreEvent) {
	e := c.resource(at, KindStarted, &in.Metadata)
	e.Planning = in.Planning
	if in.Metadata.Op == apitype.OpRefresh {
		c.reading[e.URN] = true
	} else {
		e.Diffs = diffsOf(&in.Metadata)
		c.step(e, &in.Metadata)
	}
	c.emit(e)
}

// step puts a step into the plan. The two halves of a replacement belong to the
// step that announces it, which alone has the differences.
func (c *collector) step(e Event, m *apitype.StepEventMetadata) {
	now := c.steps[e.URN]
	if now != nil && now.Op == OpReplace {
		if m.Op == apitype.OpReplace {
			now.Diffs = e.Diffs
		}
		return
	}
	c.steps[e.URN] = &Change{URN: e.URN, Type: e.Type, Name: e.Name, ID: e.ID, Op: e.Op, Diffs: e.Diffs}
}

func (c *collector) done(at time.Time, in *apitype.ResOutputsEvent) {
	m := &in.Metadata
	e := c.resource(at, KindDone, m)
	e.Planning = in.Planning
	if m.Type == stackType && m.New != nil {
		c.outputs = m.New.Outputs
	}
	if c.reading[e.URN] {
		delete(c.reading, e.URN)
		c.read(&e, m)
	} else if step := c.steps[e.URN]; step != nil && !e.Planning {
		step.Done, step.ID = true, e.ID
	}
	c.emit(e)
}

// read notes what a refresh found. Its event says "refresh" in a preview and
// what was done to the state otherwise.
func (c *collector) read(e *Event, m *apitype.StepEventMetadata) {
	e.Op = OpRefresh
	if drift := driftOf(m); drift != nil {
		c.drift[e.URN] = drift
		e.Op, e.Diffs = drift.Op, drift.Diffs
	}
}

func (c *collector) fail(at time.Time, in *apitype.ResOpFailedEvent) {
	e := c.resource(at, KindFailed, &in.Metadata)
	e.Severity = SeverityError
	e.Message = strings.Join(c.said[e.URN], "; ")
	c.failed = append(c.failed, Failure{URN: e.URN, Type: e.Type, Name: e.Name, Op: e.Op, Message: e.Message})
	c.emit(e)
}

func (c *collector) diagnostic(at time.Time, in *apitype.DiagnosticEvent) {
	text := tidy(in.Message)
	severity := strings.TrimSuffix(in.Severity, "#err")
	if in.Ephemeral || text == "" || severity == "debug" {
		return
	}
	if severity == SeverityError {
		if slices.Contains(c.said[in.URN], text) {
			return // the engine repeats what the provider said
		}
		c.said[in.URN] = append(c.said[in.URN], text)
	}
	c.diags = append(c.diags, Diagnostic{Severity: severity, Message: text, URN: in.URN})
	c.emit(Event{Time: at, Kind: KindDiagnostic, URN: in.URN, Name: nameOf(in.URN), Severity: severity, Message: text})
}

// failures are the failed resources with what was said about each, also when
// that was said later than the failure.
func (c *collector) failures() []Failure {
	out := append([]Failure(nil), c.failed...)
	for i := range out {
		if said := strings.Join(c.said[out[i].URN], "; "); said != "" {
			out[i].Message = said
		}
	}
	return out
}

// errors are the messages that belong to no failed resource.
func (c *collector) errors() []Diagnostic {
	var out []Diagnostic
	for _, d := range c.diags {
		if d.Severity == SeverityError {
			out = append(out, d)
		}
	}
	return out
}

const stackType = "pulumi:pulumi:Stack"

// noise matches what helps only a developer of the engine: its markup, the
// bridge's source lines, counts of one and the provider's version.
var noise = regexp.MustCompile(`<\{%[^%]*%\}>|^\S+\.go:\d+: \S+: |\d+ errors? occurred: \* |: provider=\S+$`)

// tidy puts a message of the engine in one line without noise.
func tidy(message string) string {
	return strings.TrimSpace(noise.ReplaceAllString(strings.Join(strings.Fields(message), " "), ""))
}

// nameOf gives the last part of a URN.
func nameOf(urn string) string {
	if i := strings.LastIndex(urn, "::"); i >= 0 {
		return urn[i+2:]
	}
	return urn
}

func opOf(op apitype.OpType) Op {
	switch op {
	case apitype.OpCreate:
		return OpCreate
	case apitype.OpUpdate:
		return OpUpdate
	case apitype.OpDelete, apitype.OpReadDiscard, apitype.OpDiscardReplaced, apitype.OpRemovePendingReplace:
		return OpDelete
	case apitype.OpReplace, apitype.OpCreateReplacement, apitype.OpDeleteReplaced,
		apitype.OpReadReplacement, apitype.OpImportReplacement:
		return OpReplace
	case apitype.OpRead:
		return OpRead
	case apitype.OpImport:
		return OpImport
	case apitype.OpRefresh:
		return OpRefresh
	}
	return OpSame
}
