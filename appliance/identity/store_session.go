package identity

import (
	"context"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// addSession stores a session and reads its times back: all of them are the
// database's.
func (store) addSession(ctx context.Context, s *Session, in SignedIn, p SessionPolicy, hash []byte) error {
	return db.Tx(ctx).QueryRow(ctx, `insert into session as s (id, token_hash, user_id, tenant_id, address, user_agent,
			method, provider_id, mfa, idp_session, idle_seconds, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + make_interval(secs => $12))
		returning `+sessionColumns,
		s.ID, hash, s.UserID, s.TenantID, s.Address, s.UserAgent, in.Method, in.Provider, in.MFA, in.IdPSession,
		int(p.Idle.Seconds()), p.Longest.Seconds()).Scan(sessionFields(s)...)
}

const sessionColumns = `s.id, s.user_id, s.tenant_id, s.address, s.user_agent, s.method, s.mfa, s.signed_in_at, s.authenticated_at, s.last_seen_at,
	least(s.expires_at, s.last_seen_at + make_interval(secs => s.idle_seconds))`

func sessionFields(s *Session) []any {
	return []any{&s.ID, &s.UserID, &s.TenantID, &s.Address, &s.UserAgent, &s.Method, &s.MFA, &s.SignedInAt, &s.AuthenticatedAt, &s.LastSeenAt, &s.ExpiresAt}
}

// unexpired holds by the database's clock. A session that was seen in the
// future has ended: a clock that was set back gives nobody more time.
const unexpired = `s.expires_at > now() and s.last_seen_at > now() - make_interval(secs => s.idle_seconds)
	and s.last_seen_at < now() + interval '5 minutes'`

// openSession is what a session needs to be one: its time, the person's account
// and membership, and the tenant.
const openSession = `from session s
		join account a on a.id = s.user_id and a.status = 'active'
		join membership m on m.user_id = s.user_id and m.tenant_id = s.tenant_id and m.status = 'active'
		join tenant t on t.id = s.tenant_id and t.status = 'active'
		where ` + unexpired + ` `

// liveSession finds who acts in a session that has not ended, and moves its
// last_seen_at, at most once a minute, unless nothing can be written.
func (store) liveSession(ctx context.Context, hash []byte, write bool) (actor.Actor, error) {
	a := actor.Actor{Kind: actor.User}
	err := db.Tx(ctx).QueryRow(ctx, `with live as (
			select s.id, s.user_id, a.name, s.tenant_id, s.authenticated_at, s.mfa, s.last_seen_at
				`+openSession+`and s.token_hash = $1),
		seen as (update session set last_seen_at = now() from live
			where $2 and session.id = live.id and live.last_seen_at < now() - interval '1 minute')
		select id, user_id, name, tenant_id, authenticated_at, mfa from live`, hash, write).
		Scan(&a.Session, &a.ID, &a.Name, &a.TenantID, &a.AuthenticatedAt, &a.MFA)
	return a, err
}

// openToken is the same for an API token of a person or a service account.
const openToken = `from api_token k
		join tenant t on t.id = k.tenant_id and t.status = 'active'
		left join account a on a.id = k.user_id
		left join membership m on m.user_id = k.user_id and m.tenant_id = k.tenant_id
		left join service_account sa on sa.id = k.service_account_id
		where k.expires_at > now() and (a.status = 'active' and m.status = 'active' or sa.status = 'active') `

// liveToken finds who an API token that has not expired belongs to, and notes
// its use, at most once a minute, unless nothing can be written.
func (store) liveToken(ctx context.Context, hash []byte, write bool) (actor.Actor, error) {
	var a actor.Actor
	var token string
	err := db.Tx(ctx).QueryRow(ctx, `with live as (
			select k.id, k.tenant_id, k.scopes, k.last_used_at,
				case when k.user_id is null then $2 else $3 end as kind,
				coalesce(k.user_id, k.service_account_id) as owner, coalesce(a.name, sa.name) as name, k.name as token, k.made_by
			`+openToken+`and k.token_hash = $1),
		used as (update api_token set last_used_at = now() from live
			where $4 and api_token.id = live.id and (live.last_used_at is null or live.last_used_at < now() - interval '1 minute'))
		select id, tenant_id, scopes, kind, owner, name, token, made_by from live`, hash, string(actor.ServiceAccount), string(actor.User), write).
		Scan(&a.Session, &a.TenantID, &a.Scopes, &a.Kind, &a.ID, &a.Name, &token, &a.Maker)
	if err == nil && a.Kind == actor.User {
		a.Agent = actor.Agent{Kind: actor.APIToken, ID: a.Session, Name: token}
	}
	return a, err
}

// lives tells whether there is a session or an API token of an id that lets
// somebody in.
func (store) lives(ctx context.Context, session id.ID) (yes bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select `+openSession+`and s.id = $1) or exists (select `+openToken+`and k.id = $1)`, session).Scan(&yes)
	return yes, err
}

// sessionsOf lists a person's sessions, in one tenant or (zero) in all.
func (store) sessionsOf(ctx context.Context, user, tenant id.ID) ([]Session, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+sessionColumns+` from session s where s.user_id = $1 and ($2::uuid is null or s.tenant_id = $2)
		and `+unexpired+` order by s.last_seen_at desc`, user, tenant)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Session, error) {
		var s Session
		return s, row.Scan(sessionFields(&s)...)
	})
}

func (store) endSession(ctx context.Context, user, session id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from session where id = $2 and user_id = $1`, user, session)
	return tag.RowsAffected() == 1, err
}

// endOldest ends what has expired and what is beyond the newest n sessions.
func (store) endOldest(ctx context.Context, user id.ID, n int) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from session where id in (
			select s.id from session s where s.user_id = $1 and not (`+unexpired+`)
			union all
			(select s.id from session s where s.user_id = $1 and `+unexpired+` order by s.last_seen_at desc, s.id desc offset $2))
		returning id`, user, n)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// endAllBut ends all sessions of a person but one (zero: none is kept).
func (store) endAllBut(ctx context.Context, user, kept id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from session where user_id = $1 and id is distinct from $2 returning id`, user, kept)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// endIn ends a person's sessions in one tenant, or (zero) in all.
func (store) endIn(ctx context.Context, user, tenant id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from session where user_id = $1 and ($2::uuid is null or tenant_id = $2) returning id`, user, tenant)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// credential is a session or API token with who it belongs to.
type credential struct{ ID, Owner id.ID }

// closedTokens lists the API tokens of tenants that are closed.
func (store) closedTokens(ctx context.Context) ([]credential, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select k.id, coalesce(k.user_id, k.service_account_id) from api_token k
		join tenant t on t.id = k.tenant_id where t.status <> 'active' and k.expires_at > now()`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[credential])
}

// useTenant changes the tenant and keeps the stricter limits.
func (store) useTenant(ctx context.Context, session, tenant id.ID, p SessionPolicy) error {
	_, err := db.Tx(ctx).Exec(ctx, `update session set tenant_id = $2, idle_seconds = least(idle_seconds, $3),
		expires_at = least(expires_at, signed_in_at + make_interval(secs => $4)) where id = $1`,
		session, tenant, int(p.Idle.Seconds()), p.Longest.Seconds())
	return err
}

// endExpired removes the sessions that are over, those in closed tenants too,
// and returns them with the API tokens that expired within the last minute,
// which stay listed.
func (store) endExpired(ctx context.Context) ([]credential, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with over as (delete from session where id in
			(select s.id from session s join tenant t on t.id = s.tenant_id
				where not (`+unexpired+`) or t.status <> 'active' for update of s skip locked) returning id, user_id)
		select id, user_id from over
		union all select id, coalesce(user_id, service_account_id) from api_token
			where expires_at <= now() and expires_at > now() - interval '1 minute'`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[credential])
}

// dropLinks forgets resets and invitations that are over.
func (store) dropLinks(ctx context.Context) error {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from password_reset where expires_at <= now()`); err != nil {
		return err
	}
	_, err := db.Tx(ctx).Exec(ctx, `delete from invitation where expires_at <= now()`)
	return err
}
