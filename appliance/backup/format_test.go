package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

var thisReader = Reader{Postgres: "18", Schema: "20261126T100000"}

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func header() Header {
	return Header{
		Format: Format, ID: id.New(), Kind: Manual, Appliance: id.New(), Name: "Test", Version: "1.0.0",
		Postgres: thisReader.Postgres, Schema: thisReader.Schema, CreatedAt: time.Now().UTC().Truncate(time.Second),
	}
}

// contents are the files of a small archive.
var contents = map[string]string{
	"postgres/data/PG_VERSION": "18\n", "postgres/data/base/1/2": strings.Repeat("page ", 5000), "keys/root.key": "0123", "local/pb/data.db": "",
}

func pack(t testing.TB, key *age.X25519Identity, h Header) []byte {
	t.Helper()
	var out bytes.Buffer
	p, err := newPacker(&out, []age.Recipient{key.Recipient()}, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.folder("postgres/data/pg_notify"); err != nil {
		t.Fatal(err)
	}
	for name, text := range contents {
		if err := p.add(name, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// forge makes an archive of entries as they come, as somebody could who knows
// the recipient.
func forge(t *testing.T, key *age.X25519Identity, write func(*tar.Writer)) []byte {
	t.Helper()
	var out bytes.Buffer
	encrypted, err := age.Encrypt(&out, key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	packed, err := zstd.NewWriter(encrypted)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(packed)
	write(w)
	if err := errors.Join(w.Close(), packed.Close(), encrypted.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func document(t *testing.T, w *tar.Writer, name string, v any) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	entry(t, w, tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(raw))}, string(raw))
}

func entry(t *testing.T, w *tar.Writer, h tar.Header, text string) {
	t.Helper()
	err := w.WriteHeader(&h)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unpackBytes(t *testing.T, archive []byte, key age.Identity) (string, Manifest, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "scratch")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	u := unpacker{reader: thisReader, size: int64(len(archive))}
	m, err := u.unpack(t.Context(), bytes.NewReader(archive), key, dir)
	return dir, m, err
}

func TestArchiveComesBackAsItWas(t *testing.T) {
	t.Parallel()
	key, h := newKey(t), header()
	archive := pack(t, key, h)
	dir, m, err := unpackBytes(t, archive, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range contents {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want || err != nil {
			t.Errorf("%s comes back as %d bytes, %v", name, len(got), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "postgres/data/pg_notify")); err != nil || !info.IsDir() {
		t.Errorf("the empty folder: %v", err)
	}
	if m.Header != h || len(m.Files) != len(contents)+1 || strings.Join(m.includes(), " ") != "postgres keys local" {
		t.Errorf("the manifest says %+v", m)
	}
	if bytes.Contains(archive, []byte("page page")) || bytes.Contains(archive, []byte("root.key")) {
		t.Error("the archive can be read without a key")
	}
}

func TestRobustness45WrongKeyIsSaidClearly(t *testing.T) {
	t.Parallel()
	dir, _, err := unpackBytes(t, pack(t, newKey(t), header()), newKey(t))
	if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), "recovery kit does not open") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v was written, %v", left, err)
	}
	for text, want := range map[string]string{"hello": "no key", "AGE-SECRET-KEY-1QQQ": "typing error"} {
		if _, err := ReadKey(text); !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), want) {
			t.Errorf("%q gives %v", text, err)
		}
	}
	key := newKey(t)
	if got, err := ReadKey("Nimbus recovery kit\r\n\r\n  " + key.String() + "\r\nChecksum: x\r\n"); err != nil || got.String() != key.String() {
		t.Errorf("the key of a kit is read as %v, %v", got, err)
	}
}

func TestRobustness41DamageIsFound(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	archive := pack(t, key, header())
	for at := 0; at < len(archive); at += 1 + len(archive)/97 {
		changed := bytes.Clone(archive)
		changed[at] ^= 1
		if _, _, err := unpackBytes(t, changed, key); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("a changed byte at %d of %d gives %v", at, len(archive), err)
		}
		if _, _, err := unpackBytes(t, archive[:at], key); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("an end at %d of %d gives %v", at, len(archive), err)
		}
	}
}

func TestRobustness41ForgedArchives(t *testing.T) {
	t.Parallel()
	key, h := newKey(t), header()
	newer, old, schema := h, h, h
	newer.Format, old.Postgres, schema.Schema = Format+1, "17", "29990101T000000"
	file := func(name string) func(*tar.Writer) {
		return func(w *tar.Writer) {
			document(t, w, headerName, h)
			entry(t, w, tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1}, "x")
			document(t, w, manifestName, Manifest{Header: h, Files: []File{{name, 1, sumOf("x")}}})
		}
	}
	link := func(kind byte) func(*tar.Writer) {
		return func(w *tar.Writer) {
			document(t, w, headerName, h)
			entry(t, w, tar.Header{Name: "keys/link", Typeflag: kind, Linkname: "/etc"}, "")
			entry(t, w, tar.Header{Name: "keys/link/passwd", Typeflag: tar.TypeReg, Size: 1}, "x")
			document(t, w, manifestName, Manifest{Header: h, Files: []File{{"keys/link", 0, ""}, {"keys/link/passwd", 1, sumOf("x")}}})
		}
	}
	manifest := func(m Manifest) func(*tar.Writer) {
		return func(w *tar.Writer) {
			document(t, w, headerName, h)
			entry(t, w, tar.Header{Name: "keys/a", Typeflag: tar.TypeReg, Size: 1}, "x")
			document(t, w, manifestName, m)
		}
	}
	for name, c := range map[string]struct {
		write func(*tar.Writer)
		kind  fault.Kind
		says  string
	}{
		"newer format":    {func(w *tar.Writer) { document(t, w, headerName, newer) }, fault.Conflict, "newer Nimbus"},
		"newer schema":    {func(w *tar.Writer) { document(t, w, headerName, schema) }, fault.Conflict, "newer Nimbus"},
		"other postgres":  {func(w *tar.Writer) { document(t, w, headerName, old) }, fault.Conflict, "Postgres 17"},
		"no header":       {func(w *tar.Writer) { document(t, w, "keys/a", h) }, fault.Unprocessable, "header"},
		"large header":    {func(w *tar.Writer) { document(t, w, headerName, strings.Repeat("x", maxHeader)) }, fault.Unprocessable, "too large"},
		"parent":          {file("../evil"), fault.Unprocessable, "path"},
		"inner parent":    {file("keys/../../evil"), fault.Unprocessable, "path"},
		"absolute":        {file("/etc/cron.d/evil"), fault.Unprocessable, "path"},
		"elsewhere":       {file("ssh/authorized_keys"), fault.Unprocessable, "path"},
		"lock":            {file("lock"), fault.Unprocessable, "path"},
		"backslash":       {file(`keys\..\evil`), fault.Unprocessable, "path"},
		"symbolic link":   {link(tar.TypeSymlink), fault.Unprocessable, "neither"},
		"hard link":       {link(tar.TypeLink), fault.Unprocessable, "neither"},
		"device":          {link(tar.TypeBlock), fault.Unprocessable, "neither"},
		"other manifest":  {manifest(Manifest{Header: newer, Files: []File{{"keys/a", 1, sumOf("x")}}}), fault.Unprocessable, "differ"},
		"other sum":       {manifest(Manifest{Header: h, Files: []File{{"keys/a", 1, sumOf("y")}}}), fault.Unprocessable, "manifest says"},
		"file missing":    {manifest(Manifest{Header: h, Files: []File{{"keys/a", 1, sumOf("x")}, {"keys/b", 1, sumOf("x")}}}), fault.Unprocessable, "names 2"},
		"file too many":   {manifest(Manifest{Header: h}), fault.Unprocessable, "names 0"},
		"manifest absent": {func(w *tar.Writer) { document(t, w, headerName, h) }, fault.Unprocessable, "end is missing"},
		"twice": {func(w *tar.Writer) {
			document(t, w, headerName, h)
			entry(t, w, tar.Header{Name: "keys/a", Typeflag: tar.TypeReg, Size: 1}, "x")
			entry(t, w, tar.Header{Name: "keys/a", Typeflag: tar.TypeReg, Size: 1}, "y")
		}, fault.Unprocessable, "twice"},
	} {
		dir, _, err := unpackBytes(t, forge(t, key, c.write), key)
		if !fault.Is(err, c.kind) || !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
		if beside, _ := os.ReadDir(filepath.Dir(dir)); len(beside) != 1 {
			t.Errorf("%s: %v was written beside the scratch folder", name, beside)
		}
	}
}

// zeros reads as nothing but zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestRobustness41Bomb packs ten gigabytes of zeros into a megabyte. What is too
// much is refused when its size is read.
func TestRobustness41Bomb(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	archive := forge(t, key, func(w *tar.Writer) {
		document(t, w, headerName, header())
		for _, size := range []int64{1 << 20, 10 << 30} {
			if err := w.WriteHeader(&tar.Header{Name: "keys/" + strconv.FormatInt(size, 10), Typeflag: tar.TypeReg, Size: size}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(w, zeros{}, size); err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(archive) > 2<<20 {
		t.Fatalf("the bomb has %d bytes", len(archive))
	}
	dir, _, err := unpackBytes(t, archive, key)
	if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), "far larger") {
		t.Errorf("an archive of %d bytes gives %v", len(archive), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys", strconv.FormatInt(10<<30, 10))); !os.IsNotExist(err) {
		t.Errorf("ten gigabytes were begun: %v", err)
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestUnpackingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u := unpacker{reader: thisReader}
	if _, err := u.unpack(ctx, bytes.NewReader(pack(t, key, header())), key, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
