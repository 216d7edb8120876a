package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/jackc/pgx/v5"
)

// relation is a table with the columns that are stored as given.
type relation struct {
	Schema, Name string
	Forced       bool // row-level security
	Columns      string
}

func (r relation) String() string { return pgx.Identifier{r.Schema, r.Name}.Sanitize() }

func (r relation) table(s *sum) Table {
	return Table{Schema: r.Schema, Name: r.Name, Rows: s.rows, Sum: s.String()}
}

// relations lists the tables of a schema, of all when it is "", that are not
// Postgres's own. What belongs to an extension comes with the extension.
func relations(ctx context.Context, tx pgx.Tx, schema string) ([]relation, error) {
	rows, _ := tx.Query(ctx, `select n.nspname, c.relname, c.relforcerowsecurity, coalesce((
	select string_agg(quote_ident(a.attname), ', ' order by a.attname) from pg_attribute a
	where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''), '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema)' and $1 in ('', n.nspname)
and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2`, pgx.QueryExecModeSimpleProtocol, schema)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
}

func names(all []relation) string {
	quoted := make([]string, len(all))
	for i, r := range all {
		quoted[i] = r.String()
	}
	return strings.Join(quoted, ", ")
}

// sum adds up the SHA-256 of each line written to it, so that the order of the
// rows does not count and no row can stand for another.
type sum struct {
	rows  int64
	total big.Int
	part  []byte
}

// Write never fails.
func (s *sum) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if !whole {
			s.part = append(s.part, line...)
			return n, nil
		}
		s.add(line)
		p = rest
	}
}

func (s *sum) add(line []byte) {
	if len(s.part) > 0 {
		line = append(s.part, line...)
		s.part = s.part[:0]
	}
	row := sha256.Sum256(line)
	s.total.Add(&s.total, new(big.Int).SetBytes(row[:]))
	s.rows++
}

// String is the sum modulo 2^256.
func (s *sum) String() string {
	var out [sha256.Size]byte
	limit := new(big.Int).Lsh(big.NewInt(1), 8*sha256.Size)
	new(big.Int).Mod(&s.total, limit).FillBytes(out[:])
	return hex.EncodeToString(out[:])
}
