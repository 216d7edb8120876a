package tenancy

import (
	"context"
	"embed"
	"errors"

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

const tenantColumns = `select id, name, parent_id, is_root, description, contact_email, status, created_at from tenant `

func scanTenant(row pgx.CollectableRow) (Tenant, error) {
	var t Tenant
	err := row.Scan(&t.ID, &t.Name, &t.ParentID, &t.IsRoot, &t.Description, &t.ContactEmail, &t.Status, &t.CreatedAt)
	return t, err
}

func (store) insert(ctx context.Context, t Tenant) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into tenant (id, name, parent_id, is_root, description, contact_email, status)
		values ($1, $2, $3, $4, $5, $6, $7)`, t.ID, t.Name, t.ParentID, t.IsRoot, t.Description, t.ContactEmail, t.Status)
	return err
}

func (store) activate(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update tenant set status = 'active' where id = $1`, tenant)
	return err
}

func (store) remove(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from tenant where id = $1`, tenant)
	return err
}

func (store) get(ctx context.Context, tenant id.ID) (Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, tenantColumns+`where id = $1`, tenant)
	return pgx.CollectExactlyOneRow(rows, scanTenant)
}

func (store) root(ctx context.Context) (Tenant, bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, tenantColumns+`where is_root`)
	t, err := pgx.CollectExactlyOneRow(rows, scanTenant)
	if errors.Is(err, pgx.ErrNoRows) {
		return Tenant{}, false, nil
	}
	return t, err == nil, err
}

// unfinished lists tenants whose making was interrupted.
func (store) unfinished(ctx context.Context) ([]Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, tenantColumns+`where status = 'creating'`)
	return pgx.CollectRows(rows, scanTenant)
}

// below lists a tenant with everything below it, itself first.
func (store) below(ctx context.Context, tenant id.ID) ([]Tenant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive tree as (
		select *, 0 as depth from tenant where id = $1
		union all select t.*, tree.depth + 1 from tenant t join tree on t.parent_id = tree.id)
		select id, name, parent_id, is_root, description, contact_email, status, created_at from tree
		where status = 'active' order by depth, lower(name)`, tenant)
	return pgx.CollectRows(rows, scanTenant)
}

// depth counts the levels from the root to a tenant; the root is 1.
func (store) depth(ctx context.Context, tenant id.ID) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `with recursive up as (
		select id, parent_id from tenant where id = $1
		union all select t.id, t.parent_id from tenant t join up on t.id = up.parent_id)
		select count(*) from up`, tenant).Scan(&n)
	return n, err
}

func (store) settings(ctx context.Context, tenant id.ID) (Settings, error) {
	var s Settings
	err := db.Tx(ctx).QueryRow(ctx, `select settings from tenant where id = $1`, tenant).Scan(&s)
	return s.withDefaults(), err
}

func (store) setSettings(ctx context.Context, tenant id.ID, s Settings) error {
	_, err := db.Tx(ctx).Exec(ctx, `update tenant set settings = $2 where id = $1`, tenant, s)
	return err
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
