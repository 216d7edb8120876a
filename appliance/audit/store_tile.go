package audit

import (
	"context"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
)

// tileCount is the number of tiles of a level: they are written in order,
// without gaps.
func (store) tileCount(ctx context.Context, level int) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(number) + 1, 0) from audit_tile where level = $1`, int16(level)).Scan(&n)
	return n, err
}

// tileLeaves writes tiles of level 0 from the entries.
func (store) tileLeaves(ctx context.Context, from, to int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_tile (level, number, hashes)
		select 0, (sequence - 1) / $3, string_agg(leaf, ''::bytea order by sequence) from audit_entry
		where sequence > $1 * $3 and sequence <= $2 * $3 group by 2 order by 2`, from, to, int64(ledger.TileWidth))
	return err
}

func (store) addTile(ctx context.Context, level int, number int64, hashes []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_tile (level, number, hashes) values ($1, $2, $3)`, int16(level), number, hashes)
	return err
}
