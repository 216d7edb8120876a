package tenancy

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

const tenantColumns = `id, name, parent_id, is_root, description, contact_email, status, created_at, suspended_reason, suspended_at is not null, deleted_at,
	case when deleted_at is not null then deleted_at + ` + retention + ` end`

// retention is how long a deleted tenant can be restored.
const retention = `make_interval(days => coalesce((settings->>'retention_days')::int, 30))`

const selectTenant = `select ` + tenantColumns + ` from tenant `

func scanTenant(row pgx.CollectableRow) (Tenant, error) {
	var t Tenant
	err := row.Scan(&t.ID, &t.Name, &t.ParentID, &t.IsRoot, &t.Description, &t.ContactEmail, &t.Status, &t.CreatedAt,
		&t.SuspendedReason, &t.suspended, &t.DeletedAt, &t.PurgeAt)
	return t, err
}

// exec runs a statement that must change exactly one row.
func exec(ctx context.Context, sql string, args ...any) error {
	tag, err := db.Tx(ctx).Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	return err
}

// lockTree lets one transaction at a time change the tree of tenants.
func (store) lockTree(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('tenant tree', 0))`)
	return err
}

func (store) insert(ctx context.Context, t Tenant, onboarding bool) error {
	return exec(ctx, `insert into tenant (id, name, parent_id, is_root, description, contact_email, status, onboarding)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, t.ID, t.Name, t.ParentID, t.IsRoot, t.Description, t.ContactEmail, t.Status, onboarding)
}

func (store) update(ctx context.Context, t Tenant) error {
	return exec(ctx, `update tenant set name = $2, description = $3, contact_email = $4 where id = $1`, t.ID, t.Name, t.Description, t.ContactEmail)
}

func (store) activate(ctx context.Context, tenant id.ID) error {
	return exec(ctx, `update tenant set status = 'active', onboarding = false where id = $1`, tenant)
}

func (store) move(ctx context.Context, tenant, parent id.ID) error {
	return exec(ctx, `update tenant set parent_id = $2 where id = $1`, tenant, parent)
}

func (store) suspend(ctx context.Context, tenant id.ID, reason string) error {
	return exec(ctx, `update tenant set suspended_at = coalesce(suspended_at, now()), suspended_reason = $2 where id = $1`, tenant, reason)
}

func (store) resume(ctx context.Context, tenant id.ID) error {
	return exec(ctx, `update tenant set suspended_at = null, suspended_reason = '' where id = $1`, tenant)
}

func (store) delete(ctx context.Context, tenant id.ID) error {
	return exec(ctx, `update tenant set deleted_at = now() where id = $1`, tenant)
}

func (store) restore(ctx context.Context, tenant id.ID) error {
	return exec(ctx, `update tenant set deleted_at = null where id = $1 and purging_at is null`, tenant)
}

func (store) purging(ctx context.Context, tenant id.ID) error {
	return exec(ctx, `update tenant set purging_at = now() where id = $1`, tenant)
}

func (store) purgingIfDue(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update tenant set purging_at = now() where id = $1 and purging_at is null and deleted_at + `+retention+` <= now()`, tenant)
	return err
}

// reckon brings the status of every tenant to what holds in effect.
func (store) reckon(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `with recursive tree as (
			select id, suspended_at is not null as held, deleted_at is not null as gone, purging_at is not null as ending from tenant where is_root
			union all
			select t.id, tree.held or t.suspended_at is not null, tree.gone or t.deleted_at is not null, tree.ending or t.purging_at is not null
			from tenant t join tree on t.parent_id = tree.id),
		effect as (
			select id, case when ending then 'purging' when gone then 'deleted' when held then 'suspended' else 'active' end as status from tree)
		update tenant set status = effect.status from effect
		where tenant.id = effect.id and tenant.status <> effect.status and tenant.status <> 'creating'`)
	return err
}

func (store) remove(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from tenant where id = $1`, tenant)
	return err
}

func (store) get(ctx context.Context, tenant id.ID) (Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectTenant+`where id = $1`, tenant)
	return pgx.CollectExactlyOneRow(rows, scanTenant)
}

func (store) root(ctx context.Context) (Tenant, bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectTenant+`where is_root`)
	t, err := pgx.CollectExactlyOneRow(rows, scanTenant)
	if errors.Is(err, pgx.ErrNoRows) {
		return Tenant{}, false, nil
	}
	return t, err == nil, err
}

// unfinished lists tenants whose making was interrupted.
func (store) unfinished(ctx context.Context) ([]Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectTenant+`where status = 'creating' and not onboarding`)
	return pgx.CollectRows(rows, scanTenant)
}

// abandoned lists tenants whose onboarding was interrupted.
func (store) abandoned(ctx context.Context, after time.Duration) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from tenant where onboarding and created_at < now() - make_interval(secs => $1)`, after.Seconds())
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// below lists a tenant with everything below it, itself first.
func (store) below(ctx context.Context, tenant id.ID) ([]Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive tree as (
		select *, 0 as depth from tenant where id = $1
		union all select t.*, tree.depth + 1 from tenant t join tree on t.parent_id = tree.id)
		select `+tenantColumns+` from tree where status <> 'creating' order by depth, lower(name)`, tenant)
	return pgx.CollectRows(rows, scanTenant)
}

// path lists a tenant and those above it, nearest first.
func (store) path(ctx context.Context, tenant id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive up as (
		select id, parent_id, 0 as depth from tenant where id = $1
		union all select t.id, t.parent_id, depth + 1 from tenant t join up on t.id = up.parent_id)
		select id from up order by depth`, tenant)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// depth counts the levels from the root to a tenant; the root is 1.
func (s store) depth(ctx context.Context, tenant id.ID) (int, error) {
	path, err := s.path(ctx, tenant)
	return len(path), err
}

// height counts the levels from a tenant to the lowest below it; alone it is 1.
func (store) height(ctx context.Context, tenant id.ID) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `with recursive tree as (
		select id, 1 as depth from tenant where id = $1
		union all select t.id, depth + 1 from tenant t join tree on t.parent_id = tree.id)
		select max(depth) from tree`, tenant).Scan(&n)
	return n, err
}

// due lists the tenants to purge. One below another that is due goes with it.
func (store) due(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from tenant where purging_at is not null or deleted_at + `+retention+` <= now() order by deleted_at limit 100`)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// purgeOrder lists a tenant that is being purged with those below it, the
// lowest first; none when it is not.
func (store) purgeOrder(ctx context.Context, tenant id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive tree as (
		select id, 0 as depth from tenant where id = $1 and status = 'purging'
		union all select t.id, tree.depth + 1 from tenant t join tree on t.parent_id = tree.id)
		select id from tree order by depth desc, id`, tenant)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// purgeRows deletes a tenant's rows from every table of the core schema that
// has a tenant_id, found in the catalog so that none can be missed. What is
// append-only, and what such evidence refers to, stays.
func (store) purgeRows(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `do $purge$
declare
  t record;
  left_over int;
  before int := -1;
begin
  loop
    left_over := 0;
    for t in select c.oid, c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
              where c.relnamespace = 'core'::regnamespace and c.relkind in ('r', 'p')
                and coalesce(obj_description(c.oid, 'pg_class'), '') not like 'append-only%'
                and not exists (select from pg_constraint k where k.contype = 'f' and k.confrelid = c.oid
                                and obj_description(k.conrelid, 'pg_class') like 'append-only%') loop
      begin
        execute format('delete from %s where tenant_id = %L', t.name, '`+tenant.String()+`');
      exception when foreign_key_violation then
        left_over := left_over + 1; -- another table goes first
      end;
    end loop;
    exit when left_over = 0;
    if left_over = before then
      raise foreign_key_violation using message = 'rows of the tenant are still referred to';
    end if;
    before := left_over;
  end loop;
end $purge$`, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (store) settings(ctx context.Context, tenant id.ID) (Settings, error) {
	var s Settings
	err := db.Tx(ctx).QueryRow(ctx, `select settings from tenant where id = $1`, tenant).Scan(&s)
	return s, err
}

func (store) setSettings(ctx context.Context, tenant id.ID, s Settings) error {
	return exec(ctx, `update tenant set settings = $2 where id = $1`, tenant, s)
}

// has tells whether a table of the core schema has a row of the tenant.
func (store) has(ctx context.Context, tenant id.ID, table string) (yes bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select from `+pgx.Identifier{table}.Sanitize()+` where tenant_id = $1)`, tenant).Scan(&yes)
	return yes, err
}

// Keys stores the wrapped data keys of all tenants. It implements
// secret.Store. A key is stored apart from the transaction that first needs
// it, because the keyring goes on using it when that is rolled back.
type Keys struct{ DB *db.DB }

// zeroID is how the provider's own key is stored.
const zeroID = "00000000-0000-0000-0000-000000000000"

func keyID(tenant id.ID) string {
	if tenant.IsZero() {
		return zeroID
	}
	return tenant.String()
}

// LoadKey implements secret.Store.
func (k Keys) LoadKey(ctx context.Context, tenant id.ID) (w secret.WrappedKey, found bool, err error) {
	err = k.DB.Core(db.Apart(ctx), func(ctx context.Context) error {
		err := db.Tx(ctx).QueryRow(ctx, `select root, wrapped, escrow from tenant_key where tenant_id = $1::text::uuid`, keyID(tenant)).
			Scan(&w.Root, &w.Wrapped, &w.Escrow)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	return w, found, err
}

// AddKey implements secret.Store.
func (k Keys) AddKey(ctx context.Context, tenant id.ID, w secret.WrappedKey) (secret.WrappedKey, error) {
	err := k.DB.Core(db.Apart(ctx), func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `insert into tenant_key (tenant_id, root, wrapped, escrow) values ($1::text::uuid, $2, $3, $4)
			on conflict do nothing`, keyID(tenant), w.Root, w.Wrapped, w.Escrow)
		return err
	})
	if err != nil {
		return w, err
	}
	stored, _, err := k.LoadKey(ctx, tenant)
	return stored, err
}

// Escrow replaces what a new recovery kit can open: seal gets every data key
// in its wrapped form and returns it encrypted to the kit.
func (k Keys) Escrow(ctx context.Context, seal func(tenant id.ID, w secret.WrappedKey) ([]byte, error)) error {
	return k.DB.Core(ctx, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select tenant_id, root, wrapped from tenant_key for update`)
		type row struct {
			Tenant  id.ID
			Root    string
			Wrapped []byte
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		for _, r := range all {
			sealed, err := seal(r.Tenant, secret.WrappedKey{Root: r.Root, Wrapped: r.Wrapped})
			if err != nil {
				return err
			}
			if _, err := db.Tx(ctx).Exec(ctx, `update tenant_key set escrow = $2 where tenant_id = $1::text::uuid`, keyID(r.Tenant), sealed); err != nil {
				return err
			}
		}
		return err
	})
}

// Rewrap replaces every data key's wrapping, after the root key was lost: wrap
// gets what the recovery kit can open and returns the key under another root.
func (k Keys) Rewrap(ctx context.Context, wrap func(tenant id.ID, escrow []byte) (secret.WrappedKey, error)) error {
	return k.DB.Core(ctx, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select tenant_id, escrow from tenant_key for update`)
		type row struct {
			Tenant id.ID
			Escrow []byte
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		for _, r := range all {
			w, err := wrap(r.Tenant, r.Escrow)
			if err != nil {
				return err
			}
			if _, err := db.Tx(ctx).Exec(ctx, `update tenant_key set root = $2, wrapped = $3 where tenant_id = $1::text::uuid`, keyID(r.Tenant), w.Root, w.Wrapped); err != nil {
				return err
			}
		}
		return err
	})
}
