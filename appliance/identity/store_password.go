package identity

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// passwordsOf lists the hashes of the last passwords before the present one.
func (store) passwordsOf(ctx context.Context, user id.ID, n int) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select hash from password_history where user_id = $1 order by created_at desc limit $2`, user, n)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// keepPassword adds to the history and forgets what is older than the newest n.
func (store) keepPassword(ctx context.Context, user id.ID, hash string, n int) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into password_history (user_id, hash, created_at) values ($1, $2, clock_timestamp()) on conflict do nothing`, user, hash)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `delete from password_history where user_id = $1 and hash in
		(select hash from password_history where user_id = $1 order by created_at desc offset $2)`, user, n)
	return err
}

func (store) setPassword(ctx context.Context, user id.ID, hash string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update account set password_hash = $2 where id = $1`, user, hash)
	return err
}

// addReset stores a reset in place of an earlier one of the same person.
func (store) addReset(ctx context.Context, user id.ID, hash []byte, life time.Duration) (time.Time, error) {
	var expires time.Time
	err := db.Tx(ctx).QueryRow(ctx, `insert into password_reset (user_id, token_hash, expires_at)
		values ($1, $2, now() + make_interval(secs => $3))
		on conflict (user_id) do update set token_hash = excluded.token_hash, created_at = now(), expires_at = excluded.expires_at
		returning expires_at`, user, hash, life.Seconds()).Scan(&expires)
	return expires, err
}

// resetOf reads the account that a reset is for.
func (store) resetOf(ctx context.Context, hash []byte) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = (select user_id from password_reset where token_hash = $1 and expires_at > now())`, hash)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

// useReset removes a reset and tells whether it was there: it works once.
func (store) useReset(ctx context.Context, user id.ID, hash []byte) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from password_reset where user_id = $1 and token_hash = $2 and expires_at > now()`, user, hash)
	return tag.RowsAffected() == 1, err
}

// dropReset forgets the reset of a person, if there is one.
func (store) dropReset(ctx context.Context, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from password_reset where user_id = $1`, user)
	return err
}

// activeHashes are the passwords of all active people.
func (store) activeHashes(ctx context.Context) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select password_hash from account where status = 'active'`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
