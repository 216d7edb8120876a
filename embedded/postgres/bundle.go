package postgres

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// ErrNoBundle means that the program was built before the Postgres archive was fetched.
var ErrNoBundle = errors.New("this build holds no Postgres: run `go run ./embedded/postgres/bundle/fetch` and build again")

// unpackedMark is the file that says a folder of binaries is whole and on the disk.
const unpackedMark = "BUNDLE.json"

// release is what the lock file of the bundle says.
type release struct {
	Version string
}

var bundled = mustRelease()

func mustRelease() release {
	var r release
	data, err := archives.ReadFile(bundleFile(".lock.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		panic("postgres: embedded lock file: " + err.Error()) // a file of this package
	}
	return r
}

func bundleFile(suffix string) string {
	return "bundle/postgres-linux-" + runtime.GOARCH + suffix
}

// short is the Postgres version without the packager's suffix: "18.4" of "18.4.0-beta.17".
func (r release) short() string {
	major, rest, _ := strings.Cut(r.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

func (r release) major() string {
	major, _, _ := strings.Cut(r.Version, ".")
	return major
}

// install makes sure that the binaries are unpacked below binDir and returns their folder.
// It unpacks beside and renames, so that a folder with its final name is whole.
func install(binDir string) (string, error) {
	archive, sum, err := bundleBytes()
	if err != nil {
		return "", err
	}
	return installAs(filepath.Join(binDir, BundleID()), archive, sum)
}

func installAs(final string, archive []byte, sum string) (string, error) {
	binDir := filepath.Dir(final)
	if _, err := os.Stat(filepath.Join(final, unpackedMark)); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(binDir, ".unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := unpackSynced(tmp, archive, sum); err != nil {
		return "", fmt.Errorf("unpack Postgres into %s: %w", binDir, err)
	}
	if err := os.Rename(tmp, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return final, nil
}

// bundleBytes returns the embedded archive and the checksum it must have.
func bundleBytes() (archive []byte, sum string, err error) {
	archive, err = archives.ReadFile(bundleFile(".tar.zst"))
	if err != nil {
		return nil, "", ErrNoBundle
	}
	line, err := archives.ReadFile(bundleFile(".tar.zst.sha256"))
	if err != nil || len(line) < sha256.Size*2 {
		return nil, "", ErrNoBundle
	}
	return archive, string(line[:sha256.Size*2]), nil
}

func unpackSynced(dir string, archive []byte, want string) error {
	got := sha256.Sum256(archive)
	if hex.EncodeToString(got[:]) != want {
		return errors.New("the packed archive does not match its checksum: the program file is damaged, install it again")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := unpack(dir, archive); err != nil {
		return err
	}
	return syncFilesystem(dir)
}

// unpack writes the files and links of the archive below dir. Names are not trusted further
// than os.Root does, although the checksum was right.
func unpack(dir string, archive []byte) error {
	dec, err := zstd.NewReader(bytes.NewReader(archive), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer dec.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for in := tar.NewReader(dec); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackEntry(root, h, in)
		}
		if err != nil {
			return err
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(h.Name), 0o755); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeSymlink {
		return root.Symlink(h.Linkname, h.Name)
	}
	f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(h.FileInfo().Mode().Perm()), f.Close())
}

// syncFilesystem writes everything of the file system that holds dir to the disk:
// one call instead of an fsync for each of a thousand small files.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
