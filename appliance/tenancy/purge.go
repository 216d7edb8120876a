package tenancy

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Workflows starts workflows; the client of the engine does.
type Workflows interface {
	ExecuteWorkflow(ctx context.Context, o sdk.StartWorkflowOptions, workflow any, args ...any) (sdk.WorkflowRun, error)
}

// startTimeout bounds what is asked of Temporal while somebody waits.
const startTimeout = 5 * time.Second

// Purge removes a deleted tenant, with those below it, for good, before its
// retention is over. name must be the tenant's. What was accepted is done even
// when the workflow cannot be started now: the daily run does it.
func (s *Service) Purge(ctx context.Context, tenant id.ID, name string) (Tenant, error) {
	t, err := s.reachBelow(ctx, PurgeTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	if name != t.Name {
		return Tenant{}, fault.BadField("body.name", "Repeat the tenant's name exactly as it is.")
	}
	after, err := s.alter(ctx, t, "tenancy.tenant.purge_requested", "", func(ctx context.Context, t Tenant) error {
		if t.DeletedAt == nil {
			return fault.New(fault.Conflict, "Only a deleted tenant can be purged. Delete it first.")
		}
		return s.store.purging(ctx, t.ID)
	})
	if err != nil {
		return Tenant{}, err
	}
	if err := s.startPurge(ctx, tenant); err != nil {
		s.Logger.Warn("a purge was not started; the daily run does it", "tenant", tenant, "error", err)
	}
	return after, nil
}

func (s *Service) startPurge(ctx context.Context, tenant id.ID) error {
	engine := s.engine()
	if engine == nil {
		return errors.New("there is no workflow engine")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := engine.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
		ID: purgeID(tenant), TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, purgeWorkflow, PurgeInput{Tenant: tenant})
	return err
}

func (s *Service) engine() Workflows {
	if s.Workflows == nil {
		return nil
	}
	return s.Workflows()
}

func purgeID(tenant id.ID) string { return "tenant-purge-" + tenant.String() }

// purgeHour is when the daily run begins, UTC: at night nearly everywhere that
// people run their own machines.
const purgeHour = 2 * time.Hour

// Schedule makes the Temporal Schedule that purges what is due once a day. One
// that is there already is kept.
func Schedule(ctx context.Context, c sdk.ScheduleClient) error {
	_, err := c.Create(actor.AsSystem(ctx, "tenant purge", id.ID{}), sdk.ScheduleOptions{
		ID:      "tenant-purge",
		Spec:    sdk.ScheduleSpec{Intervals: []sdk.ScheduleIntervalSpec{{Every: 24 * time.Hour, Offset: purgeHour}}},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &sdk.ScheduleWorkflowAction{ID: "tenant-purge", Workflow: purgeWorkflow, Args: []any{PurgeInput{}}, TaskQueue: TaskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}

// due lists the tenants whose retention is over or whose purge was asked for.
func (s *Service) due(ctx context.Context) (all []id.ID, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = s.store.due(ctx)
		return err
	})
	return all, err
}

// beginPurge marks a tenant, so that it cannot be restored any more, and
// returns it with those below it, the lowest first. A tenant that is gone, or
// that was restored meanwhile, gives none.
func (s *Service) beginPurge(ctx context.Context, tenant id.ID) (all []id.ID, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.lockTree(ctx); err != nil {
			return err
		}
		if err := s.store.purgingIfDue(ctx, tenant); err != nil {
			return err
		}
		if err := s.store.reckon(ctx); err != nil {
			return err
		}
		all, err = s.store.purgeOrder(ctx, tenant)
		return err
	})
	return all, err
}

// condemned is false for a tenant that is in use: a step that comes late must
// not touch it.
func (s *Service) condemned(ctx context.Context, tenant id.ID) (yes bool, err error) {
	t, err := s.read(ctx, tenant)
	if fault.Is(err, fault.NotFound) {
		return true, nil // its row went last
	}
	return t.Status == Purging, err
}

// purgeParts removes what other domains keep.
func (s *Service) purgeParts(ctx context.Context, tenant id.ID) error {
	for _, purge := range s.Config.Purge {
		if err := purge(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// purgeRows removes every row of the core schema that belongs to the tenant,
// its key among them, and records once that the tenant was purged. What is
// evidence of the provider's stays.
func (s *Service) purgeRows(ctx context.Context, tenant id.ID) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		t, err := s.store.get(ctx, tenant)
		if fault.Is(db.Fault(err), fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.store.purgeRows(ctx, tenant); err != nil {
			return err
		}
		if err := s.store.remove(ctx, tenant); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, audit.Entry{
			Event: "tenancy.tenant.purged", Priority: audit.Warning,
			Target: audit.Target{Kind: "tenant", ID: tenant.String(), Name: t.Name}, Before: t,
		}); err != nil {
			return err
		}
		return s.publish(ctx, event.Event{Type: "tenant.purged", ID: tenant, Tenant: s.Root(), Permission: ReadTenant}, map[string]any{"id": tenant})
	})
}

// purgeWhole is a purge without a workflow, for a tenant that nobody ever used.
func (s *Service) purgeWhole(ctx context.Context, tenant id.ID) error {
	if err := s.purgeParts(ctx, tenant); err != nil {
		return err
	}
	if err := s.DB.DropTenant(ctx, tenant); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.purgeRows(ctx, tenant); err != nil {
			return err
		}
		return s.store.remove(ctx, tenant)
	})
}
