package appliancetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// Connect opens a connection to the application's database past the
// application: as nimbus_app, or as nimbus_owner, who owns every table.
func (a *Appliance) Connect(t testing.TB, role string) *pgx.Conn {
	t.Helper()
	var p db.Passwords
	raw, err := os.ReadFile(filepath.Join(a.Dir, "keys", "database.json"))
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	port, err := os.ReadFile(filepath.Join(a.Dir, "postgres", "port"))
	if err != nil {
		t.Fatal(err)
	}
	password := map[string]string{"nimbus_app": p.App, "nimbus_owner": p.Owner}[role]
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s dbname=%s user=%s password=%s sslmode=disable",
		strings.TrimSpace(string(port)), db.Database, role, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs a statement and fails the test when it cannot.
func Exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
