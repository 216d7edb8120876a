package pocketbase

import (
	"context"
	"fmt"
	"os"

	"github.com/pocketbase/dbx"
)

// Snapshot writes a copy of the local store, as it is at one moment, to a file
// that must not be there yet. The store goes on working.
func (s *Server) Snapshot(ctx context.Context, path string) error {
	app := s.store()
	if app == nil {
		return errClosed
	}
	_, err := app.NonconcurrentDB().NewQuery(`vacuum into {:path}`).WithContext(ctx).Bind(dbx.Params{"path": path}).Execute()
	if err != nil {
		return fmt.Errorf("copy the local store: %w", err)
	}
	return os.Chmod(path, 0o600)
}

// SnapshotPath is where a snapshot belongs, below Config.Dir of the server that
// opens it.
const SnapshotPath = "pb/data.db"
