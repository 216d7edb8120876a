package audit

import (
	"context"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	// groupSize is how many records one transaction of the writer takes.
	groupSize = 1024
	// queueSize is how many records may wait, over all chains; more are refused.
	queueSize = 8192
	// commitLimit is how long a commit may take before its callers are told
	// that it failed.
	commitLimit = 10 * time.Second
	// writers is how many chains are written at once: the pool belongs to
	// everybody.
	writers = 3
)

// line is a record that is ready to be stored.
type line struct {
	id    id.ID
	event string
	body  []byte
}

// waiting is a caller of the writer.
type waiting struct {
	line
	done chan error // has room for the one answer
}

// writer commits the records of many callers in one transaction: what waits
// for a chain while its commit before is under way goes with the next one.
// Nobody is answered before the commit.
type writer struct {
	service *Service
	slots   chan struct{}

	mu     sync.Mutex
	queued int
	chains map[id.ID][]*waiting // those with a goroutine that writes them
}

func newWriter(s *Service) *writer {
	return &writer{service: s, slots: make(chan struct{}, writers), chains: map[id.ID][]*waiting{}}
}

// write returns after the record was committed. It returns fault.Unavailable
// when it was not, when too many wait, or when ctx ended first: then nobody
// knows whether it was.
func (w *writer) write(ctx context.Context, tenant id.ID, l line) error {
	caller := &waiting{line: l, done: make(chan error, 1)}
	if err := w.enqueue(ctx, tenant, caller); err != nil {
		return err
	}
	select {
	case err := <-caller.done:
		return err
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "The audit trail did not confirm the record in time.")
	}
}

func (w *writer) enqueue(ctx context.Context, tenant id.ID, caller *waiting) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queued >= queueSize {
		w.service.stats.failures.Add(1)
		f := fault.New(fault.Unavailable, "The audit trail has more to record than it can. Try again in a moment.")
		f.RetryAfter = time.Second
		return f
	}
	w.queued++
	queue, busy := w.chains[tenant]
	w.chains[tenant] = append(queue, caller)
	if !busy {
		go w.run(tenant)
	}
	return nil
}

// run writes a chain until nothing waits for it.
func (w *writer) run(tenant id.ID) {
	for {
		w.slots <- struct{}{}
		group := w.take(tenant)
		if len(group) > 0 {
			w.commit(tenant, group)
		}
		<-w.slots
		if len(group) == 0 {
			return
		}
	}
}

// take removes the next group; after an empty one the chain has no goroutine.
func (w *writer) take(tenant id.ID) []*waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.chains[tenant]
	n := min(len(queue), groupSize)
	if n == 0 {
		delete(w.chains, tenant)
		return nil
	}
	w.queued -= n
	w.chains[tenant] = queue[n:]
	return queue[:n:n]
}

// commit answers every caller of a group. When a group fails for another
// reason than the database's, its records are tried one by one, so that nobody
// fails for somebody else's.
func (w *writer) commit(tenant id.ID, group []*waiting) {
	err := w.insert(tenant, group)
	if err != nil && len(group) > 1 && !fault.Is(err, fault.Unavailable) {
		for i := range group {
			w.commit(tenant, group[i:i+1])
		}
		return
	}
	w.service.noteAppend(err, len(group))
	for _, caller := range group {
		caller.done <- err
	}
}

func (w *writer) insert(tenant id.ID, group []*waiting) error {
	ctx, cancel := context.WithTimeout(actor.AsSystem(context.Background(), "audit", tenant), commitLimit)
	defer cancel()
	lines := make([]line, len(group))
	for i, caller := range group {
		lines[i] = caller.line
	}
	err := w.service.in(ctx, tenant, func(ctx context.Context) error {
		return w.service.insert(ctx, tenant, nil, lines...)
	})
	if err != nil && ctx.Err() != nil {
		err = fault.Wrap(fault.Unavailable, err, "The audit trail did not confirm the record in time.")
	}
	return db.Fault(err)
}

// prepare makes what is stored of an entry.
func (s *Service) prepare(ctx context.Context, tenant id.ID, e Entry) (line, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return line{}, err
	}
	var m *masks
	if !e.whole {
		if m, err = s.masksOf(ctx, tenant, e.Event); err != nil {
			return line{}, err
		}
	}
	r, err := build(a, tenant, e, m)
	if err != nil {
		return line{}, err
	}
	body, err := r.encode()
	return line{id: r.ID, event: bound(r.Event), body: body}, err
}

// insert writes records in the transaction of the context, together with its
// commit: when that is not possible nothing of the transaction remains. then
// hears how it went.
func (s *Service) insert(ctx context.Context, tenant id.ID, then func(error), lines ...line) error {
	if err := s.store.insert(ctx, lines, then); err != nil {
		return db.Fault(err)
	}
	db.OnCommit(ctx, func() { s.sealer.wake(tenant) })
	return nil
}
