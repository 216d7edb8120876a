package audit

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// appliance is the name of this appliance in origins.
func (store) appliance(ctx context.Context) (name id.ID, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select id from audit_appliance`).Scan(&name)
	return name, err
}

const checkpointColumns = `c.id, c.size, c.root, c.note, c.fingerprint, c.key_kind, c.key_name, c.algorithm, c.created_at`

func scanCheckpoint(row pgx.CollectableRow) (Checkpoint, error) {
	var c Checkpoint
	var root []byte
	err := row.Scan(&c.ID, &c.Size, &root, &c.Note, &c.Fingerprint, &c.KeyKind, &c.KeyName, &c.Algorithm, &c.CreatedAt)
	if err == nil && len(root) == len(Hash{}) {
		c.Root = Hash(root)
	}
	return c, err
}

// newestCheckpoint is the one of the most records; false when there is none.
func (store) newestCheckpoint(ctx context.Context) (Checkpoint, bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+checkpointColumns+` from audit_checkpoint c order by c.size desc, c.created_at desc limit 1`)
	c, err := pgx.CollectExactlyOneRow(rows, scanCheckpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, false, nil
	}
	return c, err == nil, err
}

// checkpointAt is the newest one of exactly that size.
func (store) checkpointAt(ctx context.Context, size int64) (Checkpoint, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+checkpointColumns+` from audit_checkpoint c where c.size = $1 order by c.created_at desc limit 1`, size)
	return pgx.CollectExactlyOneRow(rows, scanCheckpoint)
}

// checkpoints lists them, the newest first, those of fewer records than before.
func (store) checkpoints(ctx context.Context, before int64, limit int) ([]Checkpoint, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+checkpointColumns+` from audit_checkpoint c where $1 = 0 or c.size < $1
		order by c.size desc, c.created_at desc limit $2`, before, limit)
	return pgx.CollectRows(rows, scanCheckpoint)
}

// boundaries are the sizes of signed heads up to size at which a stream is split:
// the newest thousand, and the last one of each day.
func (store) boundaries(ctx context.Context, size int64) ([]int64, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select size from (
			(select size from audit_checkpoint where size <= $1 order by size desc limit 1000)
			union (select max(size) from audit_checkpoint where size <= $1 group by date_trunc('day', created_at at time zone 'UTC'))
		) s where size > 0 order by size`, size)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// addCheckpoint stores c unless there is one of its size and key.
func (store) addCheckpoint(ctx context.Context, c Checkpoint) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_checkpoint (id, size, root, note, fingerprint, key_kind, key_name, algorithm, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (size, fingerprint) do nothing`,
		c.ID, c.Size, c.Root[:], c.Note, c.Fingerprint, c.KeyKind, c.KeyName, c.Algorithm, c.CreatedAt)
	return err
}

// useKey notes that a key signs, which retires the others; true when it is new.
func (store) useKey(ctx context.Context, k ledger.Key) (isNew bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `insert into audit_signing_key (fingerprint, public, algorithm, kind, label) values ($1, $2, $3, $4, $5)
		on conflict (fingerprint) do update set used_at = now(), retired_at = null, kind = excluded.kind, label = excluded.label
		returning xmax = 0`, k.Fingerprint(), k.Public, string(k.Algorithm), k.Kind, k.Label).Scan(&isNew)
	if err == nil {
		_, err = db.Tx(ctx).Exec(ctx, `update audit_signing_key set retired_at = now() where fingerprint <> $1 and retired_at is null`, k.Fingerprint())
	}
	return isNew, err
}

// signingKeys lists every key that signed, the newest first.
func (store) signingKeys(ctx context.Context) ([]SigningKey, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select public, kind, label, created_at, retired_at from audit_signing_key order by created_at desc`)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (SigningKey, error) {
		var k SigningKey
		var public []byte
		var kind, label string
		if err := row.Scan(&public, &kind, &label, &k.CreatedAt, &k.RetiredAt); err != nil {
			return k, err
		}
		key, err := ledger.NewKey("", public)
		key.Kind, key.Label = kind, label
		k.Key = key
		return k, err
	})
}
