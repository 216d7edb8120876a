package node

import (
	"context"
	"embed"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// Migrations holds the table of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

func (store) get(ctx context.Context, key string) (value json.RawMessage, found bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select value from node_shared where key = $1`, key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

func (store) put(ctx context.Context, key string, value json.RawMessage) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into node_shared (key, value) values ($1, $2)
		on conflict (key) do update set value = excluded.value, updated_at = now()`, key, value)
	return err
}

// lock lets one node change a value at a time, also one that is not there yet.
func (store) lock(ctx context.Context, key string) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('node shared ' || $1, 0))`, key)
	return err
}
