// Package postgrestest gives each test a database of its own in milliseconds.
//
// All test binaries of a user share one server. The first that needs it starts it, detached
// and without durability, in a folder below os.TempDir; it ends by itself a few minutes
// after the last connection, or at once with
//
//	go run ./embedded/postgres/postgrestest/keeper stop
//
// With NIMBUS_TEST_DSN set, that server is used instead; its user must be allowed to
// create databases.
//
// Roles belong to the server, not to a database: tests that create roles have to give
// them names that no other test uses.
package postgrestest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// limit bounds one statement of this package, and the start of the server.
const limit = time.Minute

// Database returns the URL of a new database that is a copy of template; "" copies the
// empty one. It is dropped with all its connections when the test ends. A failure ends the test.
func Database(t testing.TB, template string) string {
	t.Helper()
	if template == "" {
		template = "template0"
	}
	pool := connect(t)
	name := "t_" + random()
	run(t, pool, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY %s", quote(name), quote(template), strategy))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if _, err := pool.Exec(ctx, "DROP DATABASE "+quote(name)+" WITH (FORCE)"); err != nil {
			t.Error("drop the test's database: ", err)
		}
	})
	return withDatabase(pool, name)
}

// strategy copies files: without fsync the two checkpoints that takes cost next to nothing
// (17 ms in all, where copying through the log takes 190).
const strategy = "FILE_COPY"

// DSN returns the URL of a new, empty database, see Database.
func DSN(t testing.TB) string {
	t.Helper()
	return Database(t, "")
}

// Template returns the name of a template for Database. The first caller of all processes
// has build fill it through the URL of an empty database; it is built again when version
// (say, a checksum over the migrations) is another one. build must close its connections.
func Template(t testing.TB, name, version string, build func(dsn string) error) string {
	t.Helper()
	pool := connect(t)
	sum := sha256.Sum256([]byte(version))
	full := "tpl_" + name + "_" + hex.EncodeToString(sum[:6])
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	if err := buildOnce(ctx, pool, full, build); err != nil {
		t.Fatalf("template %s: %v", name, err)
	}
	return full
}

// buildOnce builds under an advisory lock, in a database that gets its name when it is done.
func buildOnce(ctx context.Context, pool *pgxpool.Pool, name string, build func(dsn string) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", name); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(hashtextextended($1, 0))", name)
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	building := name + "_wip"
	if err := statements(ctx, conn.Conn(), "DROP DATABASE IF EXISTS "+quote(building)+" WITH (FORCE)",
		"CREATE DATABASE "+quote(building)+" TEMPLATE template0 STRATEGY "+strategy); err != nil {
		return err
	}
	if err := build(withDatabase(pool, building)); err != nil {
		return err
	}
	return statements(ctx, conn.Conn(), "ALTER DATABASE "+quote(building)+" ALLOW_CONNECTIONS false",
		"ALTER DATABASE "+quote(building)+" IS_TEMPLATE true",
		"ALTER DATABASE "+quote(building)+" RENAME TO "+quote(name))
}

func statements(ctx context.Context, conn *pgx.Conn, list ...string) error {
	for _, sql := range list {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// shared is this process's pool; holding a connection keeps the server alive.
var shared = sync.OnceValues(open)

func open() (*pgxpool.Pool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if dsn := os.Getenv("NIMBUS_TEST_DSN"); dsn != "" {
		return openPool(ctx, dsn)
	}
	return joinServer(ctx)
}

func openPool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = 4, 1
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

func connect(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := shared()
	if err != nil {
		t.Fatal("postgrestest: ", err)
	}
	return pool
}

func run(t testing.TB, pool *pgxpool.Pool, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := pool.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func withDatabase(pool *pgxpool.Pool, name string) string {
	u, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		return "" // the pool was opened with it
	}
	u.Path = "/" + name
	return u.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func random() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
