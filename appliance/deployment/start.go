package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Workflows starts, wakes and cancels workflows; client.Client does.
type Workflows interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
}

// start starts a run's workflow on behalf of who asked for it. Starting it again
// does nothing.
func (s *Service) start(ctx context.Context, requester actor.Actor, deployment id.ID) error {
	ctx, cancel := context.WithTimeout(actor.With(context.WithoutCancel(ctx), requester), startTimeout)
	defer cancel()
	_, err := s.Workflows.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: deployment.String(), TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, deployWorkflow, Input{Tenant: requester.TenantID, Deployment: deployment})
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return nil
	}
	return err
}

// wake tells a run's workflow to read its approval again. A lost wake-up is
// made good by the resume workflow.
func (s *Service) wake(ctx context.Context, r approval.Request) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.Workflows.SignalWorkflow(ctx, r.SubjectID.String(), "", decisionSignal, nil); err != nil {
		s.Logger.Warn("a deployment was decided but could not be woken; it is woken later", "deployment", r.SubjectID, "error", err)
	}
}

// DeploymentResumeWorkflow starts what was accepted and not started, and wakes
// what was decided and not woken. A Temporal Schedule runs it; see Schedule.
func DeploymentResumeWorkflow(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}, // the schedule comes again
	})
	return workflow.ExecuteActivity(ctx, resumeActivity).Get(ctx, nil)
}

// resume is the step of DeploymentResumeWorkflow.
func (a activities) resume(ctx context.Context) error { return a.Resume(ctx) }

// Resume starts the accepted runs of every tenant, wakes the decided ones, and
// ends those that were cancelled while Temporal was away. Call it after the
// workers started; it may run at any time.
func (s *Service) Resume(ctx context.Context) error {
	tenants, err := s.DB.Tenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, tenant := range tenants {
		errs = append(errs, s.resumeTenant(actor.AsSystem(ctx, "deployment starter", tenant), tenant))
	}
	return errors.Join(errs...)
}

func (s *Service) resumeTenant(ctx context.Context, tenant id.ID) error {
	var accepted []Deployment
	var decided []approval.Request
	var cancelled []id.ID
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) (err error) {
		if accepted, err = s.store.deployments(ctx, Filter{Status: Accepted, Limit: 200}); err != nil {
			return err
		}
		waiting, err := s.store.deployments(ctx, Filter{Status: AwaitingApproval, Limit: 200})
		for _, d := range waiting {
			if d.run.cancelled {
				cancelled = append(cancelled, d.ID)
			}
			r, err := s.Approvals.Of(ctx, Subject, d.ID)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			if err == nil && r.Status != approval.Pending {
				decided = append(decided, r)
			}
		}
		return err
	})
	for _, d := range accepted {
		err = errors.Join(err, s.startAccepted(ctx, d)) // one that cannot be started keeps no other from it
	}
	for _, d := range cancelled {
		err = errors.Join(err, s.Workflows.CancelWorkflow(ctx, d.String(), ""))
	}
	for _, r := range decided {
		s.wake(ctx, r)
	}
	return err
}

func (s *Service) startAccepted(ctx context.Context, d Deployment) error {
	var requester actor.Actor
	if err := json.Unmarshal(d.run.requester, &requester); err != nil {
		return err
	}
	return s.start(ctx, requester, d.ID)
}

// resumeEvery is how long an accepted run waits at most once Temporal is back.
const resumeEvery = time.Minute

// Schedule makes the Temporal Schedule that runs DeploymentResumeWorkflow. One
// that is there already is kept.
func Schedule(ctx context.Context, c client.ScheduleClient) error {
	_, err := c.Create(ctx, client.ScheduleOptions{
		ID:      "deployment-resume",
		Spec:    client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: resumeEvery}}},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &client.ScheduleWorkflowAction{ID: "deployment-resume", Workflow: resumeWorkflow, TaskQueue: TaskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}
