package identity

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Names of the workflows that keep what providers say up to date.
const (
	refreshWorkflow  = "FederationRefreshWorkflow"
	metadataWorkflow = "FederationMetadataWorkflow"

	refreshActivity  = "FederationRefresh"
	metadataActivity = "FederationMetadata"
)

// How often they run.
const (
	refreshEvery  = 5 * time.Minute
	metadataEvery = 6 * time.Hour
)

// FederationRefreshWorkflow asks issuers again about the sessions that are due.
func FederationRefreshWorkflow(ctx workflow.Context) error { return runOnce(ctx, refreshActivity) }

// FederationMetadataWorkflow fetches the metadata of SAML providers.
func FederationMetadataWorkflow(ctx workflow.Context) error { return runOnce(ctx, metadataActivity) }

// runOnce does not try again: the next firing of the schedule comes soon.
func runOnce(ctx workflow.Context, name string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	return workflow.ExecuteActivity(ctx, name).Get(ctx, nil)
}

// RegisterFederation adds the workflows and activities to a worker.
func RegisterFederation(r worker.Registry, f *Federation) {
	r.RegisterWorkflowWithOptions(FederationRefreshWorkflow, workflow.RegisterOptions{Name: refreshWorkflow})
	r.RegisterWorkflowWithOptions(FederationMetadataWorkflow, workflow.RegisterOptions{Name: metadataWorkflow})
	r.RegisterActivityWithOptions(f.Refresh, activity.RegisterOptions{Name: refreshActivity})
	r.RegisterActivityWithOptions(f.RefreshMetadata, activity.RegisterOptions{Name: metadataActivity})
}

// ScheduleFederation makes the Temporal Schedules of the workflows. One that
// is there already is kept.
func ScheduleFederation(ctx context.Context, c client.ScheduleClient, queue string) error {
	for name, every := range map[string]time.Duration{refreshWorkflow: refreshEvery, metadataWorkflow: metadataEvery} {
		_, err := c.Create(ctx, client.ScheduleOptions{
			ID:      name,
			Spec:    client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
			Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
			Action:  &client.ScheduleWorkflowAction{ID: name, Workflow: name, TaskQueue: queue},
		})
		if err != nil && !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			return err
		}
	}
	return nil
}
