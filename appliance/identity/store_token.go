package identity

import (
	"context"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// addToken stores a token of a person, or of a service account with who made it;
// the others are zero.
func (store) addToken(ctx context.Context, user, service, maker, tenant id.ID, t Token, hash []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into api_token (id, token_hash, user_id, service_account_id, made_by, tenant_id, name, expires_at, scopes)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.ID, hash, user, service, maker, tenant, t.Name, t.ExpiresAt, t.Scopes)
	return err
}

const tokenColumns = `select id, name, created_at, last_used_at, expires_at, scopes from api_token `

// tokensOf lists the tokens of a person.
func (store) tokensOf(ctx context.Context, user id.ID) ([]Token, error) {
	rows, _ := db.Tx(ctx).Query(ctx, tokenColumns+`where user_id = $1 order by created_at`, user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
}

func (store) endToken(ctx context.Context, user, token id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from api_token where id = $2 and user_id = $1`, user, token)
	return tag.RowsAffected() == 1, err
}

const serviceColumns = `select s.id, s.name, s.description, s.status, s.created_at,
	(select max(last_used_at) from api_token k where k.service_account_id = s.id),
	(select count(*) from api_token k where k.service_account_id = s.id and k.expires_at > now()) from service_account s `

func (store) serviceAccounts(ctx context.Context, tenant id.ID, f Filter, after place) ([]ServiceAccount, error) {
	rows, _ := db.Tx(ctx).Query(ctx, serviceColumns+`where s.tenant_id = $1
		and ($2 = '' or strpos(lower(s.name), lower($2)) > 0) and ($3::uuid is null or (lower(s.name), s.id) > (lower($4), $3))
		order by lower(s.name), s.id limit $5`, tenant, f.Search, after.ID, after.Name, f.Limit+1)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ServiceAccount])
}

func (store) serviceAccount(ctx context.Context, tenant, account id.ID) (ServiceAccount, error) {
	rows, _ := db.Tx(ctx).Query(ctx, serviceColumns+`where s.tenant_id = $1 and s.id = $2`, tenant, account)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ServiceAccount])
}

func (store) addServiceAccount(ctx context.Context, tenant id.ID, sa ServiceAccount) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into service_account (id, tenant_id, name, description) values ($1, $2, $3, $4)`,
		sa.ID, tenant, sa.Name, sa.Description)
	return err
}

func (store) updateServiceAccount(ctx context.Context, tenant id.ID, sa ServiceAccount) error {
	_, err := db.Tx(ctx).Exec(ctx, `update service_account set name = $3, description = $4, status = $5 where tenant_id = $1 and id = $2`,
		tenant, sa.ID, sa.Name, sa.Description, sa.Status)
	return err
}

func (store) removeServiceAccount(ctx context.Context, tenant, account id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from service_account where tenant_id = $1 and id = $2`, tenant, account)
	return err
}

func (store) serviceTokens(ctx context.Context, account id.ID) ([]Token, error) {
	rows, _ := db.Tx(ctx).Query(ctx, tokenColumns+`where service_account_id = $1 order by created_at`, account)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
}

func (store) endServiceToken(ctx context.Context, account, token id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from api_token where id = $2 and service_account_id = $1`, account, token)
	return tag.RowsAffected() == 1, err
}
