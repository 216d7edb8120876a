package audit

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	exportWorkflow       = "AuditExportWorkflow"
	writeExportActivity  = "audit.ExportWrite"
	endExportActivity    = "audit.ExportEnd"
	expireExportActivity = "audit.ExportExpire"
)

func registerExport(r worker.Registry, s *Service) {
	a := exportSteps{s}
	r.RegisterWorkflowWithOptions(AuditExportWorkflow, workflow.RegisterOptions{Name: exportWorkflow})
	for name, fn := range map[string]any{
		writeExportActivity: a.write, endExportActivity: a.end, expireExportActivity: a.expire,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// ExportInput names an export and the chain it reads.
type ExportInput struct {
	Tenant, Export id.ID
	ExpiresAt      time.Time
}

// AuditExportWorkflow writes an export, says how it ended, and removes its
// file when it expires. Cancelling it stops the writing; what was written is removed.
func AuditExportWorkflow(ctx workflow.Context, in ExportInput) error {
	write := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 12 * time.Hour, HeartbeatTimeout: 30 * time.Second, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 20},
	})
	failed := workflow.ExecuteActivity(write, writeExportActivity, in).Get(ctx, nil)
	end := exportEnd{State: ExportDone}
	switch {
	case temporal.IsCanceledError(failed):
		end = exportEnd{State: ExportCancelled}
	case failed != nil:
		end = exportEnd{State: ExportFailed, Error: reason(failed)}
	}
	after, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	after = workflow.WithActivityOptions(after, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	if err := workflow.ExecuteActivity(after, endExportActivity, in, end).Get(after, nil); err != nil {
		return err
	}
	if end.State != ExportCancelled {
		_ = workflow.Sleep(ctx, in.ExpiresAt.Sub(workflow.Now(ctx))) // a cancellation ends it earlier
	}
	return workflow.ExecuteActivity(after, expireExportActivity, in).Get(after, nil)
}

// exportSteps are the steps of the workflow. Each may run twice.
type exportSteps struct{ *Service }

func (a exportSteps) write(ctx context.Context, in ExportInput) error {
	return step(ctx, "audit export", func(ctx context.Context) error { return a.writeExport(ctx, in.Tenant, in.Export) })
}

func (a exportSteps) end(ctx context.Context, in ExportInput, end exportEnd) error {
	return step(ctx, "audit export", func(ctx context.Context) error { return a.endExport(ctx, in.Tenant, in.Export, end) })
}

func (a exportSteps) expire(ctx context.Context, in ExportInput) error {
	return step(ctx, "audit export", func(ctx context.Context) error { return a.expireExport(ctx, in.Tenant, in.Export) })
}

// step gives a step an actor, and keeps causes out of the history.
func step(ctx context.Context, part string, do func(ctx context.Context) error) error {
	if _, ok := actor.From(ctx); !ok {
		ctx = actor.AsSystem(ctx, part, id.ID{})
	}
	err := do(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	activity.GetLogger(ctx).Error("a step failed", "part", part, "error", err)
	kind := fault.KindOf(err)
	if kind == fault.Invalid || kind == fault.Conflict || kind == fault.NotFound {
		return temporal.NewNonRetryableApplicationError(fault.Message(err), string(kind), nil)
	}
	return temporal.NewApplicationError(fault.Message(err), string(kind))
}
