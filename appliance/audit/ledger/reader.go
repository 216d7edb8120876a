package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"strconv"
	"sync"
)

// blockSize is how much is read and parsed at once.
const blockSize = 256 << 10

// block is a number of whole lines. Workers parse blocks and hash their records
// side by side; then they are joined in the order of the stream.
type block struct {
	data  []byte
	lines []line
	done  chan struct{}
}

// line is what a worker found in one line.
type line struct {
	kind       lineKind
	n          int64
	leaf       Hash
	wrong      bool // the leaf is not the one it is written with
	tells      bool // it may tell of what was pruned
	body       []byte
	start, end int // in the block, with the line feed
}

type lineKind uint8

const (
	lineBad lineKind = iota
	lineRecord
	lineSkip
	lineClosing
)

type streamVerifier struct {
	keys    Keys
	options Options
	report  Report

	sum       hash.Hash
	tree      Tree
	expected  int64 // the next sequence number
	lost      bool  // the tree cannot be computed any more
	last      *closing
	pruning   Pruning
	published []published
	compared  int
}

func newStreamVerifier(keys Keys, o Options) *streamVerifier {
	return &streamVerifier{keys: keys, options: o, sum: sha256.New(), expected: 1, report: Report{Breaks: []Break{}}}
}

// run has one goroutine read, one per core parse and hash, and joins here.
func (v *streamVerifier) run(r io.Reader) error {
	var (
		workers = runtime.GOMAXPROCS(0)
		order   = make(chan *block, 2*workers)
		work    = make(chan *block, 2*workers)
		free    = make(chan *block, 4*workers)
		stop    = make(chan struct{})
		failed  error
		wait    sync.WaitGroup
	)
	defer wait.Wait()
	for range cap(free) {
		free <- &block{}
	}
	for range workers {
		wait.Go(func() {
			for b := range work {
				b.parse()
				close(b.done)
			}
		})
	}
	wait.Go(func() {
		defer close(order)
		defer close(work)
		failed = cut(r, free, stop, func(b *block) { order <- b; work <- b })
	})
	var err error
	for b := range order {
		<-b.done
		if err == nil {
			if err = v.join(b); err != nil {
				close(stop)
			}
		}
		b.data, b.lines = b.data[:0], b.lines[:0]
		free <- b
	}
	if errors.Is(err, ErrFormat) {
		err = nil // a break, told already
	}
	return errors.Join(failed, err)
}

// cut reads r into blocks of whole lines. The last one may lack its line feed.
func cut(r io.Reader, free <-chan *block, stop <-chan struct{}, send func(*block)) error {
	var rest []byte
	for {
		var b *block
		select {
		case b = <-free:
		case <-stop:
			return nil
		}
		b.done = make(chan struct{})
		b.data = append(b.data[:0], rest...)
		end, err := b.fill(r)
		rest = append(rest[:0], b.data[end:]...)
		b.data = b.data[:end]
		send(b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until there is a whole line and the block is full, and returns
// where the last whole line ends.
func (b *block) fill(r io.Reader) (int, error) {
	searched := len(b.data)
	for {
		if len(b.data) == cap(b.data) {
			b.data = append(b.data, make([]byte, blockSize)...)[:len(b.data)]
		}
		n, err := r.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		if errors.Is(err, io.EOF) {
			return len(b.data), io.EOF
		}
		if err != nil {
			return 0, err
		}
		if len(b.data) < blockSize {
			continue
		}
		if at := bytes.LastIndexByte(b.data[searched:], '\n'); at >= 0 {
			return searched + at + 1, nil
		}
		searched = len(b.data)
		if len(b.data) > MaxLine {
			return 0, fmt.Errorf("a line is longer than %d bytes: this is not a stream of %s", MaxLine, Format)
		}
	}
}

// parse finds the lines and hashes their records.
func (b *block) parse() {
	digest := sha256.New()
	for start := 0; start < len(b.data); {
		end := bytes.IndexByte(b.data[start:], '\n')
		next := start + end + 1
		if end < 0 {
			next = len(b.data)
		}
		l := line{start: start, end: next}
		l.parse(bytes.TrimSuffix(b.data[start:next], []byte{'\n'}), digest)
		b.lines = append(b.lines, l)
		start = next
	}
}

func (l *line) parse(text []byte, digest hash.Hash) {
	switch {
	case bytes.HasPrefix(text, recordPrefix):
		if l.record(text[len(recordPrefix):], digest) {
			l.kind = lineRecord
		}
	case bytes.HasPrefix(text, skipPrefix):
		l.kind = lineSkip
	case bytes.HasPrefix(text, closingPrefix):
		l.kind = lineClosing
	}
}

// record reads what follows {"n": — false when it is not of the format.
func (l *line) record(text []byte, digest hash.Hash) bool {
	digits := 0
	for digits < len(text) && digits < 19 && text[digits] >= '0' && text[digits] <= '9' {
		l.n = l.n*10 + int64(text[digits]-'0')
		digits++
	}
	if digits == 0 || text[0] == '0' || l.n < 0 || l.n > 1<<62 {
		return false
	}
	text, ok := bytes.CutPrefix(text[digits:], leafPrefix)
	digits = bytes.IndexByte(text, '"')
	if !ok || digits < 0 {
		return false
	}
	leaf, rest := text[:digits], text[digits:]
	if len(leaf) == 2*sha256.Size && string(rest) == `"}` {
		_, err := hex.Decode(l.leaf[:], leaf)
		return err == nil && string(bytes.ToLower(leaf)) == string(leaf)
	}
	if !l.content(rest) {
		return false
	}
	digest.Reset()
	digest.Write(leafMark)
	digest.Write(l.body)
	digest.Sum(l.leaf[:0])
	var digitsOf [leafDigits]byte
	hex.Encode(digitsOf[:], l.leaf[:leafDigits/2])
	l.wrong = !bytes.Equal(digitsOf[:], leaf)
	l.tells = MayTell(l.body)
	return true
}

// content reads body or raw up to the line's end.
func (l *line) content(rest []byte) bool {
	if body, ok := bytes.CutPrefix(rest, bodyPrefix); ok {
		l.body, ok = bytes.CutSuffix(body, []byte("}"))
		return ok && len(l.body) > 0
	}
	raw, ok := bytes.CutPrefix(rest, rawPrefix)
	raw, ok2 := bytes.CutSuffix(raw, []byte(`"}`))
	if !ok || !ok2 {
		return false
	}
	var err error
	l.body, err = base64.StdEncoding.Strict().DecodeString(string(raw))
	if l.body == nil {
		l.body = []byte{}
	}
	return err == nil
}

// join takes the lines of a block in the order of the stream. Everything
// before the last line is hashed for the signature.
func (v *streamVerifier) join(b *block) error {
	hashed := 0
	for i := range b.lines {
		l := &b.lines[i]
		if v.last != nil {
			v.add(v.expected, BreakFormat, "there is something after the checkpoint, which is the end")
			break
		}
		if l.kind == lineClosing {
			v.sum.Write(b.data[hashed:l.start])
			hashed = len(b.data)
		}
		if err := v.line(l, b.data[l.start:l.end]); err != nil {
			return err
		}
	}
	v.sum.Write(b.data[hashed:])
	v.report.Bytes += int64(len(b.data))
	return nil
}

func (v *streamVerifier) line(l *line, text []byte) error {
	if v.report.Header.Format == "" {
		return v.header(text)
	}
	switch l.kind {
	case lineRecord:
		return v.record(l)
	case lineSkip:
		v.skip(text)
	case lineClosing:
		v.closing(text)
	default:
		v.add(v.expected, BreakFormat, "the line is not of the format %s: %s", Format, shorten(text))
		v.expected, v.lost = v.expected+1, true
	}
	return nil
}

// ErrFormat says that the input is not a stream at all.
var ErrFormat = errors.New("this is not a file of the format " + Format)

func (v *streamVerifier) header(text []byte) error {
	var h Header
	if json.Unmarshal(text, &h) != nil || h.Format != Format || h.Origin == "" {
		v.add(0, BreakFormat, "the first line is not the header of a stream of %s: %s", Format, shorten(text))
		return ErrFormat
	}
	v.report.Header = h
	v.readPublished()
	v.compare()
	return nil
}

func (v *streamVerifier) record(l *line) error {
	if !v.place(l.n) {
		return nil
	}
	if l.wrong {
		v.add(l.n, BreakHash, "the record was changed: it gives the leaf %s…", hex.EncodeToString(l.leaf[:leafDigits/2]))
	}
	v.tree.Append(l.leaf)
	v.expected++
	v.report.Records++
	if v.compared < len(v.published) {
		v.compare()
	}
	if body := v.elsewhere(l); l.tells || body != nil && MayTell(body) {
		if err := v.pruning.Tell(l.n, body); err != nil {
			v.add(l.n, BreakContent, "what the record says was pruned cannot be: %v", err)
		}
	}
	if v.options.Record == nil {
		return nil
	}
	return v.options.Record(l.n, l.leaf, l.body)
}

// elsewhere is the body of a record, also of one that stands in a table.
func (v *streamVerifier) elsewhere(l *line) []byte {
	if l.body == nil && v.options.body != nil {
		return v.options.body(l.n, l.leaf)
	}
	return l.body
}

// reason judges why records are not in the stream.
func (v *streamVerifier) reason(s skipLine) {
	h, last := v.report.Header, s.Skip+1<<s.Level-1
	switch s.Why {
	case Outside:
		if s.Skip <= h.To && last >= h.From {
			v.add(max(s.Skip, h.From), BreakGap, "records %s are missing: they are of the range that this stream has", through(max(s.Skip, h.From), min(last, h.To)))
		}
	case Filtered:
		if len(h.Filter) == 0 || string(h.Filter) == "null" {
			v.add(s.Skip, BreakGap, "records %s are missing: this stream has no filter that leaves them out", through(s.Skip, last))
		}
	case Pruned:
		v.pruning.Miss(s.Skip, last)
	default:
		v.add(s.Skip, BreakFormat, "records are skipped for a reason that there is not: %s", shorten([]byte(s.Why)))
	}
}

// place tells whether what begins at n belongs here; a gap is told and jumped.
func (v *streamVerifier) place(n int64) bool {
	if n < v.expected {
		v.add(n, BreakOrder, "record %d stands where record %d belongs", n, v.expected)
		return false
	}
	if n > v.expected {
		v.add(v.expected, BreakGap, "records %s are missing", through(v.expected, n-1))
		v.expected, v.lost = n, true
	}
	return true
}

func through(first, last int64) string {
	if first == last {
		return strconv.FormatInt(first, 10)
	}
	return fmt.Sprintf("%d to %d", first, last)
}

func (v *streamVerifier) skip(text []byte) {
	var s skipLine
	err := exact(text, &s)
	node, err2 := base64.StdEncoding.Strict().DecodeString(s.Hash)
	if err != nil || err2 != nil || len(node) != sha256.Size || s.Level > 61 || s.Skip < 1 || s.Skip > 1<<61 {
		v.add(v.expected, BreakFormat, "the skip is not of the format %s: %s", Format, shorten(text))
		v.lost = true
		return
	}
	if !v.place(s.Skip) {
		return
	}
	v.reason(s)
	if !v.lost {
		if err := v.tree.AppendNode(s.Level, Hash(node)); err != nil {
			v.add(s.Skip, BreakFormat, "%v", err)
			v.lost = true
		}
	}
	v.expected += 1 << s.Level
	v.report.Skipped += 1 << s.Level
	v.compare()
}

func (v *streamVerifier) closing(text []byte) {
	var c closing
	if exact(text, &c) != nil {
		v.add(v.expected, BreakFormat, "the last line is damaged: %s", shorten(text))
		v.lost = true
	}
	v.last = &c
}

// exact reads a line that is written as we would write it.
func exact(text []byte, to any) error {
	if err := json.Unmarshal(text, to); err != nil {
		return err
	}
	again, err := json.Marshal(to)
	if err == nil && !bytes.Equal(again, bytes.TrimSuffix(text, []byte{'\n'})) {
		err = errors.New("it is not written in this form")
	}
	return err
}

// shorten quotes the beginning of a line for a person.
func shorten(text []byte) string {
	const most = 60
	if len(text) > most {
		return strconv.QuoteToASCII(string(text[:most])) + "…"
	}
	return strconv.QuoteToASCII(string(text))
}

// leafMark stands before what is hashed to a leaf.
var leafMark = []byte{0x00}
