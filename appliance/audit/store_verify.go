package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
)

// The columns of an entry as they are read, in this order, in Postgres' binary
// form. The body may be null: then the record is missing.
const (
	colSequence = iota
	colLeaf
	colLink
	colRecord
	colBody
	colRecordEvent
	colTime
	colEvent
	colOutcome
	colPriority
	colActorID
	colActorKind
	colActorName
	colTargetKind
	colTargetID
	colTargetName
	colAddress
	colRequestID
	colBehalfID
	colBehalfKind
	colBehalfName
	columnCount
)

// entries calls fn with the raw columns of each entry from first to last. They
// are valid during the call. The entry's record is looked up one by one, whatever the
// planner thinks: it would read the whole table for each stretch.
func (store) entries(ctx context.Context, first, last int64, fn func([][]byte) error) error {
	if _, err := db.Tx(ctx).Exec(ctx, `set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off; set local jit = off`,
		pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	rows, err := db.Tx(ctx).Query(ctx, `select e.sequence, e.leaf, e.link, e.record_id, r.body, r.event, e.time, e.event, e.outcome, e.priority, e.actor_id,
		e.actor_kind, e.actor_name, e.target_kind, e.target_id, e.target_name, e.address, e.request_id, e.behalf_id, e.behalf_kind, e.behalf_name
		from audit_entry e left join audit_record r on r.id = e.record_id where e.sequence between $1 and $2 order by e.sequence`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, first, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw) != columnCount || len(raw[colSequence]) != 8 {
			return errors.New("the database answers in an unknown form")
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tilesEnding reads the stored tiles whose last leaf is one of the records
// from first to last, by level.
func (st store) tilesEnding(ctx context.Context, first, last int64) (map[chunk][]byte, error) {
	found := map[chunk][]byte{}
	width := int64(ledger.TileWidth)
	for level := range uint(7) {
		from, to := (first-1)/width, last/width-1
		if to < from {
			break
		}
		some, err := st.tiles(ctx, level, uint64(from), uint64(to))
		if err != nil {
			return nil, err
		}
		for number, hashes := range some {
			found[chunk{level, number}] = hashes
		}
		width *= ledger.TileWidth
	}
	return found, nil
}

// lastTiles is the highest number of a tile on each level.
func (store) lastTiles(ctx context.Context) (map[uint]uint64, error) {
	rows, err := db.Tx(ctx).Query(ctx, `select level, max(number) from audit_tile group by level`)
	if err != nil {
		return nil, err
	}
	found := map[uint]uint64{}
	var level int16
	var number int64
	_, err = pgx.ForEachRow(rows, []any{&level, &number}, func() error {
		found[uint(level)] = uint64(number)
		return nil
	})
	return found, err
}

// checkpointsBetween lists the signed heads of more than after and at most last
// records, by size.
func (store) checkpointsBetween(ctx context.Context, after, last int64) ([]Checkpoint, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+checkpointColumns+` from audit_checkpoint c where c.size > $1 and c.size <= $2 order by c.size, c.created_at`, after, last)
	return pgx.CollectRows(rows, scanCheckpoint)
}

// lastSequence is the number of the last entry, whatever came before it.
func (store) lastSequence(ctx context.Context) (last int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(sequence), 0) from audit_entry`).Scan(&last)
	if err != nil {
		err = fmt.Errorf("the end of the chain: %w", err)
	}
	return last, err
}
