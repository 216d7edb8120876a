package ledger

import (
	"encoding/hex"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// forest is a tree of all leaves in memory, with the oracle beside it.
type forest struct {
	leaves []Hash
	hashes []tlog.Hash // x/mod's stored hashes
}

func grow(t testing.TB, n int) *forest {
	t.Helper()
	f := &forest{}
	for i := range n {
		body := fmt.Appendf(nil, "record %d", i)
		f.leaves = append(f.leaves, Leaf(body))
		more, err := tlog.StoredHashes(int64(i), body, f)
		if err != nil {
			t.Fatal(err)
		}
		f.hashes = append(f.hashes, more...)
	}
	return f
}

// ReadHashes implements tlog.HashReader.
func (f *forest) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = f.hashes[at]
	}
	return out, nil
}

// Node implements Nodes.
func (f *forest) Node(level uint, index uint64) (Hash, error) {
	first, end := index<<level, (index+1)<<level
	if end > uint64(len(f.leaves)) {
		return Hash{}, ErrRange
	}
	var t Tree
	for _, l := range f.leaves[first:end] {
		t.Append(l)
	}
	return t.Root(), nil
}

// TestAgainstOracle holds roots and proofs of every tree up to 70 leaves to
// those of the Go checksum database.
func TestAgainstOracle(t *testing.T) {
	t.Parallel()
	const most = 70
	f := grow(t, most)
	roots := []Hash{Empty}
	var tree Tree
	for n := int64(1); n <= most; n++ {
		tree.Append(f.leaves[n-1])
		want, err := tlog.TreeHash(n, f)
		if err != nil || Hash(want) != tree.Root() {
			t.Fatalf("root of %d: %x, want %x (%v)", n, tree.Root(), want, err)
		}
		roots = append(roots, tree.Root())
		again, err := At(f, uint64(n))
		if err != nil || again.Root() != tree.Root() {
			t.Fatalf("root of %d read from nodes: %v", n, err)
		}
		for i := range n {
			checkInclusion(t, f, i, n, tree.Root())
		}
		for m := int64(0); m <= n; m++ {
			checkConsistency(t, f, m, n, roots[m], tree.Root())
		}
	}
}

func checkInclusion(t *testing.T, f *forest, i, n int64, root Hash) {
	t.Helper()
	got, err := Inclusion(f, uint64(i), uint64(n))
	want, err2 := tlog.ProveRecord(n, i, f)
	if err != nil || err2 != nil || !same(got, want) {
		t.Fatalf("proof of %d in %d: %x, want %x (%v %v)", i, n, got, want, err, err2)
	}
	if err := VerifyInclusion(f.leaves[i], uint64(i), uint64(n), got, root); err != nil {
		t.Fatalf("verify %d in %d: %v", i, n, err)
	}
	for k := range got {
		bad := append([]Hash{}, got...)
		bad[k][0] ^= 1
		if VerifyInclusion(f.leaves[i], uint64(i), uint64(n), bad, root) == nil {
			t.Fatalf("a wrong proof of %d in %d passes", i, n)
		}
	}
	if VerifyInclusion(f.leaves[i], uint64(i), uint64(n), append(got, root), root) == nil {
		t.Fatalf("a proof of %d in %d that is too long passes", i, n)
	}
	if other := (i + 1) % n; other != i && VerifyInclusion(f.leaves[i], uint64(other), uint64(n), got, root) == nil {
		t.Fatalf("a proof of %d in %d passes for %d", i, n, other)
	}
}

func checkConsistency(t *testing.T, f *forest, m, n int64, first, second Hash) {
	t.Helper()
	got, err := Consistency(f, uint64(m), uint64(n))
	if err != nil {
		t.Fatal(err)
	}
	if m > 0 && m < n {
		want, err := tlog.ProveTree(n, m, f)
		if err != nil || !same(got, want) {
			t.Fatalf("proof of %d in %d: %x, want %x (%v)", m, n, got, want, err)
		}
	}
	if err := VerifyConsistency(uint64(m), first, uint64(n), second, got); err != nil {
		t.Fatalf("verify %d in %d: %v", m, n, err)
	}
	first[3] ^= 1
	if VerifyConsistency(uint64(m), first, uint64(n), second, got) == nil {
		t.Fatalf("another beginning of %d in %d passes", m, n)
	}
}

func same(a []Hash, b []tlog.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != Hash(b[i]) {
			return false
		}
	}
	return true
}

// TestKnownRoots uses the vectors of Certificate Transparency's reference
// implementation.
func TestKnownRoots(t *testing.T) {
	t.Parallel()
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var tree Tree
	for i, in := range inputs {
		body, _ := hex.DecodeString(in)
		tree.Append(Leaf(body))
		if root := tree.Root(); hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("root of %d leaves is %x", i+1, root)
		}
	}
}

// TestCover builds every tree from any division into three spans.
func TestCover(t *testing.T) {
	t.Parallel()
	const n = 37
	f := grow(t, n)
	want, _ := At(f, n)
	for a := uint64(0); a <= n; a++ {
		for b := a; b <= n; b++ {
			var tree Tree
			for _, p := range append(append(Cover(0, a), Cover(a, b)...), Cover(b, n)...) {
				h, err := f.Node(p.Level, p.Index)
				if err != nil {
					t.Fatal(err)
				}
				if err := tree.AppendNode(p.Level, h); err != nil {
					t.Fatal(err)
				}
			}
			if tree.Root() != want.Root() || tree.Size() != n {
				t.Fatalf("divided at %d and %d: another root", a, b)
			}
		}
	}
	var tree Tree
	tree.Append(f.leaves[0])
	if tree.AppendNode(1, f.leaves[1]) == nil {
		t.Error("a subtree begins in the middle of another")
	}
}
