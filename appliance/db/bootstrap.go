package db

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/fault"
)

// Database is the name of the application's database.
const Database = "nimbus"

// minimumVersion is the oldest Postgres that grants roles without inheritance
// (`server_version_num`).
const minimumVersion = 160000

// Passwords are the secrets of the two login roles.
type Passwords struct {
	App   string `json:"app"`
	Owner string `json:"owner"`
}

// Bootstrap makes the roles and the database through a login that may create
// both, and returns how to reach them. Doing it again sets the passwords and
// changes nothing else. It returns fault.Unavailable when the server cannot be
// reached and fault.Invalid when it is too old or the login may not.
func Bootstrap(ctx context.Context, adminDSN string, p Passwords) (Config, error) {
	return BootstrapNamed(ctx, adminDSN, Database, p)
}

// BootstrapNamed is Bootstrap with another database name, for tests and for
// servers that several appliances share.
func BootstrapNamed(ctx context.Context, adminDSN, database string, p Passwords) (Config, error) {
	conn, err := connect(ctx, adminDSN)
	if err != nil {
		return Config{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkServer(ctx, conn); err != nil {
		return Config{}, err
	}
	if err := makeRoles(ctx, conn, p); err != nil {
		return Config{}, err
	}
	if err := makeDatabase(ctx, conn, database); err != nil {
		return Config{}, err
	}
	if err := makeSearchable(ctx, conn.Config(), database); err != nil {
		return Config{}, err
	}
	return logins(adminDSN, database, p), nil
}

// Logins is how to reach the database that Bootstrap made. It returns fault.Invalid
// for an address that cannot be read.
func Logins(adminDSN string, p Passwords) (Config, error) {
	if _, err := pgx.ParseConfig(adminDSN); err != nil {
		return Config{}, addressFault(err)
	}
	return logins(adminDSN, Database, p), nil
}

func logins(adminDSN, database string, p Passwords) Config {
	return Config{AppDSN: loginDSN(adminDSN, appRole, p.App, database), OwnerDSN: loginDSN(adminDSN, ownerRole, p.Owner, database)}
}

func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var may bool
	err := conn.QueryRow(ctx, `select current_setting('server_version_num')::int,
		(select rolsuper or (rolcreaterole and rolcreatedb) from pg_roles where rolname = current_user)`).Scan(&version, &may)
	if err != nil {
		return Fault(err)
	}
	if version < minimumVersion {
		return fault.New(fault.Invalid, "The server is PostgreSQL %d. Nimbus needs 16 or newer.", version/10000)
	}
	if !may {
		return fault.New(fault.Invalid, "This login may not create roles and databases. Use one with CREATEROLE and CREATEDB.")
	}
	return nil
}

func makeRoles(ctx context.Context, conn *pgx.Conn, p Passwords) error {
	const lock = `select pg_advisory_xact_lock(7017280452245743464);` // two appliances on one server
	script := lock + roleSQL(coreRole, "nologin") +
		roleSQL(ownerRole, "login createrole password "+quote(p.Owner)) +
		roleSQL(appRole, "login noinherit password "+quote(p.App)) +
		fmt.Sprintf(`grant %s to %s with inherit false, set true; grant %s to current_user with set true;`, coreRole, appRole, ownerRole)
	_, err := conn.Exec(ctx, "begin;"+script+"commit;", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The roles of Nimbus could not be made: %v", err)
	}
	return nil
}

// roleSQL makes a role when it is missing. That it bypasses no row-level security is
// said only where it does: a login that is no superuser may not say so.
func roleSQL(role, options string) string {
	return fmt.Sprintf(`do $do$ begin if not exists (select from pg_roles where rolname = '%[1]s') then create role %[1]s; end if;
if (select rolbypassrls from pg_roles where rolname = '%[1]s') then alter role %[1]s nobypassrls; end if; end $do$;
alter role %[1]s %[2]s;`, role, options)
}

func makeDatabase(ctx context.Context, conn *pgx.Conn, database string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, database).Scan(&exists); err != nil {
		return Fault(err)
	}
	name := pgx.Identifier{database}.Sanitize()
	if !exists {
		if _, err := conn.Exec(ctx, fmt.Sprintf(`create database %s owner %s encoding 'UTF8' template template0`, name, ownerRole)); err != nil {
			return fault.Wrap(fault.Invalid, err, "The database could not be made: %v", err)
		}
	}
	// The provider's role does not log in; it connects to ask how large the database is.
	_, err := conn.Exec(ctx, fmt.Sprintf(`revoke all on database %[1]s from public; grant connect on database %[1]s to %[2]s, %[3]s`, name, appRole, coreRole), pgx.QueryExecModeSimpleProtocol)
	return Fault(err)
}

// makeSearchable lets full-text indexes be used behind row-level security: the
// match of words tells nothing about rows that the policy hides, and every table
// holds rows of one tenant only. It takes a superuser; without one searches give
// the same, more slowly.
func makeSearchable(ctx context.Context, cfg *pgx.ConnConfig, database string) error {
	cfg = cfg.Copy()
	cfg.Database = database
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The database cannot be reached: %v", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, SearchableSQL, pgx.QueryExecModeSimpleProtocol)
	return Fault(err)
}

// SearchableSQL is what a superuser does in each database of the application.
const SearchableSQL = `do $do$ begin
  if (select rolsuper from pg_roles where rolname = current_user) and not (select proleakproof from pg_proc where oid = 'ts_match_vq(tsvector, tsquery)'::regprocedure) then
    alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
  end if;
end $do$`

// loginDSN is an address with another login: what it says about TLS, hosts and
// time limits holds for that login too.
func loginDSN(dsn, user, password, database string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return fmt.Sprintf("%s user=%s password=%s dbname=%s", dsn, keyword(user), keyword(password), keyword(database)) // the last one counts
	}
	u.User, u.Path = url.UserPassword(user, password), "/"+database
	q := u.Query()
	for _, part := range []string{"user", "password", "dbname", "database", "passfile", "service"} {
		q.Del(part)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// addressFault says what is wrong with an address. Its text is not repeated, and what
// the library says is no cause that a log would show: it repeats parts of the text,
// which holds a password.
func addressFault(err error) error {
	if strings.Contains(err.Error(), "CA file") || strings.Contains(err.Error(), "client key") || strings.Contains(err.Error(), "read cert") {
		return fault.New(fault.Invalid, "A file that the database address names (sslrootcert, sslcert or sslkey) cannot be read.")
	}
	return fault.New(fault.Invalid, "The database address cannot be read. It looks like postgres://user:password@host:5432/postgres; in a password / is written %%2F, @ is %%40, : is %%3A, %% is %%25.")
}

// connect is fault.Invalid for an address that cannot be read, and fault.Unavailable
// for a server that cannot be reached.
func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, addressFault(err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, unreachable(cfg, err)
	}
	return conn, nil
}

// unreachable is fault.Unavailable with the reason, where it is known.
func unreachable(cfg *pgx.ConnConfig, err error) error {
	if why := fault.Connection(err); why != "" {
		return fault.Wrap(fault.Unavailable, err, "The database server at %s:%d cannot be used as %s. %s", cfg.Host, cfg.Port, cfg.User, why)
	}
	return fault.Wrap(fault.Unavailable, err, "The database cannot be reached: %v", err)
}

func keyword(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

func quote(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
