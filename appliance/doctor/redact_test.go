package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

const canary = "c4n4ry-Zq8vT1mR7xW2"

// TestRobustness15Masks plants a secret in every shape that secrets have.
func TestRobustness15Masks(t *testing.T) {
	t.Parallel()
	mask := newRedactor([]string{"known-" + canary, "pin"})
	for _, text := range []string{
		"known-" + canary,
		"Authorization: Bearer " + canary,
		`{"password":"` + canary + `"}`, `{\"password\":\"` + canary + `\"}`,
		"password=" + canary, "client_secret: " + canary, "token=" + canary + "&x=1", "?code=" + canary,
		"PVEAPIToken=root@pam!x=" + canary,
		"postgres://nimbus:" + canary + "@db:5432/nimbus", "postgres://nimbus:a/" + canary + "?@db/x",
		"https://:" + canary + "@host/",
		"-----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY-----",
		"-----BEGIN EC PRIVATE KEY-----\n" + canary,
		"AGE-SECRET-KEY-1C4N4RYZQ8VT1MR7XW2",
		"Basic " + canary + "==",
	} {
		if got := mask.text(text); strings.Contains(strings.ToLower(got), "zq8vt1mr7xw2") || !strings.Contains(got, "••••") {
			t.Errorf("%s → %s", text, got)
		}
	}
	for _, text := range []string{"GET /v1/system/doctor 200", "the pin of the HSM is wrong", "3 of 5 tokens are left", "2026-01-01T00:00:00Z"} {
		if got := mask.text(text); got != text {
			t.Errorf("%s → %s", text, got)
		}
	}
}

// TestRobustness15KnownSecrets masks secrets that begin like others, and in the log's JSON.
func TestRobustness15KnownSecrets(t *testing.T) {
	t.Parallel()
	known := []string{"postgres://u:p", "postgres://u:p@host/db?x=" + canary, `a"b\c` + canary}
	recent := NewRecent()
	recent.Wrap(slog.New(slog.DiscardHandler)).Error("it failed", "reason", "with "+known[1]+" and "+known[2])
	var log bytes.Buffer
	if _, err := recent.WriteTo(&log); err != nil {
		t.Fatal(err)
	}
	if got := newRedactor(known).text(log.String()); strings.Contains(got, canary) || !strings.Contains(got, mask) {
		t.Errorf("the log is %s", got)
	}
}

// TestRobustness15Bundle plants secrets in every part of a bundle, in what
// fails too.
func TestRobustness15Bundle(t *testing.T) {
	t.Parallel()
	recent := NewRecent()
	log := recent.Wrap(slog.New(slog.DiscardHandler))
	log.With("api_key", canary).WithGroup("request").Error("it failed", "password", canary, "error", errors.New("dial postgres://u:"+canary+"@h/x"),
		"headers", map[string]string{"Authorization": "Bearer " + canary})
	log.Debug("only debug " + canary)
	var out bytes.Buffer
	err := writeBundle(t.Context(), &out, []string{"known" + canary}, []part{
		{"settings.json", func(context.Context) ([]byte, error) {
			return []byte(`{"a":[{"dsn":"` + canary + `","pin":"` + canary + `","secret":{"x":"` + canary + `"},"note":"known` + canary + `"}],"has_secret":true}`), nil
		}},
		{"log.jsonl", func(context.Context) ([]byte, error) {
			var b bytes.Buffer
			_, err := recent.WriteTo(&b)
			return b.Bytes(), err
		}},
		{"broken.json", func(context.Context) ([]byte, error) { return nil, errors.New("token=" + canary) }},
		{"goroutines.txt", goroutines},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, out.Bytes())
	if len(files) != 5 || !strings.Contains(files["log.jsonl"], "it failed") || !strings.Contains(files["goroutines.txt"], "goroutine profile") ||
		!strings.Contains(files["broken.json"], "could not be read") || !strings.Contains(files["settings.json"], `"has_secret": true`) {
		t.Errorf("the bundle lacks something: %v", files)
	}
	for name, content := range files {
		if strings.Contains(content, canary) {
			t.Errorf("%s holds the secret:\n%s", name, content)
		}
	}
}

func unpack(t *testing.T, bundle []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "nimbus-support/")] = string(content)
	}
}

// TestRecentIsBounded writes more than is kept: the newest lines stay.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	recent := NewRecent()
	line := []byte(strings.Repeat("x", 2*longestLine) + "\n")
	for range 3 * recentLines {
		_, _ = recent.Write([]byte("short\n"))
	}
	for range 1000 {
		_, _ = recent.Write(line)
	}
	_, _ = recent.Write([]byte("last\n"))
	var b bytes.Buffer
	if _, err := recent.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() > recentBytes || !strings.HasSuffix(b.String(), "last\n") || len(recent.lines) > 2*recentLines+1 {
		t.Errorf("%d bytes, %d lines are kept", b.Len(), len(recent.lines))
	}
}
