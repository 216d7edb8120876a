package appliance

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"nimbus/appliance/actor"
	"nimbus/appliance/doctor"
	"nimbus/appliance/doctor/metrics"
	"nimbus/appliance/doctor/trace"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// readMetrics lets a service account scrape from elsewhere.
const readMetrics = "system:metrics:read"

// serveMetrics answers scrapes: of this machine at once, of others with a token
// that holds system:metrics:read at the provider level.
func (a *Appliance) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if err := a.mayScrape(r); err != nil {
		web.Fail(w, r, err)
		return
	}
	a.metrics.ServeHTTP(w, r)
}

// forwarded are headers that proxies add. A proxy on this machine makes every
// caller look like this machine.
var forwarded = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

func (a *Appliance) mayScrape(r *http.Request) error {
	if fromHere(r) {
		return nil
	}
	c := a.core.Load()
	if c == nil || c.Provider == nil {
		return fault.New(fault.Unavailable, "Nimbus is not set up or is starting. Only this machine can read metrics now.")
	}
	who, ok, err := c.authenticate()(r)
	if err == nil && !ok {
		err = fault.New(fault.Unauthenticated, "Send a token that holds %s as `Authorization: Bearer …`. Only this machine needs none.", readMetrics)
	}
	if err != nil {
		return err
	}
	return c.atProvider(actor.With(r.Context(), who), readMetrics)
}

// fromHere tells requests of this machine that no proxy passed on.
func fromHere(r *http.Request) bool {
	for _, h := range forwarded {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// observe counts a request under the template of its route.
func (a *Appliance) observe(r *http.Request, status int, took time.Duration) {
	a.metrics.Request(r.Method, a.template(r), status, took)
}

// template names the route of a request by one of a fixed number of names.
func (a *Appliance) template(r *http.Request) string {
	switch path := r.URL.Path; {
	case path == "/healthz", path == "/readyz", path == "/metrics", path == "/graphql":
		return path
	case strings.HasPrefix(path, "/socket.io/"):
		return "/socket.io/"
	case strings.HasPrefix(path, "/scim/v2/"):
		return "/scim/v2/"
	case path == "/v1/setup", strings.HasPrefix(path, "/v1/setup/"):
		return "/v1/setup"
	}
	if c := a.core.Load(); c != nil && a.api.Load() != nil {
		if t := c.api.Template(r); t != "" {
			return t
		}
	}
	return "other"
}

// look reads what the gauges of /metrics show. What cannot be read is left out.
func (a *Appliance) look(ctx context.Context) metrics.Snapshot {
	s := metrics.Snapshot{Components: map[string]bool{}, Disks: map[string]metrics.Disk{}}
	for _, c := range a.running.components(ctx) {
		s.Components[c.Name] = c.Status == "ok"
	}
	for place, dir := range map[string]string{"data": a.cfg.DataDir, "postgres": filepath.Join(a.cfg.DataDir, "postgres")} {
		if free, size, err := doctor.Space(dir); err == nil {
			s.Disks[place] = metrics.Disk{Free: free, Size: size}
		}
	}
	if leaf := a.front.Certificate(); leaf != nil {
		left := time.Until(leaf.NotAfter).Seconds()
		s.CertificateLeft = &left
	}
	if c := a.core.Load(); c != nil {
		a.lookInside(ctx, c, &s)
	}
	return s
}

func (a *Appliance) lookInside(ctx context.Context, c *Core, s *metrics.Snapshot) {
	ctx = actor.AsSystem(ctx, "metrics", rootless)
	pool, trail := c.DB.Stat(), c.Audit.Stats()
	s.Pool = &metrics.Pool{Max: pool.Max, Used: pool.Used, Open: pool.Open}
	s.Audit = &metrics.Audit{AppendFailures: trail.AppendFailures, Sealed: trail.Sealed, Pending: trail.Pending}
	if h, err := c.Audit.Health(ctx); err == nil {
		s.Audit.Broken, s.Audit.CheckpointAge = len(h.Broken), since(h.Checkpoint)
	}
	if sizes, err := doctor.Sizes(ctx, c.DB); err == nil {
		s.Database = sizes
	}
	s.Sinks = c.Audit.Deliverer().Counts()
	if c.Provider == nil {
		return
	}
	n := c.Realtime.Sockets()
	s.Sockets = &n
	if all, err := c.countWorkflows(ctx); err == nil {
		s.Workflows = all
	}
	if b, err := c.backups(ctx); err == nil {
		s.BackupAge = since(b.Last)
	}
	s.Checks = c.Doctor.Counts()
}

func since(t *time.Time) *float64 {
	if t == nil {
		return nil
	}
	age := time.Since(*t).Seconds()
	return &age
}

// countWorkflows counts by status. Statuses without a workflow are zero, so
// that an alert does not wait for the first one.
func (c *Core) countWorkflows(ctx context.Context) (map[string]int64, error) {
	answer, err := c.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: "GROUP BY ExecutionStatus"})
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, status := range doctor.WorkflowStatuses {
		all[status] = 0
	}
	for _, g := range answer.Groups {
		if status, ok := doctor.StatusOf(g.GroupValues); ok {
			all[status] += g.Count
		}
	}
	return all, nil
}

// startTracing sends spans when the environment names a collector.
func (a *Appliance) startTracing(ctx context.Context) (err error) {
	if !trace.Configured() {
		return nil
	}
	a.tracer, err = trace.New(ctx, a.cfg.Version, a.cfg.Logger)
	return err
}
