package appliance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	sdkworkflow "go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/nexus-rpc/sdk-go/nexus"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
)

// TestRobustness09ReplayRecordedHistories runs the workflows of this program along
// the histories that every release left. One that would now decide otherwise is an
// error: runs that are under way at an upgrade would stop there.
func TestRobustness09ReplayRecordedHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(releases, "*", "histories", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no history is recorded: %v", err)
	}
	replayer := newReplayer(t)
	for _, file := range files {
		if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestRobustness09EveryWorkflowIsRecorded names the workflows that the test above
// does not try: record them with `make record`.
func TestRobustness09EveryWorkflowIsRecorded(t *testing.T) {
	t.Parallel()
	var names workflowNames
	appliance.Register(&names, &appliance.Core{})
	if len(names) < 10 {
		t.Fatalf("only these are registered: %v", names)
	}
	for _, name := range names {
		if files, _ := filepath.Glob(filepath.Join(releases, "*", "histories", name+"-*.json")); len(files) == 0 {
			t.Errorf("no release recorded how %s runs", name)
		}
	}
}

// TestRobustness09ReplaySeesAChange proves that the test above can fail.
func TestRobustness09ReplaySeesAChange(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(releases, "*", "histories", "PulumiDeployWorkflow-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no deployment is recorded: %v", err)
	}
	replayer, err := worker.NewWorkflowReplayerWithOptions(replayOptions())
	must(t, err)
	changed := func(ctx sdkworkflow.Context, _ any) error { return sdkworkflow.Sleep(ctx, time.Minute) }
	replayer.RegisterWorkflowWithOptions(changed, sdkworkflow.RegisterOptions{Name: "PulumiDeployWorkflow"})
	if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, files[0]); err == nil || !strings.Contains(err.Error(), "TMPRL1100") {
		t.Errorf("another workflow followed the history: %v", err)
	}
}

func newReplayer(t testing.TB) worker.WorkflowReplayer {
	t.Helper()
	replayer, err := worker.NewWorkflowReplayerWithOptions(replayOptions())
	must(t, err)
	appliance.Register(registry{replayer}, &appliance.Core{})
	return replayer
}

func replayOptions() worker.WorkflowReplayerOptions {
	return worker.WorkflowReplayerOptions{
		ContextPropagators: []sdkworkflow.ContextPropagator{actor.Propagator(converter.GetDefaultDataConverter())},
	}
}

// registry takes the workflows; a replay runs no activity.
type registry struct{ worker.WorkflowReplayer }

func (registry) RegisterActivity(any)                                            {}
func (registry) RegisterActivityWithOptions(any, activity.RegisterOptions)       {}
func (registry) RegisterDynamicActivity(any, activity.DynamicRegisterOptions)    {}
func (registry) RegisterNexusService(*nexus.Service)                             {}
func (registry) RegisterDynamicWorkflow(any, sdkworkflow.DynamicRegisterOptions) {}

// kept is how many histories of a workflow are recorded: the longest ones.
const kept = 3

// recordHistories starts every schedule once, waits until nothing moves, and keeps
// histories of every workflow. One that did not run at all is an error: give
// `everything` a way to start it.
func (s *story) recordHistories(dir string) {
	s.t.Helper()
	ctx := s.t.Context()
	client := s.Core().Temporal()
	schedules, err := client.ScheduleClient().List(ctx, sdk.ScheduleListOptions{})
	must(s.t, err)
	for schedules.HasNext() {
		one, err := schedules.Next()
		must(s.t, err)
		must(s.t, client.ScheduleClient().GetHandle(ctx, one.ID).Trigger(ctx, sdk.ScheduleTriggerOptions{}))
	}
	must(s.t, os.MkdirAll(dir, 0o755))
	byType := map[string][]*workflow.WorkflowExecutionInfo{}
	for _, e := range s.settled() {
		byType[e.Type.Name] = append(byType[e.Type.Name], e)
	}
	var names workflowNames
	appliance.Register(&names, &appliance.Core{})
	for _, name := range names {
		if len(byType[name]) == 0 {
			s.t.Errorf("%s did not run", name)
		}
		slices.SortFunc(byType[name], func(a, b *workflow.WorkflowExecutionInfo) int { return int(b.HistoryLength - a.HistoryLength) })
		for i, e := range byType[name][:min(kept, len(byType[name]))] {
			s.recordHistory(filepath.Join(dir, fmt.Sprintf("%s-%d.json", name, i+1)), e)
		}
	}
}

// workflowNames collects the names of workflows.
type workflowNames []string

func (n *workflowNames) RegisterWorkflow(any) {}
func (n *workflowNames) RegisterWorkflowWithOptions(_ any, o sdkworkflow.RegisterOptions) {
	*n = append(*n, o.Name)
}
func (n *workflowNames) RegisterActivity(any)                                            {}
func (n *workflowNames) RegisterActivityWithOptions(any, activity.RegisterOptions)       {}
func (n *workflowNames) RegisterDynamicActivity(any, activity.DynamicRegisterOptions)    {}
func (n *workflowNames) RegisterNexusService(*nexus.Service)                             {}
func (n *workflowNames) RegisterDynamicWorkflow(any, sdkworkflow.DynamicRegisterOptions) {}

// settled lists all workflows when only those run that wait: for a person, and for
// the day on which an export expires.
func (s *story) settled() []*workflow.WorkflowExecutionInfo {
	s.t.Helper()
	time.Sleep(5 * time.Second) // what was started is not listed at once
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		answer, err := s.Core().Temporal().ListWorkflow(s.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
		must(s.t, err)
		open := 0
		for _, e := range answer.Executions {
			if e.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && !strings.HasPrefix(e.Type.Name, "temporal-") {
				open++
			}
		}
		if open <= 2 || time.Now().After(deadline) {
			return answer.Executions
		}
	}
}

// recordHistory writes one history with its payloads decrypted and looks that no
// secret is in it.
func (s *story) recordHistory(file string, e *workflow.WorkflowExecutionInfo) {
	s.t.Helper()
	var h historypb.History
	events := s.Core().Temporal().GetWorkflowHistory(s.t.Context(), e.Execution.WorkflowId, e.Execution.RunId, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		must(s.t, err)
		h.Events = append(h.Events, event)
	}
	codec := s.Core().Payloads()
	must(s.t, proxy.VisitPayloads(context.Background(), &h, proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, p []*commonpb.Payload) ([]*commonpb.Payload, error) {
			return codec.Decode(p)
		},
	}))
	raw, err := protojson.MarshalOptions{Indent: " "}.Marshal(&h)
	must(s.t, err)
	for _, secret := range []string{appliancetest.Password, "PVEAPIToken", "PRIVATE KEY"} {
		if strings.Contains(string(raw), secret) {
			s.t.Errorf("%s holds a secret: %s", file, secret)
		}
	}
	must(s.t, os.WriteFile(file, append(raw, '\n'), 0o644))
}
