package audit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// StreamOptions say which records a stream has.
type StreamOptions struct {
	Tenant id.ID
	// From and To are sequence numbers; 0 means the first and the last there is.
	From, To int64
	// Filter is told in the header; it must marshal to JSON. Nil when everything
	// of the range is there.
	Filter any
	// Keep tells whether a record goes in; nil: all do.
	Keep func(Sealed) bool
	// Next, when set, finds the records that go in: at most limit of them after a sequence
	// number and not after another one, the oldest first, and up to where there are no others.
	// It runs in a transaction of the chain.
	Next func(ctx context.Context, after, last int64, limit int) (found []Sealed, upTo int64, err error)
	// Record is called for each record that goes in, before it is written.
	Record func(Sealed) error
	// LeavesOnly writes the leaves of the records without their bodies, as the proof of what
	// Record writes elsewhere.
	LeavesOnly bool
	// Alone leaves out what it takes to compare checkpoints that were published of records
	// outside the range, so that the stream is not longer than what is in it.
	Alone bool
	// WithArchive has ranges of which records were pruned read from the archive; of those Match
	// tells which go in, nil: all do.
	WithArchive bool
	Match       func(r Record, body []byte) bool
	// Progress is called now and then with the last record that was looked at.
	Progress func(at int64)
	// Place is called beside it, for who keeps the place; an error ends the stream.
	Place func(m Marker) error
	// From where a stream goes on that was begun before; nil begins one.
	GoOn *StreamMark
}

// StreamMark is a place in a stream, what is known there of pruned records, and
// the checkpoint that it will end with.
type StreamMark struct {
	ledger.Mark
	Pruning    ledger.Pruning `json:"pruning"`
	Checkpoint string         `json:"checkpoint"`
}

// Marker hands over what was written so far, and returns the place after it.
type Marker func() (StreamMark, error)

// Stream describes a stream that was written.
type Stream struct {
	ledger.Header
	Records    int64
	Bytes      int64
	Checkpoint Checkpoint
}

// streamBatch is how many records are read in one transaction, and streamBytes
// how long their bodies are together; one is read however long it is.
const (
	streamBatch = 2000
	streamBytes = 16 << 20
)

// WriteStream writes records of a chain as package ledger's format has it,
// with the newest checkpoint. It does not authorise. It returns fault.Invalid
// for a range that is not there, fault.Conflict when a record is missing or changed, and what
// Checkpoint returns.
func (s *Service) WriteStream(ctx context.Context, w io.Writer, o StreamOptions) (Stream, error) {
	ctx, o.Tenant = db.Apart(ctx), s.chainOf(o.Tenant)
	st, err := s.newStreamer(ctx, w, o)
	if err != nil {
		return Stream{}, err
	}
	if err := st.run(ctx); err != nil {
		return Stream{}, err
	}
	err = st.out.Close(ctx, st.checkpoint.Note, func(ctx context.Context, text string) (string, error) { return s.signNote(ctx, st.head.Origin, text) })
	return Stream{Header: st.head, Records: st.out.Records(), Bytes: st.out.Bytes(), Checkpoint: st.checkpoint}, err
}

// newStreamer begins a stream with the newest checkpoint, or goes on with one.
func (s *Service) newStreamer(ctx context.Context, w io.Writer, o StreamOptions) (*streamer, error) {
	if o.GoOn != nil {
		return s.goOn(w, o)
	}
	c, err := s.Checkpoint(ctx, o.Tenant)
	if err != nil {
		return nil, err
	}
	o.From, o.To = max(o.From, 1), orElse(o.To, c.Size)
	if o.To > c.Size || o.From > o.To && c.Size > 0 {
		return nil, fault.New(fault.Invalid, "Records %d to %d are not in the chain, which ends at %d.", o.From, o.To, c.Size)
	}
	signed, err := ledger.ReadCheckpoint(c.Note)
	if err != nil {
		return nil, err
	}
	filter, err := json.Marshal(o.Filter)
	if err != nil {
		return nil, err
	}
	h := ledger.Header{Origin: signed.Origin, From: o.From, To: o.To, Size: signed.Size, Filter: filter, Created: time.Now().UTC().Truncate(time.Second)}
	return &streamer{Service: s, StreamOptions: o, out: ledger.NewWriter(w, h), head: h, checkpoint: c, size: c.Size}, nil
}

func (s *Service) goOn(w io.Writer, o StreamOptions) (*streamer, error) {
	out, err := ledger.GoOn(w, o.GoOn.Mark)
	if err != nil {
		return nil, err
	}
	h := o.GoOn.Header
	o.From, o.To = h.From, h.To
	c := Checkpoint{Size: int64(h.Size), Note: o.GoOn.Checkpoint} //nolint:gosec // of a chain
	return &streamer{Service: s, StreamOptions: o, out: out, head: h, checkpoint: c, size: c.Size, pruning: o.GoOn.Pruning}, nil
}

func orElse(n, fallback int64) int64 {
	if n == 0 {
		return fallback
	}
	return n
}

type streamer struct {
	*Service
	StreamOptions
	out        *ledger.Writer
	head       ledger.Header
	checkpoint Checkpoint
	size       int64
	cuts       []int64 // sizes of checkpoints, at which skips are split
	pruning    ledger.Pruning
}

func (st *streamer) mark() (StreamMark, error) {
	m, err := st.out.Mark()
	return StreamMark{Mark: m, Pruning: st.pruning, Checkpoint: st.checkpoint.Note}, err
}

func (st *streamer) run(ctx context.Context) error {
	err := st.in(ctx, st.Tenant, func(ctx context.Context) error {
		var err error
		if st.cuts, err = st.store.boundaries(ctx, st.size); err != nil {
			return err
		}
		if st.Alone {
			st.cuts = nil
		}
		return st.skip(st.treeOf(ctx), st.From-1, ledger.Outside)
	})
	for err == nil && st.out.Next() <= st.To {
		err = st.step(ctx)
		if err == nil && st.Progress != nil {
			st.Progress(st.out.Next() - 1)
		}
		if err == nil && st.Place != nil {
			err = st.Place(st.mark)
		}
	}
	if err != nil {
		return err
	}
	if err := st.explained(ctx); err != nil {
		return err
	}
	return st.in(ctx, st.Tenant, func(ctx context.Context) error { return st.skip(st.treeOf(ctx), st.size, ledger.Outside) })
}

// errPruned says that a stream has to be begun again.
var errPruned = errors.New("records of the stream were pruned meanwhile")

// explained is fault.Conflict when records are missing that no record of the
// stream says were pruned, and fault.Unavailable when they were pruned meanwhile.
func (st *streamer) explained(ctx context.Context) error {
	left := st.pruning.Unexplained()
	if len(left) == 0 {
		return nil
	}
	if err := st.seal(ctx, st.Tenant); err != nil {
		return err
	}
	meanwhile := false
	err := st.in(ctx, st.Tenant, func(ctx context.Context) (err error) {
		meanwhile, err = st.store.prunedAfter(ctx, st.size)
		return err
	})
	if err == nil && meanwhile {
		return fault.Wrap(fault.Unavailable, errPruned, "Records were pruned while they were read. Try again.")
	}
	return errors.Join(err, fault.New(fault.Conflict, "Records %d to %d are missing, and no record says that they were pruned. Verify the chain.", left[0].From, left[0].To))
}

// batch writes the next records up to one, with what lies between them.
func (st *streamer) batch(ctx context.Context, to int64) error {
	nodes := st.treeOf(ctx)
	found, upTo, err := st.next(ctx, st.out.Next()-1, to)
	if err != nil {
		return err
	}
	why := ledger.Pruned
	if st.Next != nil || st.Keep != nil {
		why = ledger.Filtered
	}
	for _, r := range found {
		if err := st.record(nodes, r, why); err != nil {
			return err
		}
	}
	return st.skip(nodes, upTo, why) // the tail of the batch may have been left out
}

func (st *streamer) next(ctx context.Context, after, to int64) (found []Sealed, upTo int64, err error) {
	if st.Next != nil {
		return st.Next(ctx, after, to, streamBatch)
	}
	return st.store.portion(ctx, after+1, to, streamBatch, streamBytes)
}

func (st *streamer) record(nodes *tree, r Sealed, why string) error {
	if st.Keep != nil || st.StreamOptions.Record != nil {
		if err := json.Unmarshal(r.Body, &r.Record); err != nil {
			return fault.Wrap(fault.Conflict, err, "Record %d cannot be read. Verify the chain.", r.Sequence)
		}
	}
	if leaf := ledger.Leaf(r.Body); !slices.Equal(leaf[:], r.Leaf) {
		return fault.New(fault.Conflict, "Record %d was changed. Verify the chain.", r.Sequence)
	}
	if ledger.MayTell(r.Body) {
		if err := st.pruning.Tell(r.Sequence, r.Body); err != nil {
			return fault.Wrap(fault.Conflict, err, "Record %d says that records were pruned, and it cannot be so. Verify the chain.", r.Sequence)
		}
	}
	if st.Keep != nil && !st.Keep(r) {
		return nil
	}
	if err := st.skip(nodes, r.Sequence-1, why); err != nil {
		return err
	}
	if st.StreamOptions.Record != nil {
		if err := st.StreamOptions.Record(r); err != nil {
			return err
		}
	}
	if st.LeavesOnly {
		return st.out.Leaf(r.Sequence, Hash(r.Leaf))
	}
	return st.out.Record(r.Sequence, r.Body)
}

// skip writes the nodes over the records up to last that were not written,
// split where there is a checkpoint.
func (st *streamer) skip(nodes *tree, last int64, why string) error {
	for begin := st.out.Next() - 1; begin < last; {
		end := last
		if at, _ := slices.BinarySearch(st.cuts, begin+1); at < len(st.cuts) {
			end = min(end, st.cuts[at])
		}
		for _, p := range ledger.Cover(uint64(begin), uint64(end)) {
			node, err := nodes.Node(p.Level, p.Index)
			if err != nil {
				return err
			}
			if err := st.out.Skip(int64(p.First())+1, p.Level, node, why); err != nil {
				return err
			}
			if why == ledger.Pruned {
				st.pruning.Miss(int64(p.First())+1, int64(p.First())+1<<p.Level)
			}
		}
		begin = end
	}
	return nil
}
