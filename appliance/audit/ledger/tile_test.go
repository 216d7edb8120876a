package ledger

import (
	"testing"
)

// TestTilesHoldNodes reads nodes of all levels out of a tile.
func TestTilesHoldNodes(t *testing.T) {
	t.Parallel()
	f := grow(t, TileWidth)
	var tile []byte
	for _, leaf := range f.leaves {
		tile = append(tile, leaf[:]...)
	}
	for level := range uint(9) {
		for index := range uint64(TileWidth >> level) {
			want, err := f.Node(level, index)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := TileNode(tile, level, index); err != nil || got != want {
				t.Fatalf("level %d, node %d: %x %v", level, index, got, err)
			}
		}
	}
	if _, err := TileNode(tile[1:], 0, 0); err == nil {
		t.Error("a short tile was read")
	}
	if _, err := TileNode(tile, 8, 1); err == nil {
		t.Error("a node outside the tile was read")
	}
}

// TestTreesResume goes on from the peaks at every size.
func TestTreesResume(t *testing.T) {
	t.Parallel()
	f := grow(t, 70)
	var whole Tree
	for n, leaf := range f.leaves {
		again, err := Resume(whole.Size(), whole.Peaks())
		if err != nil {
			t.Fatal(err)
		}
		whole.Append(leaf)
		again.Append(leaf)
		if again.Root() != whole.Root() || again.Size() != uint64(n)+1 {
			t.Fatalf("another root after %d leaves", n+1)
		}
	}
	if _, err := Resume(3, make([]Hash, 1)); err == nil {
		t.Error("a tree of the wrong size was resumed")
	}
}

// FuzzProofs has wrong proofs: none may hold and none may crash.
func FuzzProofs(f *testing.F) {
	f.Add(uint16(5), uint16(9), uint16(3), []byte("proof"))
	f.Add(uint16(0), uint16(1), uint16(0), []byte{})
	m := grow(f, 300)
	f.Fuzz(func(t *testing.T, a, b, flip uint16, junk []byte) {
		size, index := uint64(b)%300+1, uint64(a)%300
		tree, err := At(m, size)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		var proof []Hash
		for len(junk) >= 4 {
			proof, junk = append(proof, Leaf(junk[:4])), junk[4:]
		}
		if (index >= size || size > 1) && VerifyInclusion(m.leaves[index], index, size, proof, root) == nil {
			t.Fatal("junk proves a leaf")
		}
		if index > 0 && index < size && VerifyConsistency(index, Hash{1}, size, root, proof) == nil {
			t.Fatal("junk proves a tree")
		}
		if index >= size {
			return
		}
		good, err := Inclusion(m, index, size)
		if err != nil || VerifyInclusion(m.leaves[index], index, size, good, root) != nil {
			t.Fatal("a proof does not hold", err)
		}
		if len(good) > 0 {
			good[int(flip)%len(good)][flip%32] ^= 1 << (flip % 8)
			if VerifyInclusion(m.leaves[index], index, size, good, root) == nil {
				t.Fatal("a changed proof holds")
			}
		}
	})
}
