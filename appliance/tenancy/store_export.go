package tenancy

import (
	"context"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// exportTable is a table that goes into an export.
type exportTable struct {
	name    string // quoted, with its schema
	file    string
	omitted []string
	where   string
}

// snapshot makes all that the transaction reads be of one moment. It must be
// its first statement.
func (store) snapshot(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `set transaction isolation level repeatable read, read only`)
	return err
}

// secretColumn is true of columns that hold secrets, sealed and hashed ones
// too: whatever is binary unless it is known to be harmless, and what is called
// like a secret. A new column is rather left out than let out.
const secretColumn = `(a.atttypid = 'bytea'::regtype or a.attname ~ '(^|_)(password|passphrase|secrets?|seed|hash|private_key|recovery_codes?|token)(_hash)?$')
	and (c.relname, a.attname) not in (('audit_record', 'body'), ('audit_entry', 'leaf'), ('audit_entry', 'link'), ('audit_tile', 'hashes'), ('audit_checkpoint', 'root'))`

// exported lists the tables of the tenant's schema and those of the core schema
// with rows of tenants. The latter are read at the provider level.
func (store) exported(ctx context.Context) (own, core []exportTable, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select n.nspname = 'core', c.oid::regclass::text, c.relname,
			coalesce(array_agg(a.attname::text order by a.attnum) filter (where `+secretColumn+`), '{}')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relkind in ('r', 'p') and (n.nspname = current_schema() or n.nspname = 'core')
		group by n.nspname, c.oid, c.relname
		having n.nspname <> 'core' or bool_or(a.attname = 'tenant_id') or c.relname in ('tenant', 'account')
		order by 1, 3`)
	var provider bool
	var name string
	var t exportTable
	_, err = pgx.ForEachRow(rows, []any{&provider, &t.name, &name, &t.omitted}, func() error {
		t.where, t.file = `tenant_id = $2`, "tenant/"+name+".jsonl"
		if !provider {
			own = append(own, t)
			return nil
		}
		switch name {
		case "tenant":
			t.where = `id = $2`
		case "account":
			t.where = `id in (select user_id from membership where tenant_id = $2)`
		}
		t.file = "core/" + name + ".jsonl"
		core = append(core, t)
		return nil
	})
	return own, core, err
}

// exportRows gives each row of the tenant as a JSON object, one at a time.
func (store) exportRows(ctx context.Context, t exportTable, tenant id.ID, fn func(line []byte) error) error {
	rows, err := db.Tx(ctx).Query(ctx, `select (to_jsonb(t) - $1::text[])::text from `+t.name+` t where `+t.where, t.omitted, tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.RawValues()[0]); err != nil {
			return err
		}
	}
	return rows.Err()
}
