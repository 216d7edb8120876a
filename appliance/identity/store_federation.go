package identity

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

type federationStore struct{}

const providerColumns = `select tenant_id, id, kind, name, enabled, settings, secret, keys, status_ok, status_message, checked_at, revision, created_at, updated_at
	from identity_provider `

func scanProvider(row pgx.CollectableRow) (sealedProvider, error) {
	var p sealedProvider
	var settings []byte
	err := row.Scan(&p.tenant, &p.ID, &p.Kind, &p.Name, &p.Enabled, &settings, &p.secret, &p.keys,
		&p.Status.OK, &p.Status.Message, &p.Status.CheckedAt, &p.revision, &p.CreatedAt, &p.UpdatedAt)
	if err == nil {
		err = json.Unmarshal(settings, &p.ProviderSettings)
	}
	return p, err
}

func (federationStore) providers(ctx context.Context) ([]sealedProvider, error) {
	rows, _ := db.Tx(ctx).Query(ctx, providerColumns+`order by lower(name)`)
	return pgx.CollectRows(rows, scanProvider)
}

func (federationStore) provider(ctx context.Context, provider id.ID) (sealedProvider, error) {
	rows, _ := db.Tx(ctx).Query(ctx, providerColumns+`where id = $1`, provider)
	return pgx.CollectExactlyOneRow(rows, scanProvider)
}

func (federationStore) countProviders(ctx context.Context) (n int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from identity_provider`).Scan(&n)
	return n, err
}

func (federationStore) addProvider(ctx context.Context, p sealedProvider) error {
	settings, err := json.Marshal(p.ProviderSettings)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into identity_provider (id, kind, name, enabled, settings, secret, keys) values ($1, $2, $3, $4, $5, coalesce($6, ''::bytea), coalesce($7, ''::bytea))`,
		p.ID, p.Kind, p.Name, p.Enabled, settings, p.secret, p.keys)
	return err
}

// updateProvider fails with fault.Conflict when somebody else was faster.
func (federationStore) updateProvider(ctx context.Context, p sealedProvider) error {
	settings, err := json.Marshal(p.ProviderSettings)
	if err != nil {
		return err
	}
	tag, err := db.Tx(ctx).Exec(ctx, `update identity_provider set name = $2, enabled = $3, settings = $4, secret = coalesce($5, ''::bytea), keys = coalesce($6, ''::bytea),
		revision = revision + 1, updated_at = now() where id = $1 and revision = $7`,
		p.ID, p.Name, p.Enabled, settings, p.secret, p.keys, p.revision)
	if err == nil && tag.RowsAffected() == 0 {
		err = errChangedMeanwhile
	}
	return err
}

var errChangedMeanwhile = fault.New(fault.Conflict, "Somebody else changed this provider at the same time. Load it again.")

func (federationStore) status(ctx context.Context, provider id.ID, s ProviderStatus) error {
	_, err := db.Tx(ctx).Exec(ctx, `update identity_provider set status_ok = $2, status_message = $3, checked_at = $4 where id = $1`,
		provider, s.OK, s.Message, s.CheckedAt)
	return err
}

func (federationStore) deleteProvider(ctx context.Context, provider id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from identity_provider where id = $1`, provider)
	return err
}

func (federationStore) hasGroup(ctx context.Context, group id.ID) (yes bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select from user_group where id = $1)`, group).Scan(&yes)
	return yes, err
}

// At the provider level.

func (federationStore) own(ctx context.Context, provider, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into identity_provider_owner (provider_id, tenant_id) values ($1, $2)`, provider, tenant)
	return err
}

func (federationStore) disown(ctx context.Context, provider id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from identity_provider_owner where provider_id = $1`, provider)
	return err
}

// ownerOf finds the tenant of a provider, while that tenant is open.
func (federationStore) ownerOf(ctx context.Context, provider id.ID) (tenant id.ID, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select o.tenant_id from identity_provider_owner o join tenant t on t.id = o.tenant_id and t.status = 'active'
		where o.provider_id = $1`, provider).Scan(&tenant)
	return tenant, err
}

// providerTenants lists the tenants that have providers and are open.
func (federationStore) providerTenants(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select distinct o.tenant_id from identity_provider_owner o join tenant t on t.id = o.tenant_id and t.status = 'active'`)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// identityOf finds who a subject is; zero when nobody.
func (federationStore) identityOf(ctx context.Context, provider id.ID, subject string) (id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `update federated_identity set last_sign_in_at = now() where provider_id = $1 and subject = $2 returning user_id`,
		provider, subject)
	return oneOrZero(rows)
}

func oneOrZero(rows pgx.Rows) (id.ID, error) {
	all, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	if len(all) == 0 {
		return id.ID{}, err
	}
	return all[0], err
}

func (federationStore) link(ctx context.Context, provider id.ID, subject string, user, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into federated_identity (provider_id, subject, user_id, tenant_id) values ($1, $2, $3, $4)`, provider, subject, user, tenant)
	return err
}

func (federationStore) linked(ctx context.Context, provider id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select distinct user_id from federated_identity where provider_id = $1`, provider)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

func (federationStore) unlink(ctx context.Context, provider id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from federated_identity where provider_id = $1`, provider)
	return err
}

// lockEmail keeps two first sign-ins with one address apart until the
// transaction ends.
func (federationStore) lockEmail(ctx context.Context, email string) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('account ' || lower($1), 0))`, email)
	return err
}

func (federationStore) accountOf(ctx context.Context, email string) (acc account, found bool, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where lower(email) = lower($1)`, email)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
	if len(all) == 0 {
		return acc, false, err
	}
	return all[0], true, err
}

// memberships lists the tenants of an account, closed ones too, with whether
// the membership is in use.
func (federationStore) memberships(ctx context.Context, user id.ID) (map[id.ID]bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select tenant_id, status = 'active' from membership where user_id = $1`, user)
	all := map[id.ID]bool{}
	var tenant id.ID
	var active bool
	_, err := pgx.ForEachRow(rows, []any{&tenant, &active}, func() error { all[tenant] = active; return nil })
	return all, err
}

func (federationStore) join(ctx context.Context, user, tenant id.ID, source ProviderKind, external string) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into membership (user_id, tenant_id, source, external_id) values ($1, $2, $3, $4)`, user, tenant, source, external)
	return err
}

// attempt is a sign-in that is at a provider.
type attempt struct {
	Provider, Session, Test id.ID
	Purpose                 purpose
	Sealed                  []byte
	ReturnTo, Address       string
}

// attemptsPerAddress bounds what one address can leave here.
const attemptsPerAddress = 50

func (federationStore) addAttempt(ctx context.Context, a attempt, key, browser []byte) (bool, error) {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from sign_in_attempt where expires_at < now()`); err != nil {
		return false, err
	}
	tag, err := db.Tx(ctx).Exec(ctx, `insert into sign_in_attempt (key_hash, provider_id, browser_hash, purpose, session_id, test_id, sealed, return_to, address, expires_at)
		select $1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10) where (select count(*) from sign_in_attempt where address = $9) < $11`,
		key, a.Provider, browser, a.Purpose, a.Session, a.Test, a.Sealed, a.ReturnTo, a.Address, attemptLife.Seconds(), attemptsPerAddress)
	return tag.RowsAffected() == 1, err
}

// takeAttempt returns an attempt of this browser, once.
func (federationStore) takeAttempt(ctx context.Context, key, browser []byte) (a attempt, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `delete from sign_in_attempt where key_hash = $1 and browser_hash = $2 and expires_at > now()
		returning provider_id, session_id, test_id, purpose, sealed, return_to, address`, key, browser).
		Scan(&a.Provider, &a.Session, &a.Test, &a.Purpose, &a.Sealed, &a.ReturnTo, &a.Address)
	return a, err
}

// federatedSession is what a provider gave for a session.
type federatedSession struct {
	Session, Provider, User, Tenant id.ID
	Subject, Name                   string
	Sealed                          []byte
}

func (federationStore) addSession(ctx context.Context, session, provider id.ID, in IdPSession) error {
	if in.Ends != nil {
		if _, err := db.Tx(ctx).Exec(ctx, `update session set expires_at = least(expires_at, $2) where id = $1`, session, *in.Ends); err != nil {
			return err
		}
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into federated_session (session_id, provider_id, subject, sealed, refresh_at) values ($1, $2, $3, $4, $5)`,
		session, provider, in.Subject, in.Sealed, in.RefreshAt)
	return err
}

const sessionJoin = `f.session_id, f.provider_id, s.user_id, s.tenant_id, f.subject, a.name, f.sealed
	from federated_session f join session s on s.id = f.session_id join account a on a.id = s.user_id `

func (federationStore) session(ctx context.Context, session id.ID) (federatedSession, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+sessionJoin+`where f.session_id = $1`, session)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[federatedSession])
}

// dueSessions takes sessions whose word is old, so that no other node asks
// about them for a while.
func (federationStore) dueSessions(ctx context.Context, n int) ([]federatedSession, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with due as (
			select session_id from federated_session where refresh_at <= now() order by refresh_at limit $1 for update skip locked),
		taken as (update federated_session set refresh_at = now() + interval '10 minutes' where session_id in (select session_id from due))
		select `+sessionJoin+`where f.session_id in (select session_id from due)`, n)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[federatedSession])
}

func (federationStore) refreshed(ctx context.Context, session id.ID, sealed []byte, next time.Time) error {
	_, err := db.Tx(ctx).Exec(ctx, `update federated_session set sealed = $2, refresh_at = $3 where session_id = $1`, session, sealed, next)
	return err
}

// endSessions ends what a provider began, sign-ins that wait for a second
// factor too.
func (federationStore) endSessions(ctx context.Context, provider id.ID) ([]credential, error) {
	_, err := db.Tx(ctx).Exec(ctx, `delete from mfa_ceremony where kind = 'second_factor' and sign_in ->> 'Provider' = $1`, provider.String())
	if err != nil {
		return nil, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `delete from session where provider_id = $1 returning id, user_id`, provider)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[credential])
}

// endIdPSession ends the sessions of a provider's session or, when it named
// none, of a subject.
func (federationStore) endIdPSession(ctx context.Context, provider id.ID, subject, session string) ([]credential, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from session s using federated_session f where f.session_id = s.id and f.provider_id = $1
		and ($2 = '' or f.subject = $2) and ($3 = '' or s.idp_session = $3) and $2 || $3 <> '' returning s.id, s.user_id`, provider, subject, session)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[credential])
}

// vouchedBy is the tenant whose provider began a session; zero when none did.
func (federationStore) vouchedBy(ctx context.Context, session id.ID) (id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select o.tenant_id from session s join identity_provider_owner o on o.provider_id = s.provider_id where s.id = $1`, session)
	return oneOrZero(rows)
}

// providerOf is the provider that began a session; zero when none did.
func (federationStore) providerOf(ctx context.Context, session id.ID) (provider id.ID, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select provider_id from session where id = $1`, session).Scan(&provider)
	return provider, err
}

// In the tenant.

// firstUse notes a message and tells whether it is new.
func (federationStore) firstUse(ctx context.Context, provider id.ID, hash []byte, expires time.Time) (bool, error) {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from identity_provider_message where expires_at < now()`); err != nil {
		return false, err
	}
	tag, err := db.Tx(ctx).Exec(ctx, `insert into identity_provider_message (provider_id, message_hash, expires_at) values ($1, $2, $3) on conflict do nothing`, provider, hash, expires)
	return tag.RowsAffected() == 1, err
}

// gift is a role or a group that a provider's claims gave.
type gift struct {
	Kind   giftKind
	Target id.ID
}

type giftKind string

const (
	roleGift  giftKind = "role"
	groupGift giftKind = "group"
)

func (federationStore) gifts(ctx context.Context, provider, user id.ID) ([]gift, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select kind, target_id from identity_provider_gift where provider_id = $1 and user_id = $2 order by kind, target_id`, provider, user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[gift])
}

// given tells whether any provider gave it.
func (federationStore) given(ctx context.Context, user id.ID, g gift) (yes bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select from identity_provider_gift where user_id = $1 and kind = $2 and target_id = $3)`, user, g.Kind, g.Target).Scan(&yes)
	return yes, err
}

func (federationStore) addGift(ctx context.Context, provider, user id.ID, g gift) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into identity_provider_gift (provider_id, user_id, kind, target_id) values ($1, $2, $3, $4) on conflict do nothing`, provider, user, g.Kind, g.Target)
	return err
}

func (federationStore) removeGift(ctx context.Context, provider, user id.ID, g gift) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from identity_provider_gift where provider_id = $1 and user_id = $2 and kind = $3 and target_id = $4`, provider, user, g.Kind, g.Target)
	return err
}

func (federationStore) receivers(ctx context.Context, provider id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select distinct user_id from identity_provider_gift where provider_id = $1`, provider)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

func (federationStore) leave(ctx context.Context, group, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from group_member where group_id = $1 and member_kind = 'user' and member_id = $2`, group, user)
	return err
}

// providerGroup finds the group that stands for one of a provider's.
func (federationStore) providerGroup(ctx context.Context, kind ProviderKind, external string) (id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from user_group where source = $1 and external_id = $2`, kind, external)
	return oneOrZero(rows)
}

// addProviderGroup makes such a group unless its name is taken.
func (federationStore) addProviderGroup(ctx context.Context, group id.ID, name string, kind ProviderKind, external string) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `insert into user_group (id, name, source, external_id) values ($1, $2, $3, $4) on conflict do nothing`, group, name, kind, external)
	return tag.RowsAffected() == 1, err
}

func (federationStore) groupsOf(ctx context.Context, user id.ID) ([]GivenGroup, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select g.id, g.name from user_group g join group_member m on m.group_id = g.id where m.member_kind = 'user' and m.member_id = $1 order by lower(g.name)`, user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[GivenGroup])
}

func (federationStore) addTest(ctx context.Context, test, provider id.ID) error {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from identity_provider_test where expires_at < now()`); err != nil {
		return err
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into identity_provider_test (id, provider_id, expires_at) values ($1, $2, now() + interval '1 hour')`, test, provider)
	return err
}

func (federationStore) finishTest(ctx context.Context, test id.ID, result []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `update identity_provider_test set result = $2 where id = $1`, test, result)
	return err
}

func (federationStore) test(ctx context.Context, provider, test id.ID) (result []byte, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select result from identity_provider_test where provider_id = $1 and id = $2 and expires_at > now()`, provider, test).Scan(&result)
	return result, err
}
