package backup

import (
	"bytes"
	"context"
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

// Emit takes one file of the databases, or a folder when r is nil. total is how
// many bytes all files have, about.
type Emit func(total int64, name string, size int64, r io.Reader) error

// passed over in the trees of a data directory: what is unpacked from the
// binary, what only lives while something runs, and what is too new.
var passedOver = []string{"pulumi/bin", "pulumi/home", "pulumi/tmp", "pulumi/state/.pulumi/locks", "local/pb"}

// inMemory is up to what size a file is read before it is written into an
// archive; larger ones are read on the way.
const inMemory = 8 << 20

// collect writes everything into an archive, in the order that the package's
// documentation explains.
func (s *Service) collect(ctx context.Context, p *packer, report Report) error {
	report("reading the audit trail's heads", 1)
	if err := s.tree(ctx, p, "audit/checkpoints"); err != nil {
		return err
	}
	heads, err := s.Heads(ctx)
	if err != nil {
		return err
	}
	p.manifest.Heads = heads
	if err := s.databases(ctx, p, report); err != nil {
		return err
	}
	report("copying keys, settings and state", 95)
	for _, tree := range []string{"keys", "hsm", "pulumi", "local"} {
		if err := s.tree(ctx, p, tree); err != nil {
			return err
		}
	}
	if err := s.file(p, "postgres/password"); err != nil {
		return err
	}
	return s.snapshot(ctx, p)
}

func (s *Service) databases(ctx context.Context, p *packer, report Report) error {
	var done int64
	report("copying the databases", 2)
	base, err := s.Base(ctx, func(total int64, name string, size int64, r io.Reader) error {
		name = path.Join("postgres/data", name)
		if r == nil {
			return p.folder(name)
		}
		if done += size; total > 0 {
			report("copying the databases", 2+int(min(done, total)*92/total))
		}
		return p.add(name, size, r)
	})
	p.manifest.Base = base
	return err
}

// snapshot adds a copy of the local store.
func (s *Service) snapshot(ctx context.Context, p *packer) error {
	if err := sweepSnapshots(s.DataDir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.DataDir, snapshotPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "data.db")
	if err := s.Snapshot(ctx, copied); err != nil {
		return err
	}
	return addFile(p, "local/pb/data.db", copied)
}

const snapshotPrefix = ".backup-"

// sweepSnapshots removes the copies of the local store that backups left which were
// killed. One of a backup that is being made is younger.
func sweepSnapshots(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(dataDir, snapshotPrefix+"*"))
	for _, dir := range left {
		if info, statErr := os.Stat(dir); statErr == nil && time.Since(info.ModTime()) > time.Hour {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// tree adds all files below a folder of the data directory. What is not there,
// or goes while it is looked at, was not needed.
func (s *Service) tree(ctx context.Context, p *packer, name string) error {
	root := filepath.Join(s.DataDir, filepath.FromSlash(name))
	err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(s.DataDir, at)
		if err != nil {
			return err
		}
		return s.visit(p, filepath.ToSlash(rel), e)
	})
	return err
}

func (s *Service) visit(p *packer, name string, e fs.DirEntry) error {
	switch {
	case slices.Contains(passedOver, name) && e.IsDir():
		return fs.SkipDir
	case e.IsDir():
		return p.folder(name)
	case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".new-"):
		return nil // sockets and links are made anew; the other file is being written
	}
	return s.file(p, name)
}

func (s *Service) file(p *packer, name string) error {
	err := addFile(p, name, filepath.Join(s.DataDir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// addFile adds a file as it is when it is opened. Files that change are replaced
// by renaming, here and in Pulumi, so what is open is whole.
func addFile(p *packer, name, at string) error {
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > inMemory {
		return p.add(name, info.Size(), f)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	return p.add(name, int64(len(content)), bytes.NewReader(content))
}

// embedded refuses backups of what is not in our hands.
func (s *Service) embedded() error {
	if s.External != nil && s.External() {
		return fault.New(fault.Conflict, "The databases lie on your own server, whose own tools back them up. Nimbus backs up the Postgres that it runs itself.")
	}
	return nil
}
