package db_test

import (
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"nimbus/appliance/db"
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
