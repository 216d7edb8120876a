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
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	archiveWorkflow = "AuditArchiveWorkflow"
	archiveChains   = "audit.ArchiveChains"
	archiveWrite    = "audit.ArchiveWrite"
	archivePrune    = "audit.ArchivePrune"
	archiveEnd      = "audit.ArchiveEnd"
	archiveSchedule = "audit-archive"
	archiveAtOnce   = 2
	archiveName     = "audit archive"
)

// ArchiveInput names a chain; without One all are archived.
type ArchiveInput struct {
	One    bool
	Tenant id.ID // zero: the provider's
}

// AuditArchiveWorkflow copies old records of every chain to its archive and
// deletes those whose retention is over. A schedule runs it every night. A chain
// that fails does not keep the others, and goes on with the next run where it stopped.
func AuditArchiveWorkflow(ctx workflow.Context, in ArchiveInput) error {
	short := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	chains := []id.ID{in.Tenant}
	if !in.One {
		if err := workflow.ExecuteActivity(short, archiveChains).Get(ctx, &chains); err != nil {
			return err
		}
	}
	var failed []error
	waiting := workflow.NewBufferedChannel(ctx, len(chains))
	for _, chain := range chains {
		waiting.Send(ctx, chain)
	}
	waiting.Close()
	done := workflow.NewWaitGroup(ctx)
	for range min(archiveAtOnce, len(chains)) {
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			var chain id.ID
			for waiting.Receive(ctx, &chain) {
				failed = append(failed, archiveOne(ctx, short, chain))
			}
		})
	}
	done.Wait(ctx)
	return errors.Join(failed...)
}

// archiveOne archives and prunes one chain. What is in the archive already can
// be pruned although nothing more can be written.
func archiveOne(ctx, short workflow.Context, chain id.ID) error {
	long := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 12 * time.Hour, HeartbeatTimeout: 3 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 3, MaximumInterval: 5 * time.Minute, MaximumAttempts: 6},
	})
	written := workflow.ExecuteActivity(long, archiveWrite, chain).Get(ctx, nil)
	pruned := workflow.ExecuteActivity(long, archivePrune, chain).Get(ctx, nil)
	err := errors.Join(written, pruned)
	return errors.Join(err, workflow.ExecuteActivity(short, archiveEnd, chain, archiveProblem(written, pruned)).Get(ctx, nil))
}

// archiveProblem is what a person reads of the steps that failed; "" of none.
func archiveProblem(steps ...error) string {
	for _, err := range steps {
		var app *temporal.ApplicationError
		switch {
		case errors.As(err, &app):
			return app.Message()
		case err != nil:
			return "It took too long, or was interrupted too often. The next run goes on."
		}
	}
	return ""
}

func registerArchive(r worker.Registry, s *Service) {
	a := archiveSteps{s}
	r.RegisterWorkflowWithOptions(AuditArchiveWorkflow, workflow.RegisterOptions{Name: archiveWorkflow})
	for name, fn := range map[string]any{archiveChains: a.chains, archiveWrite: a.write, archivePrune: a.prune, archiveEnd: a.end} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// scheduleArchive makes the nightly schedule. One that is there already is kept.
func scheduleArchive(ctx context.Context, c sdk.ScheduleClient) error {
	_, err := c.Create(actor.AsSystem(ctx, archiveName, id.ID{}), sdk.ScheduleOptions{
		ID:      archiveSchedule,
		Spec:    sdk.ScheduleSpec{Calendars: []sdk.ScheduleCalendarSpec{{Hour: []sdk.ScheduleRange{{Start: 2}}, Minute: []sdk.ScheduleRange{{Start: 30}}}}},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &sdk.ScheduleWorkflowAction{ID: archiveSchedule, Workflow: archiveWorkflow, Args: []any{ArchiveInput{}}, TaskQueue: taskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}

// archiveSteps are the steps of the workflow. Each may run twice.
type archiveSteps struct{ *Service }

func (a archiveSteps) chains(ctx context.Context) (all []id.ID, err error) {
	return all, step(ctx, archiveName, func(ctx context.Context) error {
		all, err = a.Chains(ctx)
		return err
	})
}

func (a archiveSteps) write(ctx context.Context, chain id.ID) error {
	return a.unlessPurged(ctx, chain, func(ctx context.Context) error { return a.archiveChain(ctx, chain) })
}

func (a archiveSteps) prune(ctx context.Context, chain id.ID) error {
	return a.unlessPurged(ctx, chain, func(ctx context.Context) error {
		return errors.Join(a.pruneChain(ctx, chain), a.noteWaiting(ctx, chain), a.reread(ctx, chain))
	})
}

func (a archiveSteps) end(ctx context.Context, chain id.ID, problem string) error {
	return a.unlessPurged(ctx, chain, func(ctx context.Context) error { return a.endArchive(ctx, chain, problem) })
}

// unlessPurged does a step; a tenant that is gone is no failure.
func (a archiveSteps) unlessPurged(ctx context.Context, chain id.ID, do func(context.Context) error) error {
	return step(ctx, archiveName, func(ctx context.Context) error {
		err := do(ctx)
		if err != nil && a.sealer.purged(ctx, chain) {
			return nil
		}
		return err
	})
}
