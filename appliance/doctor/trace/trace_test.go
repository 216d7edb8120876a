package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"nimbus/appliance/actor"
	"nimbus/appliance/web"
)

// sink is a collector that keeps what it gets.
type sink struct {
	collector.UnimplementedTraceServiceServer
	mu  sync.Mutex
	all []*spans.Span
}

func (s *sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *sink) named(t *testing.T, name string) *spans.Span {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("there is no span %s in %v", name, s.all)
	return nil
}

// TestSpansReachTheCollector sends a request with a secret and an activity that
// it causes: both have the caller's trace id, and the secret is in none.
func TestSpansReachTheCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := &sink{}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, got)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	if t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ""); Configured() {
		t.Error("there is a collector without an address")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	if !Configured() {
		t.Fatal("the collector of the environment is not seen")
	}
	tracer, err := New(t.Context(), "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const caller, secret = "0af7651916cd43dd8448eb211c80319c", "c4n4ry-Zq8vT1mR7xW2"
	traceID := ""
	h := web.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		traceID = web.TraceID(r.Context())
		w.WriteHeader(http.StatusServiceUnavailable)
	}), tracer.HTTP(func(*http.Request) string { return "/v1/things/{id}" }), web.Identify)
	ask := func(traceparent string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/things/"+secret+"?token="+secret, strings.NewReader(secret))
		r.Header.Set("Authorization", "Bearer "+secret)
		if traceparent != "" {
			r.Header.Set("Traceparent", traceparent)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("")
	if len(traceID) != 32 || traceID == caller {
		t.Errorf("a request without a trace has %q", traceID)
	}
	ask("00-" + caller + "-b7ad6b7169203331-01")
	if traceID != caller {
		t.Errorf("the trace of the caller became %q", traceID)
	}
	runActivity(t, tracer, caller)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tracer.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	got.named(t, "POST /v1/things/{id}")
	if of := got.named(t, "work"); hex.EncodeToString(of.TraceId) != caller || of.Status.GetCode() != spans.Status_STATUS_CODE_ERROR {
		t.Errorf("%v", of)
	}
	for _, one := range got.all {
		if strings.Contains(one.String(), secret) {
			t.Errorf("%s holds a secret", one)
		}
	}
}

func runActivity(t *testing.T, tracer *Tracer, traceID string) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: tracer.Worker(),
		BackgroundActivityContext: actor.With(context.Background(), actor.Actor{Kind: actor.User, Name: "ada", TraceID: traceID})})
	work := func(context.Context) error { return errors.New("c4n4ry-Zq8vT1mR7xW2") }
	env.RegisterActivityWithOptions(work, activity.RegisterOptions{Name: "work"})
	if _, err := env.ExecuteActivity("work"); err == nil {
		t.Error("the activity's error is lost")
	}
}

// TestWithoutACollector changes nothing.
func TestWithoutACollector(t *testing.T) {
	t.Parallel()
	var none *Tracer
	called := false
	none.HTTP(nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })).ServeHTTP(nil, nil)
	if !called || none.Worker() != nil || none.Stop(t.Context()) != nil {
		t.Error("no tracer does something")
	}
}
