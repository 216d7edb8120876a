package identity

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// groupsOf lists the groups a subject is in, directly or through others.
func (store) groupsOf(ctx context.Context, subject permission.Subject) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive up as (
			select group_id from group_member where member_kind = $1 and member_id = $2
			union select m.group_id from group_member m join up on m.member_kind = 'group' and m.member_id = up.group_id)
		select group_id from up`, string(subject.Kind), subject.ID)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// lockGroups lets one transaction of the tenant change memberships at a time:
// two that are harmless alone can make a cycle together.
func (store) lockGroups(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('identity groups ' || $1, 0))`, tenant.String())
	return err
}

// nesting lists, by group, the groups it is in directly.
func (store) nesting(ctx context.Context) (map[id.ID][]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select member_id, group_id from group_member where member_kind = 'group' order by created_at`)
	in := map[id.ID][]id.ID{}
	var inner, outer id.ID
	_, err := pgx.ForEachRow(rows, []any{&inner, &outer}, func() error {
		in[inner] = append(in[inner], outer)
		return nil
	})
	return in, err
}

const groupColumns = `select g.id, g.name, g.description, g.source,
	(select count(*) from group_member m where m.group_id = g.id), g.created_at from user_group g `

func (store) groups(ctx context.Context, f Filter, after place) ([]Group, error) {
	rows, _ := db.Tx(ctx).Query(ctx, groupColumns+`where ($1 = '' or strpos(lower(g.name), lower($1)) > 0)
		and ($2::uuid is null or (lower(g.name), g.id) > (lower($3), $2)) order by lower(g.name), g.id limit $4`,
		f.Search, after.ID, after.Name, f.Limit+1)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Group])
}

func (store) group(ctx context.Context, group id.ID) (Group, error) {
	rows, _ := db.Tx(ctx).Query(ctx, groupColumns+`where g.id = $1`, group)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Group])
}

func (store) addGroup(ctx context.Context, g Group, externalID string) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into user_group (id, name, description, source, external_id) values ($1, $2, $3, $4, $5)`,
		g.ID, g.Name, g.Description, g.Source, externalID)
	return err
}

func (store) updateGroup(ctx context.Context, g Group) error {
	_, err := db.Tx(ctx).Exec(ctx, `update user_group set name = $2, description = $3 where id = $1`, g.ID, g.Name, g.Description)
	return err
}

func (store) removeGroup(ctx context.Context, group id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from user_group where id = $1`, group)
	return err
}

func (store) groupMembers(ctx context.Context, group id.ID) ([]permission.Subject, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select member_kind, member_id from group_member where group_id = $1`, group)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m permission.Subject, err error) {
		var kind string
		err = row.Scan(&kind, &m.ID)
		m.Kind = permission.SubjectKind(kind)
		return m, err
	})
}

func (store) addGroupMember(ctx context.Context, group id.ID, m permission.Subject) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `insert into group_member (group_id, member_kind, member_id) values ($1, $2, $3) on conflict do nothing`,
		group, string(m.Kind), m.ID)
	return tag.RowsAffected() == 1, err
}

func (store) removeGroupMember(ctx context.Context, group id.ID, m permission.Subject) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from group_member where group_id = $1 and member_kind = $2 and member_id = $3`,
		group, string(m.Kind), m.ID)
	return tag.RowsAffected() == 1, err
}

// leaveGroups takes a subject out of every group.
func (store) leaveGroups(ctx context.Context, m permission.Subject) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from group_member where member_kind = $1 and member_id = $2`, string(m.Kind), m.ID)
	return err
}

// groupNames reads names of groups, without those that do not exist.
func (store) groupNames(ctx context.Context, groups []id.ID) ([]GroupName, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name from user_group where id = any($1::uuid[])`, texts(groups))
	return pgx.CollectRows(rows, pgx.RowToStructByPos[GroupName])
}

// groupsOfUsers lists, by person, the groups they are in directly.
func (store) groupsOfUsers(ctx context.Context, users []id.ID) (map[id.ID][]GroupName, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select m.member_id, g.id, g.name from group_member m join user_group g on g.id = m.group_id
		where m.member_kind = 'user' and m.member_id = any($1::uuid[]) order by lower(g.name), g.id`, texts(users))
	all := map[id.ID][]GroupName{}
	var user id.ID
	var g GroupName
	_, err := pgx.ForEachRow(rows, []any{&user, &g.ID, &g.Name}, func() error {
		all[user] = append(all[user], g)
		return nil
	})
	return all, err
}

// memberNames names the people and service accounts of a tenant among some
// ids; it runs at the provider level.
func (store) memberNames(ctx context.Context, tenant id.ID, members []id.ID) (map[id.ID]Member, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select 'user', a.id, a.name, a.email from account a join membership m on m.user_id = a.id
			where m.tenant_id = $1 and a.id = any($2::uuid[])
		union all select 'service_account', id, name, '' from service_account where tenant_id = $1 and id = any($2::uuid[])`, tenant, texts(members))
	all := map[id.ID]Member{}
	var m Member
	_, err := pgx.ForEachRow(rows, []any{(*string)(&m.Kind), &m.ID, &m.Name, &m.Email}, func() error {
		all[m.ID] = m
		return nil
	})
	return all, err
}

// everybody lists the people and service accounts of a tenant who can act in
// it, by name; it runs at the provider level.
func (store) everybody(ctx context.Context, tenant id.ID) ([]permission.Subject, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select 'user', a.id, lower(a.name) as called from account a join membership m on m.user_id = a.id
			where m.tenant_id = $1 and a.status = 'active' and m.status = 'active'
		union all select 'service_account', id, lower(name) from service_account where tenant_id = $1 and status = 'active'
		order by called, id`, tenant)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m permission.Subject, err error) {
		var kind, called string
		err = row.Scan(&kind, &m.ID, &called)
		m.Kind = permission.SubjectKind(kind)
		return m, err
	})
}

// texts is a list of ids as Postgres reads it.
func texts(ids []id.ID) string {
	list := make([]string, len(ids))
	for i, one := range ids {
		list[i] = one.String()
	}
	return "{" + strings.Join(list, ",") + "}"
}
