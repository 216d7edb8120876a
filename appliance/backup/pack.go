package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// packer writes an archive.
type packer struct {
	encrypted io.WriteCloser
	packed    *zstd.Encoder
	tar       *tar.Writer
	manifest  Manifest
}

// newPacker begins an archive with its header.
func newPacker(w io.Writer, to []age.Recipient, h Header) (*packer, error) {
	p := &packer{manifest: Manifest{Header: h}}
	var err error
	if p.encrypted, err = age.Encrypt(w, to...); err != nil {
		return nil, err
	}
	// The fastest level packs databases nearly as small as the next, twice as fast.
	p.packed, err = zstd.NewWriter(p.encrypted, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 4)))
	if err != nil {
		return nil, err
	}
	p.tar = tar.NewWriter(p.packed)
	return p, p.document(headerName, h)
}

// add writes one file of a known size.
func (p *packer) add(path string, size int64, r io.Reader) error {
	if !safePath(path) {
		return fmt.Errorf("%q cannot be in a backup", path)
	}
	if err := p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o600}); err != nil {
		return err
	}
	digest := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(p.tar, digest), r, size); err != nil {
		return fmt.Errorf("%s became shorter while it was read: %w", path, err)
	}
	p.manifest.Files = append(p.manifest.Files, File{path, size, hex.EncodeToString(digest.Sum(nil))})
	p.manifest.Bytes += size
	return nil
}

// folder writes a folder, which may be empty.
func (p *packer) folder(path string) error {
	if !safePath(path) {
		return fmt.Errorf("%q cannot be in a backup", path)
	}
	p.manifest.Files = append(p.manifest.Files, File{Path: path})
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o700})
}

func (p *packer) document(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(raw)), Mode: 0o600}); err != nil {
		return err
	}
	_, err = p.tar.Write(raw)
	return err
}

// finish writes the manifest and ends the archive.
func (p *packer) finish() (Manifest, error) {
	err := p.document(manifestName, p.manifest)
	if err == nil {
		err = errors.Join(p.tar.Close(), p.packed.Close(), p.encrypted.Close())
	}
	return p.manifest, err
}

// abandon frees what an archive that is not finished holds.
func (p *packer) abandon() { _ = p.packed.Close() } // its writer has failed, or nobody reads on
