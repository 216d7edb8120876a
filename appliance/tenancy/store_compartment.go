package tenancy

import (
	"context"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

func scanCompartment(row pgx.CollectableRow) (Compartment, error) {
	var c Compartment
	err := row.Scan(&c.ID, &c.ParentID, &c.Name, &c.Description, &c.Path, &c.CreatedAt)
	return c, err
}

// compartments lists all of the tenant by path. Slashes cannot be in names, so
// sorting by the arrays keeps each subtree together.
func (store) compartments(ctx context.Context) ([]Compartment, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive tree as (
		select *, array[lower(name)] as place, name as path from compartment where parent_id is null
		union all select c.*, place || lower(c.name), path || '/' || c.name from compartment c join tree on c.parent_id = tree.id)
		select id, parent_id, name, description, path, created_at from tree order by place`)
	return pgx.CollectRows(rows, scanCompartment)
}

func (store) compartment(ctx context.Context, compartment id.ID) (Compartment, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive up as (
		select parent_id, name as path from compartment where id = $1
		union all select c.parent_id, c.name || '/' || path from compartment c join up on c.id = up.parent_id)
		select id, parent_id, name, description, (select path from up where parent_id is null), created_at from compartment where id = $1`, compartment)
	return pgx.CollectExactlyOneRow(rows, scanCompartment)
}

// compartmentPath lists a compartment and those above it, nearest first.
func (store) compartmentPath(ctx context.Context, compartment id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive up as (
		select id, parent_id, 0 as depth from compartment where id = $1
		union all select c.id, c.parent_id, depth + 1 from compartment c join up on c.id = up.parent_id)
		select id from up order by depth`, compartment)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// lockCompartments lets one transaction at a time move or delete compartments
// of the tenant.
func (store) lockCompartments(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended(current_schema() || ' compartments', 0))`)
	return err
}

// lockCompartment keeps one from being deleted until the transaction ends.
func (store) lockCompartment(ctx context.Context, compartment id.ID) (found bool, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from compartment where id = $1 for key share`, compartment)
	all, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	return len(all) == 1, err
}

func (store) addCompartment(ctx context.Context, c Compartment) error {
	return exec(ctx, `insert into compartment (id, parent_id, name, description) values ($1, $2, $3, $4)`, c.ID, c.ParentID, c.Name, c.Description)
}

func (store) updateCompartment(ctx context.Context, c Compartment) error {
	return exec(ctx, `update compartment set name = $2, description = $3 where id = $1`, c.ID, c.Name, c.Description)
}

func (store) moveCompartment(ctx context.Context, compartment, parent id.ID) error {
	return exec(ctx, `update compartment set parent_id = $2 where id = $1`, compartment, parent)
}

func (store) removeCompartment(ctx context.Context, compartment id.ID) error {
	return exec(ctx, `delete from compartment where id = $1`, compartment)
}

func (store) countCompartments(ctx context.Context) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from compartment`).Scan(&n)
	return n, err
}

// inside counts what is in a compartment: those nested in it, and the rows of
// every table of the tenant that has a compartment_id, whichever domain's it is.
func (store) inside(ctx context.Context, compartment id.ID) ([]content, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'compartment_id' and not a.attisdropped
		where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') order by 1`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	sql := `select 'compartment' as "table", count(*) as n from compartment where parent_id = $1`
	for _, table := range tables {
		sql += ` union all select ` + `'` + table + `', count(*) from ` + pgx.Identifier{table}.Sanitize() + ` where compartment_id = $1`
	}
	rows, _ = db.Tx(ctx).Query(ctx, `select "table", n from (`+sql+`) x where n > 0`, compartment)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[content])
}
