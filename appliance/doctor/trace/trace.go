// Package trace sends spans of requests and activities to an OpenTelemetry
// collector. Spans have the route's template, the kind of activity and the outcome;
// no path, query, body, tenant or person is in them.
//
// A span of an activity has the trace id of the request that caused it, which
// the actor carries through Temporal and the audit trail records.
package trace

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// Configured tells whether the environment names a collector, by the variables
// that OpenTelemetry specifies.
func Configured() bool {
	return os.Getenv("OTEL_SDK_DISABLED") != "true" &&
		(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "")
}

// Tracer makes spans. A nil Tracer makes none and does no harm.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New sends spans over gRPC to the collector of the environment, in the
// background: a collector that is away is logged and holds nothing up.
func New(ctx context.Context, version string, logger *slog.Logger) (*Tracer, error) {
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "The collector of OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "nimbus"), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "OTEL_RESOURCE_ATTRIBUTES cannot be read")
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("spans did not reach the collector", "error", err) }))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(ids{}))
	return &Tracer{provider, provider.Tracer("nimbus")}, nil
}

// Stop sends what is left.
func (t *Tracer) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

var propagator = propagation.TraceContext{}

// HTTP makes a span of every request, as a child of the caller's, under the
// template of its route. The request carries the span on, so that its trace id
// gets into the audit trail.
func (t *Tracer) HTTP(template func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if t == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			route := template(r)
			ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
			ctx, span := t.tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer),
				trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
			defer span.End()
			r = r.WithContext(ctx)
			r.Header = r.Header.Clone()
			propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
			seen := &status{ResponseWriter: w, code: http.StatusOK}
			next.ServeHTTP(seen, r)
			span.SetAttributes(attribute.Int("http.response.status_code", seen.code))
			if seen.code >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
		})
	}
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Worker makes a span of every activity; empty without a Tracer.
func (t *Tracer) Worker() []interceptor.WorkerInterceptor {
	if t == nil {
		return nil
	}
	return []interceptor.WorkerInterceptor{&activities{tracer: t.tracer}}
}

type activities struct {
	interceptor.WorkerInterceptorBase
	tracer trace.Tracer
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (w *activities) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &inbound{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, tracer: w.tracer}
}

type inbound struct {
	interceptor.ActivityInboundInterceptorBase
	tracer trace.Tracer
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (i *inbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	about := activity.GetInfo(ctx)
	kind := ""
	if about.WorkflowType != nil {
		kind = about.WorkflowType.Name
	}
	ctx, span := i.tracer.Start(ctx, about.ActivityType.Name, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("temporal.workflow_type", kind), attribute.String("temporal.workflow_id", about.WorkflowExecution.ID),
		attribute.Int("temporal.attempt", int(about.Attempt))))
	defer span.End()
	out, err := i.Next.ExecuteActivity(ctx, in)
	if err != nil {
		span.SetStatus(codes.Error, string(fault.KindOf(err)))
	}
	return out, err
}

// ids gives a span without a parent the trace id of the actor, who was in the
// request that caused it.
type ids struct{}

// NewIDs implements sdk.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	a, _ := actor.From(ctx)
	t, err := trace.TraceIDFromHex(a.TraceID)
	if err != nil {
		rand.Read(t[:])
	}
	return t, g.NewSpanID(ctx, t)
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var s trace.SpanID
	rand.Read(s[:])
	return s
}
