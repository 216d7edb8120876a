package deployment

import (
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/approval"
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	TaskQueue = "nimbus-workflows"

	deployWorkflow = "PulumiDeployWorkflow"
	resumeWorkflow = "DeploymentResumeWorkflow"

	decisionSignal = "decision"

	previewActivity    = "deployment.Preview"
	askActivity        = "deployment.Ask"
	decisionActivity   = "deployment.Decision"
	executeActivity    = "deployment.Execute"
	verifyActivity     = "deployment.Verify"
	compensateActivity = "deployment.Compensate"
	finishActivity     = "deployment.Finish"
	resumeActivity     = "deployment.Resume"
)

// Register makes the workflows and steps of this domain known to a worker.
func Register(r worker.Registry, s *Service) {
	a := activities{s}
	r.RegisterWorkflowWithOptions(PulumiDeployWorkflow, workflow.RegisterOptions{Name: deployWorkflow})
	r.RegisterWorkflowWithOptions(DeploymentResumeWorkflow, workflow.RegisterOptions{Name: resumeWorkflow})
	for name, fn := range map[string]any{
		previewActivity: a.preview, askActivity: a.ask, decisionActivity: a.decision, executeActivity: a.execute,
		verifyActivity: a.verify, compensateActivity: a.compensate, finishActivity: a.finish, resumeActivity: a.resume,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// Input names a run. Histories hold ids only: everything else is in the rows.
type Input struct {
	Tenant     id.ID
	Deployment id.ID
}

// PulumiDeployWorkflow runs one deployment: preview, approval by a person,
// execution, verification; what a failed execution made is taken back. Its id
// is the deployment's.
func PulumiDeployWorkflow(ctx workflow.Context, in Input) error {
	final := deploy(ctx, in)
	final.Input = in
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a cancelled run is stored too
	return workflow.ExecuteActivity(steady(ctx), finishActivity, final).Get(ctx, nil)
}

func deploy(ctx workflow.Context, in Input) Final {
	var seen Previewed
	if err := workflow.ExecuteActivity(working(ctx, time.Hour, 5), previewActivity, in).Get(ctx, &seen); err != nil {
		return ended(ctx, err)
	}
	if !seen.NeedsPerson {
		return Final{Status: Succeeded, Message: "Nothing to do."}
	}
	if final, ok := approved(ctx, in); !ok {
		return final
	}
	if err := workflow.ExecuteActivity(working(ctx, 12*time.Hour, 30), executeActivity, in).Get(ctx, nil); err != nil {
		return undone(ctx, in, ended(ctx, err))
	}
	if err := workflow.ExecuteActivity(working(ctx, time.Hour, 5), verifyActivity, in).Get(ctx, nil); err != nil {
		return ended(ctx, err)
	}
	return Final{Status: Succeeded}
}

// approved waits for the decision. A signal is a reason to read the request
// again; so is the end of its time.
func approved(ctx workflow.Context, in Input) (Final, bool) {
	var asked Asked
	if err := workflow.ExecuteActivity(steady(ctx), askActivity, in).Get(ctx, &asked); err != nil {
		return ended(ctx, err), false
	}
	wake := workflow.GetSignalChannel(ctx, decisionSignal)
	wait := max(asked.ExpiresAt.Sub(workflow.Now(ctx)), 0)
	for {
		var status approval.Status
		if err := workflow.ExecuteActivity(steady(ctx), decisionActivity, in).Get(ctx, &status); err != nil {
			return ended(ctx, err), false
		}
		switch status {
		case approval.Approved:
			return Final{}, true
		case approval.Rejected:
			return Final{Status: Rejected}, false
		case approval.Expired:
			return Final{Status: Expired, Message: "Nobody decided in time."}, false
		case approval.Void:
			return Final{Status: Failed, Message: "The approval became void because the plan changed. Deploy again."}, false
		}
		if _, err := workflow.AwaitWithTimeout(ctx, wait, func() bool { return wake.Len() > 0 }); err != nil {
			return ended(ctx, err), false
		}
		for wake.ReceiveAsync(nil) {
		}
		wait = max(asked.ExpiresAt.Sub(workflow.Now(ctx)), time.Second)
	}
}

// undone takes back what the run made.
func undone(ctx workflow.Context, in Input, final Final) Final {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.ExecuteActivity(working(ctx, 12*time.Hour, 10), compensateActivity, in).Get(ctx, nil); err != nil {
		final.Message += " What it made could not be taken back: " + reason(err)
	}
	return final
}

// ended is how a run ends after a step failed.
func ended(ctx workflow.Context, err error) Final {
	var app *temporal.ApplicationError
	if errors.Is(ctx.Err(), workflow.ErrCanceled) || temporal.IsCanceledError(err) || errors.As(err, &app) && app.Type() == kindCancelled {
		return Final{Status: Cancelled, Message: "Cancelled."}
	}
	return Final{Status: Failed, Message: reason(err)}
}

// reason is the step's own message, which is for people.
func reason(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return "The step did not end in time. Look at System health and deploy again."
	}
	return err.Error()
}

// working is for steps that run the engine: long, alive by heartbeat, tried
// again only when the infrastructure failed them.
func working(ctx workflow.Context, limit time.Duration, attempts int32) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: limit,
		HeartbeatTimeout:    15 * time.Second,
		WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second, MaximumAttempts: attempts,
		},
	})
}

// steady is for steps that only touch the database: they are tried until it
// answers.
func steady(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
}
