package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// stage is the folder below a data directory in which a restore is prepared.
// It lies there so that putting it into place is a few renames.
//
//	restore/new/     what will be the data directory's contents
//	restore/log/     segments of the log, until they are replayed
//	restore/ready    says that new/ is whole, checked and on the disk
type stage struct{ dir string }

func stageOf(dataDir string) stage { return stage{filepath.Join(dataDir, "restore")} }

func (s stage) fresh() string { return filepath.Join(s.dir, "new") }
func (s stage) log() string   { return filepath.Join(s.dir, "log") }
func (s stage) mark() string  { return filepath.Join(s.dir, "ready") }

// restored is what is known of a restore when it is in place.
type restored struct {
	Backup    id.ID     `json:"backup_id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	Moment    time.Time `json:"moment"`
	Until     time.Time `json:"until,omitzero"`
	At        time.Time `json:"at"`
	// Move names what the data directory had and the backup has not.
	Move []string `json:"move"`
}

// restoredMark is the file that tells the next start of it.
const restoredMark = "restored.json"

// newStage makes an empty stage. What an earlier one left is removed, unless
// it is ready.
func newStage(dataDir string) (stage, error) {
	s := stageOf(dataDir)
	if _, err := os.Stat(s.mark()); err == nil {
		return s, fault.New(fault.Conflict, "A restore is ready already. Start Nimbus: it is put into place then.")
	}
	if err := s.remove(); err != nil {
		return s, err
	}
	// Postgres's account passes through, and reads nothing else.
	for _, dir := range []string{s.dir, s.fresh(), s.log()} {
		if err := errors.Join(os.MkdirAll(dir, 0o711), os.Chmod(dir, 0o711)); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s stage) remove() error { return os.RemoveAll(s.dir) }

// ready writes everything to the disk and says that it is whole.
func (s stage) ready(r restored) error {
	there, err := os.ReadDir(filepath.Dir(s.dir))
	if err != nil {
		return err
	}
	for _, e := range there {
		if _, err := os.Lstat(filepath.Join(s.fresh(), e.Name())); errors.Is(err, fs.ErrNotExist) && replaced(e.Name()) {
			r.Move = append(r.Move, e.Name())
		}
	}
	if err := os.Remove(filepath.Join(s.fresh(), "lock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.fresh(), restoredMark), raw, 0o600); err != nil {
		return err
	}
	if err := syncAll(s.dir); err != nil {
		return err
	}
	return durable.Write(s.mark(), raw) // which is whole, or not there
}

// replaced tells whether a restore replaces what is under a name: all that an
// appliance makes, and nothing else.
func replaced(name string) bool {
	return slices.Contains(parts, name) || slices.Contains([]string{"valkey", "exports", restoredMark, "setup-token"}, name)
}

// syncAll writes all of the file system that holds dir to the disk.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// Place puts a restore that is ready into place, and tells whether there was
// one. What was there is kept in a folder whose name begins with before-restore.
// It may be killed at any point and done again. Nothing may run on the data directory.
func Place(dataDir string) (bool, error) {
	s := stageOf(dataDir)
	raw, err := os.ReadFile(s.mark())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var r restored
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return false, fmt.Errorf("the restore in %s cannot be read: remove that folder and restore again: %w", s.dir, err)
	}
	if err := s.place(dataDir, r); err != nil {
		return false, fmt.Errorf("the restore could not be put into place; start again to go on with it: %w", err)
	}
	return true, nil
}

func (s stage) place(dataDir string, r restored) error {
	before := filepath.Join(dataDir, "before-restore-"+r.At.Format("20060102T150405Z"))
	if err := os.MkdirAll(before, 0o700); err != nil {
		return err
	}
	for _, name := range r.Move {
		if err := move(filepath.Join(dataDir, name), filepath.Join(before, name)); err != nil {
			return err
		}
	}
	fresh, err := os.ReadDir(s.fresh())
	if err != nil {
		return err
	}
	for _, e := range fresh {
		now := filepath.Join(dataDir, e.Name())
		if _, err := os.Lstat(filepath.Join(before, e.Name())); errors.Is(err, fs.ErrNotExist) {
			if err := move(now, filepath.Join(before, e.Name())); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(s.fresh(), e.Name()), now); err != nil {
			return err
		}
	}
	if err := syncAll(dataDir); err != nil {
		return err
	}
	_ = os.Remove(before) // only when nothing was there
	// A power cut must not bring back the mark without what it speaks of.
	if err := errors.Join(os.Remove(s.mark()), syncAll(s.dir)); err != nil {
		return err
	}
	return s.remove()
}

// move renames what is there.
func move(from, to string) error {
	if err := os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Empty tells whether a data directory holds nothing that a restore replaces. Folders
// without a file, as a restore that was refused leaves them, are nothing.
func Empty(dataDir string) (bool, error) {
	there, err := os.ReadDir(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	for _, e := range there {
		if err != nil || replaced(e.Name()) && !hollow(filepath.Join(dataDir, e.Name())) {
			return false, err
		}
	}
	return true, err
}

var errFile = errors.New("there is a file")

// hollow tells whether path is a folder without a file in it, at any depth.
func hollow(path string) bool {
	return filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = errFile
		}
		return err
	}) == nil
}
