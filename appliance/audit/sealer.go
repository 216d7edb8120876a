package audit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	// gather is how long the sealer waits after a commit, so that one
	// transaction links many records.
	gather = 20 * time.Millisecond
	// sweep is how often it looks at every chain for records of other nodes.
	sweep     = 30 * time.Second
	batchSize = 5000
)

// sealer links committed records into their chains: one goroutine, one
// transaction per chain and round, an advisory lock between nodes.
type sealer struct {
	service *Service
	signal  chan struct{}

	mu     sync.Mutex
	dirty  map[id.ID]struct{}
	cancel context.CancelFunc
	done   chan struct{}
	failed map[id.ID]*unsealed // chains that cannot be sealed
	gone   error               // why the chains cannot be listed
}

// unsealed is since when a chain cannot be sealed, and why.
type unsealed struct {
	since time.Time
	why   error
	told  bool // in the provider's chain
}

func newSealer(s *Service) *sealer {
	return &sealer{service: s, signal: make(chan struct{}, 1), dirty: map[id.ID]struct{}{}, failed: map[id.ID]*unsealed{}}
}

// Start begins sealing and looks at every chain first.
func (s *Service) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.sealer.mu.Lock()
	defer s.sealer.mu.Unlock()
	if s.sealer.cancel != nil {
		cancel()
		return nil
	}
	s.sealer.cancel, s.sealer.done = cancel, make(chan struct{})
	words := &indexer{Service: s, dirty: make(chan id.ID, 256)}
	stop := s.OnSealed(words.tell)
	var running sync.WaitGroup
	running.Go(func() { s.sealer.run(ctx) })
	running.Go(func() { words.run(ctx) })
	go func() {
		running.Wait()
		stop()
		close(s.sealer.done)
	}()
	return nil
}

// Ready is nil when the trail takes records and the last round of sealing
// succeeded. While it does not, it tries whether it does again.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.Takes(ctx, false); err != nil {
		return first(s.trail.ready(), err)
	}
	s.sealer.mu.Lock()
	defer s.sealer.mu.Unlock()
	for _, u := range s.sealer.failed {
		return u.why
	}
	return s.sealer.gone
}

// Stop seals what is committed and ends the sealer.
func (s *Service) Stop(ctx context.Context) error {
	s.sealer.mu.Lock()
	cancel, done := s.sealer.cancel, s.sealer.done
	s.sealer.cancel = nil
	s.sealer.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	<-done
	s.sealer.round(ctx)
	return nil
}

func (l *sealer) wake(tenant id.ID) {
	l.mu.Lock()
	l.dirty[tenant] = struct{}{}
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *sealer) run(ctx context.Context) {
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	l.all(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.all(ctx)
		case <-l.signal:
			time.Sleep(gather)
		}
		l.round(ctx)
	}
}

// all marks every chain, and looks whether the disk has room when nobody asks.
func (l *sealer) all(ctx context.Context) {
	_ = l.service.roomLeft(ctx, false)
	tenants, err := l.service.DB.Tenants(ctx)
	l.mu.Lock()
	l.gone = err
	l.mu.Unlock()
	l.wake(id.ID{})
	for _, t := range tenants {
		if !l.service.IsRoot(t) {
			l.wake(t)
		}
	}
}

// round seals the marked chains. One that fails is marked again, unless its
// tenant was purged meanwhile.
func (l *sealer) round(ctx context.Context) {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = map[id.ID]struct{}{}
	l.mu.Unlock()
	for tenant := range dirty {
		err := l.service.seal(ctx, tenant)
		if err != nil && l.purged(ctx, tenant) {
			err = nil
			l.mu.Lock()
			delete(l.failed, tenant)
			l.mu.Unlock()
		} else {
			l.note(ctx, tenant, err)
		}
		if err != nil && ctx.Err() == nil {
			l.service.Logger.Error("audit chain could not be sealed", "chain", chainName(tenant), "error", err)
			l.mu.Lock()
			l.dirty[tenant] = struct{}{}
			l.mu.Unlock()
		}
	}
}

// purged is true when a tenant has no schema any more.
func (l *sealer) purged(ctx context.Context, tenant id.ID) bool {
	tenants, err := l.service.DB.Tenants(ctx)
	return err == nil && !tenant.IsZero() && !slices.Contains(tenants, tenant)
}

// note remembers how sealing a chain ended, and records in the provider's
// chain that it fails, as soon as that is possible, and that it does no more.
func (l *sealer) note(ctx context.Context, tenant id.ID, err error) {
	l.mu.Lock()
	u := l.failed[tenant]
	switch {
	case err == nil && u == nil:
		l.mu.Unlock()
		return
	case err == nil:
		delete(l.failed, tenant)
	case u == nil:
		u = &unsealed{since: time.Now().UTC()}
		l.failed[tenant] = u
	}
	if err != nil {
		u.why = err
	}
	told, ended := u.told, errors.Is(u.why, context.Canceled)
	l.mu.Unlock()
	if ended { // the sealer was stopped in the middle, which is no failure of the chain
		return
	}
	if !told {
		u.told = l.tell(ctx, "audit.sealing.failed", Critical, tenant, u)
	}
	if err == nil {
		l.tell(ctx, "audit.sealing.recovered", Notice, tenant, u)
	}
}

func (l *sealer) tell(ctx context.Context, code string, priority Priority, tenant id.ID, u *unsealed) bool {
	e := Entry{Event: code, Priority: priority, Target: Target{Kind: "chain", Name: chainName(tenant)}, Reason: fault.Message(u.why),
		Details: map[string]any{"since": u.since, "cause": u.why.Error()}}
	if code == "audit.sealing.failed" {
		e.Outcome = Failure
	}
	return l.service.RecordAlone(actor.AsSystem(ctx, "audit", id.ID{}), id.ID{}, e) == nil
}

// seal links all committed records of a chain.
func (s *Service) seal(ctx context.Context, tenant id.ID) error {
	if err := s.heal(ctx, tenant); err != nil {
		return err
	}
	for {
		n, err := s.sealBatch(ctx, tenant)
		if err != nil || n < batchSize {
			return err
		}
	}
}

func (s *Service) sealBatch(ctx context.Context, tenant id.ID) (int, error) {
	var n int
	err := s.in(ctx, tenant, func(ctx context.Context) error {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		sequence, head, since, err := s.store.head(ctx)
		if err != nil {
			return err
		}
		oldest, next, err := s.store.horizon(ctx)
		if err != nil {
			return err
		}
		if since > next { // the rows moved to another cluster, where transaction ids began anew
			since = 0
		}
		records, err := s.store.unlinked(ctx, since, batchSize)
		if err != nil || len(records) == 0 {
			return err
		}
		if n = len(records); n == batchSize {
			oldest = since
		}
		if err := s.store.append(ctx, tenant, sequence, head, oldest, records); err != nil {
			return err
		}
		last := sequence + int64(n)
		if last/ledger.TileWidth > sequence/ledger.TileWidth {
			if _, err := s.keepTiles(ctx, last); err != nil {
				return err
			}
		}
		return s.tellSealed(ctx, tenant, sequence+1, sequence+int64(n))
	})
	if err == nil {
		s.stats.sealed.Add(uint64(n))
	}
	return n, err
}

func (st store) append(ctx context.Context, tenant id.ID, sequence int64, head []byte, horizon uint64, records []unlinked) error {
	previous := ledger.Genesis(chainName(tenant))
	if sequence > 0 {
		previous = Hash(head)
	}
	entries := make([]entry, len(records))
	for i, r := range records {
		sequence++
		leaf := ledger.Leaf(r.Body)
		previous = ledger.Link(previous, sequence, leaf)
		entries[i] = entry{sequence: sequence, record: r.ID, leaf: leaf, link: previous, horizon: horizon}
		if err := json.Unmarshal(r.Body, &entries[i].Record); err != nil {
			return err
		}
	}
	return st.link(ctx, entries)
}
