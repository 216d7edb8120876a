package audit

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
	"nimbus/embedded/postgres"
)

// serverDir is a directory in which the user of the database may work.
func serverDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nimbus-audit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// server is a Postgres that keeps what it confirmed, unlike that of the other
// tests, with the trail's tables.
type server struct {
	*postgres.Server
	*Service
	history []db.Migration
}

// startServer starts one on a directory, or again on the same.
func startServer(ctx context.Context, dir string) (*server, error) {
	s := &server{Server: postgres.New(postgres.Config{Dir: filepath.Join(dir, "postgres"), BinDir: filepath.Join(dir, "bin"), Logger: slog.New(slog.DiscardHandler)})}
	if err := s.Server.Start(ctx); err != nil {
		return nil, err
	}
	cfg, err := db.Bootstrap(ctx, s.AdminDSN("postgres"), db.Passwords{App: "app-of-the-test", Owner: "owner-of-the-test"})
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if s.history, err = db.ReadMigrations(Migrations); err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, s.history); err != nil {
		return nil, err
	}
	signer := NewFileSigner(filepath.Join(dir, "keys", "audit.ed25519"))
	s.Service = New(Config{Signer: func() Signer { return signer }, DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false },
		Check: func(context.Context, string) error { return nil }, Dir: dir})
	return s, s.Service.Start(ctx)
}

// lasting is a server until the end of the test.
func lasting(t testing.TB) *server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := startServer(ctx, serverDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Service.Stop(ctx)
		s.DB.Close()
		_ = s.Server.Stop(ctx)
	})
	return s
}
