package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/audit/ledger"
)

const origin = "nimbus/0197a1b2-0000-7000-8000-000000000001/provider"

// signer is a key and a chain of twenty records that it signed at ten and twenty.
type signer struct {
	ledger.Key
	private ed25519.PrivateKey
}

func newSigner(t *testing.T) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ledger.NewKey("", der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{k, private}
}

func (s signer) sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(s.private, message), nil
}

func (s signer) checkpoint(t *testing.T, tree *ledger.Tree) string {
	t.Helper()
	c, err := ledger.SignCheckpoint(t.Context(), ledger.Checkpoint{Origin: origin, Size: tree.Size(), Root: tree.Root()}, s.Key, s.sign)
	if err != nil {
		t.Fatal(err)
	}
	return c.Note
}

// export writes records of a word, and returns the stream, the table with its
// proof, and the checkpoint of ten.
func (s signer) export(t *testing.T, word string) (stream, table, proof, early string) {
	t.Helper()
	var out, rows, leaves bytes.Buffer
	h := ledger.Header{Origin: origin, From: 1, To: 20, Size: 20}
	w, p := ledger.NewWriter(&out, h), ledger.NewWriter(&leaves, h)
	c, err := ledger.NewCSVWriter(&rows)
	if err != nil {
		t.Fatal(err)
	}
	var tree ledger.Tree
	for n := int64(1); n <= 20; n++ {
		body := fmt.Appendf(nil, `{"event":"test.%s.done","n":%d}`, word, n)
		tree.Append(ledger.Leaf(body))
		for _, err := range []error{w.Record(n, body), p.Leaf(n, ledger.Leaf(body)), c.Record(n, body)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if n == 10 {
			early = s.checkpoint(t, &tree)
		}
	}
	note := func(ctx context.Context, text string) (string, error) {
		return ledger.SignNote(ctx, text, origin, s.Key, s.sign)
	}
	for _, w := range []*ledger.Writer{w, p} {
		if err := w.Close(t.Context(), s.checkpoint(t, &tree), note); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String(), rows.String(), leaves.String(), early
}

// TestExportsAreCheckedAlone gives the reason for each way in which an export
// does not hold, with exit code 5, and 0 when it does.
func TestExportsAreCheckedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours, foreign := newSigner(t), newSigner(t)
	stream, table, proof, early := ours.export(t, "thing")
	rewritten, _, _, _ := ours.export(t, "other") // by whoever has the key
	strange, _, _, _ := foreign.export(t, "thing")
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := file("key.pem", ours.PEM())
	published := filepath.Join(dir, "published")
	if err := os.Mkdir(published, 0o700); err != nil {
		t.Fatal(err)
	}
	file("published/ten", early)
	good := file("good.jsonl", stream)
	at := strings.Index(stream, `{"checkpoint"`)
	for _, try := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"holds", []string{"--key", key, good}, 0, "holds"},
		{"key as text", []string{"--key", ours.Text(origin), good}, 0, "holds"},
		{"with what was published", []string{"--key", key, "--checkpoints", published, good}, 0, "1 fit"},
		{"compressed", []string{"--key", key, file("good.zst", string(encoder.EncodeAll([]byte(stream), nil)))}, 0, "holds"},
		{"table", []string{"--key", key, "--csv", file("t.csv", table), file("p.jsonl", proof)}, 0, "holds"},
		{"flipped byte", []string{"--key", key, file("flip", strings.Replace(stream, `thing.done","n":7`, `thinG.done","n":7`, 1))}, 5, "record 7: hash"},
		{"flipped byte in a table", []string{"--key", key, "--csv", file("f.csv", strings.Replace(table, `""n"":7`, `""n"":8`, 1)), file("p2.jsonl", proof)}, 5, "record 7: content"},
		{"missing checkpoint", []string{"--key", key, file("cut", stream[:at])}, 5, "without its checkpoint"},
		{"unsigned", []string{"--key", key, file("unsigned", stream[:at]+`{"checkpoint":"","signature":""}`)}, 5, "no signature"},
		{"foreign", []string{"--key", key, file("foreign", strange)}, 5, "foreign"},
		{"rewritten and signed", []string{"--key", key, file("rewritten", rewritten)}, 0, "holds"},
		{"rewritten, against what was published", []string{"--key", key, "--checkpoints", published, file("rewritten2", rewritten)}, 5, "changed after it was published"},
		{"no key", []string{good}, 2, "--key"},
		{"no file", []string{"--key", key}, 2, "name the export"},
		{"not a key", []string{"--key", "rubbish", good}, 2, "neither a file nor a key"},
		{"no such file", []string{"--key", key, filepath.Join(dir, "none")}, 1, "no such file"},
		{"not an export", []string{"--key", key, key}, 5, "not the header"},
		{"json", []string{"--key", key, "-o", "json", good}, 0, `"ok":true`},
		{"help", []string{"--help"}, 0, "Exit codes"},
	} {
		var out, problems bytes.Buffer
		code := run(try.args, strings.NewReader(""), &out, &problems)
		said := problems.String() // why it does not hold
		if code == 0 {
			said += out.String()
		}
		if code != try.code || !strings.Contains(said, try.says) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", try.name, code, try.code, try.says, out.String(), problems.String())
		}
	}
	var out bytes.Buffer
	if code := run([]string{"--key", key, "-"}, strings.NewReader(stream), &out, &out); code != 0 {
		t.Errorf("standard input: %d %s", code, out.String())
	}
}

// TestBinaryIsSmallAndStatic builds the verifier as `make build` does.
func TestBinaryIsSmallAndStatic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nimbus-verify")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() >= 10<<20 {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}
	binary, err := os.ReadFile(path)
	if err != nil || bytes.Contains(binary, []byte("/ld-linux")) {
		t.Errorf("it is not static %v", err)
	}
	out, err := exec.Command(path, "--help").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("public key alone")) {
		t.Errorf("%v: %s", err, out)
	}
}
