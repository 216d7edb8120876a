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
}

func (store) insert(ctx context.Context, a account) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into account (id, name, email, password_hash, status) values ($1, $2, $3, $4, $5)`,
		a.ID, a.Name, a.Email, a.Hash, a.Status)
	return err
}

func (store) addMember(ctx context.Context, user, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into membership (user_id, tenant_id) values ($1, $2) on conflict do nothing`, user, tenant)
	return err
}

const accountColumns = `select id, name, email, password_hash, status from account `

func (store) byEmail(ctx context.Context, email string) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where lower(email) = lower($1)`, email)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

func (store) byID(ctx context.Context, user id.ID) (account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id = $1`, user)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[account])
}

func (store) tenantsOf(ctx context.Context, user id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select m.tenant_id from membership m join tenant t on t.id = m.tenant_id
		where m.user_id = $1 and t.status = 'active' order by t.is_root desc, lower(t.name)`, user)
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

func (store) addSession(ctx context.Context, s Session, hash []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into session (id, token_hash, user_id, tenant_id, address, user_agent, expires_at)
		values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))`,
		s.ID, hash, s.UserID, s.TenantID, s.Address, s.UserAgent, sessionLength.Seconds())
	return err
}

// live is a session or token with its person, as authentication needs it.
type live struct {
	Session
	Name   string
	Status Status
}

const sessionColumns = `s.id, s.user_id, s.tenant_id, s.address, s.user_agent, s.signed_in_at, s.authenticated_at, s.last_seen_at,
	least(s.expires_at, s.last_seen_at + make_interval(secs => $2))`

func sessionFields(s *Session) []any {
	return []any{&s.ID, &s.UserID, &s.TenantID, &s.Address, &s.UserAgent, &s.SignedInAt, &s.AuthenticatedAt, &s.LastSeenAt, &s.ExpiresAt}
}

// liveSession finds a session that has not ended, by the database's clock.
func (store) liveSession(ctx context.Context, hash []byte) (live, error) {
	var l live
	err := db.Tx(ctx).QueryRow(ctx, `select `+sessionColumns+`, a.name, a.status
		from session s join account a on a.id = s.user_id
		where s.token_hash = $1 and s.expires_at > now() and s.last_seen_at > now() - make_interval(secs => $2)`,
		hash, sessionIdle.Seconds()).Scan(append(sessionFields(&l.Session), &l.Name, &l.Status)...)
	return l, err
}

// seen moves last_seen_at, at most once a minute.
func (store) seen(ctx context.Context, session id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update session set last_seen_at = now() where id = $1 and last_seen_at < now() - interval '1 minute'`, session)
	return err
}

func (store) sessionsOf(ctx context.Context, user id.ID) ([]Session, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+sessionColumns+` from session s where s.user_id = $1 and s.expires_at > now()
		and s.last_seen_at > now() - make_interval(secs => $2) order by s.last_seen_at desc`, user, sessionIdle.Seconds())
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Session, error) {
		var s Session
		return s, row.Scan(sessionFields(&s)...)
	})
}

func (store) endSession(ctx context.Context, user, session id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from session where id = $2 and user_id = $1`, user, session)
	return tag.RowsAffected() == 1, err
}

func (store) endAll(ctx context.Context, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from session where user_id = $1`, user)
	return err
}

func (store) useTenant(ctx context.Context, session, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update session set tenant_id = $2 where id = $1`, session, tenant)
	return err
}

func (store) authenticatedAgain(ctx context.Context, session id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update session set authenticated_at = now() where id = $1`, session)
	return err
}

func (store) addToken(ctx context.Context, user, tenant id.ID, t Token, hash []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into api_token (id, token_hash, user_id, tenant_id, name, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		t.ID, hash, user, tenant, t.Name, t.ExpiresAt)
	return err
}

// liveToken finds a token that has not expired and notes its use.
func (store) liveToken(ctx context.Context, hash []byte) (live, error) {
	var l live
	err := db.Tx(ctx).QueryRow(ctx, `update api_token t set last_used_at = now() from account a
		where t.token_hash = $1 and t.expires_at > now() and a.id = t.user_id
		returning t.id, t.user_id, t.tenant_id, a.name, a.status`, hash).
		Scan(&l.ID, &l.UserID, &l.TenantID, &l.Name, &l.Status)
	return l, err
}

func (store) tokensOf(ctx context.Context, user id.ID) ([]Token, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, created_at, last_used_at, expires_at from api_token where user_id = $1 order by created_at`, user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
}

func (store) endToken(ctx context.Context, user, token id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from api_token where id = $2 and user_id = $1`, user, token)
	return tag.RowsAffected() == 1, err
}
