package identity

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// scimStore has what directories need of the database. Functions on memberships,
// accounts and tokens run at the provider level, the others in the tenant.
type scimStore struct{}

func (scimStore) addToken(ctx context.Context, tenant id.ID, t SCIMToken, hash []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into scim_token (id, token_hash, tenant_id, name, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		t.ID, hash, tenant, t.Name, t.CreatedAt, t.ExpiresAt)
	return err
}

func (scimStore) tokens(ctx context.Context, tenant id.ID) ([]SCIMToken, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, created_at, last_used_at, expires_at from scim_token where tenant_id = $1 order by created_at, id`, tenant)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[SCIMToken])
}

// endToken returns the name of the token that was ended.
func (scimStore) endToken(ctx context.Context, tenant, token id.ID) (string, error) {
	var name string
	err := db.Tx(ctx).QueryRow(ctx, `delete from scim_token where id = $2 and tenant_id = $1 returning name`, tenant, token).Scan(&name)
	return name, err
}

// liveToken finds who acts with a token that has not expired, in a tenant that
// is open, and notes its use, at most once a minute.
func (scimStore) liveToken(ctx context.Context, hash []byte) (actor.Actor, error) {
	a := actor.Actor{Kind: actor.ServiceAccount}
	err := db.Tx(ctx).QueryRow(ctx, `with live as (
			select k.id, k.tenant_id, k.name, k.last_used_at from scim_token k join tenant t on t.id = k.tenant_id and t.status = 'active'
			where k.token_hash = $1 and k.expires_at > now()),
		used as (update scim_token set last_used_at = now() from live
			where scim_token.id = live.id and (live.last_used_at is null or live.last_used_at < now() - interval '1 minute'))
		select id, tenant_id, name from live`, hash).Scan(&a.ID, &a.TenantID, &a.Name)
	a.Session = a.ID
	return a, err
}

// member is a membership with its account.
type member struct {
	account
	MemberStatus Status
	Source       Source
	ExternalID   string
	CreatedAt    time.Time
}

const memberColumns = `select a.id, a.name, a.email, a.password_hash, a.status, a.emergency, m.status, m.source, m.external_id, m.created_at
	from membership m join account a on a.id = m.user_id where m.tenant_id = $1 `

func scanMember(row pgx.CollectableRow) (member, error) {
	var m member
	err := row.Scan(&m.ID, &m.Name, &m.Email, &m.Hash, &m.Status, &m.Emergency, &m.MemberStatus, &m.Source, &m.ExternalID, &m.CreatedAt)
	return m, err
}

// page lists members in the order in which their accounts were made.
func (scimStore) page(ctx context.Context, tenant, after id.ID, offset, limit int) ([]member, error) {
	rows, _ := db.Tx(ctx).Query(ctx, memberColumns+`and m.user_id in (
			select user_id from membership where tenant_id = $1 and ($2::uuid is null or user_id > $2) order by user_id offset $3 limit $4)
		order by m.user_id`, tenant, after, offset, limit)
	return pgx.CollectRows(rows, scanMember)
}

func (scimStore) countMembers(ctx context.Context, tenant id.ID) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `select count(*) from membership where tenant_id = $1`, tenant).Scan(&n)
	return n, err
}

// some lists members by their ids, or by name or address in lower case.
func (scimStore) some(ctx context.Context, tenant id.ID, ids []id.ID, name, email string) ([]member, error) {
	rows, _ := db.Tx(ctx).Query(ctx, memberColumns+`and m.user_id in (
			select unnest($2::uuid[])
			union all select id from account where $4 <> '' and lower(email) = $4
			union all select id from account where $3 <> '' and lower(name) = $3)
		order by m.user_id`, tenant, ids, name, email)
	return pgx.CollectRows(rows, scanMember)
}

// lockMember reads a member and holds membership and account until the
// transaction ends: nobody joins another tenant meanwhile.
func (scimStore) lockMember(ctx context.Context, tenant, user id.ID) (member, error) {
	rows, _ := db.Tx(ctx).Query(ctx, memberColumns+`and m.user_id = $2 for update of m, a`, tenant, user)
	return pgx.CollectExactlyOneRow(rows, scanMember)
}

// addressTaken tells whether an account other than the given one has the address.
func (scimStore) addressTaken(ctx context.Context, email string, but id.ID) (bool, error) {
	var yes bool
	err := db.Tx(ctx).QueryRow(ctx, `select exists (select from account where lower(email) = lower($1) and id is distinct from $2)`, email, but).Scan(&yes)
	return yes, err
}

func (scimStore) addMember(ctx context.Context, user, tenant id.ID, status Status, external string) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into membership (user_id, tenant_id, status, source, external_id) values ($1, $2, $3, 'scim', $4)`,
		user, tenant, status, external)
	return err
}

// changeMember writes status and, for a membership that a directory made, the
// external id.
func (scimStore) changeMember(ctx context.Context, user, tenant id.ID, status Status, external string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update membership set status = $3, external_id = case source when 'scim' then $4 else external_id end
		where user_id = $1 and tenant_id = $2`, user, tenant, status, external)
	return err
}

func (scimStore) changeAccount(ctx context.Context, user id.ID, name, email string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update account set name = $2, email = $3 where id = $1`, user, name, email)
	return err
}

// endTokens ends the API tokens of a person in one tenant.
func (scimStore) endTokens(ctx context.Context, user, tenant id.ID) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from api_token where user_id = $1 and tenant_id = $2 returning id`, user, tenant)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// profile is what a directory says of a member.
type profile struct {
	UserID      id.ID
	UserName    string
	DisplayName string
	ExternalID  string
	Attributes  []byte
	UpdatedAt   time.Time
}

const profileColumns = `select user_id, user_name, display_name, external_id, attributes, updated_at from scim_user `

func (scimStore) profiles(ctx context.Context, users []id.ID) (map[id.ID]profile, error) {
	rows, _ := db.Tx(ctx).Query(ctx, profileColumns+`where user_id = any($1)`, users)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[profile])
	byUser := make(map[id.ID]profile, len(all))
	for _, p := range all {
		byUser[p.UserID] = p
	}
	return byUser, err
}

// profileBy finds the users with a name (in any case), display name (in any
// case) or external id.
func (scimStore) profileBy(ctx context.Context, attribute, value string) ([]id.ID, error) {
	column, key := "user_name_key", strings.ToLower(value)
	switch attribute {
	case "displayName":
		column = "display_name_key"
	case "externalId":
		column, key = "external_id", value
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select user_id from scim_user where `+column+` = $1 order by user_id`, key)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

func (scimStore) saveProfile(ctx context.Context, p profile) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into scim_user (user_id, user_name, user_name_key, display_name, display_name_key, external_id, attributes)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant_id, user_id) do update set user_name = excluded.user_name, user_name_key = excluded.user_name_key,
			display_name = excluded.display_name, display_name_key = excluded.display_name_key, external_id = excluded.external_id,
			attributes = excluded.attributes, updated_at = now()`,
		p.UserID, p.UserName, strings.ToLower(p.UserName), p.DisplayName, strings.ToLower(p.DisplayName), p.ExternalID, json.RawMessage(p.Attributes))
	return err
}

func (scimStore) removeProfile(ctx context.Context, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from scim_user where user_id = $1`, user)
	return err
}

// belonging is a member of a group, or a group that a user is in.
type belonging struct {
	Of   id.ID // the group, or the user
	ID   id.ID
	Kind string
	Name string // of groups only
}

// groupsOf lists the groups of directories that users are in.
func (scimStore) groupsOf(ctx context.Context, users []id.ID) ([]belonging, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select m.member_id, g.id, 'group', g.name from group_member m join user_group g on g.id = m.group_id
		where m.member_kind = 'user' and m.member_id = any($1) and g.source = 'scim' order by g.id`, users)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[belonging])
}

// group is a group that a directory made. State changes with its members.
type group struct {
	ID         id.ID
	Name       string
	ExternalID string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	State      string
}

const scimGroupColumns = `select g.id, g.name, g.external_id, g.created_at, coalesce(s.updated_at, g.created_at),
	(select count(*) || '/' || coalesce(bit_xor(hashtextextended(m.member_kind || m.member_id, 0)), 0) from group_member m where m.group_id = g.id)
	from user_group g left join scim_group s on s.group_id = g.id where g.source = 'scim' `

func (scimStore) groupPage(ctx context.Context, after id.ID, offset, limit int) ([]group, error) {
	rows, _ := db.Tx(ctx).Query(ctx, scimGroupColumns+`and ($1::uuid is null or g.id > $1) order by g.id offset $2 limit $3`, after, offset, limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[group])
}

func (scimStore) countGroups(ctx context.Context) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `select count(*) from user_group where source = 'scim'`).Scan(&n)
	return n, err
}

// allGroups lists the groups that directories keep.
func (scimStore) allGroups(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from user_group where source = 'scim' order by id`)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

func (scimStore) groups(ctx context.Context, ids []id.ID) ([]group, error) {
	rows, _ := db.Tx(ctx).Query(ctx, scimGroupColumns+`and g.id = any($1) order by g.id`, ids)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[group])
}

func (scimStore) groupsBy(ctx context.Context, attribute, value string) ([]group, error) {
	condition := `and lower(g.name) = lower($1) `
	switch attribute {
	case "externalId":
		condition = `and g.external_id = $1 `
	case "members":
		condition = `and g.id in (select group_id from group_member where member_kind in ('user', 'group') and member_id = $1::uuid) `
	}
	rows, _ := db.Tx(ctx).Query(ctx, scimGroupColumns+condition+`order by g.id`, value)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[group])
}

// lockGroup holds a group until the transaction ends.
func (scimStore) lockGroup(ctx context.Context, g id.ID) error {
	var found id.ID
	return db.Tx(ctx).QueryRow(ctx, `select id from user_group where id = $1 and source = 'scim' for no key update`, g).Scan(&found)
}

// groupTaken tells which of a new group's keys another group has.
func (scimStore) groupTaken(ctx context.Context, g group) (name, external bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select
		exists (select from user_group where lower(name) = lower($2) and id <> $1),
		exists (select from user_group where source = 'scim' and external_id = $3 and $3 <> '' and id <> $1)`, g.ID, g.Name, g.ExternalID).Scan(&name, &external)
	return name, external, err
}

func (scimStore) addGroup(ctx context.Context, g group) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into user_group (id, name, source, external_id) values ($1, $2, 'scim', $3)`, g.ID, g.Name, g.ExternalID)
	return err
}

func (scimStore) changeGroup(ctx context.Context, g group) error {
	_, err := db.Tx(ctx).Exec(ctx, `update user_group set name = $2, external_id = $3 where id = $1`, g.ID, g.Name, g.ExternalID)
	return err
}

func (scimStore) touchGroup(ctx context.Context, g id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into scim_group (group_id) values ($1) on conflict (tenant_id, group_id) do update set updated_at = now()`, g)
	return err
}

func (scimStore) removeGroup(ctx context.Context, g id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from user_group where id = $1`, g)
	return err
}

// members lists users and groups of directories in groups.
func (scimStore) members(ctx context.Context, groups []id.ID) ([]belonging, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select m.group_id, m.member_id, m.member_kind, coalesce(g.name, '')
		from group_member m left join user_group g on m.member_kind = 'group' and g.id = m.member_id
		where m.group_id = any($1) and (m.member_kind = 'user' or g.source = 'scim') order by m.member_id`, groups)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[belonging])
}

func (scimStore) addMembers(ctx context.Context, g id.ID, kind string, members []id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into group_member (group_id, member_kind, member_id) select $1, $2, unnest($3::uuid[]) on conflict do nothing`, g, kind, members)
	return err
}

func (scimStore) removeMembers(ctx context.Context, g id.ID, kind string, members []id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from group_member where group_id = $1 and member_kind = $2 and member_id = any($3)`, g, kind, members)
	return err
}

// names finds the accounts of members of a tenant; who is not a member is not
// in it.
func (scimStore) names(ctx context.Context, tenant id.ID, users []id.ID) (map[id.ID]account, error) {
	rows, _ := db.Tx(ctx).Query(ctx, accountColumns+`where id in (select user_id from membership where tenant_id = $1 and user_id = any($2))`, tenant, users)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
	byID := make(map[id.ID]account, len(all))
	for _, a := range all {
		byID[a.ID] = a
	}
	return byID, err
}
