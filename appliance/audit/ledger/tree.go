package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
)

// Empty is the root of the tree without leaves (RFC 9162, section 2.1.1).
var Empty = sha256.Sum256(nil)

// Parent is the hash of an inner node (RFC 9162, section 2.1.1).
func Parent(left, right Hash) Hash {
	var in [1 + 2*sha256.Size]byte
	in[0] = 0x01
	copy(in[1:], left[:])
	copy(in[1+sha256.Size:], right[:])
	return sha256.Sum256(in[:])
}

// Tree is the right edge of a Merkle tree that grows: what it takes to add
// leaves and to know the root, at most 63 nodes. The zero Tree is empty.
type Tree struct {
	size  uint64
	peaks []Hash // roots of the perfect subtrees, the largest first
}

// Size is the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Append adds a leaf.
func (t *Tree) Append(leaf Hash) {
	for s := t.size; s&1 == 1; s >>= 1 {
		last := len(t.peaks) - 1
		leaf = Parent(t.peaks[last], leaf)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, leaf)
	t.size++
}

// AppendNode adds a perfect subtree of 2^level leaves. It fails when the tree
// does not end where such a subtree may begin.
func (t *Tree) AppendNode(level uint, node Hash) error {
	if level > 62 || t.size&(1<<level-1) != 0 {
		return fmt.Errorf("a subtree of 2^%d leaves cannot begin at leaf %d", level, t.size)
	}
	for s := t.size >> level; s&1 == 1; s >>= 1 {
		last := len(t.peaks) - 1
		node = Parent(t.peaks[last], node)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, node)
	t.size += 1 << level
	return nil
}

// Root is the root hash.
func (t *Tree) Root() Hash {
	if len(t.peaks) == 0 {
		return Empty
	}
	root := t.peaks[len(t.peaks)-1]
	for i := len(t.peaks) - 2; i >= 0; i-- {
		root = Parent(t.peaks[i], root)
	}
	return root
}

// Nodes reads perfect subtrees: the one of 2^level leaves that begins at leaf
// index·2^level. All of its leaves are there.
type Nodes interface {
	Node(level uint, index uint64) (Hash, error)
}

// Part is a perfect subtree.
type Part struct {
	Level uint
	Index uint64 // in units of its size
}

// First is its first leaf.
func (p Part) First() uint64 { return p.Index << p.Level }

// Cover splits the leaves from first up to, not including, end into the fewest
// perfect subtrees, in order.
func Cover(first, end uint64) []Part {
	var parts []Part
	for first < end {
		level := uint(bits.Len64(end-first)) - 1
		if first > 0 {
			level = min(level, uint(bits.TrailingZeros64(first)))
		}
		parts = append(parts, Part{level, first >> level})
		first += 1 << level
	}
	return parts
}

// At is the tree of the first size leaves, read from nodes.
func At(nodes Nodes, size uint64) (*Tree, error) {
	t := &Tree{}
	for _, p := range Cover(0, size) {
		h, err := nodes.Node(p.Level, p.Index)
		if err != nil {
			return nil, err
		}
		if err := t.AppendNode(p.Level, h); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// span is the hash of the subtree over leaves first to end, as RFC 9162
// divides it: MTH(D[first:end]).
func span(nodes Nodes, first, end uint64) (Hash, error) {
	n := end - first
	if n&(n-1) == 0 {
		level := uint(bits.TrailingZeros64(n))
		return nodes.Node(level, first>>level)
	}
	k := split(n)
	left, err := span(nodes, first, first+k)
	if err != nil {
		return Hash{}, err
	}
	right, err := span(nodes, first+k, end)
	return Parent(left, right), err
}

// split is the largest power of two below n.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// ErrRange says that a proof was asked for about leaves that are not there.
var ErrRange = errors.New("there is no such leaf or size in the tree")

// Inclusion is the proof that the leaf at index is in the tree of that size
// (RFC 9162, section 2.1.3.1), the lowest node first.
func Inclusion(nodes Nodes, index, size uint64) ([]Hash, error) {
	if index >= size {
		return nil, ErrRange
	}
	proof := []Hash{}
	first, end := uint64(0), size
	for end-first > 1 {
		k := split(end - first)
		var other Hash
		var err error
		if index < first+k {
			other, err = span(nodes, first+k, end)
			end = first + k
		} else {
			other, err = span(nodes, first, first+k)
			first += k
		}
		if err != nil {
			return nil, err
		}
		proof = append(proof, other)
	}
	reverse(proof)
	return proof, nil
}

func reverse(hashes []Hash) {
	for i, j := 0, len(hashes)-1; i < j; i, j = i+1, j-1 {
		hashes[i], hashes[j] = hashes[j], hashes[i]
	}
}

// Consistency is the proof that the tree of the smaller size is the beginning
// of the tree of the larger (RFC 9162, section 2.1.4.1).
func Consistency(nodes Nodes, smaller, larger uint64) ([]Hash, error) {
	if smaller > larger {
		return nil, ErrRange
	}
	if smaller == 0 || smaller == larger {
		return []Hash{}, nil
	}
	proof := []Hash{}
	first, end, whole := uint64(0), larger, true
	m := smaller
	for m != end-first {
		k := split(end - first)
		var other Hash
		var err error
		if m <= k {
			other, err = span(nodes, first+k, end)
			end = first + k
		} else {
			other, err = span(nodes, first, first+k)
			first, m, whole = first+k, m-k, false
		}
		if err != nil {
			return nil, err
		}
		proof = append(proof, other)
	}
	if !whole {
		own, err := span(nodes, first, end)
		if err != nil {
			return nil, err
		}
		proof = append(proof, own)
	}
	reverse(proof)
	return proof, nil
}

// errProof says that a proof does not lead where it should.
var errProof = errors.New("the proof does not lead to the root")

// VerifyInclusion checks a proof that leaf is at index in the tree of that
// size and root (RFC 9162, section 2.1.3.2).
func VerifyInclusion(leaf Hash, index, size uint64, proof []Hash, root Hash) error {
	if index >= size {
		return ErrRange
	}
	fn, sn, r := index, size-1, leaf
	for _, p := range proof {
		if sn == 0 {
			return errProof
		}
		if fn&1 == 1 || fn == sn {
			r = Parent(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = Parent(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || r != root {
		return errProof
	}
	return nil
}

// VerifyConsistency checks a proof that the tree of size and root smaller is
// the beginning of the larger one (RFC 9162, section 2.1.4.2).
func VerifyConsistency(smaller uint64, first Hash, larger uint64, second Hash, proof []Hash) error {
	switch {
	case smaller > larger:
		return ErrRange
	case smaller == larger:
		if len(proof) > 0 || first != second {
			return errProof
		}
		return nil
	case smaller == 0:
		if len(proof) > 0 || first != Empty {
			return errProof
		}
		return nil
	}
	if smaller&(smaller-1) == 0 {
		proof = append([]Hash{first}, proof...)
	}
	if len(proof) == 0 {
		return errProof
	}
	fn, sn := smaller-1, larger-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := proof[0], proof[0]
	for _, c := range proof[1:] {
		if sn == 0 {
			return errProof
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = Parent(c, fr), Parent(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = Parent(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || fr != first || sr != second {
		return errProof
	}
	return nil
}
