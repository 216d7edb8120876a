package objectstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/objectstore/s3test"
)

// stores are one of each kind, empty.
func stores(t *testing.T) map[string]Store {
	dir, err := Open(Config{Kind: Directory, Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f := s3test.New(t)
	remote, err := Open(configOf(f))
	if err != nil {
		t.Fatal(err)
	}
	server, err := Open(newSSH(t).config())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Store{"directory": dir, "s3": remote, "sftp": server}
}

func read(t *testing.T, s Store, key string) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestStoreKeepsObjects(t *testing.T) {
	t.Parallel()
	for kind, s := range stores(t) {
		// the last one goes in three parts
		for key, body := range map[string][]byte{"a/empty": {}, "a/b/small": []byte("small"), "large": noise(2*partSize + 7)} {
			info, err := s.Put(t.Context(), key, bytes.NewReader(body))
			sum := sha256.Sum256(body)
			if err != nil || info.Key != key || info.Size != int64(len(body)) || info.SHA256 != hex.EncodeToString(sum[:]) {
				t.Fatalf("%s: put %s: %+v, %v", kind, key, info, err)
			}
			if got, err := read(t, s, key); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %s comes back as %d bytes, %v", kind, key, len(got), err)
			}
			if stat, err := s.Stat(t.Context(), key); err != nil || stat.Size != info.Size || stat.Modified.IsZero() {
				t.Errorf("%s: stat %s: %+v, %v", kind, key, stat, err)
			}
		}
		for prefix, want := range map[string][]string{"": {"a/b/small", "a/empty", "large"}, "a/": {"a/b/small", "a/empty"}, "a/e": {"a/empty"}, "none": nil} {
			if got := keys(t, s, prefix); !slices.Equal(got, want) {
				t.Errorf("%s: list %q: %v, want %v", kind, prefix, got, want)
			}
		}
		if _, err := s.Put(t.Context(), "large", strings.NewReader("new")); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, s, "large"); string(got) != "new" {
			t.Errorf("%s: a second put leaves %d bytes, %v", kind, len(got), err)
		}
		for range 2 {
			if err := s.Delete(t.Context(), "large"); err != nil {
				t.Errorf("%s: delete: %v", kind, err)
			}
		}
		_, err := read(t, s, "large")
		_, err2 := s.Stat(t.Context(), "large")
		if !fault.Is(err, fault.NotFound) || !fault.Is(err2, fault.NotFound) {
			t.Errorf("%s: a deleted object answers %v and %v", kind, err, err2)
		}
	}
}

func keys(t *testing.T, s Store, prefix string) (all []string) {
	t.Helper()
	found, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		all = append(all, o.Key)
	}
	return all
}

// broken fails after some bytes.
type broken struct{ left int }

var errBroken = errors.New("broken")

func (b *broken) Read(p []byte) (int, error) {
	n := min(b.left, len(p))
	if n == 0 {
		return 0, errBroken
	}
	b.left -= n
	return n, nil
}

func TestFailedPutLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	for kind, s := range stores(t) {
		if _, err := s.Put(t.Context(), "x/y", strings.NewReader("old")); err != nil {
			t.Fatal(err)
		}
		for _, after := range []int{0, 10, partSize + 10} {
			if _, err := s.Put(t.Context(), "x/y", &broken{after}); !errors.Is(err, errBroken) {
				t.Errorf("%s: a source that breaks after %d bytes gives %v", kind, after, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Put(ctx, "x/y", strings.NewReader("cancelled")); err == nil {
			t.Errorf("%s: a cancelled put succeeds", kind)
		}
		if got, err := read(t, s, "x/y"); string(got) != "old" {
			t.Errorf("%s: there is %q, %v", kind, got, err)
		}
		if got := keys(t, s, ""); !slices.Equal(got, []string{"x/y"}) {
			t.Errorf("%s: there are %v", kind, got)
		}
	}
}

func TestKeysLeadNowhereElse(t *testing.T) {
	t.Parallel()
	for kind, s := range stores(t) {
		for _, key := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "a/", "a/.hidden", ".part-x", "a\\b", "a b", "a\x00", "ä", strings.Repeat("a", maxKey+1)} {
			_, put := s.Put(t.Context(), key, strings.NewReader("x"))
			_, get := s.Get(t.Context(), key)
			_, stat := s.Stat(t.Context(), key)
			for _, err := range []error{put, get, stat, s.Delete(t.Context(), key)} {
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("%s: the key %q gives %v", kind, key, err)
				}
			}
		}
	}
}

func TestDirectoryFollowsNoLinkOut(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("s"), 0o600), os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(secret, filepath.Join(dir, "file"))); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Kind: Directory, Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"link/secret", "file"} {
		if got, err := read(t, s, key); err == nil {
			t.Errorf("%s reads %q", key, got)
		}
	}
	if _, err := s.Put(t.Context(), "link/new", strings.NewReader("x")); err == nil {
		t.Error("a link lets an object be written outside")
	}
	if err := s.Delete(t.Context(), "link/secret"); err == nil {
		t.Error("a link lets a file outside be deleted")
	}
	if got := keys(t, s, ""); len(got) > 0 {
		t.Errorf("links are listed: %v", got)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

func TestDirectoryThatIsGoneIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "unmounted")
	s, err := Open(Config{Kind: Directory, Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", strings.NewReader("x")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("put gives %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made")
	}
}

func TestDirectoryRemovesWhatKilledPutsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(Config{Kind: Directory, Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(dir, partPrefix+"old"), filepath.Join(dir, partPrefix+"fresh")
	past := time.Now().Add(-partAge - time.Minute)
	if err := errors.Join(os.WriteFile(old, nil, 0o600), os.WriteFile(fresh, nil, 0o600), os.Chtimes(old, past, past)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	_, gone := os.Stat(old)
	_, kept := os.Stat(fresh)
	if !errors.Is(gone, os.ErrNotExist) || kept != nil {
		t.Errorf("the old part: %v, the fresh one: %v", gone, kept)
	}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	good := Config{Kind: S3, Endpoint: "s3.example.com", Bucket: "b", AccessKey: "a", SecretKey: "s"}
	for name, change := range map[string]func(*Config){
		"kind": func(c *Config) { c.Kind = "ftp" }, "scheme": func(c *Config) { c.Endpoint = "http://s3.example.com" },
		"no endpoint": func(c *Config) { c.Endpoint = "" }, "prefix": func(c *Config) { c.Prefix = "../x" },
		"no secret": func(c *Config) { c.SecretKey = "" }, "no certificate": func(c *Config) { c.CAPEM = "x" },
		"relative": func(c *Config) { c.Kind, c.Path = Directory, "a" }, "root": func(c *Config) { c.Kind, c.Path = Directory, "/" },
		"dots": func(c *Config) { c.Kind, c.Path = Directory, "/srv/../etc" },
	} {
		c := good
		change(&c)
		if _, err := Open(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
