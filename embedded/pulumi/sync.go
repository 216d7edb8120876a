package pulumi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Attributes of files and folders, see chattr(1). What is made in a folder inherits them.
const (
	synchronous    = 0x8     // S: a write is on the disk when it returns
	dirSynchronous = 0x10000 // D: so are names
)

// syncWrites has the file system write all below dir at once. The CLI never syncs its
// state and what it works with: after a power cut a machine would be there of which the
// state knows nothing, or a file would be nothing but zeros. File systems that know no such attributes
// give errors.ErrUnsupported.
func syncWrites(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return addAttributes(path, synchronous|dirSynchronous)
		}
		if d.Type().IsRegular() {
			return addAttributes(path, synchronous)
		}
		return nil
	})
}

func addAttributes(path string, wanted uint32) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil && now&wanted != wanted {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(now|wanted))
	}
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return errors.ErrUnsupported
	}
	return err
}
