// Package metrics counts what happens in the appliance and tells Prometheus.
//
// Labels never name a tenant, a person, a machine or anything else that people
// make: their values come from the program, so that the number of series is
// bounded by the number of routes, workflow types and components.
package metrics

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says where the gauges come from.
type Config struct {
	Version string
	// Look reads the state of the appliance. It is called at a scrape, and not
	// again within a few seconds.
	Look func(ctx context.Context) Snapshot
}

// Metrics is the registry of one appliance.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	temporal *temporalHandler
}

// buckets reach from what a cache answers to what a person gives up on.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// New returns the metrics. Nothing is read before the first scrape.
func New(cfg Config) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nimbus_http_requests_total", Help: "Requests that were answered, by route template.",
		}, []string{"method", "route", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nimbus_http_request_duration_seconds", Help: "How long answers took, by route template.", Buckets: buckets,
		}, []string{"method", "route"}),
	}
	m.temporal = newTemporalHandler(m.registry)
	m.registry.MustRegister(m.requests, m.latency, newGauges(cfg), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ServeHTTP answers a scrape. Who may ask is decided before.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 20 * time.Second}).ServeHTTP(w, r)
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// Request counts a request that was answered. route is a template, not a path.
// Connections that stay open are not timed.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(method, route, class(status)).Inc()
	if !strings.HasPrefix(route, "/socket.io/") {
		m.latency.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

// class keeps the status where it is one of HTTP's.
func class(status int) string {
	if http.StatusText(status) == "" {
		return "other"
	}
	return strconv.Itoa(status)
}
