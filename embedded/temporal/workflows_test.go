package temporal

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// EchoWorkflow waits for a signal when it is told to, and returns what an activity makes of
// its input, in which that activity fails the first time.
func EchoWorkflow(ctx workflow.Context, input string, signalled bool) (string, error) {
	if signalled {
		var more string
		workflow.GetSignalChannel(ctx, "more").Receive(ctx, &more)
		input += more
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 50 * time.Millisecond, MaximumAttempts: 3},
	})
	if err := workflow.ExecuteActivity(ctx, FailOnce, input).Get(ctx, nil); err != nil {
		return "", err
	}
	var out string
	err := workflow.ExecuteActivity(ctx, Echo, input).Get(ctx, &out)
	return out, err
}

// FailingWorkflow fails with the error of its activity, which holds the input.
func FailingWorkflow(ctx workflow.Context, input string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 50 * time.Millisecond, MaximumAttempts: 2},
	})
	return workflow.ExecuteActivity(ctx, Fail, input).Get(ctx, nil)
}

func Echo(_ context.Context, input string) (string, error) { return "echo " + input, nil }

func FailOnce(ctx context.Context, input string) error {
	activity.RecordHeartbeat(ctx, input)
	if activity.GetInfo(ctx).Attempt == 1 {
		return errors.New("the first try fails with " + input)
	}
	return nil
}

func Fail(_ context.Context, input string) error {
	return temporal.NewApplicationError("activity error with "+input, "TestError", "detail "+input)
}

// ring is a keyring in memory.
type ring struct {
	mu      sync.Mutex
	current string
	keys    map[string][]byte
}

func (r *ring) Current(context.Context) (string, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current, r.keys[r.current], nil
}

func (r *ring) Key(_ context.Context, id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key, ok := r.keys[id]; ok {
		return key, nil
	}
	return nil, errors.New("no such key")
}
