package tenancy

import (
	"context"
	"errors"
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
	TaskQueue = "nimbus-workflows"

	purgeWorkflow = "TenantPurgeWorkflow"

	dueActivity    = "tenancy.PurgeDue"
	beginActivity  = "tenancy.PurgeBegin"
	partsActivity  = "tenancy.PurgeParts"
	schemaActivity = "tenancy.PurgeSchema"
	rowsActivity   = "tenancy.PurgeRows"
)

// Register makes the workflow and steps of this domain known to a worker.
func Register(r worker.Registry, s *Service) {
	a := activities{s}
	r.RegisterWorkflowWithOptions(TenantPurgeWorkflow, workflow.RegisterOptions{Name: purgeWorkflow})
	for name, fn := range map[string]any{
		dueActivity: a.due, beginActivity: a.begin, partsActivity: a.parts, schemaActivity: a.schema, rowsActivity: a.rows,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// PurgeInput names a tenant; the zero id means all that are due.
type PurgeInput struct {
	Tenant id.ID
}

// TenantPurgeWorkflow removes deleted tenants for good: what other domains keep
// of them, the schema with its role, the rows of the core schema and the key.
// A schedule runs it once a day for all that are due. One tenant that cannot be
// purged does not keep the others.
func TenantPurgeWorkflow(ctx workflow.Context, in PurgeInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 10},
	})
	due := []id.ID{in.Tenant}
	if in.Tenant.IsZero() {
		if err := workflow.ExecuteActivity(ctx, dueActivity).Get(ctx, &due); err != nil {
			return err
		}
	}
	var failed []error
	for _, tenant := range due {
		failed = append(failed, purge(ctx, tenant))
	}
	return errors.Join(failed...)
}

func purge(ctx workflow.Context, tenant id.ID) error {
	var all []id.ID
	if err := workflow.ExecuteActivity(ctx, beginActivity, tenant).Get(ctx, &all); err != nil {
		return err
	}
	for _, one := range all {
		for _, step := range []string{partsActivity, schemaActivity, rowsActivity} {
			if err := workflow.ExecuteActivity(ctx, step, one).Get(ctx, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// activities are the steps of a purge. Each may run twice.
type activities struct{ *Service }

// step gives a step an actor, and keeps causes out of the history.
func step(ctx context.Context, do func(ctx context.Context) error) error {
	if _, ok := actor.From(ctx); !ok {
		ctx = actor.AsSystem(ctx, "tenant purge", id.ID{})
	}
	err := do(ctx)
	if err == nil {
		return nil
	}
	activity.GetLogger(ctx).Error("a step of a purge failed", "error", err)
	return temporal.NewApplicationError(fault.Message(err), string(fault.KindOf(err)))
}

// due also removes what an interrupted onboarding left.
func (a activities) due(ctx context.Context) (all []id.ID, err error) {
	err = step(ctx, func(ctx context.Context) error {
		if err := a.dropAbandoned(ctx); err != nil {
			return err
		}
		all, err = a.Service.due(ctx)
		return err
	})
	return all, err
}

func (a activities) begin(ctx context.Context, tenant id.ID) (all []id.ID, err error) {
	err = step(ctx, func(ctx context.Context) error {
		all, err = a.beginPurge(ctx, tenant)
		return err
	})
	return all, err
}

func (a activities) parts(ctx context.Context, tenant id.ID) error {
	return a.remove(ctx, tenant, a.purgeParts)
}

func (a activities) schema(ctx context.Context, tenant id.ID) error {
	return a.remove(ctx, tenant, a.DB.DropTenant)
}

func (a activities) rows(ctx context.Context, tenant id.ID) error {
	return a.remove(ctx, tenant, a.purgeRows)
}

// remove does a step to a tenant that is on its way out, and to no other.
func (a activities) remove(ctx context.Context, tenant id.ID, do func(ctx context.Context, tenant id.ID) error) error {
	return step(ctx, func(ctx context.Context) error {
		yes, err := a.condemned(ctx, tenant)
		if err != nil || !yes {
			return err
		}
		return do(ctx, tenant)
	})
}
