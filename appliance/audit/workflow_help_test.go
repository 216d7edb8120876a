package audit

import (
	"context"

	"go.temporal.io/sdk/activity"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

func activityNamed(name string) activity.RegisterOptions { return activity.RegisterOptions{Name: name} }

// withActor runs a step as the actor of ctx, as the propagator does.
func withActor(ctx context.Context, fn func(context.Context, id.ID) error) func(context.Context, id.ID) error {
	who, _ := actor.From(ctx)
	return func(ctx context.Context, tenant id.ID) error { return fn(actor.With(ctx, who), tenant) }
}

func (a checkpointActivities) chainsAsTest(ctx context.Context) func(context.Context) ([]id.ID, error) {
	who, _ := actor.From(ctx)
	return func(ctx context.Context) ([]id.ID, error) { return a.chains(actor.With(ctx, who)) }
}
