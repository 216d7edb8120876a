package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/id"
)

// Walk is how far the verification of a chain is, in a form that can be kept
// in a file.
type Walk struct {
	Chain   string   `json:"chain"`
	Total   int64    `json:"total"`
	Checked int64    `json:"checked"`
	First   int64    `json:"first"`
	Last    int64    `json:"last"`
	Link    []byte   `json:"link"`
	Size    uint64   `json:"size"`
	Peaks   [][]byte `json:"peaks"`
	Tiles   [][]byte `json:"tiles"`  // by level: the nodes since the last full tile
	Lost    bool     `json:"lost"`   // the tree cannot be computed any more
	Unsure  bool     `json:"unsure"` // the link before is not known

	Breaks  []Break        `json:"breaks"` // at most mostBreaks
	More    int64          `json:"more"`   // breaks that are counted only
	Pruning ledger.Pruning `json:"pruning"`
	Thin    int64          `json:"thin"`  // pruned records since the last full tile
	Holes   []hole         `json:"holes"` // tiles that are not stored

	Against    string `json:"against"` // digest of the keys and notes that were given
	Heads      int64  `json:"heads"`   // checkpoints that were compared
	HeadsWrong int64  `json:"heads_wrong"`
}

type hole struct {
	Level  uint
	Number uint64
}

func newWalk(chain string) *Walk {
	genesis := ledger.Genesis(chain)
	return &Walk{Chain: chain, Link: genesis[:], Breaks: []Break{}}
}

// verifier verifies one chain.
type verifier struct {
	*Service
	*Walk
	options VerifyOptions
	tenant  id.ID
	origin  string
	keys    ledger.Keys
	buffers sync.Pool // of stretches
	saved   time.Time
	every   time.Duration // between two saves

	link Hash
	tree *ledger.Tree

	published []ledger.Checkpoint // by size; what must fit beside the stored ones
	next      int                 // of published
}

// open unpacks what is kept packed, close packs it.
func (v *verifier) open() error {
	peaks := make([]Hash, len(v.Peaks))
	for i, p := range v.Peaks {
		copy(peaks[i][:], p)
	}
	copy(v.link[:], v.Link)
	var err error
	v.tree, err = ledger.Resume(v.Size, peaks)
	return err
}

func (v *verifier) close() {
	v.Link, v.Size, v.Peaks = bytes.Clone(v.link[:]), v.tree.Size(), nil
	for _, p := range v.tree.Peaks() {
		v.Peaks = append(v.Peaks, bytes.Clone(p[:]))
	}
}

// Verification is the result so far.
func (v *verifier) Verification() Verification {
	result := Verification{
		Checked: v.Checked, First: v.First, Last: v.Last, Head: v.link, Breaks: v.Breaks, Found: int64(len(v.Breaks)) + v.More,
		Checkpoints: v.Heads, CheckpointsFailed: v.HeadsWrong,
	}
	if v.More > 0 {
		result.Breaks = append(slices.Clone(v.Breaks), Break{Kind: BreakMore, Detail: fmt.Sprintf("there are %d more breaks", v.More)})
	}
	if !v.Lost {
		result.Root = v.tree.Root()
	}
	return result
}

// mostBreaks is how many breaks are kept: whoever changed every record must not
// have the verification run out of memory.
const mostBreaks = 10_000

func (w *Walk) add(sequence int64, kind, format string, args ...any) {
	if len(w.Breaks) >= mostBreaks {
		w.More++
		return
	}
	w.Breaks = append(w.Breaks, Break{Sequence: sequence, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}

func (v *verifier) join(st *stretch) {
	checkpoints := st.checkpoints
	v.compare(&checkpoints)
	for i := range st.rows {
		r := &st.rows[i]
		if r.sequence <= v.Last {
			v.add(r.sequence, BreakOrder, "there is more than one entry of this number")
			continue
		}
		if r.sequence > v.Last+1 {
			v.gone(st, r.sequence-1, &checkpoints)
		}
		v.row(st, r)
		v.compare(&checkpoints)
	}
	if v.Last < st.last {
		v.gone(st, st.last, &checkpoints)
	}
}

func (v *verifier) row(st *stretch, r *chainRow) {
	if v.First == 0 {
		v.First = r.sequence
	}
	v.Last = r.sequence
	v.Checked++
	stored := r.column(st.bytes, colLeaf)
	link := r.column(st.bytes, colLink)
	v.check(st, r, stored, link)
	copy(v.link[:], link)
	v.Unsure = false
	var leaf Hash
	copy(leaf[:], stored)
	v.grow(st, leaf)
}

// check compares one entry with its record and its predecessor.
func (v *verifier) check(st *stretch, r *chainRow, leaf, link []byte) {
	body := r.column(st.bytes, colBody)
	switch {
	case body == nil:
		v.Pruning.Miss(r.sequence, r.sequence)
	case !bytes.Equal(r.leaf[:], leaf):
		v.add(r.sequence, BreakHash, "the leaf is %s, the record gives %s", hex.EncodeToString(leaf), hex.EncodeToString(r.leaf[:]))
		return
	}
	want := ledger.Link(v.link, r.sequence, hashOf(leaf))
	if !v.Unsure && !bytes.Equal(want[:], link) {
		v.add(r.sequence, BreakHash, "the link is %s, the record and its predecessor give %s", hex.EncodeToString(link), hex.EncodeToString(want[:]))
		return
	}
	if r.differs != "" {
		v.add(r.sequence, BreakIndex, "column %s differs from the record", r.differs)
	}
	if ledger.MayTell(body) {
		if err := v.Pruning.Tell(r.sequence, body); err != nil {
			v.add(r.sequence, BreakHash, "what the record says was pruned cannot be: %v", err)
		}
	}
}

func hashOf(b []byte) (h Hash) {
	copy(h[:], b)
	return h
}

// PrunedEvent is the code of the record that tells of records whose retention
// was over. Its details have the ranges.
const PrunedEvent = ledger.PrunedEvent

// gone goes on over records without an entry, up to last. Their leaves are in
// the tiles when they were pruned.
func (v *verifier) gone(st *stretch, last int64, checkpoints *[]Checkpoint) {
	for n := v.Last + 1; n <= last; n++ {
		tile := st.tiles[chunk{0, uint64(n-1) / ledger.TileWidth}]
		if len(tile) != ledger.TileWidth*len(Hash{}) {
			v.add(n, BreakGap, "records %d to %d are missing", n, last)
			v.Lost, v.Unsure, v.Last = true, true, last
			return
		}
		leaf, err := ledger.TileNode(tile, 0, uint64(n-1)%ledger.TileWidth)
		if err != nil {
			v.Lost, v.Unsure = true, true
		}
		v.Pruning.Miss(n, n)
		v.Thin++
		v.link = ledger.Link(v.link, n, leaf)
		v.Last = n
		v.grow(st, leaf)
		v.compare(checkpoints)
	}
}

// grow adds a leaf to the tree, and compares the tiles that it fills.
func (v *verifier) grow(st *stretch, leaf Hash) {
	if v.Lost {
		return
	}
	v.tree.Append(leaf)
	node := leaf
	for level := uint(0); ; level++ {
		if int(level) == len(v.Tiles) {
			v.Tiles = append(v.Tiles, nil)
		}
		v.Tiles[level] = append(v.Tiles[level], node[:]...)
		if len(v.Tiles[level]) < ledger.TileWidth*len(node) {
			return
		}
		if level == 0 {
			v.thinAgain(st, int64(v.tree.Size()/ledger.TileWidth)-1)
		}
		full := v.Tiles[level]
		width := uint64(ledger.TileWidth) << (8 * level)
		v.tile(st, level, v.tree.Size()/width-1, full)
		node, _ = ledger.TileNode(full, 8, 0)
		v.Tiles[level] = full[:0]
	}
}

// tile compares a stored tile with the nodes that the entries give.
func (v *verifier) tile(st *stretch, level uint, number uint64, full []byte) {
	stored, ok := st.tiles[chunk{level, number}]
	if !ok {
		v.Holes = append(v.Holes, hole{level, number})
		return
	}
	if bytes.Equal(stored, full) {
		return
	}
	at := 0
	for at < min(len(stored), len(full)-1) && stored[at] == full[at] {
		at++
	}
	first := int64((number*ledger.TileWidth+uint64(at/len(Hash{})))<<(8*level)) + 1
	if level == 0 && slices.ContainsFunc(v.Breaks, func(b Break) bool { return b.Sequence == first && b.Kind == BreakHash }) {
		return // its leaf was changed, which is told
	}
	v.add(first, BreakTile, "tile %d of level %d differs from the records", number, level)
}

// finish judges what can be judged at the end only.
func (v *verifier) finish(ctx context.Context) error {
	for _, r := range v.Pruning.Unexplained() {
		v.add(r.From, BreakMissing, "records %d to %d are gone, and no record says that they were pruned", r.From, r.To)
	}
	if err := v.unarchived(ctx); err != nil {
		return err
	}
	last, err := v.store.lastTiles(ctx)
	if err != nil {
		return err
	}
	for _, h := range v.Holes {
		if most, ok := last[h.Level]; ok && h.Number < most {
			v.add(int64(h.Number*ledger.TileWidth<<(8*h.Level))+1, BreakTile, "tile %d of level %d is missing", h.Number, h.Level)
		}
	}
	if err := v.beyond(ctx); err != nil {
		return err
	}
	slices.SortStableFunc(v.Breaks, func(a, b Break) int { return int(a.Sequence - b.Sequence) })
	orphans, err := v.store.orphans(ctx)
	for _, o := range orphans { // they have no place in the order
		v.add(0, BreakUnknown, "record %s has no entry", o)
	}
	v.close()
	return err
}

// unarchived tells the records that say of others that they are in the archive
// where they are not.
func (v *verifier) unarchived(ctx context.Context) error {
	if len(v.Pruning.Told) == 0 {
		return nil
	}
	found, err := v.store.unarchived(ctx)
	for _, n := range found {
		if n <= v.Last {
			v.add(n, BreakMissing, "it says that records were pruned which are in a segment that the archive does not have")
		}
	}
	return err
}
