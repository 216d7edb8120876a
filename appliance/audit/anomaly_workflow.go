package audit

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
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
	anomalyWorkflow   = "AnomalyDetectionWorkflow"
	anomalyChains     = "audit.AnomalyChains"
	anomalyDetect     = "audit.AnomalyDetect"
	anomalySchedule   = "audit-anomaly"
	taskQueue         = "nimbus-workflows"
	anomalyAtOnce     = 4
	anomalyDetectName = "anomaly detection"
)

// AnomalyInput names a tenant; without one all are looked at.
type AnomalyInput struct {
	Tenant id.ID
}

// AnomalyDetectionWorkflow looks at what every tenant recorded since the run
// before. A schedule runs it every hour. A tenant that cannot be looked at does
// not keep the others; the next run goes on where this one stopped.
func AnomalyDetectionWorkflow(ctx workflow.Context, in AnomalyInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour, HeartbeatTimeout: 2 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 5},
	})
	tenants := []id.ID{in.Tenant}
	if in.Tenant.IsZero() {
		if err := workflow.ExecuteActivity(ctx, anomalyChains).Get(ctx, &tenants); err != nil {
			return err
		}
	}
	var failed []error
	for len(tenants) > 0 {
		n := min(len(tenants), anomalyAtOnce)
		var running []workflow.Future
		for _, tenant := range tenants[:n] {
			running = append(running, workflow.ExecuteActivity(ctx, anomalyDetect, tenant))
		}
		for _, r := range running {
			failed = append(failed, r.Get(ctx, nil))
		}
		tenants = tenants[n:]
	}
	return errors.Join(failed...)
}

// registerAnomaly makes the workflow and its steps known to a worker.
func registerAnomaly(r worker.Registry, s *Service) {
	a := anomalyActivities{s}
	r.RegisterWorkflowWithOptions(AnomalyDetectionWorkflow, workflow.RegisterOptions{Name: anomalyWorkflow})
	r.RegisterActivityWithOptions(a.chains, activity.RegisterOptions{Name: anomalyChains})
	r.RegisterActivityWithOptions(a.detect, activity.RegisterOptions{Name: anomalyDetect})
}

// scheduleAnomaly makes the hourly schedule. One that is there already is kept.
func scheduleAnomaly(ctx context.Context, c sdk.ScheduleClient) error {
	_, err := c.Create(actor.AsSystem(ctx, anomalyDetectName, id.ID{}), sdk.ScheduleOptions{
		ID:      anomalySchedule,
		Spec:    sdk.ScheduleSpec{Intervals: []sdk.ScheduleIntervalSpec{{Every: time.Hour, Offset: 7 * time.Minute}}},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &sdk.ScheduleWorkflowAction{ID: anomalySchedule, Workflow: anomalyWorkflow, Args: []any{AnomalyInput{}}, TaskQueue: taskQueue},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}

// anomalyActivities are the steps of a detection. Each may run twice.
type anomalyActivities struct{ *Service }

// chains lists the tenants; the zero id is the provider's chain where there is
// no root tenant yet.
func (a anomalyActivities) chains(ctx context.Context) ([]id.ID, error) {
	tenants, err := a.DB.Tenants(ctx)
	if err != nil {
		return nil, anomalyFault(ctx, err)
	}
	for _, tenant := range tenants {
		if a.IsRoot(tenant) {
			return tenants, nil
		}
	}
	return append(tenants, id.ID{}), nil
}

func (a anomalyActivities) detect(ctx context.Context, tenant id.ID) error {
	err := a.Detect(ctx, tenant, func() { activity.RecordHeartbeat(ctx) })
	if err != nil && a.sealer.purged(ctx, tenant) {
		return nil
	}
	return anomalyFault(ctx, err)
}

// anomalyFault keeps causes out of the history.
func anomalyFault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	activity.GetLogger(ctx).Error("records could not be looked at for anomalies", "error", err)
	return temporal.NewApplicationError(fault.Message(err), string(fault.KindOf(err)))
}

// RunAnomalies starts a detection in the actor's tenant; one that runs goes on.
// It returns fault.Forbidden without audit:anomaly:update and fault.Unavailable
// when workflows cannot be started.
func (s *Service) RunAnomalies(ctx context.Context) error {
	a, err := s.authorise(ctx, UpdateAnomalies)
	if err != nil {
		return err
	}
	c := s.temporalClient()
	if c == nil {
		return fault.New(fault.Unavailable, "Workflows are not running yet. Try again in a minute.")
	}
	err = s.RecordAlone(ctx, a.TenantID, Entry{Event: "audit.anomaly.run-requested", Target: Target{Kind: "anomaly-rules"}})
	if err != nil {
		return err
	}
	_, err = c.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
		ID: anomalySchedule + "-" + a.TenantID.String(), TaskQueue: taskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, anomalyWorkflow, AnomalyInput{Tenant: a.TenantID})
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if err == nil || errors.As(err, &running) {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "The detection could not be started. Try again in a minute; the hourly one runs anyway.")
}
