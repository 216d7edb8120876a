package actor

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// Interceptor has activities act through their workflow: a person who began one
// has left when its steps run.
func Interceptor() interceptor.WorkerInterceptor { return &workers{} }

type workers struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (*workers) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	s := &step{}
	s.Next = next
	return s
}

type step struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (s *step) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if a, ok := From(ctx); ok && activity.GetInfo(ctx).WorkflowType != nil {
		ctx = With(ctx, a.Through(activity.GetInfo(ctx).WorkflowType.Name))
	}
	return s.Next.ExecuteActivity(ctx, in)
}
