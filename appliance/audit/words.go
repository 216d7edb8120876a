package audit

import (
	"context"
	"time"

	"nimbus/appliance/id"
)

const (
	wordBatch = 500
	// wordQuiet is how long sealing must rest before words are indexed, and
	// wordLatest how long they wait at most: a burst of records is taken in first.
	wordQuiet  = 300 * time.Millisecond
	wordLatest = 5 * time.Second
)

// indexer makes sealed records searchable by their words, behind the sealer.
// Nothing is lost when it stops: it goes on after the last record that has its words.
type indexer struct {
	*Service
	dirty chan id.ID
}

// run indexes chains that are told to it, until ctx ends.
func (x *indexer) run(ctx context.Context) {
	x.all(ctx)
	waiting := map[id.ID]bool{}
	var since time.Time // when the oldest began to wait
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case tenant := <-x.dirty:
			if len(waiting) == 0 {
				since = time.Now()
			}
			waiting[tenant] = true
			timer.Reset(max(0, min(wordQuiet, wordLatest-time.Since(since))))
		case <-timer.C:
			for tenant := range waiting {
				x.chain(ctx, tenant)
			}
			clear(waiting)
		}
	}
}

// all indexes what was sealed while nobody indexed.
func (x *indexer) all(ctx context.Context) {
	tenants, err := x.DB.Tenants(ctx)
	if err != nil {
		return // the next record of each chain does it
	}
	x.chain(ctx, id.ID{})
	for _, t := range tenants {
		if !x.IsRoot(t) {
			x.chain(ctx, t)
		}
	}
}

// chain indexes what a chain has without words.
func (x *indexer) chain(ctx context.Context, tenant id.ID) {
	for ctx.Err() == nil {
		var n int64
		err := x.in(ctx, tenant, func(ctx context.Context) (err error) {
			n, err = x.store.index(ctx, wordBatch)
			return err
		})
		if err != nil && ctx.Err() == nil && !x.sealer.purged(ctx, tenant) {
			x.Logger.Error("records could not be made searchable; the next record tries again", "chain", chainName(tenant), "error", err)
		}
		if err != nil || n < wordBatch {
			return
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// tell never blocks: a chain that is lost here is indexed with its next record.
func (x *indexer) tell(tenant id.ID, _, _ int64) {
	select {
	case x.dirty <- tenant:
	default:
	}
}
