package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"nimbus/embedded/postgres"
)

// Dir returns the folder of this user's shared server, which the keeper fills.
func Dir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("nimbus-postgrestest-%d-%s", os.Getuid(), postgres.BundleID()))
}

// EndpointFile holds the URL of the shared server while it runs, in Dir.
const EndpointFile = "endpoint"

// joinServer connects to the shared server and starts it when there is none.
func joinServer(ctx context.Context) (*pgxpool.Pool, error) {
	dir := Dir()
	if err := claim(dir); err != nil {
		return nil, err
	}
	if pool, err := tryEndpoint(ctx, dir); err == nil {
		return pool, nil
	}
	unlock, err := startLock(filepath.Join(dir, "start.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if pool, err := tryEndpoint(ctx, dir); err == nil {
		return pool, nil
	}
	if err := startKeeper(ctx, dir); err != nil {
		return nil, err
	}
	return awaitEndpoint(ctx, dir)
}

// claim makes dir, and refuses one that somebody else has put there.
func claim(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of ours: remove it", dir)
	}
	return os.Chmod(dir, 0o755) // the server's own user has to pass, whatever the umask
}

func tryEndpoint(ctx context.Context, dir string) (*pgxpool.Pool, error) {
	dsn, err := os.ReadFile(filepath.Join(dir, EndpointFile))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return openPool(ctx, strings.TrimSpace(string(dsn)))
}

// startLock lets one process at a time look for the server and start it.
func startLock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// startKeeper builds the keeper and starts it in a session of its own.
func startKeeper(ctx context.Context, dir string) error {
	program := filepath.Join(dir, "keeper")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "nimbus/embedded/postgres/postgrestest/keeper")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the keeper of the test server (or set NIMBUS_TEST_DSN): %w\n%s", err, out)
	}
	log, err := os.OpenFile(logFile(dir), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "run")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

func logFile(dir string) string { return filepath.Join(dir, "keeper.log") }

func awaitEndpoint(ctx context.Context, dir string) (*pgxpool.Pool, error) {
	for {
		pool, err := tryEndpoint(ctx, dir)
		if err == nil {
			return pool, nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(logFile(dir))
			return nil, fmt.Errorf("the test server did not start: %w; its log says:\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
