package ledger

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestStreamsGoOn writes a stream in pieces, each by a writer that knows the
// mark only: it is the same as one that was written at once.
func TestStreamsGoOn(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	h := Header{Origin: origin, From: 1, To: 20, Size: 20}
	write := func(pieces bool) string {
		var out bytes.Buffer
		var tree Tree
		w := NewWriter(&out, h)
		for n := int64(1); n <= 20; n++ {
			if pieces {
				w = again(t, &out, w)
			}
			tree.Append(Leaf(body(n)))
			if err := w.Record(n, body(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := again(t, &out, w).Close(t.Context(), checkpointOf(t, p, 20, tree.Root()).Note, signing(p)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	whole, pieces := write(false), write(true)
	if whole != pieces {
		t.Errorf("in pieces it is another stream:\n%s\n%s", whole, pieces)
	}
	if r := verified(t, pieces, p, Options{}); !r.OK() || r.Records != 20 {
		t.Errorf("%+v", r)
	}
	for name, m := range map[string]Mark{
		"nothing":       {Header: h},
		"without peaks": {Header: h, Size: 3, Sum: []byte("x")},
		"past the end":  {Header: h, Size: 32, Peaks: make([]Hash, 1)},
	} {
		if _, err := GoOn(&bytes.Buffer{}, m); err == nil {
			t.Errorf("%s is taken for a place", name)
		}
	}
}

// again is another writer at the mark of one, which went through JSON.
func again(t *testing.T, out *bytes.Buffer, w *Writer) *Writer {
	t.Helper()
	m, err := w.Mark()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Mark
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Bytes != int64(out.Len()) {
		t.Fatalf("the mark is at %d, written are %d", back.Bytes, out.Len())
	}
	next, err := GoOn(out, back)
	if err != nil {
		t.Fatal(err)
	}
	return next
}
