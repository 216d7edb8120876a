package doctor

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	common "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// WorkflowStatuses are the statuses of workflows, as the API and metrics name them.
var WorkflowStatuses = []string{"running", "completed", "failed", "canceled", "terminated", "continued_as_new", "timed_out"}

// statuses are Temporal's names for them.
var statuses = map[enums.WorkflowExecutionStatus]string{
	enums.WORKFLOW_EXECUTION_STATUS_RUNNING: "running", enums.WORKFLOW_EXECUTION_STATUS_COMPLETED: "completed",
	enums.WORKFLOW_EXECUTION_STATUS_FAILED: "failed", enums.WORKFLOW_EXECUTION_STATUS_CANCELED: "canceled",
	enums.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated", enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: "continued_as_new",
	enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed_out",
}

// StatusOf is the status that a group of a count stands for.
func StatusOf(values []*common.Payload) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	var name string
	if converter.GetDefaultDataConverter().FromPayload(values[0], &name) != nil {
		return "", false
	}
	status, err := enums.WorkflowExecutionStatusFromString(name)
	return statuses[status], err == nil
}

// Workflow is one run of a workflow. What it was given and returned is not
// shown: it may be a tenant's.
type Workflow struct {
	ID            string     `json:"id"`
	RunID         string     `json:"run_id"`
	Type          string     `json:"type"`
	Status        string     `json:"status" enum:"running,completed,failed,canceled,terminated,continued_as_new,timed_out"`
	StartedAt     time.Time  `json:"started_at"`
	ClosedAt      *time.Time `json:"closed_at"`
	HistoryLength int64      `json:"history_length"`
}

// PendingActivity is a step that has not ended.
type PendingActivity struct {
	Type        string     `json:"type"`
	State       string     `json:"state"`
	Attempt     int32      `json:"attempt"`
	NextAt      *time.Time `json:"next_at"`
	LastFailure string     `json:"last_failure"`
}

// WorkflowDetail is a workflow with what it waits for.
type WorkflowDetail struct {
	Workflow
	Pending []PendingActivity `json:"pending_activities" nullable:"false"`
	Failure string            `json:"failure" doc:"The kind of failure that ended it. Messages are encrypted and stay so."`
}

// WorkflowFilter narrows a list. Empty members do not.
type WorkflowFilter struct {
	Status, Type, Cursor string
	Limit                int
}

// WorkflowPage is a page of a list; Next is empty on the last one.
type WorkflowPage struct {
	Items []Workflow `json:"items" nullable:"false"`
	Next  string     `json:"next"`
}

// query asks Temporal's visibility. Values are ones of ours or names without
// quotes, so that they stay values.
func (f WorkflowFilter) query() (string, error) {
	var parts []string
	if f.Status != "" {
		found := false
		for status, name := range statuses {
			if name == f.Status {
				parts, found = append(parts, "ExecutionStatus = '"+status.String()+"'"), true
			}
		}
		if !found {
			return "", fault.BadField("query.status", "The status is one of %s.", strings.Join(WorkflowStatuses, ", "))
		}
	}
	if f.Type != "" {
		if strings.ContainsFunc(f.Type, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-')
		}) {
			return "", fault.BadField("query.type", "The type is the name of a workflow, such as PulumiDeployWorkflow.")
		}
		parts = append(parts, "WorkflowType = '"+f.Type+"'")
	}
	return strings.Join(parts, " and "), nil
}

// Workflows lists workflows, newest first. Faults: Forbidden, Invalid, Unavailable.
func (s *Service) Workflows(ctx context.Context, f WorkflowFilter) (WorkflowPage, error) {
	if err := s.Authorise(ctx, ReadWorkflows); err != nil {
		return WorkflowPage{}, err
	}
	query, err := f.query()
	if err != nil {
		return WorkflowPage{}, err
	}
	token, err := base64.RawURLEncoding.DecodeString(f.Cursor)
	if err != nil {
		return WorkflowPage{}, fault.BadField("query.cursor", "The cursor is what an earlier page called next.")
	}
	answer, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: int32(min(max(f.Limit, 1), 200)), NextPageToken: token, Query: query, //nolint:gosec // bounded
	})
	if err != nil {
		return WorkflowPage{}, temporalFault(err)
	}
	page := WorkflowPage{Items: make([]Workflow, len(answer.Executions)), Next: base64.RawURLEncoding.EncodeToString(answer.NextPageToken)}
	for i, e := range answer.Executions {
		page.Items[i] = workflowOf(e)
	}
	return page, nil
}

func workflowOf(e *workflowpb.WorkflowExecutionInfo) Workflow {
	w := Workflow{
		ID: e.GetExecution().GetWorkflowId(), RunID: e.GetExecution().GetRunId(), Type: e.GetType().GetName(),
		Status: statuses[e.GetStatus()], StartedAt: e.GetStartTime().AsTime(), HistoryLength: e.GetHistoryLength(),
	}
	if e.GetCloseTime() != nil {
		at := e.GetCloseTime().AsTime()
		w.ClosedAt = &at
	}
	return w
}

// Workflow shows the latest run of a workflow, with what it waits for. Faults:
// Forbidden, NotFound, Unavailable.
func (s *Service) Workflow(ctx context.Context, workflow string) (WorkflowDetail, error) {
	if err := s.Authorise(ctx, ReadWorkflows); err != nil {
		return WorkflowDetail{}, err
	}
	answer, err := s.Temporal.DescribeWorkflowExecution(ctx, workflow, "")
	if err != nil {
		return WorkflowDetail{}, temporalFault(err)
	}
	d := WorkflowDetail{Workflow: workflowOf(answer.GetWorkflowExecutionInfo()), Pending: []PendingActivity{}}
	for _, p := range answer.GetPendingActivities() {
		one := PendingActivity{
			Type: p.GetActivityType().GetName(), Attempt: p.GetAttempt(), LastFailure: failureKind(p.GetLastFailure()),
			State: strings.ToLower(p.GetState().String()),
		}
		if p.GetNextAttemptScheduleTime() != nil {
			at := p.GetNextAttemptScheduleTime().AsTime()
			one.NextAt = &at
		}
		d.Pending = append(d.Pending, one)
	}
	if d.Status == "failed" {
		d.Failure = s.failure(ctx, d.ID, d.RunID)
	}
	return d, nil
}

// failure is the kind of failure that ended a workflow, from its last event.
func (s *Service) failure(ctx context.Context, workflow, run string) string {
	events := s.Temporal.GetWorkflowHistory(ctx, workflow, run, false, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	if !events.HasNext() {
		return ""
	}
	last, err := events.Next()
	if err != nil {
		return ""
	}
	return failureKind(last.GetWorkflowExecutionFailedEventAttributes().GetFailure())
}

// failureKind is the innermost type of a failure. Its message is encrypted,
// and may be a tenant's.
func failureKind(f *failurepb.Failure) string {
	for f.GetCause() != nil {
		f = f.GetCause()
	}
	switch {
	case f == nil:
		return ""
	case f.GetApplicationFailureInfo() != nil:
		return f.GetApplicationFailureInfo().GetType()
	case f.GetTimeoutFailureInfo() != nil:
		return "timeout: " + strings.ToLower(f.GetTimeoutFailureInfo().GetTimeoutType().String())
	case f.GetCanceledFailureInfo() != nil:
		return "canceled"
	case f.GetTerminatedFailureInfo() != nil:
		return "terminated"
	}
	return "failed"
}

// Scheduled is a schedule of Temporal.
type Scheduled struct {
	ID       string     `json:"id"`
	Workflow string     `json:"workflow"`
	Spec     string     `json:"spec"`
	NextAt   *time.Time `json:"next_at"`
	LastAt   *time.Time `json:"last_at"`
	Paused   bool       `json:"paused"`
	Note     string     `json:"note"`
}

// maxSchedules bounds the list: each connection has a schedule.
const maxSchedules = 5000

// Schedules lists all schedules by id. Faults: Forbidden, Unavailable.
func (s *Service) Schedules(ctx context.Context) ([]Scheduled, error) {
	if err := s.Authorise(ctx, ReadWorkflows); err != nil {
		return nil, err
	}
	list, err := s.Temporal.ScheduleClient().List(ctx, sdk.ScheduleListOptions{PageSize: 200})
	if err != nil {
		return nil, temporalFault(err)
	}
	all := []Scheduled{}
	for list.HasNext() && len(all) < maxSchedules {
		e, err := list.Next()
		if err != nil {
			return nil, temporalFault(err)
		}
		all = append(all, scheduleOf(e))
	}
	return all, nil
}

func scheduleOf(e *sdk.ScheduleListEntry) Scheduled {
	d := Scheduled{ID: e.ID, Workflow: e.WorkflowType.Name, Spec: specText(e.Spec), Paused: e.Paused, Note: e.Note}
	if len(e.NextActionTimes) > 0 {
		d.NextAt = &e.NextActionTimes[0]
	}
	if n := len(e.RecentActions); n > 0 {
		d.LastAt = &e.RecentActions[n-1].ActualTime
	}
	return d
}

// specText says when a schedule runs.
func specText(spec *sdk.ScheduleSpec) string {
	if spec == nil {
		return ""
	}
	var parts []string
	for _, i := range spec.Intervals {
		parts = append(parts, "every "+i.Every.String())
	}
	if len(spec.Calendars) > 0 {
		parts = append(parts, "by the calendar")
	}
	parts = append(parts, spec.CronExpressions...)
	return strings.Join(parts, ", ")
}

// ScheduleAction is what can be done to a schedule.
type ScheduleAction string

// The actions.
const (
	PauseSchedule   ScheduleAction = "pause"
	ResumeSchedule  ScheduleAction = "resume"
	TriggerSchedule ScheduleAction = "trigger"
)

// scheduleEvents are the codes of what is done to schedules.
var scheduleEvents = map[ScheduleAction]string{
	PauseSchedule: "system.schedule.paused", ResumeSchedule: "system.schedule.resumed", TriggerSchedule: "system.schedule.triggered",
}

// ChangeSchedule pauses, resumes or triggers a schedule, and records it.
// Faults: Forbidden, NotFound, Unavailable.
func (s *Service) ChangeSchedule(ctx context.Context, schedule string, do ScheduleAction) error {
	if err := s.Authorise(ctx, UpdateWorkflows); err != nil {
		return err
	}
	handle := s.Temporal.ScheduleClient().GetHandle(ctx, schedule)
	if _, err := handle.Describe(ctx); err != nil {
		return temporalFault(err)
	}
	// Recorded first: what cannot be recorded does not happen.
	err := s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{
		Event: scheduleEvents[do], Priority: audit.Warning, Target: audit.Target{Kind: "schedule", ID: schedule, Name: schedule},
	})
	if err != nil {
		return err
	}
	switch do {
	case PauseSchedule:
		err = handle.Pause(ctx, sdk.SchedulePauseOptions{Note: "Paused by an administrator."})
	case ResumeSchedule:
		err = handle.Unpause(ctx, sdk.ScheduleUnpauseOptions{Note: "Resumed by an administrator."})
	case TriggerSchedule:
		err = handle.Trigger(ctx, sdk.ScheduleTriggerOptions{})
	}
	return temporalFault(err)
}

// temporalFault turns an error of Temporal into a fault.
func temporalFault(err error) error {
	var missing *serviceerror.NotFound
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return fault.Wrap(fault.NotFound, err, "It does not exist, or it is over and forgotten.")
	case errors.As(err, &invalid):
		return fault.Wrap(fault.Invalid, err, "Temporal cannot read this question. Leave out the cursor or the filter.")
	}
	return fault.Wrap(fault.Unavailable, err, "Temporal does not answer. See System health.")
}
