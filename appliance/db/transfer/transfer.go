// Package transfer copies the rows of a database into another one whose schema
// was made before, perhaps on a server of another major version, and proves that
// nothing is missing.
//
// It needs no program of Postgres. Rows travel as COPY text, which every version
// reads; constraints are taken off before and put on again after, so that the new
// server checks each of them on all rows. What arrived is read back and compared
// by number and by a sum over the SHA-256 of each row. Each schema is one
// transaction: in the target it is complete or as it was. No transaction has to
// lock the tables of more than one tenant, and a copy that was interrupted need
// not do again what it had done.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table is what was copied of a table.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Sum    string `json:"sum"` // does not depend on the order of the rows
}

// Progress hears of each table that has arrived.
type Progress func(done, all int, t Table)

// ErrDifferent means that what arrived is not what was sent. Nothing was kept.
var ErrDifferent = errors.New("the copy differs from its original")

// session makes values look the same on every server.
const session = `set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local timezone = 'UTC';
set local extra_float_digits = 1; set local bytea_output = 'hex'; set local client_encoding = 'UTF8'; set local statement_timeout = 0;
set local search_path = pg_catalog, pg_temp`

// copySchema replaces the rows of every table of a schema. Both servers hold the
// same tables, and nobody writes to either. The login of to owns its tables.
func copySchema(ctx context.Context, from, to *pgx.Conn, schema string, arrived func(Table)) error {
	return reading(ctx, from, func(source pgx.Tx) error {
		return filling(ctx, to, schema, func(target pgx.Tx, all []relation) error {
			if err := sameTables(ctx, source, schema, all); err != nil {
				return err
			}
			for _, r := range all {
				t, err := copyTable(ctx, source, target, r)
				if err != nil {
					return fmt.Errorf("%s: %w", r, err)
				}
				arrived(t)
			}
			return copySequences(ctx, source, target, schema)
		})
	})
}

// Count reads all tables and returns what is in them.
func Count(ctx context.Context, conn *pgx.Conn) ([]Table, error) {
	return countSchema(ctx, conn, "", func(Table) {})
}

func countSchema(ctx context.Context, conn *pgx.Conn, schema string, counted func(Table)) ([]Table, error) {
	var all []Table
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		found, err := relations(ctx, tx, schema)
		for _, r := range found {
			if err != nil {
				return err
			}
			var sum sum
			err = copyOut(ctx, tx, r, &sum)
			all = append(all, r.table(&sum))
			counted(r.table(&sum))
		}
		return err
	})
	return all, err
}

// reading runs fn on one unchanging view of a database.
func reading(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, session, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		return fn(tx)
	})
}

// filling empties every table of a schema, or of all, runs fn without constraints,
// and puts them back, all or nothing.
func filling(ctx context.Context, conn *pgx.Conn, schema string, fn func(tx pgx.Tx, all []relation) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, session, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		all, err := relations(ctx, tx, schema)
		if err != nil {
			return err
		}
		off, on, err := guards(ctx, tx, schema, all)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, off, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if err := fn(tx, all); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, on, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// guards are statements that take off and put on what hinders a load: foreign
// keys, triggers and forced row-level security.
func guards(ctx context.Context, tx pgx.Tx, schema string, all []relation) (off, on string, err error) {
	var before, after, last strings.Builder
	for _, r := range all {
		fmt.Fprintf(&before, "alter table %s disable trigger user;\n", r)
		fmt.Fprintf(&last, "alter table %s enable trigger user;\n", r)
		if r.Forced {
			fmt.Fprintf(&before, "alter table %s no force row level security;\n", r)
			fmt.Fprintf(&last, "alter table %s force row level security;\n", r)
		}
	}
	rows, _ := tx.Query(ctx, foreignKeys, pgx.QueryExecModeSimpleProtocol, schema)
	type key struct{ Table, Name, Definition string }
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	for _, k := range keys {
		fmt.Fprintf(&before, "alter table %s drop constraint %s;\n", k.Table, k.Name)
		fmt.Fprintf(&after, "alter table %s add constraint %s %s;\n", k.Table, k.Name, k.Definition)
	}
	if len(all) > 0 {
		fmt.Fprintf(&before, "truncate %s;\n", names(all))
	}
	return before.String(), after.String() + last.String(), err
}

const foreignKeys = `select conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(c.oid)
from pg_constraint c join pg_namespace n on n.oid = connamespace
where contype = 'f' and nspname !~ '^(pg_|information_schema)' and $1 in ('', nspname) order by 1, 2`

// sameTables refuses a source that has tables which the target lacks, or the
// other way round.
func sameTables(ctx context.Context, source pgx.Tx, schema string, target []relation) error {
	found, err := relations(ctx, source, schema)
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, r := range target {
		have[r.String()] = r.Columns
	}
	for _, r := range found {
		columns, ok := have[r.String()]
		if !ok {
			return fmt.Errorf("%w: there is no table %s in the new database", ErrDifferent, r)
		}
		if columns != r.Columns {
			return fmt.Errorf("%w: %s has the columns (%s) and (%s)", ErrDifferent, r, r.Columns, columns)
		}
		delete(have, r.String())
	}
	for name := range have {
		return fmt.Errorf("%w: there is no table %s in the old database", ErrDifferent, name)
	}
	return nil
}

func copyTable(ctx context.Context, source, target pgx.Tx, r relation) (Table, error) {
	var sent, arrived sum
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := copyOut(ctx, source, r, io.MultiWriter(&sent, out))
		out.CloseWithError(err)
		done <- err
	}()
	err := copyIn(ctx, target, r, in)
	in.CloseWithError(err)
	if err := errors.Join(<-done, err); err != nil {
		return Table{}, err
	}
	if err := copyOut(ctx, target, r, &arrived); err != nil {
		return Table{}, err
	}
	if sent.String() != arrived.String() {
		return Table{}, fmt.Errorf("%w: %d rows were sent and %d arrived, or some changed on the way", ErrDifferent, sent.rows, arrived.rows)
	}
	return r.table(&arrived), nil
}

func copyOut(ctx context.Context, tx pgx.Tx, r relation, w io.Writer) error {
	_, err := tx.Conn().PgConn().CopyTo(ctx, w, fmt.Sprintf("copy (select %s from %s) to stdout", r.Columns, r))
	return err
}

func copyIn(ctx context.Context, tx pgx.Tx, r relation, in io.Reader) error {
	_, err := tx.Conn().PgConn().CopyFrom(ctx, in, fmt.Sprintf("copy %s (%s) from stdin", r, r.Columns))
	return err
}

// copySequences gives each sequence the value that it had.
func copySequences(ctx context.Context, source, target pgx.Tx, schema string) error {
	rows, _ := source.Query(ctx, `select format('%I.%I', schemaname, sequencename), last_value from pg_sequences
where last_value is not null and schemaname = $1`, pgx.QueryExecModeSimpleProtocol, schema)
	type value struct {
		Name string
		Last int64
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[value])
	for _, v := range all {
		if err == nil {
			_, err = target.Exec(ctx, `select setval($1::regclass, $2)`, v.Name, v.Last)
		}
	}
	return err
}
