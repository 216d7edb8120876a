package identity

import (
	"context"
	"embed"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

// account is a person with what signing in needs.
type account struct {
	ID     id.ID
	Name   string
	Email  string
	Hash   string
	Status Status
	// Emergency marks the first account: it is what opens the appliance when
	// nothing else does, and nobody from outside can touch it.
	Emergency bool
}

func (store) insert(ctx context.Context, a account) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into account (id, name, email, password_hash, status, emergency) values ($1, $2, $3, $4, $5, $6)`,
		a.ID, a.Name, a.Email, a.Hash, a.Status, a.Emergency)
	return err
}

func (store) addMember(ctx context.Context, user, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into membership (user_id, tenant_id) values ($1, $2) on conflict do nothing`, user, tenant)
	return err
}

// membership is a person's place in one tenant.
type membership struct {
	Status Status
	Source Source
}

func (store) membership(ctx context.Context, user, tenant id.ID) (membership, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select status, source from membership where user_id = $1 and tenant_id = $2`, user, tenant)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[membership])
}

func (store) setMembership(ctx context.Context, user, tenant id.ID, status Status) error {
	_, err := db.Tx(ctx).Exec(ctx, `update membership set status = $3 where user_id = $1 and tenant_id = $2`, user, tenant, status)
	return err
}

// leave removes a membership, and with it the sessions and API tokens in its
// tenant; the account goes when it was the last.
func (store) leave(ctx context.Context, user, tenant id.ID) (gone bool, err error) {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from membership where user_id = $1 and tenant_id = $2`, user, tenant); err != nil {
		return false, err
	}
	tag, err := db.Tx(ctx).Exec(ctx, `delete from account where id = $1 and not emergency
		and not exists (select from membership where user_id = $1)`, user)
	return tag.RowsAffected() == 1, err
}

// memberships counts the tenants of a person, closed ones too.
func (store) memberships(ctx context.Context, user id.ID) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `select count(*) from membership where user_id = $1`, user).Scan(&n)
	return n, err
}

const accountColumns = `select id, name, email, password_hash, status, emergency from account `

func (store) byEmail(ctx context.Context, email string) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where lower(email) = lower($1)`, email)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

func (store) byID(ctx context.Context, user id.ID) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = $1`, user)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

// emergency reads the emergency administrator's account.
func (store) emergency(ctx context.Context) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where emergency`)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

// lock reads an account and holds it until the transaction ends.
func (store) lock(ctx context.Context, user id.ID) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = $1 for update`, user)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

// memberAccount reads the account of a member of a tenant.
func (store) memberAccount(ctx context.Context, user, tenant id.ID) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = $1 and exists (select from membership where user_id = $1 and tenant_id = $2)`, user, tenant)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

func (store) tenantsOf(ctx context.Context, user id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select m.tenant_id from membership m join tenant t on t.id = m.tenant_id
		where m.user_id = $1 and m.status = 'active' and t.status = 'active' order by t.is_root desc, lower(t.name)`, user)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// effective is the status of a person in a tenant: both the account and the
// membership must be active.
const effective = `case when a.status = 'active' and m.status = 'active' then 'active' else 'disabled' end`

// members lists the people of a tenant by name, after a place in the list.
func (store) members(ctx context.Context, tenant id.ID, f Filter, after place) ([]User, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select a.id, a.name, a.email, `+effective+`, m.source, a.emergency, a.last_sign_in_at, a.created_at
		from account a join membership m on m.user_id = a.id
		where m.tenant_id = $1 and ($2::uuid is null or a.id = $2)
			and ($3 = '' or strpos(lower(a.name), lower($3)) > 0 or strpos(lower(a.email), lower($3)) > 0)
			and ($4::uuid is null or (lower(a.name), a.id) > (lower($5), $4))
		order by lower(a.name), a.id limit $6`, tenant, f.ID, f.Search, after.ID, after.Name, f.Limit+1)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (User, error) {
		var u User
		return u, row.Scan(&u.ID, &u.Name, &u.Email, &u.Status, &u.Source, &u.Emergency, &u.LastSignInAt, &u.CreatedAt)
	})
}

func (store) update(ctx context.Context, user id.ID, name string, status Status) error {
	_, err := db.Tx(ctx).Exec(ctx, `update account set name = $2, status = $3 where id = $1`, user, name, status)
	return err
}

func (store) signedIn(ctx context.Context, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update account set last_sign_in_at = now() where id = $1`, user)
	return err
}

func (store) count(ctx context.Context) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `select count(*) from account`).Scan(&n)
	return n, err
}
