package appliance

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/worker"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/backup"
	"nimbus/appliance/deployment"
	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/doctor/trace"
	"nimbus/appliance/identity"
	"nimbus/appliance/provider"
	"nimbus/appliance/tenancy"
)

// workers polls Temporal for the workflows and activities of all domains.
type workers struct {
	core   *Core
	tracer *trace.Tracer

	mu     sync.Mutex
	worker worker.Worker
	failed error
}

func newWorkers(c *Core, t *trace.Tracer) *workers { return &workers{core: c, tracer: t} }

// cancelWithin is how long a step may not know that it was cancelled: it hears of it
// when it says that it lives.
const cancelWithin = 3 * time.Second

// Start begins to poll.
func (w *workers) Start(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.worker != nil {
		return nil
	}
	w.worker = worker.New(w.core.client, provider.TaskQueue, worker.Options{
		MaxConcurrentWorkflowTaskPollers: 2, MaxConcurrentActivityTaskPollers: 2, Interceptors: append(w.tracer.Worker(), actor.Interceptor()),
		MaxHeartbeatThrottleInterval: cancelWithin,
		OnFatalError: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = err
		},
	})
	register(w.worker, w.core)
	return w.worker.Start()
}

// register has one line per domain.
func register(r worker.Registry, c *Core) {
	audit.Register(r, c.Audit)
	tenancy.Register(r, c.Tenants)
	provider.Register(r, c.Provider)
	deployment.Register(r, c.Deployments)
	identity.RegisterFederation(r, c.Federation)
	certificate.Register(r, c.Certificate)
	backup.Register(r, c.Backups)
}

// Ready is nil while workflows and activities are picked up.
func (w *workers) Ready(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.worker == nil {
		return errors.New("workflows are not picked up: the worker is not started")
	}
	return w.failed
}

// Stop finishes or gives back what is running.
func (w *workers) Stop(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.worker != nil {
		w.worker.Stop()
		w.core.client.Close()
		w.worker = nil
	}
	return nil
}
