package db

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/fault"
)

// Report is what a test of a database server found.
type Report struct {
	OK      bool         `json:"ok"`
	Message string       `json:"message"`
	Version string       `json:"version"`
	Checks  []ProbeCheck `json:"checks"`
}

// ProbeCheck is one thing that was looked at.
type ProbeCheck struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

const (
	probeTimeout = 10 * time.Second
	// slowAnswer is the round trip from which on every page is felt to be slow.
	slowAnswer = 20 * time.Millisecond
)

// Probe tries a server that may hold the application's database: whether it
// answers and how fast, its version, what the login may do, and whether a
// database of Nimbus is there already. What does not work is in the report; an
// error is fault.Invalid, for an address that cannot be read. Nothing is changed.
func Probe(ctx context.Context, dsn string) (Report, error) { return probe(ctx, dsn, "") }

// ProbeFor is Probe that also refuses a database of a newer release: one with
// migrations that are not in history.
func ProbeFor(history []Migration) func(ctx context.Context, dsn string) (Report, error) {
	newest := ""
	for _, m := range history {
		newest = max(newest, m.Version)
	}
	return func(ctx context.Context, dsn string) (Report, error) { return probe(ctx, dsn, newest) }
}

func probe(ctx context.Context, dsn, newest string) (Report, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Report{}, fault.BadField("body.dsn", "The address cannot be read. It looks like postgres://user:password@host:5432/postgres.")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var r Report
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		r.add("connection", false, "The server cannot be reached with this login: %s", probeCause(err))
		return r.conclude(), nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.add("connection", true, "The server answers and accepts the login.")
	r.server(ctx, conn)
	r.latency(ctx, conn)
	r.existing(ctx, conn, cfg, newest)
	return r.conclude(), nil
}

func (r *Report) add(name string, ok bool, format string, args ...any) {
	r.Checks = append(r.Checks, ProbeCheck{Name: name, OK: ok, Message: fmt.Sprintf(format, args...)})
}

// conclude says in one sentence what counts: the first thing that is wrong.
func (r Report) conclude() Report {
	r.OK, r.Message = true, "The server can be used."
	for _, c := range r.Checks {
		if !c.OK {
			r.OK, r.Message = false, c.Message
			break
		}
	}
	return r
}

func (r *Report) server(ctx context.Context, conn *pgx.Conn) {
	r.Version = conn.PgConn().ParameterStatus("server_version")
	if err := checkServer(ctx, conn); err != nil {
		r.add("server", false, "%s", fault.Message(err))
		return
	}
	r.add("server", true, "PostgreSQL %s, and the login may create roles and databases.", r.Version)
}

// latency is a remark and never a refusal.
func (r *Report) latency(ctx context.Context, conn *pgx.Conn) {
	const rounds = 5
	begun := time.Now()
	for range rounds {
		if err := conn.Ping(ctx); err != nil {
			r.add("latency", false, "The connection broke during the test: %s", probeCause(err))
			return
		}
	}
	each := time.Since(begun) / rounds
	remark := "An answer takes %s."
	if each > slowAnswer {
		remark = "An answer takes %s, which will be felt. A server nearer by is better."
	}
	r.add("latency", true, remark, each.Round(100*time.Microsecond))
}

// existing looks into a database of ours that is there already.
func (r *Report) existing(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig, newest string) {
	var exists bool
	err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, Database).Scan(&exists)
	if err != nil {
		r.add("database", false, "The server's databases cannot be listed: %s", probeCause(err))
		return
	}
	if !exists {
		r.add("database", true, "A database %q will be made.", Database)
		return
	}
	ours := cfg.Copy()
	ours.Database = Database
	inside, err := pgx.ConnectConfig(ctx, ours)
	if err != nil {
		r.add("database", false, "There is a database %q that this login may not enter: %s", Database, probeCause(err))
		return
	}
	defer inside.Close(context.WithoutCancel(ctx))
	r.history(ctx, inside, newest)
}

func (r *Report) history(ctx context.Context, conn *pgx.Conn, newest string) {
	var last *string
	err := conn.QueryRow(ctx, `select max(version) from core.schema_migration`).Scan(&last)
	switch {
	case err != nil && strings.Contains(err.Error(), "42P01"): // there is no such table
		r.add("database", true, "The database %q is there and will be used.", Database)
	case err != nil:
		r.add("database", false, "The database %q cannot be read: %s", Database, probeCause(err))
	case last != nil && newest != "" && *last > newest:
		r.add("database", false, "The database %q was made by a newer Nimbus. Install that release, or choose another server.", Database)
	default:
		r.add("database", true, "The database %q of an earlier Nimbus is there. It will be used and brought up to date.", Database)
	}
}

// probeCause is the last part of what pgx says; the parts before it repeat the
// address.
func probeCause(err error) string {
	if why := fault.Connection(err); why != "" {
		return why
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
