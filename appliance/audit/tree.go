package audit

import (
	"context"
	"fmt"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
)

const (
	// tileChunk is how many tiles, or tiles' worth of leaves, are read at once.
	tileChunk = 64
	// keptChunks bounds the memory of a tree: 512 kB each.
	keptChunks = 32
)

// tree reads nodes of a chain's Merkle tree in the transaction it was made in:
// from tiles where they are stored, the rest from the entries' leaves.
type tree struct {
	ctx    context.Context // of the transaction
	store  store
	tiles  map[chunk]map[uint64][]byte
	leaves map[chunk]map[int64]Hash
}

type chunk struct {
	level  uint
	number uint64
}

// treeOf is the tree of the chain in the transaction's scope.
func (s *Service) treeOf(ctx context.Context) *tree {
	return &tree{ctx: ctx, store: s.store, tiles: map[chunk]map[uint64][]byte{}, leaves: map[chunk]map[int64]Hash{}}
}

// Node implements ledger.Nodes.
func (t *tree) Node(level uint, index uint64) (Hash, error) {
	base, above := level/8, level%8
	tile, err := t.tile(base, index<<above/ledger.TileWidth)
	if err != nil {
		return Hash{}, err
	}
	if tile != nil {
		node, err := ledger.TileNode(tile, above, index&(ledger.TileWidth>>above-1))
		if err != nil {
			err = fault.Wrap(fault.Conflict, err, "A tile of the audit trail's tree is damaged. Verify the chain.")
		}
		return node, err
	}
	if level == 0 {
		return t.leaf(int64(index) + 1)
	}
	left, err := t.Node(level-1, 2*index)
	if err != nil {
		return Hash{}, err
	}
	right, err := t.Node(level-1, 2*index+1)
	return ledger.Parent(left, right), err
}

// tile is a stored tile, or nil.
func (t *tree) tile(level uint, number uint64) ([]byte, error) {
	at := chunk{level, number / tileChunk}
	found, ok := t.tiles[at]
	if !ok {
		var err error
		first := at.number * tileChunk
		if found, err = t.store.tiles(t.ctx, level, first, first+tileChunk-1); err != nil {
			return nil, err
		}
		if len(t.tiles) >= keptChunks {
			clear(t.tiles)
		}
		t.tiles[at] = found
	}
	return found[number], nil
}

func (t *tree) leaf(n int64) (Hash, error) {
	const width = tileChunk * ledger.TileWidth
	at := chunk{0, uint64(n-1) / width}
	found, ok := t.leaves[at]
	if !ok {
		var err error
		first := int64(at.number)*width + 1
		if found, err = t.store.leaves(t.ctx, first, first+width-1); err != nil {
			return Hash{}, err
		}
		if len(t.leaves) >= keptChunks {
			clear(t.leaves)
		}
		t.leaves[at] = found
	}
	leaf, ok := found[n]
	if !ok {
		return Hash{}, fault.Wrap(fault.Conflict, fmt.Errorf("leaf %d is in no tile and has no entry", n),
			"Record %d is missing from the audit trail. Verify the chain.", n)
	}
	return leaf, nil
}

// root is the root over the first size records.
func (t *tree) root(size int64) (Hash, error) {
	at, err := ledger.At(t, uint64(size))
	if err != nil {
		return Hash{}, err
	}
	return at.Root(), nil
}
