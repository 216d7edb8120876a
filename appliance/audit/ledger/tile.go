package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// TileWidth is how many nodes a tile has: tile n of level l holds the nodes
// n*TileWidth and following at level 8*l of the tree (C2SP tlog-tiles).
const TileWidth = 256

// TileNode is a node up to 8 levels above those of a tile; index counts the
// nodes of its level within the tile.
func TileNode(hashes []byte, level uint, index uint64) (Hash, error) {
	if len(hashes) != TileWidth*sha256.Size || level > 8 || index >= TileWidth>>level {
		return Hash{}, errors.New("the tile is not one of 256 hashes, or has no such node")
	}
	var t Tree
	for i := index << level; i < (index+1)<<level; i++ {
		t.Append(Hash(hashes[i*sha256.Size : (i+1)*sha256.Size]))
	}
	return t.Root(), nil
}

// Peaks are the perfect subtrees of Cover(0, Size()), the largest first.
func (t *Tree) Peaks() []Hash { return slices.Clone(t.peaks) }

// Resume is the tree with that size and those peaks.
func Resume(size uint64, peaks []Hash) (*Tree, error) {
	if bits.OnesCount64(size) != len(peaks) {
		return nil, fmt.Errorf("a tree of %d leaves does not consist of %d perfect subtrees", size, len(peaks))
	}
	return &Tree{size: size, peaks: slices.Clone(peaks)}, nil
}
