package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Snapshot is the state of the appliance at one moment. What is nil or empty
// is not known and makes no series.
type Snapshot struct {
	Components map[string]bool // by name: whether it is up

	Pool      *Pool
	Database  map[string]int64 // bytes, by database of ours
	Audit     *Audit
	Sinks     map[string]int   // how many, by state
	Workflows map[string]int64 // how many, by status
	Sockets   *int
	Disks     map[string]Disk // by what lies there

	// Ages and what is left are in seconds.
	BackupAge       *float64
	CertificateLeft *float64
	Checks          map[string]int // results of the last examination, by status
}

// Pool is the application's pool of database connections.
type Pool struct{ Max, Used, Open int }

// Audit is how the audit trail is.
type Audit struct {
	AppendFailures, Sealed, Pending uint64
	CheckpointAge                   *float64 // of the provider's chain, in seconds
	Broken                          int      // chains that are not signed any more
}

// Disk is a file system.
type Disk struct{ Free, Size uint64 }

// keep is how long a snapshot serves scrapes.
const keep = 5 * time.Second

// lookTimeout is how long one may take.
const lookTimeout = 8 * time.Second

type gauges struct {
	cfg Config

	mu    sync.Mutex
	taken time.Time
	last  Snapshot
}

func newGauges(cfg Config) *gauges { return &gauges{cfg: cfg} }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("nimbus_"+name, help, labels, nil)
}

var (
	info           = describe("build_info", "The version that runs; always 1.", "version")
	componentUp    = describe("component_up", "Whether a part of the appliance works.", "component")
	poolMax        = describe("db_pool_max_connections", "Connections that the pool may have.")
	poolUsed       = describe("db_pool_used_connections", "Connections that are in use.")
	poolOpen       = describe("db_pool_open_connections", "Connections that are open, in use or not.")
	databaseSize   = describe("database_size_bytes", "Size of a database.", "database")
	appendFailures = describe("audit_append_failures_total", "Audit records that could not be written; the changes did not happen.")
	sealed         = describe("audit_sealed_total", "Audit records that this process put into chains.")
	pending        = describe("audit_pending", "Audit records that wait to be written.")
	checkpointAge  = describe("audit_checkpoint_age_seconds", "Age of the newest signed checkpoint of the provider's chain.")
	brokenChains   = describe("audit_broken_chains", "Chains that contradict their last checkpoint and are not signed any more.")
	sinks          = describe("audit_sinks", "Collectors of security events, by state.", "state")
	workflows      = describe("workflows", "Workflows that Temporal knows, by status.", "status")
	sockets        = describe("sockets", "Browsers that are connected by Socket.IO.")
	diskFree       = describe("disk_free_bytes", "Space that is left where something lies.", "place")
	diskSize       = describe("disk_size_bytes", "Size of the file system where something lies.", "place")
	backupAge      = describe("backup_age_seconds", "Time since the start of the newest backup that was verified.")
	certificate    = describe("certificate_expiry_seconds", "Time until the certificate of the HTTPS port expires; negative when it has.")
	checks         = describe("doctor_checks", "Results of the last examination by nimbus doctor.", "status")
)

var all = []*prometheus.Desc{
	info, componentUp, poolMax, poolUsed, poolOpen, databaseSize, appendFailures, sealed, pending, checkpointAge, brokenChains,
	sinks, workflows, sockets, diskFree, diskSize, backupAge, certificate, checks,
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	s := g.look()
	out := output{to}
	out.gauge(info, 1, g.cfg.Version)
	for name, up := range s.Components {
		out.gauge(componentUp, truth(up), name)
	}
	out.pool(s.Pool)
	out.audit(s.Audit)
	for name, size := range s.Database {
		out.gauge(databaseSize, float64(size), name)
	}
	for state, n := range s.Sinks {
		out.gauge(sinks, float64(n), state)
	}
	for status, n := range s.Workflows {
		out.gauge(workflows, float64(n), status)
	}
	for place, d := range s.Disks {
		out.gauge(diskFree, float64(d.Free), place)
		out.gauge(diskSize, float64(d.Size), place)
	}
	for status, n := range s.Checks {
		out.gauge(checks, float64(n), status)
	}
	if s.Sockets != nil {
		out.gauge(sockets, float64(*s.Sockets))
	}
	out.known(backupAge, s.BackupAge)
	out.known(certificate, s.CertificateLeft)
}

// look takes a snapshot, or the last one when it is fresh: asking often does
// not load the appliance.
func (g *gauges) look() Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cfg.Look == nil || !g.taken.IsZero() && time.Since(g.taken) < keep {
		return g.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	g.last = g.cfg.Look(ctx)
	g.taken = time.Now()
	return g.last
}

type output struct{ to chan<- prometheus.Metric }

func (o output) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (o output) counter(d *prometheus.Desc, v uint64) {
	o.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
}

func (o output) known(d *prometheus.Desc, v *float64) {
	if v != nil {
		o.gauge(d, *v)
	}
}

func (o output) pool(p *Pool) {
	if p == nil {
		return
	}
	o.gauge(poolMax, float64(p.Max))
	o.gauge(poolUsed, float64(p.Used))
	o.gauge(poolOpen, float64(p.Open))
}

func (o output) audit(a *Audit) {
	if a == nil {
		return
	}
	o.counter(appendFailures, a.AppendFailures)
	o.counter(sealed, a.Sealed)
	o.gauge(pending, float64(a.Pending))
	o.gauge(brokenChains, float64(a.Broken))
	o.known(checkpointAge, a.CheckpointAge)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
