package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// VerifyOptions say how a chain is verified.
type VerifyOptions struct {
	// Keys are the keys that checkpoints must be signed by; empty: those that
	// signed here, as the database has them, and the present one.
	Keys ledger.Keys
	// Published are notes that were published; each of this chain must fit.
	Published []string
	// Resume goes on where a verification was saved, unless that one was
	// compared with other keys or notes: then it begins anew.
	Resume *Walk
	// Save is called about once in a second with how far it is. What it is
	// given changes after it returns.
	Save func(*Walk) error
}

// verifyBatch is how many records are read in one transaction. Tiles end with it.
const verifyBatch = 32 * ledger.TileWidth

// saveEvery is how often progress is told.
const saveEvery = time.Second

// verify walks a chain from its first record. It goes on after a break from
// the stored link, so that each change is reported once.
func (s *Service) verify(ctx context.Context, tenant id.ID) (Verification, error) {
	return s.verifyWith(ctx, tenant, VerifyOptions{})
}

func (s *Service) verifyWith(ctx context.Context, tenant id.ID, o VerifyOptions) (Verification, error) {
	ctx, tenant = db.Apart(ctx), s.chainOf(tenant)
	if err := s.seal(ctx, tenant); err != nil {
		return Verification{}, err
	}
	start := time.Now()
	v, err := s.newVerifier(ctx, tenant, o)
	if err != nil {
		return Verification{}, err
	}
	if err = v.toEnd(ctx); err == nil {
		err = s.in(ctx, tenant, v.finish)
	}
	result := v.Verification()
	result.Tenant, result.Duration = tenant, time.Since(start)
	return result, err
}

// toEnd goes on to records that were written meanwhile while something is
// missing: what is pruned while the chain is read is told of at its end.
func (v *verifier) toEnd(ctx context.Context) error {
	for {
		if err := v.run(ctx); err != nil || len(v.Pruning.Unexplained()) == 0 {
			return err
		}
		if err := v.seal(ctx, v.tenant); err != nil {
			return err
		}
		before := v.Total
		err := v.in(ctx, v.tenant, func(ctx context.Context) (err error) {
			v.Total, err = v.store.lastSequence(ctx)
			return err
		})
		if err != nil || v.Total <= before {
			return err
		}
	}
}

func (s *Service) newVerifier(ctx context.Context, tenant id.ID, o VerifyOptions) (*verifier, error) {
	v := &verifier{Service: s, options: o, every: saveEvery, tenant: tenant, Walk: o.Resume}
	if against := o.against(); v.Walk == nil || v.Against != against {
		v.Walk = newWalk(chainName(tenant))
		v.Against = against
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	var err error
	if v.origin, err = s.origin(ctx, v.Chain); err != nil {
		return nil, err
	}
	if v.keys = o.Keys; len(v.keys) == 0 {
		if v.keys, err = s.trusted(ctx); err != nil {
			return nil, err
		}
	}
	if err := v.readAnchor(); err != nil {
		return nil, err
	}
	return v, s.in(ctx, tenant, func(ctx context.Context) error {
		v.Total, err = s.store.lastSequence(ctx)
		return err
	})
}

// against tells what a chain is compared with from another such choice; "" when
// nothing was given.
func (o VerifyOptions) against() string {
	if len(o.Keys)+len(o.Published) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, k := range o.Keys {
		fmt.Fprintf(sum, "key %q %x\n", k.Name, k.Public)
	}
	for _, note := range slices.Sorted(slices.Values(o.Published)) {
		fmt.Fprintf(sum, "note %q\n", note)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// stretch is a number of entries that are read, hashed and joined together.
type stretch struct {
	first, last int64
	bytes       []byte // of all columns
	rows        []chainRow
	tiles       map[chunk][]byte
	thinned     map[int64]thinned // and the one after the last
	checkpoints []Checkpoint
	done        chan error
}

// chainRow is one entry with its record.
type chainRow struct {
	sequence int64
	at       [columnCount + 1]int32 // where the columns begin in the stretch
	null     uint32                 // a bit for each column

	hashed  bool // while it was read
	leaf    Hash // of the body
	differs string
}

// largeRow is how many bytes of a row are kept until its stretch is hashed. Of a
// larger one no more than its hashes is, so that records of the largest size do
// not fill the memory.
const largeRow = 8 << 10

func (r *chainRow) column(b []byte, i int) []byte {
	if r.null&(1<<i) != 0 {
		return nil
	}
	return b[r.at[i]:r.at[i+1]:r.at[i+1]]
}

// run has a few goroutines read stretches side by side, each hashing bodies and
// comparing columns of its own, and joins them in order here.
func (v *verifier) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	order := make(chan *stretch, 1)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	first := v.Last + 1
	wait.Go(func() {
		defer close(order)
		v.read(ctx, first, order, &wait)
	})
	for st := range order {
		err := <-st.done
		if err == nil {
			err = v.joined(st)
		}
		if err != nil {
			return err
		}
		v.buffers.Put(st)
	}
	return ctx.Err()
}

func (v *verifier) joined(st *stretch) error {
	v.join(st)
	if v.options.Save == nil || time.Since(v.saved) < v.every {
		return nil
	}
	v.saved = time.Now()
	v.close()
	return v.options.Save(v.Walk)
}

// readers is how many stretches are read at once: one per core, and one that
// waits for the database.
var readers = runtime.GOMAXPROCS(0) + 1

// read begins one stretch after the other, in order, until ctx ends.
func (v *verifier) read(ctx context.Context, first int64, order chan<- *stretch, wait *sync.WaitGroup) {
	slots := make(chan struct{}, readers)
	for first <= v.Total {
		st, ok := v.buffers.Get().(*stretch)
		if !ok {
			st = &stretch{}
		}
		*st = stretch{first: first, last: min((first-1)/verifyBatch*verifyBatch+verifyBatch, v.Total), done: make(chan error, 1),
			bytes: st.bytes[:0], rows: st.rows[:0]}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wait.Go(func() {
			defer func() { <-slots }()
			err := v.in(ctx, v.tenant, func(ctx context.Context) error { return v.load(ctx, st) })
			st.hash()
			st.done <- err
		})
		select {
		case order <- st:
		case <-ctx.Done():
			return
		}
		first = st.last + 1
	}
}

// load reads a stretch as it is at one moment: records may be pruned meanwhile.
func (v *verifier) load(ctx context.Context, st *stretch) (err error) {
	if err = snapshot(ctx); err != nil {
		return err
	}
	if err = v.store.entries(ctx, st.first, st.last, st.add); err != nil {
		return err
	}
	if st.tiles, err = v.store.tilesEnding(ctx, st.first, st.last); err != nil {
		return err
	}
	if st.thinned, err = v.store.thinnedTiles(ctx, tileOf(st.first), st.last/tileWidth); err != nil {
		return err
	}
	after := st.first - 1
	if after == 0 {
		after = -1 // a checkpoint of the empty chain
	}
	st.checkpoints, err = v.store.checkpointsBetween(ctx, after, st.last)
	return err
}

func (st *stretch) add(raw [][]byte) error {
	var r chainRow
	if raw[colBody] != nil && size(raw) > largeRow {
		r.hash((*[columnCount][]byte)(raw))
		raw = r.kept(raw)
	}
	for i, column := range raw {
		r.at[i] = int32(len(st.bytes))
		if column == nil {
			r.null |= 1 << i
		}
		st.bytes = append(st.bytes, column...)
	}
	r.at[columnCount] = int32(len(st.bytes))
	for _, b := range raw[colSequence] {
		r.sequence = r.sequence<<8 | int64(b)
	}
	st.rows = append(st.rows, r)
	return nil
}

// hash computes the leaves of bodies and compares columns.
func (st *stretch) hash() {
	var columns [columnCount][]byte
	for i := range st.rows {
		r := &st.rows[i]
		for c := range columns {
			columns[c] = r.column(st.bytes, c)
		}
		if columns[colBody] != nil && !r.hashed {
			r.hash(&columns)
		}
	}
}

func (r *chainRow) hash(columns *[columnCount][]byte) {
	r.hashed, r.leaf, r.differs = true, ledger.Leaf(columns[colBody]), differs(columns)
}

// kept is what is needed of a row that was hashed: its place, its hashes, and
// the body when it tells of what was pruned.
func (r *chainRow) kept(raw [][]byte) [][]byte {
	kept := make([][]byte, columnCount)
	kept[colSequence], kept[colLeaf], kept[colLink], kept[colBody] = raw[colSequence], raw[colLeaf], raw[colLink], []byte{}
	if string(raw[colEvent]) == PrunedEvent {
		kept[colBody] = raw[colBody]
	}
	return kept
}

func size(columns [][]byte) (n int) {
	for _, c := range columns {
		n += len(c)
	}
	return n
}
