package db

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/fault"
)

// Needs are what a server must offer to take the databases of an appliance.
type Needs struct {
	Databases  []string
	Extensions []string
	// Connections are held at once, at most.
	Connections int
	// Relations is how many tables and indexes the largest schema has: what one
	// transaction locks.
	Relations int
	Bytes     int64
	// Move names an unfinished move: what bears its mark is not somebody else's.
	Move string
	// Ours is set when what is there is known to be ours, and nobody changed it.
	Ours bool
}

// Measure fills in how large the databases of a server are.
func (n *Needs) Measure(ctx context.Context, dsn func(database string) string) error {
	for _, name := range n.Databases {
		bytes, relations, err := measure(ctx, dsn(name))
		if err != nil {
			return err
		}
		n.Bytes += bytes
		n.Relations = max(n.Relations, relations)
	}
	return nil
}

func measure(ctx context.Context, dsn string) (bytes int64, relations int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, 0, Fault(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, `select pg_database_size(current_database()), coalesce(max(n), 0) from (
		select count(*) + count(nullif(reltoastrelid, 0)) * 2 as n from pg_class c join pg_namespace s on s.oid = relnamespace
		where nspname !~ '^(pg_|information_schema)' group by relnamespace) per_schema`).Scan(&bytes, &relations)
	return bytes, relations, Fault(err)
}

// ExamineTarget tries a server that is to take the databases of an appliance: its
// version, what the login may do, that nothing is there yet, and whether it is
// large enough. What does not fit is in the report, with what to do; an error is
// fault.Invalid, for an address that cannot be read. Nothing is changed.
func ExamineTarget(ctx context.Context, dsn string, n Needs) (Report, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Report{}, fault.New(fault.Invalid, "The address of the database cannot be read. It looks like postgres://user:password@host:5432/postgres.")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var r Report
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		r.add("connection", false, "The server at %s cannot be reached with this login: %s", address(cfg), probeCause(err))
		return r.conclude(), nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.add("connection", true, "The server at %s answers and accepts the login %s.", address(cfg), cfg.User)
	r.server(ctx, conn)
	r.latency(ctx, conn)
	for _, look := range []func(context.Context, *pgx.Conn, Needs) error{r.empty, r.extensions, r.capacity} {
		if err := look(ctx, conn, n); err != nil {
			r.add("server", false, "The server does not answer: %s", probeCause(err))
			break
		}
	}
	r.room(ctx, conn, cfg, n)
	return r.conclude(), nil
}

func address(cfg *pgx.ConnConfig) string { return net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)) }

// Address is where a server is, without login and password.
func Address(dsn string) string {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return ""
	}
	return address(cfg)
}

// Login is the user of an address.
func Login(dsn string) string {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return ""
	}
	return cfg.User
}

// empty refuses a server on which something has our names, unless it bears the mark.
func (r *Report) empty(ctx context.Context, conn *pgx.Conn, n Needs) error {
	var databases, roles []string
	var mark string
	err := conn.QueryRow(ctx, `select array(select datname::text from pg_database where datname = any($1) order by 1),
		array(select rolname::text from pg_roles where rolname ~ '^(nimbus_(core|owner|app)|tenant_[0-9a-f]{32})$' order by 1),
		coalesce((select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $2), '')`, n.Databases, coreRole).Scan(&databases, &roles, &mark)
	if err != nil {
		return err
	}
	switch {
	case len(databases)+len(roles) == 0:
		r.add("empty", true, "Nothing there has a name that is needed.")
	case n.Ours || n.Move != "" && mark == markOf(n.Move):
		r.add("empty", true, "What is there is of this move, which was interrupted. It goes on.")
	default:
		r.add("empty", false, "The server is not empty: it has %s. Another Nimbus uses it, or one did. Choose another server, or when nobody needs them drop these databases and roles.",
			strings.Join(append(named("the database", databases), named("the role", shorten(roles))...), ", "))
	}
	return nil
}

func named(kind string, all []string) []string {
	for i := range all {
		all[i] = kind + " " + all[i]
	}
	return all
}

func shorten(all []string) []string {
	const shown = 4
	if len(all) <= shown {
		return all
	}
	return append(all[:shown:shown], fmt.Sprintf("… (%d more)", len(all)-shown))
}

func (r *Report) extensions(ctx context.Context, conn *pgx.Conn, n Needs) error {
	for _, name := range n.Extensions {
		var there bool
		if err := conn.QueryRow(ctx, `select exists (select from pg_available_extensions where name = $1)`, name).Scan(&there); err != nil {
			return err
		}
		if !there {
			r.add("extensions", false, "The server has no extension %s. Install the package with Postgres's own extensions (postgresql-contrib).", name)
			return nil
		}
	}
	r.add("extensions", true, "The extensions that are needed can be had.")
	return nil
}

// capacity compares the server's shared settings with what is needed.
func (r *Report) capacity(ctx context.Context, conn *pgx.Conn, n Needs) error {
	var most, reserved, used, locks, prepared int
	var standby bool
	var readOnly, encoding string
	err := conn.QueryRow(ctx, `select current_setting('max_connections')::int,
		current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0),
		(select coalesce(sum(numbackends), 1)::int - 1 from pg_stat_database), -- everybody may read it, unlike what sessions of others are
		current_setting('max_locks_per_transaction')::int, current_setting('max_prepared_transactions')::int,
		pg_is_in_recovery(), current_setting('default_transaction_read_only'),
		(select pg_encoding_to_char(encoding) from pg_database where datname = 'template0')`).
		Scan(&most, &reserved, &used, &locks, &prepared, &standby, &readOnly, &encoding)
	if err != nil {
		return err
	}
	if standby || readOnly == "on" {
		r.add("writable", false, "The server takes no changes: it is a standby, or default_transaction_read_only is on. Name the primary.")
	}
	if encoding != "UTF8" {
		r.add("encoding", false, "The server's encoding is %s. Nimbus needs a server made with UTF8 (initdb --encoding=UTF8).", encoding)
	}
	if free := most - reserved - used; free < n.Connections {
		r.add("connections", false, "The server has %d connections left (max_connections is %d, %d are reserved, %d in use). Nimbus needs %d: raise max_connections and restart the server.", free, most, reserved, used, n.Connections)
	} else {
		r.add("connections", true, "%d connections are free, %d are needed at most.", free, n.Connections)
	}
	if room, needed := locks*(most+prepared), 2*n.Relations; room < needed {
		r.add("locks", false, "The server can hold %d locks (max_locks_per_transaction %d × max_connections %d). A transaction over the largest schema, of %d tables and indexes, needs up to %d: raise max_locks_per_transaction and restart the server.", room, locks, most, n.Relations, needed)
	} else {
		r.add("locks", true, "%d locks can be held, %d are needed at most.", room, needed)
	}
	return nil
}

// room compares the free disk of a server on this machine. Of another one
// Postgres does not tell it: then what is needed is said.
func (r *Report) room(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig, n Needs) {
	needed := uint64(n.Bytes + n.Bytes/4)
	var dir string
	ip := net.ParseIP(cfg.Host)
	here := strings.HasPrefix(cfg.Host, "/") || cfg.Host == "localhost" || ip != nil && ip.IsLoopback()
	err := conn.QueryRow(ctx, `select setting from pg_settings where name = 'data_directory'`).Scan(&dir)
	var st syscall.Statfs_t
	if !here || err != nil || syscall.Statfs(dir, &st) != nil {
		r.add("disk", true, "The server needs about %d MB of disk. It does not tell how much is free.", needed>>20)
		return
	}
	free := st.Bavail * uint64(st.Bsize)
	r.add("disk", free >= needed, "The server needs about %d MB of disk; %d MB are free.", needed>>20, free>>20)
}

// markOf is what a server that a move fills says about itself.
func markOf(move string) string { return "nimbus move " + move + ", not finished" }

// MarkTarget puts the mark of a move on a server, in one step with the first role
// that it makes there: whatever is made later is known as that move's.
func MarkTarget(ctx context.Context, dsn, move string) error {
	return onServer(ctx, dsn, fmt.Sprintf(`begin; do $do$ begin if not exists (select from pg_roles where rolname = '%[1]s') then create role %[1]s nologin; end if; end $do$;
comment on role %[1]s is %[2]s; commit`, coreRole, quote(markOf(move))))
}

// UnmarkTarget takes the mark off: from then on the server is in use.
func UnmarkTarget(ctx context.Context, dsn string) error {
	return onServer(ctx, dsn, fmt.Sprintf(`comment on role %s is null`, coreRole))
}

func onServer(ctx context.Context, dsn, sql string) error {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return Fault(err)
}
