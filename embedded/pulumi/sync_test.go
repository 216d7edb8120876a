package pulumi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStateIsWrittenAtOnce: what is there and what is made later is synchronous, also
// a file that is renamed into its place, as the CLI does it.
func TestStateIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	there := filepath.Join(dir, "stacks", "old.json")
	check(os.MkdirAll(filepath.Dir(there), 0o700))
	check(os.WriteFile(there, nil, 0o600))
	for range 2 {
		if err := syncWrites(dir); errors.Is(err, errors.ErrUnsupported) {
			t.Log("this file system has no such attribute; nothing is shown")
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(dir, "stacks", "project", "new.json")
	check(os.MkdirAll(filepath.Dir(made), 0o700))
	check(os.WriteFile(made+".tmp", nil, 0o600))
	check(os.Rename(made+".tmp", made))
	for _, path := range []string{there, made, filepath.Dir(made)} {
		f, err := os.Open(path)
		check(err)
		flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		check(err)
		check(f.Close())
		if flags&synchronous == 0 {
			t.Errorf("%s is not written at once: %x", path, flags)
		}
	}
}
