package audit

import (
	"bytes"
	"context"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
)

// thinned is a tile of which records were pruned, as the database kept it then:
// how many are gone, and the links of the chain around it.
type thinned struct {
	gone          int64
	before, after []byte // before is empty for the first tile
	leaves        []byte // of the tile, where they were asked for
}

const tileWidth = int64(ledger.TileWidth)

// tileOf is the number of the tile that a record is in.
func tileOf(sequence int64) int64 { return (sequence - 1) / tileWidth }

// prunedLinks are the links of records that were pruned: from the one before
// their tile on, over the leaves that the tile keeps.
func (st store) prunedLinks(ctx context.Context, sequences []int64) (map[int64][]byte, error) {
	links := map[int64][]byte{}
	if len(sequences) == 0 {
		return links, nil
	}
	tiles, err := st.thinnedLeaves(ctx, sequences)
	for _, n := range sequences {
		if t, ok := tiles[tileOf(n)]; ok {
			links[n] = t.linkOf(ctx, n)
		}
	}
	return links, err
}

// linkOf goes on from the link before the tile to that of a record in it.
func (t thinned) linkOf(ctx context.Context, sequence int64) []byte {
	if sequence%tileWidth == 0 {
		return t.after
	}
	tenant, _ := db.Scope(ctx)
	link := ledger.Genesis(chainName(tenant))
	if len(t.before) > 0 {
		copy(link[:], t.before)
	}
	for n := tileOf(sequence)*tileWidth + 1; n <= sequence; n++ {
		at := (n - 1) % tileWidth * int64(len(link))
		link = ledger.Link(link, n, Hash(t.leaves[at:at+int64(len(link))]))
	}
	return link[:]
}

// goneBefore counts, for ascending sequence numbers, the pruned records between
// the tile of the first and each of them.
func (st store) goneBefore(ctx context.Context, bounds []int64) ([]int64, error) {
	gone := make([]int64, len(bounds))
	thin, err := st.thinnedTiles(ctx, tileOf(bounds[0]), tileOf(bounds[len(bounds)-1]))
	if err != nil || len(thin) == 0 {
		return gone, err
	}
	kept, err := st.keptInTile(ctx, bounds)
	if err != nil {
		return gone, err
	}
	sum, tile := int64(0), tileOf(bounds[0])
	for i, bound := range bounds {
		for ; tile < tileOf(bound); tile++ {
			sum += thin[tile].gone
		}
		gone[i] = sum
		if thin[tile].gone > 0 {
			gone[i] += (bound-1)%tileWidth - kept[i]
		}
	}
	return gone, nil
}

// thinAgain compares what was kept of thinned tiles with what the chain gives,
// at the end of a tile.
func (v *verifier) thinAgain(st *stretch, number int64) {
	missing := v.Thin
	v.Thin = 0
	if v.Unsure {
		return
	}
	first := number*tileWidth + 1
	// What is missing without a tile that knows it is told by Pruning.
	if t, ok := st.thinned[number]; ok && t.gone != missing {
		v.add(first, BreakIndex, "of tile %d %d records are pruned, the database says %d", number, missing, t.gone)
	} else if ok && !bytes.Equal(t.after, v.link[:]) {
		v.add(first, BreakIndex, "the link that was kept of the end of tile %d is not that of the chain", number)
	}
	if t, ok := st.thinned[number+1]; ok && !bytes.Equal(t.before, v.link[:]) {
		v.add(first+tileWidth, BreakIndex, "the link that was kept of the beginning of tile %d is not that of the chain", number+1)
	}
}
