package audit

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
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	checkpointWorkflow = "AuditCheckpointWorkflow"
	checkpointChains   = "audit.CheckpointChains"
	checkpointSign     = "audit.CheckpointSign"
	checkpointPublish  = "audit.CheckpointPublish"
	checkpointSchedule = "audit-checkpoint"
	checkpointEvery    = 10 * time.Minute
	checkpointAtOnce   = 8
)

// AuditCheckpointWorkflow signs the head of every chain with new records and
// publishes what is due. A schedule runs it every ten minutes. While the key cannot be used
// the signature is tried again, once in a minute at the latest; so it is made up for
// when the key is back. One chain does not keep the others.
func AuditCheckpointWorkflow(ctx workflow.Context) error {
	options := workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute, ScheduleToCloseTimeout: time.Hour,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute,
			NonRetryableErrorTypes: []string{string(fault.Conflict)}},
	}
	sign := workflow.WithActivityOptions(ctx, options)
	options.RetryPolicy = &temporal.RetryPolicy{InitialInterval: 10 * time.Second, BackoffCoefficient: 3, MaximumInterval: 5 * time.Minute, MaximumAttempts: 5}
	publish := workflow.WithActivityOptions(ctx, options)
	var chains []id.ID
	if err := workflow.ExecuteActivity(sign, checkpointChains).Get(ctx, &chains); err != nil {
		return err
	}
	var failed []error
	waiting := workflow.NewBufferedChannel(ctx, len(chains))
	for _, chain := range chains {
		waiting.Send(ctx, chain)
	}
	waiting.Close()
	done := workflow.NewWaitGroup(ctx)
	for range min(checkpointAtOnce, len(chains)) {
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			var chain id.ID
			for waiting.Receive(ctx, &chain) {
				err := workflow.ExecuteActivity(sign, checkpointSign, chain).Get(ctx, nil)
				if err == nil {
					err = workflow.ExecuteActivity(publish, checkpointPublish, chain).Get(ctx, nil)
				}
				failed = append(failed, err)
			}
		})
	}
	done.Wait(ctx)
	return errors.Join(failed...)
}

func registerCheckpoint(r worker.Registry, s *Service) {
	a := checkpointActivities{s}
	r.RegisterWorkflowWithOptions(AuditCheckpointWorkflow, workflow.RegisterOptions{Name: checkpointWorkflow})
	r.RegisterActivityWithOptions(a.chains, activity.RegisterOptions{Name: checkpointChains})
	r.RegisterActivityWithOptions(a.sign, activity.RegisterOptions{Name: checkpointSign})
	r.RegisterActivityWithOptions(a.publish, activity.RegisterOptions{Name: checkpointPublish})
}

// scheduleCheckpoint makes the schedule. One that is there already is kept.
func scheduleCheckpoint(ctx context.Context, c sdk.ScheduleClient) error {
	_, err := c.Create(actor.AsSystem(ctx, "checkpoints", id.ID{}), sdk.ScheduleOptions{
		ID:                 checkpointSchedule,
		Spec:               sdk.ScheduleSpec{Intervals: []sdk.ScheduleIntervalSpec{{Every: checkpointEvery}}},
		Overlap:            enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		TriggerImmediately: true,
		Action:             &sdk.ScheduleWorkflowAction{ID: checkpointSchedule, Workflow: checkpointWorkflow, TaskQueue: taskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}

// checkpointActivities are the steps. Each may run twice.
type checkpointActivities struct{ *Service }

// chains lists the chains that have records after their last checkpoint, or
// one that is not published everywhere.
func (a checkpointActivities) chains(ctx context.Context) ([]id.ID, error) {
	chains, err := a.pending(ctx, true)
	return chains, checkpointFault(ctx, err)
}

func (a checkpointActivities) sign(ctx context.Context, tenant id.ID) error {
	_, err := a.Checkpoint(ctx, tenant)
	if err != nil && a.sealer.purged(ctx, tenant) {
		return nil
	}
	return checkpointFault(ctx, err)
}

func (a checkpointActivities) publish(ctx context.Context, tenant id.ID) error {
	err := a.publishDue(ctx, tenant)
	if err != nil && a.sealer.purged(ctx, tenant) {
		return nil
	}
	return checkpointFault(ctx, err)
}

// checkpointFault keeps causes out of the history.
func checkpointFault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	activity.GetLogger(ctx).Error("a checkpoint was not made or published", "error", err)
	return temporal.NewApplicationError(fault.Message(err), string(fault.KindOf(err)))
}

// pending lists the chains whose newest records no checkpoint covers, and,
// when due, those with something to publish.
func (s *Service) pending(ctx context.Context, due bool) ([]id.ID, error) {
	tenants, err := s.DB.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var found []id.ID
	for _, tenant := range append([]id.ID{{}}, tenants...) {
		if !tenant.IsZero() && s.IsRoot(tenant) {
			continue
		}
		wants := false
		err := s.in(ctx, tenant, func(ctx context.Context) error {
			var err error
			wants, err = s.store.unsigned(ctx, due)
			return err
		})
		if err != nil && !s.sealer.purged(ctx, tenant) {
			return nil, err
		}
		if wants {
			found = append(found, tenant)
		}
	}
	return found, nil
}
