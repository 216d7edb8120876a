package ledger

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

const origin = "nimbus/0197a1b2-0000-7000-8000-000000000001/provider"

// pair is a key with what signs for it.
type pair struct {
	Key
	sign SignFunc
}

func newPair(t testing.TB, a Algorithm) pair {
	t.Helper()
	if a == ECDSAP256 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return pair{keyOf(t, &private.PublicKey), func(_ context.Context, m []byte) ([]byte, error) {
			sum := sha256.Sum256(m)
			return ecdsa.SignASN1(rand.Reader, private, sum[:])
		}}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{keyOf(t, public), func(_ context.Context, m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil }}
}

func keyOf(t testing.TB, public any) Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKey("", der)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func checkpointOf(t testing.TB, p pair, size uint64, root Hash) Checkpoint {
	t.Helper()
	c, err := SignCheckpoint(t.Context(), Checkpoint{Origin: origin, Size: size, Root: root}, p.Key, p.sign)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKeysTravelAsText writes and reads keys, and has package note of the Go
// project verify what an Ed25519 key signed.
func TestKeysTravelAsText(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{Ed25519, ECDSAP256} {
		p := newPair(t, a)
		c := checkpointOf(t, p, 7, Leaf([]byte("root")))
		read, err := ParseKey(p.Text(origin))
		if err != nil || read.Name != origin || read.Algorithm != a || string(read.Public) != string(p.Public) {
			t.Fatalf("%s: %+v %v", a, read, err)
		}
		fromPEM, err := ParseKeys("\n" + p.PEM())
		if err != nil || len(fromPEM) != 1 {
			t.Fatal(err)
		}
		lines, err := ParseKeys("# ours\n\n" + newPair(t, a).Text(origin) + "\n" + p.Text(origin) + "\n")
		if err != nil || len(lines) != 2 {
			t.Fatal(err)
		}
		for _, keys := range []Keys{{read}, {p.Key}, fromPEM, lines} {
			if got, err := OpenCheckpoint(c.Note, keys); err != nil || got.Size != 7 || got.Root != c.Root || got.Key.Algorithm != a {
				t.Errorf("%s: %+v %v", a, got, err)
			}
		}
		cut := p.Text(origin)
		if _, err := ParseKey(strings.Replace(cut, "A", "B", 1)); err == nil && strings.Contains(cut, "A") {
			t.Errorf("%s: a changed key was read", a)
		}
	}
	p := newPair(t, Ed25519)
	theirs, err := note.NewVerifier(p.Text(origin))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(checkpointOf(t, p, 9, Leaf(nil)).Note), note.VerifierList(theirs))
	if err != nil || !strings.HasPrefix(n.Text, origin+"\n9\n") {
		t.Errorf("%+v %v", n, err)
	}
	_, vkey, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParseKey(vkey); err != nil || k.Text("example.org/log") != vkey {
		t.Errorf("%v %v", k, err)
	}
}

// TestNotesSayWhyTheyDoNotHold tells apart unsigned, foreign and changed notes.
func TestNotesSayWhyTheyDoNotHold(t *testing.T) {
	t.Parallel()
	ours, other := newPair(t, ECDSAP256), newPair(t, Ed25519)
	c := checkpointOf(t, ours, 3, Leaf([]byte("r")))
	keys := Keys{ours.Key}
	for name, try := range map[string]struct {
		note string
		keys Keys
		want error
	}{
		"unsigned":     {c.Text(), keys, ErrUnsigned},
		"foreign":      {checkpointOf(t, other, 3, c.Root).Note, keys, ErrForeign},
		"no keys":      {c.Note, nil, ErrForeign},
		"other origin": {c.Note, Keys{{Name: "else", Algorithm: ours.Algorithm, Public: ours.Public}}, ErrForeign},
		"changed":      {strings.Replace(c.Note, "\n3\n", "\n4\n", 1), keys, ErrSignature},
		"nothing":      {"", keys, ErrCheckpoint},
		"leading zero": {strings.Replace(c.Note, "\n3\n", "\n03\n", 1), keys, ErrCheckpoint},
	} {
		if _, err := OpenCheckpoint(try.note, try.keys); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", name, err, try.want)
		}
	}
	wrong := pair{ours.Key, other.sign}
	if _, err := SignCheckpoint(t.Context(), c, wrong.Key, wrong.sign); err == nil {
		t.Error("a signature of another key was taken")
	}
}

func FuzzCheckpoint(f *testing.F) {
	p := newPair(f, Ed25519)
	c, err := SignCheckpoint(context.Background(), Checkpoint{Origin: origin, Size: 5}, p.Key, p.sign)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Note)
	f.Add("a\n1\nAAAA\n\n— a x\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := OpenCheckpoint(text, Keys{p.Key})
		if err == nil && (got.Size != 5 || got.Origin != origin || got.Root != (Hash{})) {
			t.Fatalf("%q was taken", text)
		}
	})
}

func TestNotesFollowOneAnother(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	a, b := checkpointOf(t, p, 3, Hash{3}).Note, checkpointOf(t, p, 4, Hash{4}).Note
	for _, text := range []string{a + b, "\n" + a + "\n\n" + b + "\n"} {
		if got := SplitNotes(text); len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("%q", got)
		}
	}
	if got := SplitNotes(" \n"); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if got := SplitNotes("rubbish\n"); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := SplitNotes(strings.ReplaceAll("Keep this: it is a checkpoint.\n\n"+a+"\n"+b, "\n", "\r\n")); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("with the ends of lines of a mail: %q", got)
	}
	if got := SplitNotes("Keep this: it is a checkpoint.\n\n" + a); len(got) != 1 || got[0] != a {
		t.Errorf("a mail: %q", got)
	}
}

// TestNotesAreFoundInLogs reads them where receivers keep them, and gives a
// line that carries a broken one as it is.
func TestNotesAreFoundInLogs(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	a, b := checkpointOf(t, p, 3, Hash{3}).Note, checkpointOf(t, p, 4, Hash{4}).Note
	piped := func(note string) string { return strings.ReplaceAll(note, "\n", "|") }
	inJSON, err := json.Marshal(map[string]string{"event": PublishedEvent, "note": a})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"syslog":  "kernel: something else\n<109>1 - - " + PublishedEvent + ` [x note="` + piped(a) + `"] text` + "\nnimbus/other\n",
		"CEF":     "CEF:0|" + PublishedEvent + "|note=" + strings.ReplaceAll(piped(a), "=", `\=`) + " cn1=3\n",
		"webhook": string(inJSON),
		"both":    `{"note":"` + piped(a) + `","record":` + string(inJSON) + "}\n",
	} {
		if got := SplitNotes(text); len(got) != 1 || got[0] != a {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := SplitNotes(PublishedEvent + piped(a) + "\n" + PublishedEvent + piped(b) + "\n"); len(got) != 2 || got[1] != b {
		t.Errorf("%q", got)
	}
	if got := SplitNotes(PublishedEvent + " " + piped(a)[:60]); len(got) != 1 || !strings.Contains(got[0], PublishedEvent) {
		t.Errorf("a cut line: %q", got)
	}
}
