package db_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/embedded/postgres/postgrestest"
)

// TestTargetThatIsTooOld asks a server that answers like PostgreSQL 15.
func TestTargetThatIsTooOld(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go fifteen(conn)
		}
	}()
	r, err := db.ExamineTarget(t.Context(), "postgres://nimbus:canary@"+l.Addr().String()+"/postgres?sslmode=disable&default_query_exec_mode=simple_protocol", db.Needs{})
	if err != nil || r.OK || r.Version != "15.6" || !strings.Contains(r.Message, "PostgreSQL 15. Nimbus needs 16 or newer") {
		t.Errorf("%+v %v", r, err)
	}
}

// TestAddressThatCannotBeReadIsNotRepeated: a password that was not escaped makes an
// address unreadable, and no part of it is in the error or in its causes.
func TestAddressThatCannotBeReadIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://nimbus:canary/word@db:5432/postgres", "postgres://nimbus:can%zzary:canary@db/postgres",
		"postgres://nimbus:pass%zzword@canary@db/postgres", "host=db password='canary dbname=postgres",
	} {
		_, bootstrapped := db.Bootstrap(t.Context(), dsn, db.Passwords{})
		_, logins := db.Logins(dsn, db.Passwords{})
		_, opened := db.Open(t.Context(), db.Config{AppDSN: dsn, OwnerDSN: dsn})
		_, examined := db.ExamineTarget(t.Context(), dsn, db.Needs{})
		for _, err := range []error{bootstrapped, logins, opened, examined} {
			if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "can") && strings.Contains(err.Error(), "ary") {
				t.Errorf("%s: %v", dsn, err)
			}
		}
	}
}

// TestConnectionsOfOthersCount asks as a login that may not see what others do.
func TestConnectionsOfOthersCount(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Database(t, "")
	hold := func(dsn string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	first := hold(admin)
	name := "weak_" + id.New().Hex()
	for _, sql := range []string{"create role " + name + " login password 'x'", "grant connect on database postgres to " + name} {
		if _, err := first.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = first.Exec(context.Background(), "drop role "+name) })
	var most int
	if err := first.QueryRow(t.Context(), "select current_setting('max_connections')::int").Scan(&most); err != nil {
		t.Fatal(err)
	}
	const others = 4
	for range others {
		hold(admin)
	}
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "x")
	report, err := db.ExamineTarget(t.Context(), u.String(), db.Needs{Connections: most - 3 - others})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if c.Name == "connections" && c.OK {
			t.Errorf("%d connections of others do not count: %s", others+1, c.Message)
		}
	}
}

// fifteen lets everybody in, tells its version, and knows no other question.
func fifteen(conn net.Conn) {
	defer conn.Close()
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	server.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "15.6"})
	server.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	server.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for server.Flush() == nil {
		asked, err := server.Receive()
		if err != nil {
			return
		}
		q, ok := asked.(*pgproto3.Query)
		switch {
		case ok && strings.Contains(q.String, "server_version_num"):
			server.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
				{Name: []byte("version"), DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1}, {Name: []byte("may"), DataTypeOID: 16, DataTypeSize: 1, TypeModifier: -1}}})
			server.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("150006"), []byte("t")}})
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		default:
			server.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "this is only a test"})
		}
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}
