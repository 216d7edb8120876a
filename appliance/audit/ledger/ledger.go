// Package ledger is the arithmetic of the audit trail: hash chain, Merkle tree,
// checkpoints and the file format of exports and archives. It knows no
// database and nothing else of Nimbus, so that a verifier can stand alone.
//
// A record is stored and hashed as the bytes of its body, which are never
// marshalled again. Its leaf is the leaf hash of RFC 9162, section 2.1.1; the
// chain links the leaves in the order of their sequence numbers, from 1, without gaps:
//
//	leaf(n) = SHA-256(0x00 ‖ body(n))
//	link(0) = SHA-256("nimbus audit chain v2\n" ‖ chain name)
//	link(n) = SHA-256(0x02 ‖ link(n-1) ‖ n ‖ leaf(n))
//
// with n as a 64-bit big-endian number. The Merkle tree of a chain has leaf(n)
// at index n-1.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash is a leaf, a link or a node.
type Hash = [sha256.Size]byte

// Genesis is the link before the first record of the chain of that name.
func Genesis(chain string) Hash {
	return sha256.Sum256([]byte("nimbus audit chain v2\n" + chain))
}

// Leaf is the leaf hash of a body.
func Leaf(body []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0x00})
	h.Write(body)
	return Hash(h.Sum(nil))
}

// Link is the link of the record with that sequence number.
func Link(previous Hash, sequence int64, leaf Hash) Hash {
	var in [1 + sha256.Size + 8 + sha256.Size]byte
	in[0] = 0x02
	copy(in[1:], previous[:])
	binary.BigEndian.PutUint64(in[1+sha256.Size:], uint64(sequence))
	copy(in[9+sha256.Size:], leaf[:])
	return sha256.Sum256(in[:])
}
