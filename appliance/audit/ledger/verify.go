package ledger

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The kinds of breaks that VerifyStream finds.
const (
	BreakFormat     = "format"     // a line is not of the format
	BreakHash       = "hash"       // a record does not have the leaf it is written with
	BreakGap        = "gap"        // records are missing
	BreakOrder      = "order"      // a record is at a wrong place, or there twice
	BreakTruncated  = "truncated"  // the end is missing
	BreakTree       = "tree"       // the records do not give the signed root
	BreakCheckpoint = "checkpoint" // a checkpoint is missing or does not fit
	BreakUnsigned   = "unsigned"   // there is no signature
	BreakForeign    = "foreign"    // the signature is of a key that was not given
	BreakSignature  = "signature"  // a signature does not fit
	BreakContent    = "content"    // what stands beside the stream differs from it
)

// Break is one place where a stream does not hold.
type Break struct {
	Sequence int64  `json:"sequence"` // 0: the stream as a whole
	Kind     string `json:"kind"`
	Detail   string `json:"detail"`
}

// Options say what to verify beside the stream itself.
type Options struct {
	// Checkpoints are notes that were published. Each that is of this chain must
	// fit, and one that cannot be compared is a break.
	Checkpoints []string
	// Record is called for every record, in order, with its leaf; body is nil when it
	// stands elsewhere, and valid during the call only.
	Record func(n int64, leaf Hash, body []byte) error
	// body finds the body of a record that stands elsewhere, or nil.
	body func(n int64, leaf Hash) []byte
	// MaxBreaks is how many breaks are kept; 0 means 10,000. More are counted.
	MaxBreaks int
}

// Report is what VerifyStream found.
type Report struct {
	Header     Header        `json:"header"`
	Records    int64         `json:"records"`
	Skipped    int64         `json:"skipped"`
	Bytes      int64         `json:"bytes"`
	Root       Hash          `json:"-"`
	Checkpoint Checkpoint    `json:"-"`
	Compared   int           `json:"compared"` // published checkpoints that fit
	Others     int           `json:"others"`   // published checkpoints of other chains
	Breaks     []Break       `json:"breaks"`
	More       int64         `json:"more"` // breaks beyond those kept
	Duration   time.Duration `json:"-"`
}

// OK reports whether everything holds.
func (r Report) OK() bool { return len(r.Breaks) == 0 }

// VerifyStream reads a stream in one pass and in constant memory, and reports
// every break. Its error is one of reading, or of Options.Record; a stream that
// does not hold is not an error.
func VerifyStream(r io.Reader, keys Keys, o Options) (Report, error) {
	start := time.Now()
	if o.MaxBreaks == 0 {
		o.MaxBreaks = 10_000
	}
	v := newStreamVerifier(keys, o)
	err := v.run(r)
	v.finish()
	v.report.Duration = time.Since(start)
	return v.report, err
}

// published is a checkpoint that must fit.
type published struct {
	Checkpoint
	done bool
}

// readPublished opens the checkpoints of this chain, by size.
func (v *streamVerifier) readPublished() {
	for _, signed := range v.options.Checkpoints {
		c, err := ReadCheckpoint(signed)
		switch {
		case err != nil:
			v.add(0, BreakCheckpoint, "a published checkpoint cannot be read: %v", err)
			continue
		case c.Origin != v.report.Header.Origin:
			v.report.Others++
			continue
		}
		if c, err = OpenCheckpoint(signed, v.keys); err != nil {
			v.add(int64(c.Size), kindOf(err), "the published checkpoint of size %d: %v", c.Size, err)
			continue
		}
		v.published = append(v.published, published{Checkpoint: c})
	}
	slices.SortStableFunc(v.published, func(a, b published) int { return int(int64(a.Size) - int64(b.Size)) })
	if n := len(v.options.Checkpoints); n > 0 && v.report.Others == n {
		v.add(0, BreakCheckpoint, "none of the %d published checkpoints is of this chain, %s", n, v.report.Header.Origin)
	}
}

// compare compares the published checkpoints of the tree's present size.
func (v *streamVerifier) compare() {
	for ; v.compared < len(v.published); v.compared++ {
		p := &v.published[v.compared]
		if p.Size > v.tree.Size() {
			return
		}
		if p.Size < v.tree.Size() || v.lost {
			continue // told at the end
		}
		p.done = true
		if p.Root != v.tree.Root() {
			v.add(int64(p.Size), BreakCheckpoint, "the published checkpoint of size %d says that the root was %x, these records give %x: "+
				"they were changed after it was published", p.Size, p.Root, v.tree.Root())
			continue
		}
		v.report.Compared++
	}
}

// uncompared tells the published checkpoints that could not be compared.
func (v *streamVerifier) uncompared() {
	for _, p := range v.published {
		switch {
		case p.done:
		case v.lost:
			v.add(int64(p.Size), BreakCheckpoint, "the published checkpoint of size %d cannot be compared because of the breaks before it", p.Size)
		case p.Size > v.tree.Size():
			v.add(int64(p.Size), BreakCheckpoint, "the published checkpoint is of size %d and these records end at %d: "+
				"they were written before it, or their end was cut off", p.Size, v.tree.Size())
		default:
			v.add(int64(p.Size), BreakCheckpoint, "the published checkpoint of size %d falls into records that were skipped, "+
				"so that it cannot be compared: make an export without a filter", p.Size)
		}
	}
}

// finish judges the end.
func (v *streamVerifier) finish() {
	v.report.Root = v.tree.Root()
	if v.report.Header.Format == "" {
		if v.report.OK() {
			v.add(0, BreakFormat, "there is nothing: a stream of %s begins with a header", Format)
		}
		return
	}
	for _, r := range v.pruning.Unexplained() {
		v.add(r.From, BreakGap, "records %s are missing, and no later record says that they were pruned", through(r.From, r.To))
	}
	v.uncompared()
	if v.last == nil {
		v.add(v.expected, BreakTruncated, "the stream ends without its checkpoint: its end is missing")
		return
	}
	v.judgeCheckpoint(v.last.Checkpoint)
	v.judgeSignature(v.last.Signature)
}

func (v *streamVerifier) judgeCheckpoint(signed string) {
	h := v.report.Header
	if signed == "" {
		v.add(0, BreakCheckpoint, "the checkpoint is missing")
		return
	}
	c, err := OpenCheckpoint(signed, v.keys)
	if err != nil {
		v.add(0, kindOf(err), "the checkpoint: %v", err)
	}
	v.report.Checkpoint = c
	switch {
	case c.Note == "":
	case c.Origin != h.Origin:
		v.add(0, BreakCheckpoint, "the checkpoint is of the chain %s, the records of %s", c.Origin, h.Origin)
	case c.Size != h.Size:
		v.add(0, BreakCheckpoint, "the checkpoint is of size %d, the header says %d", c.Size, h.Size)
	case v.lost:
	case v.tree.Size() < c.Size:
		v.add(v.expected, BreakGap, "records %d to %d are missing", v.expected, c.Size)
	case v.tree.Size() > c.Size:
		v.add(int64(c.Size)+1, BreakOrder, "there are %d records more than the checkpoint signs", v.tree.Size()-c.Size)
	case c.Root != v.tree.Root():
		v.add(0, BreakTree, "the records give the root %x, the checkpoint signs %x: a record was changed together with its leaf, or a skipped node was", v.tree.Root(), c.Root)
	}
}

func (v *streamVerifier) judgeSignature(signed string) {
	if signed == "" {
		v.add(0, BreakUnsigned, "the stream: %v", ErrUnsigned)
		return
	}
	text, _, err := openNote(signed, v.report.Header.Origin, v.keys)
	if err != nil {
		v.add(0, kindOf(err), "the stream: %v", err)
		return
	}
	if text != streamText(v.report.Header.Origin, Hash(v.sum.Sum(nil))) {
		v.add(0, BreakSignature, "the stream was changed after it was signed")
	}
}

// kindOf is the kind of break that a note makes.
func kindOf(err error) string {
	for _, k := range []struct {
		err  error
		kind string
	}{{ErrUnsigned, BreakUnsigned}, {ErrForeign, BreakForeign}, {ErrSignature, BreakSignature}} {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return BreakCheckpoint
}

func (v *streamVerifier) add(sequence int64, kind, format string, args ...any) {
	if len(v.report.Breaks) >= v.options.MaxBreaks {
		v.report.More++
		return
	}
	v.report.Breaks = append(v.report.Breaks, Break{Sequence: sequence, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}
