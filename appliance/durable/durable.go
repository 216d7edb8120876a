// Package durable writes files that a crash or a power cut leaves whole: there is
// the old content or the new one, and when the write returned it is the new one.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Write replaces a file, which only its owner may read. Folders that are missing
// are made.
func Write(path string, content []byte) error { return place(path, content, os.Rename) }

// Create makes a file and never replaces one: of two callers one gets fs.ErrExist.
func Create(path string, content []byte) error { return place(path, content, os.Link) }

// place writes beside, syncs, gives the name, and syncs that.
func place(path string, content []byte, name func(from, to string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := name(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
