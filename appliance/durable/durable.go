// Package durable writes files that a crash or a power cut leaves whole: there is
// the old content or the new one, and when the write returned it is the new one.
package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces a file, which only its owner may read. Folders that are missing
// are made.
func Write(path string, content []byte) error { return WriteFrom(path, bytes.NewReader(content)) }

// WriteFrom is Write of what a reader gives.
func WriteFrom(path string, content io.Reader) error { return place(path, content, os.Rename) }

// Create makes a file and never replaces one: of two callers one gets fs.ErrExist.
func Create(path string, content []byte) error {
	return place(path, bytes.NewReader(content), os.Link)
}

// Remove removes a file: when it returned, a power cut does not bring it back. One
// that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// place writes beside, syncs, gives the name, and syncs that.
func place(path string, content io.Reader, name func(from, to string) error) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := name(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDir makes a folder and those above it, and syncs their names.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if info, _ := os.Stat(dir); info != nil && info.IsDir() && errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
