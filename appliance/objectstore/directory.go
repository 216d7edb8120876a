package objectstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
)

// directory keeps each object as a file. It works through os.Root, so that no
// symbolic link leads out of it.
type directory struct{ path string }

func openDirectory(cfg Config) (Store, error) {
	if !filepath.IsAbs(cfg.Path) || filepath.Clean(cfg.Path) != cfg.Path || cfg.Path == "/" {
		return nil, fault.BadField("body.path", "Give the absolute path of a directory, such as /srv/archive.")
	}
	return directory{cfg.Path}, nil
}

// root opens the directory, which has to be there: one that is not mounted
// must not be made anew on the disk below.
func (d directory) root() (*os.Root, error) {
	r, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The directory %s cannot be opened. Check that it is mounted and that Nimbus may write to it.", d.path)
	}
	return r, nil
}

func (d directory) fail(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return missing(key)
	}
	return fault.Wrap(fault.Unavailable, err, "The object %s in the directory %s cannot be used. Check its rights and its free space.", key, d.path)
}

const (
	partPrefix = ".part-"
	partAge    = 24 * time.Hour // no put takes longer
)

// sweep removes what puts left in a directory when they were killed. What
// cannot be removed is tried again by the next put.
func sweep(root *os.Root, dir string) {
	entries, _ := fs.ReadDir(root.FS(), dir)
	for _, e := range entries {
		stat, err := e.Info()
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), partPrefix) && time.Since(stat.ModTime()) > partAge {
			_ = root.Remove(path.Join(dir, e.Name()))
		}
	}
}

// Put writes beside the object, syncs and renames.
func (d directory) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	root, err := d.root()
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(key), 0o750); err != nil {
		return Info{}, d.fail(key, err)
	}
	sweep(root, path.Dir(key))
	part := path.Join(path.Dir(key), partPrefix+rand.Text())
	info, err := write(ctx, root, part, r)
	if err == nil {
		err = root.Rename(part, key)
	}
	if err != nil {
		return Info{}, errors.Join(d.fail(key, err), ignoreMissing(root.Remove(part)))
	}
	if err := syncUp(root, path.Dir(key)); err != nil {
		return Info{}, d.fail(key, err)
	}
	info.Key = key
	return info, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func write(ctx context.Context, root *os.Root, name string, r io.Reader) (Info, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return Info{}, err
	}
	digest := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, digest), bound{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	stat, err2 := f.Stat()
	if err := errors.Join(err, err2, f.Close()); err != nil {
		return Info{}, err
	}
	return Info{Size: size, SHA256: hex.EncodeToString(digest.Sum(nil)), Modified: stat.ModTime().UTC()}, nil
}

// syncUp syncs a directory and those above it, which may be new.
func syncUp(root *os.Root, dir string) error {
	for {
		f, err := root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// bound ends reading with its context.
type bound struct {
	ctx context.Context
	r   io.Reader
}

func (b bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (d directory) Get(_ context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(key)
	if err != nil {
		return nil, d.fail(key, err)
	}
	return f, nil
}

func (d directory) Stat(_ context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	root, err := d.root()
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	stat, err := root.Stat(key)
	if err != nil {
		return Info{}, d.fail(key, err)
	}
	if !stat.Mode().IsRegular() {
		return Info{}, missing(key)
	}
	return Info{Key: key, Size: stat.Size(), Modified: stat.ModTime().UTC()}, nil
}

func (d directory) List(ctx context.Context, prefix string) ([]Info, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	all := []Info{}
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !e.Type().IsRegular() || !strings.HasPrefix(name, prefix) || checkKey(name) != nil {
			return nil
		}
		stat, err := e.Info()
		if err == nil {
			all = append(all, Info{Key: name, Size: stat.Size(), Modified: stat.ModTime().UTC()})
		}
		return ignoreMissing(err)
	})
	if err != nil {
		return nil, d.fail(prefix, err)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

func (d directory) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	root, err := d.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := ignoreMissing(root.Remove(key)); err != nil {
		return d.fail(key, err)
	}
	return nil
}
