package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func body(n int64) []byte {
	switch n {
	case 5:
		return []byte("no\njson \xff")
	case 6:
		return []byte{}
	}
	return fmt.Appendf(nil, `{"v":1,"n":%d,"event":"test.thing.done","reason":%q}`, n, strings.Repeat("x", int(n%40)))
}

// streamOf writes a chain of that many records; those in skip are left out.
func streamOf(t testing.TB, p pair, size int64, skip ...Part) (text string, roots []Hash) {
	t.Helper()
	var r Tree
	roots = append(roots, r.Root())
	leaves := &forest{}
	for n := int64(1); n <= size; n++ {
		leaves.leaves = append(leaves.leaves, Leaf(body(n)))
		r.Append(Leaf(body(n)))
		roots = append(roots, r.Root())
	}
	var out bytes.Buffer
	h := Header{Origin: origin, From: 1, To: size, Size: uint64(size), Created: time.Unix(1e9, 0).UTC()}
	if len(skip) > 0 {
		h.Filter = json.RawMessage(`{"event":["test"]}`)
	}
	w := NewWriter(&out, h)
	for w.Next() <= size {
		n := w.Next()
		at := slices.IndexFunc(skip, func(s Part) bool { return int64(s.First())+1 == n })
		if at < 0 {
			if err := w.Record(n, body(n)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		node, _ := leaves.Node(skip[at].Level, skip[at].Index)
		if err := w.Skip(n, skip[at].Level, node, Filtered); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context(), checkpointOf(t, p, uint64(size), r.Root()).Note, signing(p)); err != nil {
		t.Fatal(err)
	}
	if int(w.Bytes()) != out.Len() {
		t.Errorf("the writer counts %d bytes of %d", w.Bytes(), out.Len())
	}
	return out.String(), roots
}

func signing(p pair) func(context.Context, string) (string, error) {
	return func(ctx context.Context, text string) (string, error) {
		return SignNote(ctx, text, origin, p.Key, p.sign)
	}
}

func verified(t testing.TB, text string, p pair, o Options) Report {
	t.Helper()
	r, err := VerifyStream(strings.NewReader(text), Keys{p.Key}, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantBreak demands a break of that kind at that sequence.
func wantBreak(t *testing.T, name string, r Report, sequence int64, kind string) {
	t.Helper()
	if !slices.ContainsFunc(r.Breaks, func(b Break) bool { return b.Sequence == sequence && b.Kind == kind }) {
		t.Errorf("%s: no break %s at %d in %+v", name, kind, sequence, r.Breaks)
	}
}

func TestStreamsHold(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{Ed25519, ECDSAP256} {
		p := newPair(t, a)
		text, roots := streamOf(t, p, 41, Part{3, 1}, Part{4, 1}, Part{0, 40})
		var bodies int
		r := verified(t, text, p, Options{
			Checkpoints: []string{checkpointOf(t, p, 8, roots[8]).Note, checkpointOf(t, p, 33, roots[33]).Note, checkpointOf(t, p, 0, roots[0]).Note},
			Record: func(n int64, leaf Hash, got []byte) error {
				bodies++
				if string(got) != string(body(n)) || leaf != Leaf(got) {
					t.Errorf("record %d came as %q", n, got)
				}
				return nil
			},
		})
		if !r.OK() || r.Records != 16 || r.Skipped != 25 || bodies != 16 || r.Compared != 3 || r.Root != roots[41] || r.Checkpoint.Key.Algorithm != a {
			t.Errorf("%+v", r)
		}
		if int(r.Bytes) != len(text) {
			t.Errorf("%d bytes of %d", r.Bytes, len(text))
		}
	}
	p := newPair(t, Ed25519)
	text, _ := streamOf(t, p, 0)
	if r := verified(t, text, p, Options{}); !r.OK() {
		t.Errorf("an empty chain: %+v", r.Breaks)
	}
}

// TestRobustness11Stream flips, deletes, repeats and reorders each record of a
// stream: each is found and named.
func TestRobustness11Stream(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	text, _ := streamOf(t, p, 23)
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	for n := int64(1); n <= 23; n++ {
		line := lines[n]
		flip := func(at int) string {
			changed := []byte(line)
			changed[at] ^= 1
			return replaced(lines, n, string(changed))
		}
		kind := BreakHash
		if n == 5 || n == 6 {
			kind = BreakFormat // the base64 itself is hit
		}
		wantBreak(t, "body", verified(t, flip(len(line)-4), p, Options{}), n, kind)
		wantBreak(t, "leaf", verified(t, flip(strings.Index(line, `"leaf":"`)+9), p, Options{}), n, BreakHash)
		if n < 23 {
			wantBreak(t, "deleted", verified(t, replaced(lines, n, ""), p, Options{}), n, BreakGap)
			r := verified(t, replaced(lines, n, lines[n+1]+line), p, Options{})
			wantBreak(t, "reordered", r, n, BreakGap)
			wantBreak(t, "reordered", r, n, BreakOrder)
		}
		wantBreak(t, "twice", verified(t, replaced(lines, n, line+line), p, Options{}), n, BreakOrder)
		// Whoever changes the leaf too is found by the root, as is any change by the signature.
		forged := []byte(`{"forged":true}`)
		leaf := Leaf(forged)
		r := verified(t, replaced(lines, n, fmt.Sprintf("{\"n\":%d,\"leaf\":\"%x\",\"body\":%s}\n", n, leaf[:4], forged)), p, Options{})
		wantBreak(t, "forged", r, 0, BreakTree)
		wantBreak(t, "forged", r, 0, BreakSignature)
	}
	wantBreak(t, "last deleted", verified(t, replaced(lines, 23, ""), p, Options{}), 23, BreakGap)
}

func replaced(lines []string, at int64, with string) string {
	changed := slices.Clone(lines)
	changed[at] = with
	return strings.Join(changed, "")
}

// TestAllBreaksAreTold has several at once.
func TestAllBreaksAreTold(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	text, roots := streamOf(t, p, 30)
	lines := strings.SplitAfter(text, "\n")
	lines[3] = strings.Replace(lines[3], "done", "gone", 1)
	lines[9] = ""
	lines[12] = "{\"n\":12,\"leaf\":rubbish}\n"
	lines[20] = strings.Replace(lines[20], "done", "gone", 1)
	r := verified(t, strings.Join(lines, ""), p, Options{Checkpoints: []string{checkpointOf(t, p, 2, roots[2]).Note, checkpointOf(t, p, 25, roots[25]).Note}})
	for _, w := range []Break{{3, BreakHash, ""}, {9, BreakGap, ""}, {12, BreakFormat, ""}, {20, BreakHash, ""}, {0, BreakSignature, ""}, {25, BreakCheckpoint, ""}} {
		wantBreak(t, "all", r, w.Sequence, w.Kind)
	}
	if len(r.Breaks) != 6 || r.Compared != 1 {
		t.Errorf("%d compared, %+v", r.Compared, r.Breaks)
	}
	if r = verified(t, strings.Join(lines, ""), p, Options{MaxBreaks: 2}); len(r.Breaks) != 2 || r.More != 3 || r.OK() {
		t.Errorf("%+v", r)
	}
}

// TestEndsOfStreams has the last line missing, unsigned, foreign or of another
// stream, and published checkpoints that do not fit.
func TestEndsOfStreams(t *testing.T) {
	t.Parallel()
	ours, other := newPair(t, Ed25519), newPair(t, Ed25519)
	text, roots := streamOf(t, ours, 12)
	foreign, _ := streamOf(t, other, 12)
	at := strings.Index(text, `{"checkpoint"`)
	head, end := text[:at], text[at:]
	note := checkpointOf(t, ours, 12, roots[12]).Note
	jsonOf := func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }
	for name, try := range map[string]struct {
		text     string
		sequence int64
		kind     string
	}{
		"no last line":       {head, 13, BreakTruncated},
		"cut in a record":    {text[:at-20], 13, BreakTruncated},
		"no checkpoint":      {head + `{"checkpoint":"","signature":"x"}`, 0, BreakCheckpoint},
		"no signature":       {head + `{"checkpoint":"` + jsonOf(note) + `","signature":""}`, 0, BreakUnsigned},
		"unsigned":           {head + `{"checkpoint":"` + jsonOf(Checkpoint{Origin: origin, Size: 12, Root: roots[12]}.Text()) + `","signature":""}`, 0, BreakUnsigned},
		"foreign":            {foreign, 0, BreakForeign},
		"foreign stream":     {head + strings.Replace(end, sub(end, `"signature"`), sub(foreign, `"signature"`), 1), 0, BreakForeign},
		"older checkpoint":   {head + `{"checkpoint":"` + jsonOf(checkpointOf(t, ours, 11, roots[11]).Note) + `","signature":""}`, 0, BreakCheckpoint},
		"other root":         {head + `{"checkpoint":"` + jsonOf(checkpointOf(t, ours, 12, roots[11]).Note) + `","signature":""}`, 0, BreakTree},
		"something after":    {text + head, 13, BreakFormat},
		"damaged last line":  {head + end[:len(end)-3], 13, BreakFormat},
		"header changed":     {strings.Replace(text, `"from":1`, `"from":2`, 1), 0, BreakSignature},
		"no header":          {lineAfter(text), 0, BreakFormat},
		"another format":     {strings.Replace(text, "nimbus-audit/1", "nimbus-audit/2", 1), 0, BreakFormat},
		"nothing":            {"", 0, BreakFormat},
		"member added":       {strings.Replace(text, `,"signature"`, `,"x":1,"signature"`, 1), 13, BreakFormat},
		"space in the frame": {strings.Replace(text, `{"n":2,`, `{"n": 2,`, 1), 2, BreakFormat},
	} {
		wantBreak(t, name, verified(t, try.text, ours, Options{}), try.sequence, try.kind)
	}
	skipped, _ := streamOf(t, ours, 12, Part{2, 1})
	stranger := Checkpoint{Origin: "nimbus/x/provider", Size: 3}
	for name, try := range map[string]struct {
		text, note string
		sequence   int64
		kind       string
	}{
		"does not fit":   {text, checkpointOf(t, ours, 7, roots[8]).Note, 7, BreakCheckpoint},
		"newer":          {text, checkpointOf(t, ours, 15, roots[8]).Note, 15, BreakCheckpoint},
		"in a skip":      {skipped, checkpointOf(t, ours, 6, roots[6]).Note, 6, BreakCheckpoint},
		"foreign":        {text, checkpointOf(t, other, 7, roots[7]).Note, 7, BreakForeign},
		"of other chain": {text, stranger.Text(), 0, BreakCheckpoint},
		"rubbish":        {text, "rubbish", 0, BreakCheckpoint},
	} {
		r := verified(t, try.text, ours, Options{Checkpoints: []string{try.note}})
		wantBreak(t, name, r, try.sequence, try.kind)
		if len(r.Breaks) != 1 || r.Compared != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func sub(text, from string) string { return text[strings.LastIndex(text, from):] }

func lineAfter(text string) string { return text[strings.Index(text, "\n")+1:] }

// TestAnyFlippedByteIsFound flips a byte at every place of a stream.
func TestAnyFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	text, _ := streamOf(t, p, 9, Part{1, 1})
	for at := range text {
		changed := []byte(text)
		changed[at] ^= byte(1 << rand.N(8))
		r, err := VerifyStream(bytes.NewReader(changed), Keys{p.Key}, Options{})
		if err == nil && r.OK() && at < len(text)-1 {
			t.Fatalf("byte %d: %q was not missed", at, text[max(0, at-20):at+1])
		}
	}
}

// TestWriterRefuses what would make a stream that does not hold.
func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	begin := func() *Writer { return NewWriter(io.Discard, Header{Origin: origin, Size: 1}) }
	if w := begin(); w.Record(2, []byte("{}")) == nil {
		t.Error("a gap was written")
	}
	w := begin()
	if err := w.Record(1, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if w.Skip(2, 1, Hash{}, Outside) == nil {
		t.Error("a subtree was written where none can begin")
	}
	for name, c := range map[string]Checkpoint{
		"another root": checkpointOf(t, p, 1, Hash{1}), "another size": checkpointOf(t, p, 2, Leaf([]byte("{}"))),
	} {
		w := begin()
		if err := w.Record(1, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if w.Close(t.Context(), c.Note, signing(p)) == nil {
			t.Errorf("%s: the stream was closed", name)
		}
	}
	w = begin()
	if w.Record(1, bytes.Repeat([]byte("\n"), MaxLine)) == nil {
		t.Error("a line was written that is not read")
	}
}

// TestCompressedStreams reads zstd and refuses what is damaged.
func TestCompressedStreams(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	text, _ := streamOf(t, p, 300)
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := encoder.EncodeAll([]byte(text), nil)
	check := func(packed []byte) (Report, error) {
		in, err := Plain(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		return VerifyStream(in, Keys{p.Key}, Options{})
	}
	if r, err := check(packed); err != nil || !r.OK() || r.Records != 300 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := check(packed[:len(packed)-9]); err == nil && r.OK() {
		t.Error("a cut segment holds")
	}
	packed[len(packed)/2] ^= 4
	if r, err := check(packed); err == nil && r.OK() {
		t.Error("a changed segment holds")
	}
}

func FuzzStream(f *testing.F) {
	p := newPair(f, Ed25519)
	text, _ := streamOf(f, p, 6, Part{1, 1})
	f.Add(text)
	f.Add("{\"format\":\"nimbus-audit/1\",\"origin\":\"a\"}\n{\"skip\":1,\"level\":62,\"hash\":\"" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\",\"why\":\"\"}\n")
	f.Fuzz(func(t *testing.T, changed string) {
		r, err := VerifyStream(strings.NewReader(changed), Keys{p.Key}, Options{Checkpoints: []string{"a\n1\nAA==\n"}})
		if err == nil && r.OK() && strings.TrimSuffix(changed, "\n") != strings.TrimSuffix(text, "\n") {
			t.Fatalf("%q holds", changed)
		}
	})
}

// BenchmarkVerifyStream verifies records of a usual size in memory.
func BenchmarkVerifyStream(b *testing.B) {
	const size = 400_000
	p := newPair(b, Ed25519)
	var out bytes.Buffer
	w := NewWriter(&out, Header{Origin: origin, From: 1, To: size, Size: size})
	usual := `{"v":1,"id":"0197a1b2-4c3d-7000-8000-%012d","time":"2026-11-26T06:00:00.123456Z","tenant":"0197a1b2-0000-7000-8000-000000000001",` +
		`"event":"identity.session.created","outcome":"success","priority":"info","actor":{"kind":"user","id":"0197a1b2-0000-7000-8000-000000000002",` +
		`"name":"Ada Lovelace","address":"192.0.2.17","request_id":"0197a1b2-0000-7000-8000-000000000003"},"target":{"kind":"session",` +
		`"id":"0197a1b2-0000-7000-8000-000000000004","name":"Firefox on Linux"},"details":{"method":"password","factors":2}}`
	for n := int64(1); n <= size; n++ {
		if err := w.Record(n, fmt.Appendf(nil, usual, n)); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(b.Context(), checkpointOf(b, p, size, w.tree.Root()).Note, signing(p)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(out.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, err := VerifyStream(bytes.NewReader(out.Bytes()), Keys{p.Key}, Options{})
		if err != nil || !r.OK() || r.Records != size {
			b.Fatal(err, r.Breaks)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// prunedStream has 64 records, of which some are skipped as pruned; record 60
// tells of ranges, in a body that may be changed.
func prunedStream(t *testing.T, p pair, skip []Part, why string, filter string, from, to int64, told string) Report {
	t.Helper()
	const size = 64
	bodies, leaves, root := map[int64][]byte{}, &forest{}, Tree{}
	for n := int64(1); n <= size; n++ {
		bodies[n] = body(n)
		if n == 60 {
			bodies[n] = []byte(told)
		}
		leaves.leaves = append(leaves.leaves, Leaf(bodies[n]))
		root.Append(Leaf(bodies[n]))
	}
	var out bytes.Buffer
	w := NewWriter(&out, Header{Origin: origin, From: from, To: to, Size: size, Filter: json.RawMessage(filter)})
	for n := w.Next(); n <= size; n = w.Next() {
		var err error
		if at := slices.IndexFunc(skip, func(s Part) bool { return int64(s.First())+1 == n }); at >= 0 {
			node, _ := leaves.Node(skip[at].Level, skip[at].Index)
			err = w.Skip(n, skip[at].Level, node, why)
		} else {
			err = w.Record(n, bodies[n])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context(), checkpointOf(t, p, size, root.Root()).Note, signing(p)); err != nil {
		t.Fatal(err)
	}
	return verified(t, out.String(), p, Options{})
}

// TestOnlyWhatARecordTellsOfMayBePruned has streams that are signed and give
// the signed root, from which records are missing all the same.
func TestOnlyWhatARecordTellsOfMayBePruned(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	tells := func(ranges string) string {
		return `{"v":1,"event":"audit.records.pruned","details":{"ranges":` + ranges + `}}`
	}
	first, middle, last := Part{3, 0}, Part{2, 5}, Part{0, 61} // records 1 to 8, 21 to 24, 62
	for name, try := range map[string]struct {
		skip     []Part
		why      string
		filter   string
		from, to int64
		told     string
		breaks   string
	}{
		"told":                        {[]Part{first, middle}, Pruned, "null", 1, 64, tells(`[[1,8],[21,24]]`), ""},
		"told in pieces":              {[]Part{first}, Pruned, "null", 1, 64, tells(`[[5,8],[1,3],[3,4]]`), ""},
		"told of more":                {[]Part{middle}, Pruned, "null", 1, 64, tells(`[[1,40]]`), ""},
		"the first rows, not told":    {[]Part{first}, Pruned, "null", 1, 64, `{"v":1}`, "[1 gap]"},
		"the first rows, partly told": {[]Part{first, middle}, Pruned, "null", 1, 64, tells(`[[2,4],[6,7],[21,24]]`), "[1 gap] [5 gap] [8 gap]"},
		"another event":               {[]Part{first}, Pruned, "null", 1, 64, `{"event":"x","details":{"ranges":[[1,8]]},"y":"audit.records.pruned"}`, "[1 gap]"},
		"after the record":            {[]Part{last}, Pruned, "null", 1, 64, tells(`[[1,64]]`), "[60 content] [62 gap]"},
		"said to be filtered":         {[]Part{middle}, Filtered, "null", 1, 64, `{}`, "[21 gap]"},
		"filtered":                    {[]Part{middle}, Filtered, `{"q":"x"}`, 1, 64, `{}`, ""},
		"pruned in spite of a filter": {[]Part{middle}, Pruned, `{"q":"x"}`, 1, 64, `{}`, "[21 gap]"},
		"said to be outside":          {[]Part{middle}, Outside, "null", 1, 64, `{}`, "[21 gap]"},
		"partly outside":              {[]Part{middle}, Outside, "null", 23, 64, `{}`, "[23 gap]"},
		"outside":                     {[]Part{middle}, Outside, "null", 25, 64, `{}`, ""},
		"for no reason":               {[]Part{middle}, "lost", "null", 1, 64, `{}`, "[21 format]"},
	} {
		var got []string
		for _, b := range prunedStream(t, p, try.skip, try.why, try.filter, try.from, try.to, try.told).Breaks {
			got = append(got, fmt.Sprintf("[%d %s]", b.Sequence, b.Kind))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != try.breaks {
			t.Errorf("%s: %v, want %s", name, got, try.breaks)
		}
	}
}

// TestUnexplainedIsExact compares with a check of each number.
func TestUnexplainedIsExact(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var p Pruning
		gone, told := map[int64]bool{}, map[int64]bool{}
		for n := int64(1); n <= 60; n++ {
			if random.IntN(3) > 0 {
				p.Miss(n, n)
				gone[n] = true
			}
		}
		for range random.IntN(8) {
			from := 1 + random.Int64N(60)
			r := Range{from, from + random.Int64N(9)}
			p.Told = append(p.Told, r)
			for n := r.From; n <= r.To; n++ {
				told[n] = true
			}
		}
		left := map[int64]bool{}
		for _, r := range p.Unexplained() {
			for n := r.From; n <= r.To; n++ {
				left[n] = true
			}
		}
		for n := range int64(71) {
			if left[n] != (gone[n] && !told[n]) {
				t.Fatalf("%d is wrong for %+v", n, p)
			}
		}
	}
}
