package audit

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// superuser runs statements that the application may not.
func superuser(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, sql := range statements {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func dropTiles(t *testing.T, dsn string) { superuser(t, dsn, `delete from core.audit_tile`) }
