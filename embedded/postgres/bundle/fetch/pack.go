package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	native   = "package/native/"
	symlinks = "pg-symlinks.json"
	manifest = "BUNDLE.json"
	window   = 16 << 20 // bytes the unpacker has to hold
)

// unneeded is what a server on one machine never opens: static and ECPG libraries, build
// files, procedural languages that need an interpreter we do not ship, and XML and UUID
// extensions with further libraries (gen_random_uuid is built in).
var unneeded = regexp.MustCompile(`\.a$|/pkgconfig/|/pgxs/|^include/|` +
	`lib(ecpg|ecpg_compat|pgtypes)\.so|libossp-uuid|libxslt|` +
	`pl(perl|python3|tcl)u?|pgxml\.so|extension/xml2|uuid-ossp|` +
	`basebackup_to_shell|test_decoding`)

// pack writes the files of the npm package's native folder as a zstd-compressed tar:
// sorted, without times and owners, symbolic links recreated, manifest first.
func pack(w io.Writer, tgz []byte, want lock) error {
	files, err := unpack(tgz)
	if err != nil {
		return err
	}
	links, err := takeLinks(files)
	if err != nil {
		return err
	}
	enc, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	out := tar.NewWriter(enc)
	if err := writeAll(out, files, links, want); err != nil {
		return err
	}
	return errors.Join(out.Close(), enc.Close())
}

// unpack reads what is needed into memory, by path below the native folder.
func unpack(tgz []byte) (map[string][]byte, error) {
	gz, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for in := tar.NewReader(gz); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(h.Name, native)
		if !ok || h.Typeflag != tar.TypeReg || unneeded.MatchString(name) {
			continue
		}
		if files[name], err = io.ReadAll(in); err != nil {
			return nil, err
		}
	}
}

// takeLinks removes pg-symlinks.json from files and returns its links, path to target,
// without those whose target is not packed.
func takeLinks(files map[string][]byte) (map[string]string, error) {
	var list []struct{ Source, Target string }
	if err := json.Unmarshal(files[symlinks], &list); err != nil {
		return nil, fmt.Errorf("%s: %w", symlinks, err)
	}
	delete(files, symlinks)
	links := map[string]string{}
	for _, l := range list {
		source, target := strings.TrimPrefix(l.Source, "native/"), strings.TrimPrefix(l.Target, "native/")
		if _, ok := files[source]; ok && path.Dir(source) == path.Dir(target) {
			links[target] = path.Base(source)
		}
	}
	return links, nil
}

func writeAll(out *tar.Writer, files map[string][]byte, links map[string]string, want lock) error {
	head, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if err := writeFile(out, manifest, head); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		if err := writeFile(out, name, files[name]); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(links) {
		h := &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: links[name], Mode: 0o777, ModTime: time.Unix(0, 0)}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(out *tar.Writer, name string, data []byte) error {
	mode := int64(0o644)
	if strings.HasPrefix(name, "bin/") {
		mode = 0o755
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data)), ModTime: time.Unix(0, 0)}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := out.Write(data)
	return err
}

// bundled reads the manifest out of a packed archive.
func bundled(archive []byte) (lock, error) {
	var l lock
	dec, err := zstd.NewReader(bytes.NewReader(archive), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return l, err
	}
	defer dec.Close()
	in := tar.NewReader(dec)
	h, err := in.Next()
	if err != nil {
		return l, err
	}
	if h.Name != manifest {
		return l, fmt.Errorf("the first file is %s, not %s", h.Name, manifest)
	}
	return l, json.NewDecoder(in).Decode(&l)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
