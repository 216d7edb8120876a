package audit

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
)

// tileCount is the number of tiles of a level: they are written in order,
// without gaps.
func (store) tileCount(ctx context.Context, level int) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(number) + 1, 0) from audit_tile where level = $1`, int16(level)).Scan(&n)
	return n, err
}

// tileLeaves writes tiles of level 0 from the entries; none of which an entry
// is missing, which a verification tells.
func (store) tileLeaves(ctx context.Context, from, to int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_tile (level, number, hashes)
		select 0, (sequence - 1) / $3, string_agg(leaf, ''::bytea order by sequence) from audit_entry
		where sequence > $1 * $3 and sequence <= $2 * $3 group by 2 having count(*) = $3 order by 2`, from, to, int64(ledger.TileWidth))
	return err
}

func (store) addTile(ctx context.Context, level int, number int64, hashes []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_tile (level, number, hashes) values ($1, $2, $3)`, int16(level), number, hashes)
	return err
}

// thinnedTiles are the tiles of a range of which records were pruned.
func (store) thinnedTiles(ctx context.Context, first, last int64) (map[int64]thinned, error) {
	found := map[int64]thinned{}
	rows, _ := db.Tx(ctx).Query(ctx, `select number, gone, link_before, link_after from audit_thinned where number between $1 and $2`, first, last)
	var number int64
	var t thinned
	_, err := pgx.ForEachRow(rows, []any{&number, &t.gone, &t.before, &t.after}, func() error {
		found[number] = thinned{gone: t.gone, before: bytes.Clone(t.before), after: bytes.Clone(t.after)}
		return nil
	})
	return found, err
}

// keptInTile counts, for each sequence number, the records of its tile before it
// that are in the database.
func (store) keptInTile(ctx context.Context, sequences []int64) ([]int64, error) {
	first := make([]int64, len(sequences))
	for i, n := range sequences {
		first[i] = tileOf(n)*tileWidth + 1
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select (select count(*) from audit_entry e where e.sequence >= b.first and e.sequence < b.at)
		from unnest($1::bigint[], $2::bigint[]) with ordinality b(first, at, n) order by b.n`, first, sequences)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// thinnedLeaves are the thinned tiles that some records are in, with their leaves.
func (store) thinnedLeaves(ctx context.Context, sequences []int64) (map[int64]thinned, error) {
	numbers := make([]int64, len(sequences))
	for i, n := range sequences {
		numbers[i] = tileOf(n)
	}
	found := map[int64]thinned{}
	rows, _ := db.Tx(ctx).Query(ctx, `select t.number, t.link_before, t.link_after, h.hashes from audit_thinned t
		join audit_tile h on h.level = 0 and h.number = t.number where t.number = any($1)`, numbers)
	var number int64
	var t thinned
	_, err := pgx.ForEachRow(rows, []any{&number, &t.before, &t.after, &t.leaves}, func() error {
		if len(t.leaves) != ledger.TileWidth*len(Hash{}) {
			return fmt.Errorf("tile %d has %d bytes", number, len(t.leaves))
		}
		found[number] = thinned{before: bytes.Clone(t.before), after: bytes.Clone(t.after), leaves: bytes.Clone(t.leaves)}
		return nil
	})
	return found, err
}
