package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// tiles reads stored tiles of a level, by number, as long as they are.
func (store) tiles(ctx context.Context, level uint, first, last uint64) (map[uint64][]byte, error) {
	rows, err := db.Tx(ctx).Query(ctx, `select number, hashes from audit_tile where level = $1 and number between $2 and $3`, int16(level), int64(first), int64(last))
	if err != nil {
		return nil, err
	}
	found := map[uint64][]byte{}
	var number int64
	var hashes []byte
	_, err = pgx.ForEachRow(rows, []any{&number, &hashes}, func() error {
		found[uint64(number)] = hashes
		hashes = nil
		return nil
	})
	return found, err
}

// leaves reads the leaves of sealed records by sequence number.
func (store) leaves(ctx context.Context, first, last int64) (map[int64]Hash, error) {
	rows, err := db.Tx(ctx).Query(ctx, `select sequence, leaf from audit_entry where sequence between $1 and $2`, first, last)
	if err != nil {
		return nil, err
	}
	found := map[int64]Hash{}
	var n int64
	var leaf []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &leaf}, func() error {
		if len(leaf) != len(Hash{}) {
			return fmt.Errorf("the leaf of record %d has %d bytes", n, len(leaf))
		}
		found[n] = Hash(leaf)
		return nil
	})
	return found, err
}

// portion is stretch of records whose bodies together have not more than some
// bytes, one at least, and up to where there are no others.
func (st store) portion(ctx context.Context, first, last int64, limit, most int) (found []Sealed, upTo int64, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select sequence from audit_entry where sequence between $1 and $2 order by sequence limit $3`, first, last, limit)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, 0, err
	}
	if _, upTo, err = st.fitting(ctx, sequences, last, limit, most); err != nil {
		return nil, 0, err
	}
	found, err = st.stretch(ctx, first, upTo, limit)
	return found, upTo, err
}

// fitting are the first of ascending sequence numbers whose bodies together have
// not more than some bytes, one at least. upTo is the last of them, or last when
// they are all that there are.
func (store) fitting(ctx context.Context, sequences []int64, last int64, limit, most int) (fit []int64, upTo int64, err error) {
	if len(sequences) == 0 {
		return nil, last, nil
	}
	var n int
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from (
			select sum(octet_length(r.body)) over (order by e.sequence) as bytes
			from audit_entry e join audit_record r on r.id = e.record_id where e.sequence = any($1)) s where bytes <= $2`, sequences, most).Scan(&n)
	if n == len(sequences) && n < limit {
		return sequences, last, err
	}
	fit = sequences[:max(min(n, len(sequences)), 1)]
	return fit, fit[len(fit)-1], err
}

// stretch returns up to limit sealed records from first to last, oldest first.
func (store) stretch(ctx context.Context, first, last int64, limit int) ([]Sealed, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select e.sequence, e.leaf, e.link, e.sealed_at, r.body from audit_entry e join audit_record r on r.id = e.record_id
		where e.sequence between $1 and $2 order by e.sequence limit $3`, first, last, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Sealed, error) {
		var s Sealed
		err := row.Scan(&s.Sequence, &s.Leaf, &s.Link, &s.SealedAt, &s.Body)
		return s, err
	})
}
