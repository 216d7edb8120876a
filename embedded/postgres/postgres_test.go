package postgres

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// tempDir returns a folder that the children's account can reach, unlike t.TempDir.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nimbus-pg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// testConfig shares the unpacked binaries among the tests.
func testConfig(t *testing.T) Config {
	t.Helper()
	if _, _, err := bundleBytes(); err != nil {
		t.Skip(err)
	}
	return Config{Dir: tempDir(t), BinDir: sharedBin, Unsafe: true, Logger: testLogger(t)}
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := New(cfg)
	if err := s.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(deadline(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var value string
	if err := conn.QueryRow(deadline(t), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestKeepsDataPasswordAndPort(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := start(t, cfg)
	first := s.AdminDSN("postgres")
	if err := execute(t, first, "CREATE TABLE kept AS SELECT 'yes' AS answer"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready after Stop")
	}
	again := start(t, cfg)
	if got := again.AdminDSN("postgres"); got != first {
		t.Errorf("the DSN changed: %s, was %s", got, first)
	}
	if got := query(t, first, "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
}

func TestStopWithoutStartAndTwice(t *testing.T) {
	t.Parallel()
	s := New(testConfig(t))
	if err := s.Stop(t.Context()); err != nil {
		t.Error("Stop without Start:", err)
	}
	if err := s.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestSettingsOfTheCluster(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Unsafe = false
	s := start(t, cfg)
	want := map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
		"listen_addresses": "127.0.0.1", "server_encoding": "UTF8", "max_connections": "100",
		"password_encryption": "scram-sha-256", "TimeZone": "UTC",
	}
	for name, value := range want {
		if got := query(t, s.AdminDSN("postgres"), "SELECT current_setting('"+name+"')"); got != value {
			t.Errorf("%s = %s, want %s", name, got, value)
		}
	}
	if got := query(t, s.AdminDSN("postgres"), "SELECT datlocprovider::text||datlocale FROM pg_database WHERE datname='postgres'"); got != "bC.UTF-8" {
		t.Errorf("locale = %s", got)
	}
	if got := query(t, s.AdminDSN("postgres"), "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"); got != "scram-sha-256" {
		t.Errorf("authentication methods = %s", got)
	}
}

func TestPasswordIsPrivateAndNeeded(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	info, err := os.Stat(filepath.Join(s.cfg.Dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("password has mode %v", info.Mode())
	}
	wrong := strings.Replace(s.AdminDSN("postgres"), s.current().password, "wrong", 1)
	if err := ping(deadline(t), wrong); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestRestartsAfterCrash(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	dsn, pid := s.AdminDSN("postgres"), s.current().process().pid()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		err := s.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "signal: killed") && strings.Contains(err.Error(), "started again in")
	})
	eventually(t, func() bool { return s.Ready(t.Context()) == nil })
	if now := s.current().process().pid(); now == pid {
		t.Error("the process is the same")
	}
	if s.AdminDSN("postgres") != dsn {
		t.Error("the DSN changed with the restart")
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testConfig(t)
	cfg.Port = l.Addr().(*net.TCPAddr).Port
	if err := New(cfg).Start(deadline(t)); err == nil || !strings.Contains(err.Error(), "taken by another program") {
		t.Errorf("fixed port: %v", err)
	}
	cfg.Dir, cfg.Port = tempDir(t), 0
	if err := os.WriteFile(filepath.Join(cfg.Dir, "port"), []byte(l.Addr().String()[len("127.0.0.1:"):]), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, cfg) // a remembered port that is taken is given up
}

func TestUnreachableForTheChildren(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has to run its children as somebody else")
	}
	cfg := testConfig(t)
	closed := filepath.Join(cfg.Dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.BinDir = filepath.Join(closed, "postgres"), ""
	err := New(cfg).Start(deadline(t))
	if err == nil || !strings.Contains(err.Error(), "may not pass "+closed+":") || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("got %v", err)
	}
}

func execute(t *testing.T, dsn, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(deadline(t), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(deadline(t), sql)
	return err
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("did not come true within 20 s")
}
