// Command keeper runs the Postgres that all tests share.
//
//	keeper run   serves until it was idle for five minutes or gets SIGTERM
//	keeper stop  ends a running one and waits for it
//
// Package postgrestest builds and starts it; only `make test` calls stop.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/embedded/postgres"
	"nimbus/embedded/postgres/postgrestest"
)

const (
	idleLimit = 5 * time.Minute
	interval  = 10 * time.Second
	pidFile   = "keeper.pid"
)

func main() {
	verb := ""
	if len(os.Args) == 2 {
		verb = os.Args[1]
	}
	var err error
	switch verb {
	case "run":
		err = run(postgrestest.Dir())
	case "stop":
		err = stop(postgrestest.Dir())
	default:
		err = errors.New("usage: keeper run | stop")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := removeOld(dir); err != nil {
		return err
	}
	home := filepath.Join(dir, "run-"+strconv.Itoa(os.Getpid()))
	defer os.RemoveAll(home)
	server := postgres.New(postgres.Config{
		Dir: home, BinDir: filepath.Join(dir, "bin"), Unsafe: true, MaxConnections: 400,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err := server.Start(ctx); err != nil {
		return err
	}
	return errors.Join(serve(ctx, dir, server.AdminDSN("postgres")), server.Stop(context.Background()))
}

// serve publishes the endpoint until ctx ends or nobody was connected for idleLimit.
func serve(ctx context.Context, dir, dsn string) error {
	endpoint := filepath.Join(dir, postgrestest.EndpointFile)
	if err := os.WriteFile(endpoint+".new", []byte(dsn), 0o600); err != nil {
		return err
	}
	if err := os.Rename(endpoint+".new", endpoint); err != nil {
		return err
	}
	defer os.Remove(endpoint)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for busy := time.Now(); time.Since(busy) < idleLimit; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n, err := clients(ctx, dsn); err != nil || n > 0 {
			busy = time.Now()
		}
	}
	return nil
}

// clients counts the connections beside our own.
func clients(ctx context.Context, dsn string) (n int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&n)
	return n, err
}

// lockDir allows one keeper for dir and notes its process id for stop.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another keeper runs"), f.Close())
	}
	err = errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())))
	return f, err
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// removeOld deletes what killed keepers left: test data only.
func removeOld(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "run-*"))
	for _, path := range old {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// stop ends the keeper that holds the lock, if any, and waits until it has let go.
func stop(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return nil // nobody holds it
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}
