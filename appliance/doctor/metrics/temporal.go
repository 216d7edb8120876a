package metrics

import (
	"maps"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// kept are the labels of Temporal's metrics that have few values, which the
// program itself decides. All others are dropped.
var kept = []string{"activity_type", "operation", "poller_type", "task_queue", "worker_type", "workflow_type"}

// maxTemporalSeries is how many series one metric of Temporal may have; what
// comes later is dropped.
const maxTemporalSeries = 300

var temporalName = regexp.MustCompile(`^temporal_[a-z_]{1,80}$`)

// temporalHandler turns the metrics of Temporal's SDK into Prometheus's.
type temporalHandler struct {
	registry *prometheus.Registry
	labels   map[string]string

	shared *temporalSeries
}

type temporalSeries struct {
	mu         sync.Mutex
	counters   map[string]*prometheus.CounterVec
	gauges     map[string]*prometheus.GaugeVec
	histograms map[string]*prometheus.HistogramVec
	series     map[string]map[string]bool // metric → label values that it has
}

func newTemporalHandler(r *prometheus.Registry) *temporalHandler {
	return &temporalHandler{registry: r, labels: map[string]string{}, shared: &temporalSeries{
		counters: map[string]*prometheus.CounterVec{}, gauges: map[string]*prometheus.GaugeVec{},
		histograms: map[string]*prometheus.HistogramVec{}, series: map[string]map[string]bool{},
	}}
}

// Temporal is what a client of Temporal reports to.
func (m *Metrics) Temporal() client.MetricsHandler { return m.temporal }

// WithTags implements client.MetricsHandler.
func (h *temporalHandler) WithTags(tags map[string]string) client.MetricsHandler {
	labels := maps.Clone(h.labels)
	for _, name := range kept {
		if v, ok := tags[name]; ok {
			labels[name] = v
		}
	}
	return &temporalHandler{registry: h.registry, labels: labels, shared: h.shared}
}

func (h *temporalHandler) values() []string {
	all := make([]string, len(kept))
	for i, name := range kept {
		all[i] = h.labels[name]
	}
	return all
}

// Counter implements client.MetricsHandler.
func (h *temporalHandler) Counter(name string) client.MetricsCounter {
	c, ok := vector(h, name, h.shared.counters, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name + "_total", Help: "Of the Temporal SDK."}, kept)
	})
	if !ok {
		return client.MetricsNopHandler.Counter(name)
	}
	return counter{c.WithLabelValues(h.values()...)}
}

type counter struct{ prometheus.Counter }

// Inc implements client.MetricsCounter.
func (c counter) Inc(n int64) { c.Add(float64(max(n, 0))) }

// Gauge implements client.MetricsHandler.
func (h *temporalHandler) Gauge(name string) client.MetricsGauge {
	g, ok := vector(h, name, h.shared.gauges, func() *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "Of the Temporal SDK."}, kept)
	})
	if !ok {
		return client.MetricsNopHandler.Gauge(name)
	}
	return gauge{g.WithLabelValues(h.values()...)}
}

type gauge struct{ prometheus.Gauge }

// Update implements client.MetricsGauge.
func (g gauge) Update(v float64) { g.Set(v) }

// Timer implements client.MetricsHandler.
func (h *temporalHandler) Timer(name string) client.MetricsTimer {
	t, ok := vector(h, name, h.shared.histograms, func() *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name + "_seconds", Help: "Of the Temporal SDK.", Buckets: []float64{.01, .1, 1, 10, 100},
		}, kept)
	})
	if !ok {
		return client.MetricsNopHandler.Timer(name)
	}
	return timer{t.WithLabelValues(h.values()...)}
}

type timer struct{ prometheus.Observer }

// Record implements client.MetricsTimer.
func (t timer) Record(d time.Duration) { t.Observe(d.Seconds()) }

// vector finds or makes the metric of a name; false when the name is none of
// Temporal's or it has as many series as it may.
func vector[V prometheus.Collector](h *temporalHandler, name string, known map[string]V, make func() V) (V, bool) {
	s := h.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := known[name]
	if !ok {
		v = make()
		if !temporalName.MatchString(name) || h.registry.Register(v) != nil {
			return v, false
		}
		known[name] = v
	}
	return v, s.admit(name, h.values())
}

func (s *temporalSeries) admit(name string, values []string) bool {
	key := strings.Join(values, "\x00")
	if s.series[name] == nil {
		s.series[name] = map[string]bool{}
	}
	if !s.series[name][key] && len(s.series[name]) >= maxTemporalSeries {
		return false
	}
	s.series[name][key] = true
	return true
}
