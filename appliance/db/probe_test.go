package db_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres/postgrestest"
)

func TestProbeTellsWhatTheServerIs(t *testing.T) {
	t.Parallel()
	r, err := db.Probe(t.Context(), postgrestest.DSN(t))
	if err != nil || !r.OK || r.Version == "" || len(r.Checks) < 4 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestProbeTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := db.Probe(t.Context(), "postgres://%zz"); !fault.Is(err, fault.Invalid) {
		t.Errorf("unreadable: %v", err)
	}
	r, err := db.Probe(t.Context(), "postgres://nobody:canary@127.0.0.1:1/postgres?sslmode=disable")
	if err != nil || r.OK || r.Checks[0].Name != "connection" || r.Checks[0].OK || r.Message != r.Checks[0].Message {
		t.Errorf("nobody there: %+v %v", r, err)
	}
	if strings.Contains(r.Message, "canary") {
		t.Error("the message holds the password")
	}
}

func TestProbeWantsALoginThatMayMakeRoles(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.DSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	const role = "probe_without_rights"
	_, err = conn.Exec(t.Context(), `drop role if exists `+role+`; create role `+role+` login password 'x'`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Exec(t.Context(), `drop role `+role)
	u.User = url.UserPassword(role, "x")
	r, err := db.Probe(t.Context(), u.String())
	if err != nil || r.OK || !strings.Contains(r.Message, "CREATEROLE") {
		t.Errorf("%+v %v", r, err)
	}
}
