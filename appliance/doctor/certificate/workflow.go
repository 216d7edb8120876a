package certificate

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	renewWorkflow = "CertificateRenewalWorkflow"
	renewActivity = "certificate.Renew"
	renewSchedule = "certificate-renewal"
	renewEvery    = time.Hour // certificates of internal authorities live for a day
)

// CertificateRenewalWorkflow renews the certificate when it is time. It tries
// once: the schedule comes again, and authorities count failures.
func CertificateRenewalWorkflow(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: obtainTimeout + time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	return workflow.ExecuteActivity(ctx, renewActivity).Get(ctx, nil)
}

// Register tells a worker what it can run.
func Register(r worker.Registry, s *Service) {
	r.RegisterWorkflowWithOptions(CertificateRenewalWorkflow, workflow.RegisterOptions{Name: renewWorkflow})
	r.RegisterActivityWithOptions(s.Renew, activity.RegisterOptions{Name: renewActivity})
}

// Schedule makes the schedule, unless it is there.
func Schedule(ctx context.Context, c sdk.ScheduleClient, taskQueue string) error {
	_, err := c.Create(actor.AsSystem(ctx, "certificate", id.ID{}), sdk.ScheduleOptions{
		ID:      renewSchedule,
		Spec:    sdk.ScheduleSpec{Intervals: []sdk.ScheduleIntervalSpec{{Every: renewEvery}}, Jitter: 10 * time.Minute},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &sdk.ScheduleWorkflowAction{ID: renewSchedule, Workflow: renewWorkflow, TaskQueue: taskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}
