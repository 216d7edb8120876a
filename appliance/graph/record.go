package graph

import (
	"context"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

type (
	socketKey struct{}
	begunKey  struct{}
)

// overSocket marks what comes over a WebSocket. What comes by POST is recorded
// as the request that it is.
func overSocket(ctx context.Context) context.Context {
	return context.WithValue(ctx, socketKey{}, true)
}

func isOverSocket(ctx context.Context) bool { return ctx.Value(socketKey{}) != nil }

// recorder records every operation over a WebSocket as a call of the API, with
// its fields and how it ended: a subscription when it begins or is refused, a
// query before its answer leaves. Both only read: they go on while the trail
// takes no records, as queries by POST do.
type recorder struct {
	record func(ctx context.Context, c web.Call) error
}

// ExtensionName implements graphql.HandlerExtension.
func (recorder) ExtensionName() string { return "Recorder" }

// Validate implements graphql.HandlerExtension.
func (recorder) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptField implements graphql.FieldInterceptor.
func (r recorder) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	if !isOverSocket(ctx) || graphql.GetFieldContext(ctx).Object != "Subscription" {
		return next(ctx)
	}
	start := time.Now()
	stream, err := next(ctx)
	status := http.StatusOK
	if err != nil {
		status = web.Status(fault.KindOf(err))
	}
	r.call(ctx, start, status)
	return stream, err
}

// InterceptResponse implements graphql.ResponseInterceptor.
func (r recorder) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if !isOverSocket(ctx) || isSubscribed(ctx) {
		return next(ctx)
	}
	start := time.Now()
	answer := next(ctx)
	if answer != nil {
		r.call(ctx, start, statusOf(answer.Errors))
	}
	return answer
}

// InterceptOperation implements graphql.OperationInterceptor.
func (recorder) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(context.WithValue(ctx, begunKey{}, true))
}

// isSubscribed is true of a subscription that has begun: what is no operation,
// or breaks the limits, is answered without.
func isSubscribed(ctx context.Context) bool {
	return ctx.Value(begunKey{}) != nil && graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription
}

func (r recorder) call(ctx context.Context, start time.Time, status int) {
	who, ok := actor.From(ctx)
	if !ok || r.record == nil {
		return
	}
	_ = r.record(context.WithoutCancel(ctx), web.Call{ // counted by the trail when it fails
		Method: http.MethodGet, Route: route, Status: status, Duration: time.Since(start), Actor: who,
		Operation: operation(graphql.GetOperationContext(ctx).RawQuery),
	})
}

// statusOf is that of the first error: of a fault its own.
func statusOf(all gqlerror.List) int {
	if len(all) == 0 {
		return http.StatusOK
	}
	kind, _ := all[0].Extensions["code"].(string)
	if status := web.Status(fault.Kind(kind)); status != 0 {
		return status
	}
	return http.StatusBadRequest
}
