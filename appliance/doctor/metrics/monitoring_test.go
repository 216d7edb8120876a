package metrics

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	monitoring  = "../../../packaging/monitoring/"
	monitorPage = "../../../docs/how-to/monitor.md"
)

var metricName = regexp.MustCompile(`\b(?:nimbus|go|process)_[a-z0-9_]+`)

// TestMonitoringNamesWhatIsThere takes every metric that the dashboard and the
// alert rules name from a scrape, and every metric of ours from the page.
func TestMonitoringNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	one, n := 1.0, 1
	m := New(Config{Version: "1", Look: func(context.Context) Snapshot {
		return Snapshot{
			Components: map[string]bool{"web": true}, Pool: &Pool{}, Database: map[string]int64{"nimbus": 1}, Audit: &Audit{CheckpointAge: &one},
			Sinks: map[string]int{"dead": 0}, Workflows: map[string]int64{"failed": 0}, Sockets: &n, Disks: map[string]Disk{"data": {}},
			BackupAge: &one, CertificateLeft: &one, Checks: map[string]int{"failed": 0},
		}
	}})
	m.Request("GET", "/healthz", 200, time.Millisecond)
	there := map[string]bool{}
	for _, line := range lines(t, m) {
		there[metricName.FindString(line)] = true
	}
	for _, file := range []string{"grafana-dashboard.json", "alerts.yaml"} {
		text := read(t, monitoring+file)
		for _, name := range metricName.FindAllString(text, -1) {
			if !there[name] {
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
	}
	page := read(t, monitorPage)
	for name := range there {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "nimbus_") && !strings.Contains(page, "`"+base+"`") {
			t.Errorf("docs/how-to/monitor.md does not tell of %s", base)
		}
	}
}

// TestMonitoringFilesCanBeRead reads them as their programs do.
func TestMonitoringFilesCanBeRead(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, monitoring+"grafana-dashboard.json")), &dashboard); err != nil || len(dashboard.Panels) < 20 {
		t.Errorf("%v, %d panels", err, len(dashboard.Panels))
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			balanced(t, p.Title, target.Expr)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      struct{ Severity string }
				Annotations struct{ Summary, Description string }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, monitoring+"alerts.yaml")), &rules); err != nil || len(rules.Groups) != 1 || len(rules.Groups[0].Rules) < 12 {
		t.Fatalf("%v %+v", err, rules)
	}
	for _, r := range rules.Groups[0].Rules {
		balanced(t, r.Alert, r.Expr)
		if r.Alert == "" || r.Labels.Severity != "critical" && r.Labels.Severity != "warning" || r.Annotations.Summary == "" || r.Annotations.Description == "" {
			t.Errorf("%+v lacks something", r)
		}
	}
	var prometheus map[string]any
	if err := yaml.Unmarshal([]byte(read(t, monitoring+"prometheus.yaml")), &prometheus); err != nil || prometheus["scrape_configs"] == nil {
		t.Errorf("%v", err)
	}
}

func balanced(t *testing.T, where, expr string) {
	t.Helper()
	for _, pair := range []string{"()", "{}", "[]"} {
		if expr == "" || strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %q is no expression", where, expr)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
