package ledger

import (
	"bufio"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"math/bits"
	"slices"
)

// Mark is a place in a stream from which it can be gone on with, by another
// process too: everything before it was written and is kept.
type Mark struct {
	Header  Header `json:"header"`
	Size    uint64 `json:"size"` // of the tree so far
	Peaks   []Hash `json:"peaks"`
	Sum     []byte `json:"sum"` // the state of the hash over all bytes
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
}

var errMark = errors.New("it is not a place in a stream")

// Mark hands over what is buffered and returns the place after it.
func (s *Writer) Mark() (Mark, error) {
	if s.err == nil {
		s.err = s.out.Flush()
	}
	if s.err != nil {
		return Mark{}, s.err
	}
	sum, err := s.sum.(encoding.BinaryMarshaler).MarshalBinary()
	return Mark{Header: s.head, Size: s.tree.size, Peaks: slices.Clone(s.tree.peaks), Sum: sum, Records: s.count, Bytes: s.bytes}, err
}

// GoOn returns a writer that continues after a mark: w gets what follows.
func GoOn(w io.Writer, m Mark) (*Writer, error) {
	s := &Writer{sum: sha256.New(), head: m.Header, count: m.Records, bytes: m.Bytes, out: bufio.NewWriterSize(w, 1<<16)}
	if len(m.Peaks) != bits.OnesCount64(m.Size) || m.Size > m.Header.Size {
		return nil, errMark
	}
	s.tree = Tree{size: m.Size, peaks: slices.Clone(m.Peaks)}
	return s, s.sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.Sum)
}
