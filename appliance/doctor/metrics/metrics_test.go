package metrics

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSeriesAreBounded sends what others choose: methods, statuses and labels
// of Temporal that never end make no more series than the program has names.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := New(Config{Version: "1", Look: func(context.Context) Snapshot { return Snapshot{} }})
	before := len(lines(t, m))
	for i := range 2000 {
		m.Request(fmt.Sprintf("EVIL%d", i), "/v1/x/{id}", 10_000+i, time.Millisecond)
		h := m.Temporal().WithTags(map[string]string{"workflow_id": fmt.Sprint(i), "namespace": fmt.Sprint(i), "workflow_type": fmt.Sprint(i)})
		h.Counter("temporal_workflow_completed").Inc(1)
		h.Gauge("temporal_worker_task_slots").Update(1)
		h.Counter(fmt.Sprintf("evil_%d", i)).Inc(1)
	}
	for i := range 10 {
		m.Temporal().Timer("temporal_request_latency").Record(time.Duration(i) * time.Second)
	}
	all := lines(t, m)
	if n := len(all) - before; n > 2*maxTemporalSeries+60 {
		t.Errorf("%d series more", n)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		`nimbus_http_requests_total{method="other",route="/v1/x/{id}",status="other"} 2000`,
		`nimbus_http_request_duration_seconds_count{method="other",route="/v1/x/{id}"} 2000`,
		"temporal_request_latency_seconds_count{", `temporal_workflow_completed_total{`, `nimbus_build_info{version="1"} 1`, "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "workflow_id") || strings.Contains(text, "evil_") {
		t.Error("a label or metric that others choose is shown")
	}
}

// TestScrapesDoNotLoad scrapes often: the appliance is looked at once.
func TestScrapesDoNotLoad(t *testing.T) {
	t.Parallel()
	looked := 0
	age := 12.5
	m := New(Config{Look: func(context.Context) Snapshot {
		looked++
		return Snapshot{Components: map[string]bool{"web": true, "hsm": false}, BackupAge: &age, Workflows: map[string]int64{"running": 3},
			Audit: &Audit{AppendFailures: 2}, Pool: &Pool{Max: 12}, Disks: map[string]Disk{"data": {Free: 1, Size: 2}}}
	}})
	var text string
	for range 20 {
		text = strings.Join(lines(t, m), "\n")
	}
	if looked != 1 {
		t.Errorf("looked %d times", looked)
	}
	for _, want := range []string{
		`nimbus_component_up{component="hsm"} 0`, `nimbus_component_up{component="web"} 1`, "nimbus_backup_age_seconds 12.5", `nimbus_workflows{status="running"} 3`,
		"nimbus_audit_append_failures_total 2", "nimbus_db_pool_max_connections 12", `nimbus_disk_free_bytes{place="data"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "nimbus_sockets") {
		t.Error("what is not known is shown")
	}
}

func lines(t *testing.T, m *Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var all []string
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}
