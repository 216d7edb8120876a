package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
)

// MovedFiles are the files that every node needs, as both folders hold them.
type MovedFiles struct {
	To     string `json:"to"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"` // over names and contents
}

// sharedTrees lie in the folder that nodes share; what is unpacked from the
// binary, or lives only while something runs, stays.
var (
	sharedTrees = []string{"audit", "pulumi"}
	notShared   = []string{"pulumi/bin", "pulumi/home", "pulumi/tmp", "pulumi/state/.pulumi/locks"}
)

// examineFiles looks at the folder that is to be shared.
func (m *mover) examineFiles() {
	if m.filesStay() {
		m.check("files", true, "The state of stacks and the archive stay in %s.", m.sharedDir())
		return
	}
	if !m.filling() && len(filesIn(m.to.SharedDir)) > 0 {
		m.check("files", false, "The folder %s holds files of a Nimbus already, below audit or pulumi. Choose an empty one.", m.to.SharedDir)
		return
	}
	needed := uint64(0)
	err := m.files(func(_, path string) error {
		info, err := os.Stat(path)
		if err == nil {
			needed += uint64(info.Size())
		}
		return err
	})
	var st syscall.Statfs_t
	err = errors.Join(err, syscall.Statfs(m.to.SharedDir, &st))
	if err == nil {
		err = tryWrite(m.to.SharedDir)
	}
	if err != nil {
		m.check("files", false, "The folder %s cannot be used: %v. Make it, and give it to the user of the service.", m.to.SharedDir, err)
		return
	}
	free := st.Bavail * uint64(st.Bsize)
	m.check("files", free > needed, "%d MB of files go to %s, where %d MB are free.", needed>>20, m.to.SharedDir, free>>20)
}

// filesStay is true when the folder that is to be shared is the present one, by
// whatever name.
func (m *mover) filesStay() bool {
	if m.to.SharedDir == "" || m.to.SharedDir == m.sharedDir() {
		return true
	}
	to, err := os.Stat(m.to.SharedDir)
	if err != nil {
		return false
	}
	from, err := os.Stat(m.sharedDir())
	return err == nil && os.SameFile(from, to)
}

// filling is true when what lies in the folder is of a run before of this move.
func (m *mover) filling() bool {
	return (m.ours || m.unfinished() != "") && m.settings.Load().Move.Files == m.to.SharedDir
}

func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".nimbus-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// copyFiles copies what every node needs to the folder that they will share, and
// reads it back. What is there already with other contents is replaced.
func (m *mover) copyFiles(ctx context.Context) error {
	if m.filesStay() {
		return nil
	}
	moved, all := &MovedFiles{To: m.to.SharedDir}, sha256.New()
	stale := filesIn(m.to.SharedDir)
	err := m.files(func(name, path string) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.progress("copying "+name, 62)
		bytes, sum, err := copyFile(path, filepath.Join(m.to.SharedDir, name))
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "The file %s could not be copied: %v", path, err)
		}
		delete(stale, name)
		moved.Files++
		moved.Bytes += bytes
		fmt.Fprintf(all, "%q %s\n", name, sum)
		return nil
	})
	if err != nil {
		return err
	}
	for name := range stale { // of a run before; they are gone here since
		err = errors.Join(err, os.Remove(filepath.Join(m.to.SharedDir, name)))
	}
	moved.Digest = hex.EncodeToString(all.Sum(nil))
	m.report.Files = moved
	return err
}

// filesIn are the names of files that nodes share in a folder.
func filesIn(root string) map[string]bool {
	all := map[string]bool{}
	_ = sharedFiles(root, func(name, _ string) error { all[name] = true; return nil }) // what cannot be read is met when it is written
	return all
}

// files calls fn with each file here that nodes share.
func (m *mover) files(fn func(name, path string) error) error { return sharedFiles(m.sharedDir(), fn) }

// sharedFiles calls fn with each file in a folder that nodes share, by its name there.
func sharedFiles(root string, fn func(name, path string) error) error {
	for _, tree := range sharedTrees {
		err := filepath.WalkDir(filepath.Join(root, tree), func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			switch {
			case err != nil:
				return err
			case e.IsDir() && slices.Contains(notShared, name):
				return fs.SkipDir
			case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".new-"): // being written
				return nil
			}
			return fn(name, path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file, whole or not at all, and reads it back.
func copyFile(from, to string) (bytes int64, sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	sent := sha256.New()
	if err := durable.WriteFrom(to, io.TeeReader(in, sent)); err != nil {
		return 0, "", err
	}
	bytes, sum, err = sumFile(to)
	if err == nil && sum != hex.EncodeToString(sent.Sum(nil)) {
		err = errors.New("what arrived is not what was sent")
	}
	return bytes, sum, err
}

func sumFile(path string) (bytes int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	bytes, err = io.Copy(h, f)
	return bytes, hex.EncodeToString(h.Sum(nil)), err
}
