package audit

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const selectQuery = `select id, name, filter, shared, owner_id, owner_name, created_at from audit_query `

func scanQuery(row pgx.CollectableRow) (q Query, err error) {
	return q, row.Scan(&q.ID, &q.Name, &q.Filter, &q.Shared, &q.Owner.ID, &q.Owner.Name, &q.CreatedAt)
}

func (store) queries(ctx context.Context, owner id.ID) ([]Query, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectQuery+`where owner_id = $1 or shared order by lower(name), id limit 1000`, owner)
	return pgx.CollectRows(rows, scanQuery)
}

// query locks one until the transaction ends.
func (store) query(ctx context.Context, query id.ID) (Query, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectQuery+`where id = $1 for update`, query)
	q, err := pgx.CollectExactlyOneRow(rows, scanQuery)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fault.New(fault.NotFound, "There is no such query.")
	}
	return q, err
}

func (store) saved(ctx context.Context, owner id.ID) (n int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_query where owner_id = $1`, owner).Scan(&n)
	return n, err
}

func (store) insertQuery(ctx context.Context, q Query) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_query (id, name, filter, shared, owner_id, owner_name, created_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		q.ID, q.Name, q.Filter, q.Shared, q.Owner.ID, q.Owner.Name, q.CreatedAt)
	return err
}

func (store) updateQuery(ctx context.Context, q Query) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_query set name = $2, filter = $3, shared = $4 where id = $1`, q.ID, q.Name, q.Filter, q.Shared)
	return err
}

func (store) deleteQuery(ctx context.Context, query id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from audit_query where id = $1`, query)
	return err
}
