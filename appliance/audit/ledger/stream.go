package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
)

// Format names the format of exports and archive segments: lines of JSON
// (https://jsonlines.org) that carry records with their proof.
//
//	{"format":"nimbus-audit/1","origin":"nimbus/…/provider","from":1,"to":9,"size":9,"filter":null,"created":"…"}
//	{"n":1,"leaf":"1f0a33c2","body":{…}}
//	{"skip":5,"level":2,"hash":"…","why":"filtered"}
//	{"checkpoint":"…","signature":"…"}
//
// The first line is the header. The lines after it cover the sequence numbers
// from 1 to size, each once and in order. A record's body are the exact bytes
// that were hashed; one that is no JSON stands as base64 in the member raw. Its
// leaf begins with these eight digits, which is how a changed record is
// found; the proof is the root. A record that is proved here and written
// elsewhere (in a CSV file) has all 64 digits and no body. A skip stands for
// the 2^level records that begin with that number: its hash is the node over them.
// Those that were pruned must be told of by a later record of the stream (Pruning),
// only a stream with a filter leaves out others, and none of the range is outside.
//
// The last line holds the checkpoint of that size, and a note over
//
//	nimbus-audit/1 stream
//	<origin>
//	<base64 of the SHA-256 of everything before the last line>
//
// signed under the same name. Exactly this form is read: no spaces, members in
// this order.
const Format = "nimbus-audit/1"

// MaxLine is how long a line may be. Records are bounded well below.
const MaxLine = 8 << 20

// The reasons why records are skipped.
const (
	Filtered = "filtered" // they do not match the filter
	Pruned   = "pruned"   // their retention was over
	Outside  = "outside"  // of the range that was asked for
)

const leafDigits = 8

// Header is the first line of a stream.
type Header struct {
	Format  string          `json:"format"`
	Origin  string          `json:"origin"`
	From    int64           `json:"from"`
	To      int64           `json:"to"`
	Size    uint64          `json:"size"`
	Filter  json.RawMessage `json:"filter"`
	Created time.Time       `json:"created"`
}

// skipLine stands for records that are not in the stream.
type skipLine struct {
	Skip  int64  `json:"skip"`
	Level uint   `json:"level"`
	Hash  string `json:"hash"`
	Why   string `json:"why"`
}

// closing is the last line.
type closing struct {
	Checkpoint string `json:"checkpoint"`
	Signature  string `json:"signature"`
}

var (
	recordPrefix  = []byte(`{"n":`)
	leafPrefix    = []byte(`,"leaf":"`)
	bodyPrefix    = []byte(`","body":`)
	rawPrefix     = []byte(`","raw":"`)
	skipPrefix    = []byte(`{"skip":`)
	closingPrefix = []byte(`{"checkpoint":`)
)

// Writer writes a stream. It computes the root on the way and refuses to close
// one that does not give the checkpoint's.
type Writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	head  Header
	tree  Tree
	line  []byte
	count int64
	bytes int64
	err   error
}

// NewWriter begins a stream; Header.Format is set by it. Errors are returned by
// the calls that follow.
func NewWriter(w io.Writer, h Header) *Writer {
	h.Format = Format
	if len(h.Filter) == 0 {
		h.Filter = json.RawMessage("null")
	}
	s := &Writer{sum: sha256.New(), head: h}
	s.out = bufio.NewWriterSize(w, 1<<16)
	line, err := json.Marshal(h)
	s.err = err
	s.write(line)
	return s
}

// Next is the sequence number that the next record or skip must have.
func (s *Writer) Next() int64 { return int64(s.tree.Size()) + 1 }

// Records is how many records were written, Bytes how long the stream is.
func (s *Writer) Records() int64 { return s.count }

// Bytes is how long the stream is so far.
func (s *Writer) Bytes() int64 { return s.bytes }

// Record writes the record with that sequence number.
func (s *Writer) Record(n int64, body []byte) error {
	leaf := Leaf(body)
	line := s.begin(n, leaf, leafDigits)
	if bytes.IndexByte(body, '\n') < 0 && json.Valid(body) {
		line = append(append(append(line, bodyPrefix...), body...), '}')
	} else {
		line = append(base64.StdEncoding.AppendEncode(append(line, rawPrefix...), body), '"', '}')
	}
	return s.add(n, leaf, line)
}

// Leaf writes that the record with that sequence number is proved here and
// stands elsewhere.
func (s *Writer) Leaf(n int64, leaf Hash) error {
	return s.add(n, leaf, append(s.begin(n, leaf, 2*len(leaf)), '"', '}'))
}

func (s *Writer) begin(n int64, leaf Hash, digits int) []byte {
	line := strconv.AppendInt(append(s.line[:0], recordPrefix...), n, 10)
	line = append(line, leafPrefix...)
	line = hex.AppendEncode(line, leaf[:digits/2])
	return line
}

func (s *Writer) add(n int64, leaf Hash, line []byte) error {
	s.line = line
	if s.err == nil && n != s.Next() {
		s.err = fmt.Errorf("record %d cannot be written where record %d belongs", n, s.Next())
	}
	s.tree.Append(leaf)
	s.count++
	s.write(line)
	return s.err
}

// Skip writes the node over the 2^level records that begin with first.
func (s *Writer) Skip(first int64, level uint, node Hash, why string) error {
	if s.err == nil && first != s.Next() {
		s.err = fmt.Errorf("record %d cannot be skipped where record %d belongs", first, s.Next())
	}
	if s.err == nil {
		s.err = s.tree.AppendNode(level, node)
	}
	line, err := json.Marshal(skipLine{Skip: first, Level: level, Hash: base64.StdEncoding.EncodeToString(node[:]), Why: why})
	s.err = errors.Join(s.err, err)
	s.write(line)
	return s.err
}

func (s *Writer) write(line []byte) {
	if s.err != nil {
		return
	}
	if len(line) > MaxLine {
		s.err = fmt.Errorf("a line of %d bytes is too long for the format", len(line))
		return
	}
	s.sum.Write(line)
	s.sum.Write([]byte{'\n'})
	s.put(line)
}

func (s *Writer) put(line []byte) {
	_, err := s.out.Write(line)
	if err == nil {
		err = s.out.WriteByte('\n')
	}
	s.bytes += int64(len(line)) + 1
	s.err = err
}

// Close ends the stream with the checkpoint of the header's size and has the
// stream signed: sign returns the note over a text, under the header's origin.
// It fails when the records and skips do not give the checkpoint's root.
func (s *Writer) Close(ctx context.Context, checkpoint string, sign func(ctx context.Context, text string) (string, error)) error {
	if s.err != nil {
		return s.err
	}
	c, err := ReadCheckpoint(checkpoint)
	if err != nil {
		return err
	}
	if c.Origin != s.head.Origin || c.Size != s.head.Size || c.Size != s.tree.Size() {
		return fmt.Errorf("the checkpoint is of %s at %d, the stream of %s at %d", c.Origin, c.Size, s.head.Origin, s.tree.Size())
	}
	if c.Root != s.tree.Root() {
		return errors.New("the records do not give the root of the checkpoint: verify the chain")
	}
	signature, err := sign(ctx, streamText(s.head.Origin, Hash(s.sum.Sum(nil))))
	if err != nil {
		return err
	}
	line, err := json.Marshal(closing{Checkpoint: checkpoint, Signature: signature})
	if err != nil {
		return err
	}
	s.put(line)
	return errors.Join(s.err, s.out.Flush())
}

// streamText is what is signed over a stream.
func streamText(origin string, sum Hash) string {
	return Format + " stream\n" + origin + "\n" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
}
