package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// How delivery goes about it.
const (
	sinkLease    = 2 * siem.MaxAttempt
	sinkSweep    = 30 * time.Second // looks at every chain, for what was not told
	sinkMost     = 64               // deliveries at a time
	sinkPerChain = 8                // of them for one chain
	sinkBytes    = 1 << 20          // bodies of one batch
	sinkPatience = 5                // refusals until a batch is taken apart
	slowest      = 5 * time.Minute  // between two attempts
)

// Deliverer hands sealed records to the sinks. Each sink has a goroutine of
// its own while it has something to deliver, and nothing else waits for one:
// no transaction is open while something is sent. A lease in the database
// keeps other nodes away.
type Deliverer struct {
	service *Service
	first   time.Duration // wait after the first failure

	signal chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	forget func()
	group  sync.WaitGroup

	mu      sync.Mutex
	dirty   map[id.ID]time.Time // chains, and when to look at them
	running map[id.ID]id.ID     // sink to chain
	refusal map[id.ID]int       // in a row, by sink
	dead    map[id.ID]id.ID     // sinks that are dead, to their chains
	failed  error
}

func newDeliverer(s *Service) *Deliverer {
	return &Deliverer{service: s, first: time.Second, signal: make(chan struct{}, 1),
		dirty: map[id.ID]time.Time{}, running: map[id.ID]id.ID{}, refusal: map[id.ID]int{}, dead: map[id.ID]id.ID{}}
}

// Deliverer is the part that runs between Start and Stop.
func (s *Service) Deliverer() *Deliverer { return s.deliverer }

// Start begins to deliver what is behind the cursors.
func (d *Deliverer) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		return nil
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.forget = d.service.OnSealed(func(tenant id.ID, _, _ int64) { d.wake(tenant) })
	d.group.Go(d.run)
	return nil
}

// Ready tells sinks of any tenant to which nothing got for an hour.
func (d *Deliverer) Ready(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	if n := len(d.dead); n > 0 {
		return fmt.Errorf("%d audit sinks have got nothing for an hour: see the sinks of the tenants", n)
	}
	return nil
}

// Stop breaks off what is under way; it is delivered again after a start.
func (d *Deliverer) Stop(context.Context) error {
	d.mu.Lock()
	cancel, forget := d.cancel, d.forget
	d.cancel = nil
	d.mu.Unlock()
	if cancel == nil {
		return nil
	}
	forget()
	cancel()
	d.group.Wait()
	return nil
}

// wake has a chain looked at now. It does not block.
func (d *Deliverer) wake(chain id.ID) { d.wakeIn(chain, 0) }

func (d *Deliverer) wakeIn(chain id.ID, wait time.Duration) {
	at := time.Now().Add(wait)
	d.mu.Lock()
	if planned, ok := d.dirty[chain]; !ok || at.Before(planned) {
		d.dirty[chain] = at
	}
	d.mu.Unlock()
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

func (d *Deliverer) run() {
	sweep := time.NewTicker(sinkSweep)
	defer sweep.Stop()
	d.all()
	for {
		timer := time.NewTimer(d.next())
		select {
		case <-d.ctx.Done():
			timer.Stop()
			return
		case <-sweep.C:
			d.all()
		case <-d.signal:
		case <-timer.C:
		}
		timer.Stop()
		for _, chain := range d.take() {
			d.look(chain)
		}
	}
}

// all marks every chain.
func (d *Deliverer) all() {
	tenants, err := d.service.DB.Tenants(d.ctx)
	d.note(err)
	if err == nil {
		d.forgetDead(func(chain id.ID) bool { return !chain.IsZero() && !slices.Contains(tenants, chain) })
	}
	for _, chain := range append([]id.ID{{}}, tenants...) {
		if chain.IsZero() || !d.service.IsRoot(chain) {
			d.wake(chain)
		}
	}
}

// next is how long there is nothing to look at.
func (d *Deliverer) next() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := sinkSweep
	for _, at := range d.dirty {
		wait = min(wait, time.Until(at))
	}
	return max(wait, 0)
}

// take removes and returns the chains whose time has come.
func (d *Deliverer) take() (due []id.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for chain, at := range d.dirty {
		if !at.After(time.Now()) {
			due = append(due, chain)
			delete(d.dirty, chain)
		}
	}
	return due
}

func (d *Deliverer) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() == nil {
		d.failed = err
	}
}

// look starts a delivery for each sink of a chain that has something to get.
func (d *Deliverer) look(chain id.ID) {
	var due, dead []id.ID
	var next *time.Duration
	err := d.service.in(d.ctx, chain, func(ctx context.Context) (err error) {
		if dead, err = d.service.store.deadSinks(ctx); err != nil {
			return err
		}
		due, next, err = d.service.store.dueSinks(ctx)
		return err
	})
	if err != nil {
		if !d.service.sealer.purged(d.ctx, chain) {
			d.note(err)
			d.wakeIn(chain, sinkSweep)
		}
		return
	}
	d.note(nil)
	d.noteDead(chain, dead)
	if next != nil {
		d.wakeIn(chain, *next)
	}
	for _, sink := range due {
		if !d.begin(chain, sink) {
			d.wakeIn(chain, time.Second)
		}
	}
}

// noteDead keeps which sinks of a chain are dead, whichever node tried them: one
// that was paused or deleted is not any more.
func (d *Deliverer) noteDead(chain id.ID, sinks []id.ID) {
	d.forgetDead(func(of id.ID) bool { return of == chain })
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sink := range sinks {
		d.dead[sink] = chain
	}
}

func (d *Deliverer) forgetDead(of func(chain id.ID) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.dead, func(_, chain id.ID) bool { return of(chain) })
}

// begin is false when there is no room for another delivery.
func (d *Deliverer) begin(chain, sink id.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, busy := d.running[sink]; busy {
		return true
	}
	same := 0
	for _, c := range d.running {
		if c == chain {
			same++
		}
	}
	if len(d.running) >= sinkMost || same >= sinkPerChain {
		return false
	}
	d.running[sink] = chain
	d.group.Go(func() { d.work(chain, sink) })
	return true
}

// work delivers to one sink until there is nothing more or it fails.
func (d *Deliverer) work(chain, sink id.ID) {
	lease := id.New()
	ctx := actor.AsSystem(d.ctx, "audit sinks", chain)
	more, err := true, error(nil)
	for more && err == nil && ctx.Err() == nil {
		more, err = d.round(ctx, delivery{d, chain, sink, lease})
	}
	if err != nil && ctx.Err() == nil {
		d.service.Logger.Warn("audit records could not be handed to a sink", "chain", chainName(chain), "sink", sink, "error", err)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = d.service.in(clean, chain, func(ctx context.Context) error { return d.service.store.release(ctx, sink, lease) })
	d.mu.Lock()
	delete(d.running, sink)
	d.mu.Unlock()
	if err == nil {
		d.wake(chain) // what came while we looked for the last time
	} else {
		d.wakeIn(chain, time.Second)
	}
}

func (d *Deliverer) round(ctx context.Context, w delivery) (more bool, err error) {
	row, target, ok, err := w.claim(ctx)
	if err != nil || !ok {
		return false, err
	}
	if row.dueNow {
		if err := w.letter(ctx, row, target); err != nil {
			return false, err
		}
		return true, nil
	}
	return w.batch(ctx, row, target)
}

// wait grows with the failures, with jitter, and respects what the collector asked for.
func (d *Deliverer) wait(failures int, asked time.Duration) time.Duration {
	w := min(d.first<<min(failures, 20), slowest)
	return max(w/2+rand.N(w/2+1), asked)
}

// deliver sends over a connection of its own.
func deliver(ctx context.Context, t siem.Target, messages []siem.Message) *siem.Error {
	err := func() error {
		conn, err := siem.Dial(ctx, t)
		if err != nil {
			return err
		}
		defer conn.Close()
		return conn.Send(ctx, messages)
	}()
	if err == nil {
		return nil
	}
	var e *siem.Error
	if !errors.As(err, &e) {
		e = &siem.Error{Reason: "The collector did not take the records.", Cause: err}
	}
	return e
}

// target is where a sink's messages go, with its secrets opened.
func (s *Service) target(ctx context.Context, chain id.ID, row sinkRow) (siem.Target, error) {
	secrets, err := s.openSink(ctx, chain, row)
	if err != nil {
		return siem.Target{}, err
	}
	if s.Outbound == nil {
		return siem.Target{}, fault.New(fault.Unavailable, "Nothing can be sent from here.")
	}
	return siem.Target{
		Kind: row.Kind, Format: row.Format, URL: row.URL, Secret: []byte(secrets.Secret), Authorization: secrets.Authorization,
		Address: row.Address, Transport: row.Transport, CAPEM: row.CAPEM, ClientCertPEM: row.ClientCertPEM, ClientKey: secrets.ClientKey,
		Outbound: s.Outbound, Version: s.Version,
	}, nil
}
