package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

func newArchive(t *testing.T) (objectstore.Store, string) {
	t.Helper()
	dir := t.TempDir()
	store, err := objectstore.Open(objectstore.Config{Kind: objectstore.Directory, Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	return store, dir
}

func TestSegmentsAreReadBack(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 600)
	store, _ := newArchive(t)
	seg, err := c.WriteSegment(c.ctx, store, c.tenant, 257, 512)
	if err != nil {
		t.Fatal(err)
	}
	next := int64(257)
	err = c.VerifySegment(c.ctx, store, seg, func(n int64, body []byte) error {
		if n != next || !strings.Contains(string(body), fmt.Sprintf(`"n":%d`, n)) {
			t.Errorf("record %d comes as %d: %s", next, n, body)
		}
		next++
		return nil
	})
	if err != nil || next != 513 {
		t.Errorf("it ends before %d: %v", next, err)
	}
	if seg.Bytes*4 > seg.Plain {
		t.Errorf("%d bytes are compressed to %d", seg.Plain, seg.Bytes)
	}
	for _, r := range [][2]int64{{0, 256}, {1, 255}, {2, 256}, {257, 256}, {513, 600}, {513, 768}} {
		if _, err := c.WriteSegment(c.ctx, store, c.tenant, r[0], r[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("records %v: %v", r, err)
		}
	}
}

func TestSegmentWithoutARecordIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"deleted": "delete from audit_record where id = (select record_id from audit_entry where sequence = 100)",
		"changed": "update audit_record set body = body || ' ' where id = (select record_id from audit_entry where sequence = 100)",
	} {
		c := newChain(t)
		c.record(t, 300)
		c.superuser(t, sql)
		store, _ := newArchive(t)
		if _, err := c.WriteSegment(c.ctx, store, c.tenant, 1, 256); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := store.List(c.ctx, ""); err != nil || len(left) > 0 {
			t.Errorf("%s: the archive has %v, %v", name, left, err)
		}
	}
}

// TestRobustness41TamperedSegmentsAreRefused changes the object, also together
// with what is remembered about it.
func TestRobustness41TamperedSegmentsAreRefused(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 600)
	store, dir := newArchive(t)
	good, err := c.WriteSegment(c.ctx, store, c.tenant, 1, 256)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, good.Key))
	if err != nil {
		t.Fatal(err)
	}
	plain := inflate(t, whole)
	for name, tc := range map[string]struct {
		object   []byte
		remember bool // the digest and lengths are changed with it
		says     string
	}{
		"flipped byte":     {flip(whole, len(whole)/2), false, ""},
		"cut":              {whole[:len(whole)-1], false, ""},
		"longer":           {append(bytes.Clone(whole), 0), false, "not as long"},
		"compressed anew":  {deflate(t, plain, zstd.SpeedBestCompression), false, ""},
		"bomb":             {deflate(t, make([]byte, 64<<20), zstd.SpeedFastest), false, "not as long"},
		"changed record":   {deflate(t, bytes.Replace(plain, []byte(`"n":77}`), []byte(`"n":78}`), 1), zstd.SpeedDefault), true, "at record 77"},
		"newer version":    {deflate(t, bytes.Replace(plain, []byte("nimbus-audit/1"), []byte("nimbus-audit/9"), 1), zstd.SpeedDefault), true, "header"},
		"without the end":  {deflate(t, plain[:bytes.LastIndex(plain, []byte("\n{"))+1], zstd.SpeedDefault), true, ""},
		"nothing of it":    {[]byte{}, true, ""},
		"another document": {[]byte("{}\n"), true, "header"},
	} {
		seg := good
		if tc.remember {
			seg = remembered(t, store, good, tc.object)
		} else if _, err := store.Put(c.ctx, good.Key, bytes.NewReader(tc.object)); err != nil {
			t.Fatal(err)
		}
		if err := c.VerifySegment(c.ctx, store, seg, nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, err := c.WriteSegment(c.ctx, store, c.tenant, 257, 512)
	if err != nil {
		t.Fatal(err)
	}
	moved := other
	moved.First, moved.Last = 1, 256
	foreign := other
	foreign.Tenant = id.New()
	for name, seg := range map[string]Segment{"another range": moved, "another chain": foreign} {
		if err := c.VerifySegment(c.ctx, store, seg, nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// remembered stores an object and what a rewritten row would say of it.
func remembered(t *testing.T, store objectstore.Store, seg Segment, object []byte) Segment {
	t.Helper()
	info, err := store.Put(t.Context(), seg.Key, bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	seg.SHA256, seg.Bytes, seg.Plain = info.SHA256, info.Size, int64(len(object))
	if bytes.HasPrefix(object, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		seg.Plain = int64(len(inflate(t, object)))
	}
	return seg
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func inflate(t *testing.T, b []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func deflate(t *testing.T, b []byte, level zstd.EncoderLevel) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}
