package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"nimbus/appliance/fault"
)

// What an archive may become when it is unpacked. Databases shrink to a fifth,
// hardly ever to a fiftieth; a bomb shrinks a thousand times.
const (
	maxRatio  = 100
	freeRatio = 1 << 30 // however small the archive is
	keepFree  = 256 << 20
)

// unpacker reads an archive into a folder that nothing uses.
type unpacker struct {
	reader  Reader
	size    int64 // of the archive; 0 when not known
	root    *os.Root
	found   map[string]File
	total   int64
	limit   int64
	tick    func(bytes int64)
	dirSeen map[string]bool
}

// unpack reads an archive into dir, which must be empty and is of no use when
// an error comes back. It returns the manifest when all that is in the archive
// is in the manifest, and the reverse. Faults: Unprocessable for a key that
// does not open it and for an archive that is damaged or was changed, Conflict
// for one that this release cannot restore.
func (u *unpacker) unpack(ctx context.Context, r io.Reader, key age.Identity, dir string) (Manifest, error) {
	plain, err := age.Decrypt(boundReader{ctx, r}, key)
	if err != nil {
		return Manifest{}, errors.Join(ctx.Err(), wrongKey(err))
	}
	packed, err := zstd.NewReader(plain, zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderConcurrency(2))
	if err != nil {
		return Manifest{}, err
	}
	defer packed.Close()
	if u.root, err = os.OpenRoot(dir); err != nil {
		return Manifest{}, err
	}
	defer u.root.Close()
	u.found, u.limit, u.dirSeen = map[string]File{}, u.size*maxRatio+freeRatio, map[string]bool{}
	if u.tick == nil {
		u.tick = func(int64) {}
	}
	m, err := u.read(tar.NewReader(packed), packed)
	if err != nil && ctx.Err() != nil {
		return Manifest{}, ctx.Err()
	}
	return m, translate(err)
}

// translate makes a fault of what the layers below find wrong.
func translate(err error) error {
	var f *fault.Error
	var path *os.PathError
	switch {
	case err == nil, errors.As(err, &f):
		return err
	case errors.Is(err, unix.ENOSPC):
		return fault.Wrap(fault.Unavailable, err, "The disk is full before the backup is unpacked. Make room and try again; nothing was touched.")
	case errors.As(err, &path):
		return err
	}
	return fault.Wrap(fault.Unprocessable, err, "The backup is damaged or was changed. Nothing was touched. Take another backup.")
}

func (u *unpacker) read(in *tar.Reader, rest io.Reader) (Manifest, error) {
	var h Header
	if err := u.document(in, headerName, maxHeader, &h); err != nil {
		return Manifest{}, err
	}
	if err := u.reader.accept(h); err != nil {
		return Manifest{}, err
	}
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return Manifest{}, errDamaged("its end is missing")
		}
		if err != nil {
			return Manifest{}, err
		}
		if e.Name == manifestName {
			return u.conclude(e, in, rest, h)
		}
		if err := u.entry(e, in); err != nil {
			return Manifest{}, err
		}
	}
}

func (u *unpacker) document(in *tar.Reader, name string, most int64, into any) error {
	e, err := in.Next()
	if err != nil {
		return err
	}
	if e.Name != name {
		return errDamaged("it does not begin with its header")
	}
	return readDocument(e, in, most, into)
}

func readDocument(e *tar.Header, in io.Reader, most int64, into any) error {
	if e.Typeflag != tar.TypeReg || e.Size > most {
		return errDamaged("what it says of itself is too large")
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return decode(raw, into)
}

// entry takes one file or folder. Links, devices and the like are never in one
// of ours.
func (u *unpacker) entry(e *tar.Header, in io.Reader) error {
	name := strings.TrimSuffix(e.Name, "/")
	_, twice := u.found[name]
	switch {
	case !safePath(name):
		return errDamaged(fmt.Sprintf("it holds the path %.100q", e.Name))
	case twice:
		return errDamaged(fmt.Sprintf("it holds %.100q twice", name))
	case len(u.found) >= maxFiles:
		return errDamaged("it holds too many files")
	case e.Typeflag == tar.TypeDir:
		u.found[name] = File{Path: name}
		return u.folder(name)
	case e.Typeflag != tar.TypeReg:
		return errDamaged(fmt.Sprintf("%.100q is neither a file nor a folder", name))
	}
	return u.file(name, e.Size, in)
}

func (u *unpacker) folder(name string) error {
	if u.dirSeen[name] {
		return nil
	}
	u.dirSeen[name] = true
	return u.root.MkdirAll(name, 0o700)
}

func (u *unpacker) file(name string, size int64, in io.Reader) error {
	if u.total += size; u.total > u.limit {
		return errDamaged("it becomes far larger than a backup of its size can be")
	}
	if err := u.room(size); err != nil {
		return err
	}
	if err := u.folder(path.Dir(name)); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	digest := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, digest), in, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	u.found[name] = File{name, size, hex.EncodeToString(digest.Sum(nil))}
	u.tick(u.total)
	return nil
}

// room refuses to fill the disk.
func (u *unpacker) room(size int64) error {
	if size < 1<<20 && len(u.found)%64 != 0 {
		return nil
	}
	f, err := u.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free-size < keepFree {
		return fault.Wrap(fault.Unavailable, unix.ENOSPC, "The disk has too little room to unpack the backup: %d MB are free. Make room and try again; nothing was touched.", free>>20)
	}
	return nil
}

// conclude compares what was found with the manifest, and sees to it that
// nothing follows.
func (u *unpacker) conclude(e *tar.Header, in, rest io.Reader, h Header) (Manifest, error) {
	var m Manifest
	if err := readDocument(e, in, maxManifest, &m); err != nil {
		return Manifest{}, err
	}
	if m.Header != h {
		return Manifest{}, errDamaged("header and manifest differ")
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(rest, 1<<20)); err != nil || n >= 1<<20 {
		return Manifest{}, errors.Join(err, errDamaged("something follows its end"))
	}
	if len(m.Files) != len(u.found) {
		return Manifest{}, errDamaged(fmt.Sprintf("it holds %d files and its manifest names %d", len(u.found), len(m.Files)))
	}
	for _, f := range m.Files {
		if u.found[f.Path] != f {
			return Manifest{}, errDamaged(fmt.Sprintf("%.100q is not what its manifest says", f.Path))
		}
	}
	return m, nil
}

// boundReader ends reading with its context.
type boundReader struct {
	ctx context.Context
	r   io.Reader
}

func (b boundReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
