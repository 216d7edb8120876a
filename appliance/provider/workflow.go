package provider

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/id"
)

// TaskQueue is where workflows and activities of the appliance run.
const TaskQueue = "nimbus-workflows"

// Names of the workflows of this domain.
const (
	CollectWorkflow = "ProviderCollectWorkflow"
	TaskWorkflow    = "ProviderTaskWorkflow"
)

// CollectInput says what to collect.
type CollectInput struct {
	Tenant     id.ID `json:"tenant"`
	Connection id.ID `json:"connection"`
	// Force does not wait for the end of a back-off.
	Force bool `json:"force,omitempty"`
}

// TaskInput says which task to run.
type TaskInput struct {
	Tenant     id.ID `json:"tenant"`
	Connection id.ID `json:"connection"`
	Task       id.ID `json:"task"`
}

// ProviderCollectWorkflow collects a connection once, in one local activity.
// It is not tried again: the next firing of its schedule comes soon.
func ProviderCollectWorkflow(ctx workflow.Context, in CollectInput) error {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: collectTimeout + 30*time.Second,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	return workflow.ExecuteLocalActivity(ctx, "ProviderCollect", in).Get(ctx, nil)
}

// ProviderTaskWorkflow runs one task to its end and collects its connection
// afterwards, so that the inventory shows what came of it. Its id is made of
// the task's.
func ProviderTaskWorkflow(ctx workflow.Context, in TaskInput) error {
	run := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: taskLimit + time.Hour,
		HeartbeatTimeout:    2 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
	if err := workflow.ExecuteActivity(run, "ProviderRunTask", in).Get(ctx, nil); err != nil {
		return err
	}
	return ProviderCollectWorkflow(ctx, CollectInput{Tenant: in.Tenant, Connection: in.Connection, Force: true})
}

// Register makes workflows and activities known to a worker.
func Register(r worker.Registry, s *Service) {
	r.RegisterWorkflowWithOptions(ProviderCollectWorkflow, workflow.RegisterOptions{Name: CollectWorkflow})
	r.RegisterWorkflowWithOptions(ProviderTaskWorkflow, workflow.RegisterOptions{Name: TaskWorkflow})
	r.RegisterActivity(&activities{s})
}
