package postgrestest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/embedded/postgres/postgrestest"
)

func TestDatabasesAreSeparateCopies(t *testing.T) {
	t.Parallel()
	var built atomic.Int32
	template := func() string {
		return postgrestest.Template(t, "selftest", fmt.Sprint(t.Name(), t.TempDir()), func(dsn string) error {
			built.Add(1)
			return execute(dsn, "CREATE TABLE note (body text); INSERT INTO note VALUES ('from the template')")
		})
	}
	name := template()
	a, b := postgrestest.Database(t, name), postgrestest.Database(t, name)
	if err := execute(a, "UPDATE note SET body = 'changed in a'"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "from the template" {
		t.Errorf("b holds %q", got)
	}
	if built.Load() != 1 {
		t.Errorf("built %d times", built.Load())
	}
}

func TestTemplateIsBuiltOnce(t *testing.T) {
	t.Parallel()
	var built atomic.Int32
	version := t.TempDir()
	t.Run("group", func(t *testing.T) {
		for range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				name := postgrestest.Template(t, "once", version, func(dsn string) error {
					built.Add(1)
					return execute(dsn, "CREATE TABLE note AS SELECT 'x' AS body")
				})
				if got := read(t, postgrestest.Database(t, name)); got != "x" {
					t.Errorf("got %q", got)
				}
			})
		}
	})
	if built.Load() != 1 {
		t.Errorf("built %d times", built.Load())
	}
}

func TestDatabaseIsDroppedAtCleanup(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = postgrestest.DSN(t)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
	})
	if err := execute(dsn, "SELECT 1"); err == nil {
		t.Error("the database is still there")
	}
}

func BenchmarkDatabase(b *testing.B) {
	for b.Loop() {
		postgrestest.DSN(b)
	}
}

func execute(dsn, sql string) error {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), sql)
	return err
}

func read(t *testing.T, dsn string) (body string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), "SELECT body FROM note").Scan(&body); err != nil {
		t.Fatal(err)
	}
	return body
}
