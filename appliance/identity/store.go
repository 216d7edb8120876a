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

const accountColumns = `select id, name, email, password_hash, status, emergency from account `

func (store) byEmail(ctx context.Context, email string) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where lower(email) = lower($1)`, email)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

func (store) byID(ctx context.Context, user id.ID) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = $1`, user)
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

func (store) members(ctx context.Context, tenant id.ID) ([]User, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select a.id, a.name, a.email, a.status, a.last_sign_in_at, a.created_at
		from account a join membership m on m.user_id = a.id where m.tenant_id = $1 order by lower(a.name), a.id`, tenant)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (User, error) {
		var u User
		err := row.Scan(&u.ID, &u.Name, &u.Email, &u.Status, &u.LastSignInAt, &u.CreatedAt)
		return u, err
	})
}

func (store) isMember(ctx context.Context, user, tenant id.ID) (bool, error) {
	var yes bool
	err := db.Tx(ctx).QueryRow(ctx, `select exists (select from membership where user_id = $1 and tenant_id = $2)`, user, tenant).Scan(&yes)
	return yes, err
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

func (store) addToken(ctx context.Context, user, tenant id.ID, t Token, hash []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into api_token (id, token_hash, user_id, tenant_id, name, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		t.ID, hash, user, tenant, t.Name, t.ExpiresAt)
	return err
}

func (store) tokensOf(ctx context.Context, user id.ID) ([]Token, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, created_at, last_used_at, expires_at from api_token where user_id = $1 order by created_at`, user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
}

func (store) endToken(ctx context.Context, user, token id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from api_token where id = $2 and user_id = $1`, user, token)
	return tag.RowsAffected() == 1, err
}
