package audit

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// SealedEvent tells every node that records of a chain were sealed. It is
// too frequent for browsers.
const SealedEvent = "audit.sealed"

type sealed struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

func (s *Service) tellSealed(ctx context.Context, tenant id.ID, first, last int64) error {
	return s.Events.Publish(ctx, event.Event{Type: SealedEvent, Tenant: tenant}, sealed{first, last})
}

// OnSealed calls fn after records of a chain were sealed, by this node or
// another one; tenant is zero for the provider's chain. fn must not block. It is at most once:
// who must not miss anything looks at the chain as well.
func (s *Service) OnSealed(fn func(tenant id.ID, first, last int64)) (cancel func()) {
	return s.Events.Subscribe(func(e event.Event) {
		var what sealed
		if e.Type == SealedEvent && json.Unmarshal(e.Data, &what) == nil {
			fn(e.Tenant, what.First, what.Last)
		}
	})
}

// Batch is what a follower gets at once, oldest first.
type Batch struct {
	Records []Sealed
	// Lost counts the records that were left out since the batch before,
	// because more came than a follower is given.
	Lost int64
}

const (
	followEvery = 200 * time.Millisecond // between two batches
	followMost  = 10                     // records of a batch: 50 in a second
)

// Follow sends the sealed records of the actor's tenant that match, from now
// on. A reader gets at most 50 records in a second, and nothing while it does not read;
// what it misses is counted, not kept. The channel is closed when ctx
// ends or the actor may not read the trail any more. Before and Limit of f are
// not used; with words it returns fault.Invalid: they are made searchable behind
// the sealer, so that a feed cannot look for them.
func (s *Service) Follow(ctx context.Context, f Filter) (<-chan Batch, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	if f.Text != "" {
		return nil, fault.BadField("filter.text", "A live feed cannot look for words. Search for them in the list of records, or leave them out.")
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	w := &follower{Service: s, filter: f, actor: a, wake: make(chan struct{}, 1), out: make(chan Batch)}
	if w.filter.After, err = w.newest(ctx); err != nil {
		return nil, err
	}
	chain := a.TenantID
	if s.IsRoot(chain) {
		chain = id.ID{}
	}
	cancel := s.OnSealed(func(tenant id.ID, _, _ int64) {
		if tenant == chain {
			w.nudge()
		}
	})
	go func() {
		defer close(w.out)
		defer cancel()
		w.run(ctx)
	}()
	return w.out, nil
}

type follower struct {
	*Service
	filter Filter
	actor  actor.Actor
	wake   chan struct{}
	out    chan Batch
}

func (w *follower) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run reads a batch when something was sealed, and once in a while because
// being told is best effort.
func (w *follower) run(ctx context.Context) {
	sweep := time.NewTicker(10 * time.Second)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-sweep.C:
		}
		batch, err := w.next(ctx)
		if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Unauthenticated) || err != nil && w.sealer.purged(ctx, w.actor.TenantID) {
			return
		}
		if err != nil && ctx.Err() == nil { // the next look has what this one could not read
			w.Logger.Warn("a live feed could not be read", "error", err)
		}
		if len(batch.Records) > 0 {
			select {
			case w.out <- batch:
			case <-ctx.Done():
				return
			}
		}
		pause(ctx, followEvery)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (w *follower) newest(ctx context.Context) (last int64, err error) {
	err = w.in(ctx, w.actor.TenantID, func(ctx context.Context) error {
		last, err = w.store.last(ctx)
		return err
	})
	return last, err
}

// next reads the newest records since the batch before and counts the others.
func (w *follower) next(ctx context.Context) (Batch, error) {
	if err := w.Check(ctx, ReadPermission); err != nil {
		return Batch{}, err
	}
	var b Batch
	err := w.in(ctx, w.actor.TenantID, func(ctx context.Context) error {
		last, err := w.store.last(ctx)
		if err != nil {
			return err
		}
		w.filter.Before, w.filter.Limit = last+1, followMost
		if b.Records, err = w.store.list(ctx, w.filter); err != nil {
			return err
		}
		if len(b.Records) == followMost {
			n, err := w.store.count(ctx, w.filter)
			if err != nil {
				return err
			}
			b.Lost = n - followMost
		}
		w.filter.After = last
		return nil
	})
	slices.Reverse(b.Records)
	return b, err
}
