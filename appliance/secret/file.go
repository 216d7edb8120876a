package secret

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"nimbus/appliance/durable"
)

// FileRoot is a root key in a file only the appliance may read. It protects a
// stolen database dump, not a stolen disk; an HSM does both.
type FileRoot struct {
	key  []byte
	name string
}

// OpenFileRoot reads the key at path, or makes it (mode 0600) if there is none.
// A file of another size is refused and left alone.
func OpenFileRoot(path string) (*FileRoot, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = createKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("root key %s has %d bytes instead of %d: restore it from a backup, it was damaged", path, len(key), KeySize)
	}
	return newFileRoot(key), nil
}

// GivenRoot is the root key that whoever starts the appliance hands over, so
// that it lies in no file of the data directory. A key of another size is refused.
func GivenRoot(key []byte) (*FileRoot, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the root key that was handed over has %d bytes instead of %d", len(key), KeySize)
	}
	return newFileRoot(key), nil
}

func newFileRoot(key []byte) *FileRoot {
	sum := sha256.Sum256(key)
	return &FileRoot{key: key, name: "file:" + hex.EncodeToString(sum[:4])}
}

// createKey makes a key: a crash leaves either none or a whole one.
func createKey(path string) ([]byte, error) {
	key := make([]byte, KeySize)
	rand.Read(key)
	return key, durable.Create(path, key)
}

// Name implements RootKey.
func (f *FileRoot) Name() string { return f.name }

// Wrap implements RootKey.
func (f *FileRoot) Wrap(_ context.Context, plaintext, aad []byte) ([]byte, error) {
	aead, err := newAEAD(f.key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, aad), nil
}

// Unwrap implements RootKey.
func (f *FileRoot) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	aead, err := newAEAD(f.key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, wrapped, aad)
}
