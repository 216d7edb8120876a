package provider

import (
	"context"

	"go.temporal.io/sdk/activity"
)

// activities are the steps of this domain's workflows. Each may run twice.
type activities struct{ service *Service }

// ProviderCollect collects a connection and starts the tasks that were
// accepted while no workflow could be started.
func (a *activities) ProviderCollect(ctx context.Context, in CollectInput) error {
	a.service.startWaiting(ctx, in.Tenant, in.Connection)
	return a.service.Collect(ctx, in.Tenant, in.Connection, in.Force)
}

// ProviderRunTask runs one task to its end.
func (a *activities) ProviderRunTask(ctx context.Context, in TaskInput) error {
	return a.service.RunTask(ctx, in.Tenant, in.Task, func() { activity.RecordHeartbeat(ctx) })
}
