package systemd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Credential reads a secret that the service manager hands to this process
// alone, byte for byte; nil when there is none.
func Credential(name string) ([]byte, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, nil
	}
	value, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}
