package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/durable"
)

// anchorPath is where the newest signed head of a chain is kept outside the
// database; "" when the service has no folder.
func (s *Service) anchorPath(chain string) string {
	if s.Dir == "" {
		return ""
	}
	return filepath.Join(s.Dir, "audit", "checkpoints", chain)
}

// anchor is the newest signed head that this machine has of a chain, or "".
func (s *Service) anchor(chain string) (string, error) {
	path := s.anchorPath(chain)
	if path == "" {
		return "", nil
	}
	note, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(note), err
}

// setAnchor replaces it, and a crash leaves the old or the new one. Of two that
// are signed at once the one of more records stays.
func (s *Service) setAnchor(chain, note string) error {
	path := s.anchorPath(chain)
	if path == "" {
		return nil
	}
	s.anchoring.Lock()
	defer s.anchoring.Unlock()
	before, err := s.anchor(chain)
	if err != nil {
		return err
	}
	was, err := ledger.ReadCheckpoint(before)
	if is, err2 := ledger.ReadCheckpoint(note); err == nil && err2 == nil && was.Origin == is.Origin && was.Size > is.Size {
		return nil
	}
	return durable.Write(path, []byte(note))
}

// appendNote adds a note to a file in which they follow one another.
func appendNote(path, note string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(note + "\n")
	return errors.Join(err, file.Sync(), file.Close())
}
