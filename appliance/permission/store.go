package permission

import (
	"context"
	"embed"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

func (s store) addRole(ctx context.Context, r Role) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into role (id, name, description) values ($1, $2, $3)`, r.ID, r.Name, r.Description)
	if err != nil {
		return db.Fault(err)
	}
	return s.addGrants(ctx, r)
}

func (store) addGrants(ctx context.Context, r Role) error {
	b := &pgx.Batch{}
	for _, g := range r.Grants {
		b.Queue(`insert into role_grant (role_id, permission, effect, hard, condition, compartment_id, not_before, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			r.ID, g.Permission, g.Effect, g.Hard, g.Condition, g.Compartment, orNull(g.NotBefore), orNull(g.ExpiresAt))
	}
	return db.Fault(db.Tx(ctx).SendBatch(ctx, b).Close())
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s store) replaceRole(ctx context.Context, r Role) error {
	_, err := db.Tx(ctx).Exec(ctx, `update role set name = $2, description = $3 where id = $1`, r.ID, r.Name, r.Description)
	if err != nil {
		return db.Fault(err)
	}
	if _, err = db.Tx(ctx).Exec(ctx, `delete from role_grant where role_id = $1`, r.ID); err != nil {
		return err
	}
	return s.addGrants(ctx, r)
}

// setInherits writes what a role inherits, one change in a tenant at a time,
// so that two changes cannot close a circle together.
func (s store) setInherits(ctx context.Context, tenant id.ID, r Role) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, "permission.inherit "+tenant.String())
	if err != nil {
		return err
	}
	if _, err = db.Tx(ctx).Exec(ctx, `delete from role_inherit where role_id = $1`, r.ID); err != nil {
		return err
	}
	for _, parent := range r.Inherits {
		tag, err := db.Tx(ctx).Exec(ctx, `insert into role_inherit (role_id, parent_id) select $1, id from role where id = $2 and id <> $1`, r.ID, parent)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.BadField("body.inherits", "The role to inherit does not exist, is not yours, or is this role itself.")
		}
	}
	return s.noCircle(ctx, r)
}

// noCircle refuses a role that inherits itself, with the way it would go.
func (store) noCircle(ctx context.Context, r Role) error {
	var way string
	err := db.Tx(ctx).QueryRow(ctx, `with recursive up as (
			select i.parent_id, r.name as way from role_inherit i join role r on r.id = i.parent_id where i.role_id = $1
			union all select i.parent_id, up.way || ' → ' || r.name from up
				join role_inherit i on i.role_id = up.parent_id join role r on r.id = i.parent_id where up.parent_id <> $1)
			cycle parent_id set looped using seen
		select way from up where parent_id = $1 limit 1`, r.ID).Scan(&way)
	if fault.Is(db.Fault(err), fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "The role would inherit itself: %s → %s. Leave one of them out.", r.Name, way)
}

// seedRole writes a system role or brings its texts up to date.
func (store) seedRole(ctx context.Context, r Role) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into role (id, name, description, system) values ($1, $2, $3, true)
		on conflict (tenant_id, id) do update set description = excluded.description`, r.ID, r.Name, r.Description)
	return err
}

func (store) removeRole(ctx context.Context, role id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from role where id = $1`, role)
	return err
}

// inheritedBy names the roles that inherit one.
func (store) inheritedBy(ctx context.Context, role id.ID) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select r.name from role_inherit i join role r on r.id = i.role_id where i.parent_id = $1 order by 1`, role)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const roleColumns = `select r.id, r.name, r.description, r.system,
	coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('permission', g.permission, 'effect', g.effect, 'hard', g.hard,
			'condition', g.condition, 'compartment_id', g.compartment_id, 'not_before', g.not_before, 'expires_at', g.expires_at)) order by g.permission, g.effect, g.id)
		from role_grant g where g.role_id = r.id), '[]'),
	coalesce((select jsonb_agg(i.parent_id order by i.parent_id) from role_inherit i where i.role_id = r.id), '[]'),
	(select count(*) from role_assignment a where a.role_id = r.id) from role r `

func scanRole(row pgx.CollectableRow) (Role, error) {
	var r Role
	var grants, inherits []byte
	if err := row.Scan(&r.ID, &r.Name, &r.Description, &r.System, &grants, &inherits, &r.Holders); err != nil {
		return r, err
	}
	if err := json.Unmarshal(inherits, &r.Inherits); err != nil {
		return r, err
	}
	return r, json.Unmarshal(grants, &r.Grants)
}

func (store) roles(ctx context.Context) ([]Role, error) {
	rows, _ := db.Tx(ctx).Query(ctx, roleColumns+`order by r.system desc, r.name`)
	return pgx.CollectRows(rows, scanRole)
}

func (store) role(ctx context.Context, role id.ID) (Role, error) {
	rows, _ := db.Tx(ctx).Query(ctx, roleColumns+`where r.id = $1`, role)
	return pgx.CollectExactlyOneRow(rows, scanRole)
}

// rolesWith lists roles and all that they inherit.
func (store) rolesWith(ctx context.Context, wanted []id.ID) ([]Role, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `with recursive reach as (
			select unnest($1::uuid[]) as id
			union select i.parent_id from role_inherit i join reach on i.role_id = reach.id) `+
		roleColumns+`where r.id in (select id from reach)`, texts(wanted))
	return pgx.CollectRows(rows, scanRole)
}

func texts(ids []id.ID) []string {
	all := make([]string, len(ids))
	for i, one := range ids {
		all[i] = one.String()
	}
	return all
}

// rolesOf lists the roles of a subject, each once.
func (store) rolesOf(ctx context.Context, subject Subject) ([]Role, error) {
	rows, _ := db.Tx(ctx).Query(ctx, roleColumns+`where r.id in (select role_id from role_assignment
		where subject_kind = $1 and subject_id = $2 and (expires_at is null or expires_at > now())) order by r.name`, subject.Kind, subject.ID)
	return pgx.CollectRows(rows, scanRole)
}

// assign reports whether it was not so before.
func (store) assign(ctx context.Context, n Assignment) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `insert into role_assignment (id, subject_kind, subject_id, role_id, compartment_id, not_before, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		n.ID, n.Kind, n.Subject.ID, n.RoleID, n.Compartment, orNull(n.NotBefore), orNull(n.ExpiresAt))
	return tag.RowsAffected() == 1, err
}

func (store) unassign(ctx context.Context, assignment id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from role_assignment where id = $1`, assignment)
	return err
}

const assignmentColumns = `select a.id, a.subject_kind, a.subject_id, a.role_id, r.name, a.compartment_id, a.not_before, a.expires_at, a.created_at
	from role_assignment a join role r on r.id = a.role_id `

func scanAssignment(row pgx.CollectableRow) (n Assignment, err error) {
	var from, to *time.Time
	err = row.Scan(&n.ID, &n.Kind, &n.Subject.ID, &n.RoleID, &n.RoleName, &n.Compartment, &from, &to, &n.CreatedAt)
	n.NotBefore, n.ExpiresAt = orZero(from), orZero(to)
	return n, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func (store) assignment(ctx context.Context, assignment id.ID) (Assignment, error) {
	rows, _ := db.Tx(ctx).Query(ctx, assignmentColumns+`where a.id = $1`, assignment)
	return pgx.CollectExactlyOneRow(rows, scanAssignment)
}

func (store) assignments(ctx context.Context, f Filter) ([]Assignment, error) {
	rows, _ := db.Tx(ctx).Query(ctx, assignmentColumns+`where ($1 = '' or a.subject_kind = $1)
		and ($2::uuid is null or a.subject_id = $2) and ($3::uuid is null or a.role_id = $3) order by a.id`, string(f.Kind), f.Subject, f.Role)
	return pgx.CollectRows(rows, scanAssignment)
}

// held lists what was given to subjects, by their ids, which no two kinds share.
func (store) held(ctx context.Context, ids []id.ID) ([]Assignment, []DirectGrant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, assignmentColumns+`where a.subject_id = any($1::uuid[])`, texts(ids))
	assignments, err := pgx.CollectRows(rows, scanAssignment)
	if err != nil {
		return nil, nil, err
	}
	rows, _ = db.Tx(ctx).Query(ctx, grantColumns+`where subject_id = any($1::uuid[])`, texts(ids))
	grants, err := pgx.CollectRows(rows, scanGrant)
	return assignments, grants, err
}

func (s store) addGrant(ctx context.Context, g DirectGrant) (DirectGrant, error) {
	_, err := db.Tx(ctx).Exec(ctx, `insert into subject_grant
			(id, subject_kind, subject_id, permission, effect, hard, condition, compartment_id, not_before, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		g.ID, g.Kind, g.Subject.ID, g.Permission, g.Effect, g.Hard, g.Condition, g.Compartment, orNull(g.NotBefore), orNull(g.ExpiresAt))
	if err != nil {
		return g, err
	}
	return s.grant(ctx, g.ID)
}

const grantColumns = `select id, subject_kind, subject_id, permission, effect, hard, condition, compartment_id, not_before, expires_at, created_at from subject_grant `

func scanGrant(row pgx.CollectableRow) (g DirectGrant, err error) {
	var from, to *time.Time
	err = row.Scan(&g.ID, &g.Kind, &g.Subject.ID, &g.Permission, &g.Effect, &g.Hard, &g.Condition, &g.Compartment, &from, &to, &g.CreatedAt)
	g.NotBefore, g.ExpiresAt = orZero(from), orZero(to)
	return g, err
}

func (store) grant(ctx context.Context, grant id.ID) (DirectGrant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, grantColumns+`where id = $1`, grant)
	return pgx.CollectExactlyOneRow(rows, scanGrant)
}

func (store) grants(ctx context.Context, f Filter) ([]DirectGrant, error) {
	rows, _ := db.Tx(ctx).Query(ctx, grantColumns+`where ($1 = '' or subject_kind = $1)
		and ($2::uuid is null or subject_id = $2) order by id`, string(f.Kind), f.Subject)
	return pgx.CollectRows(rows, scanGrant)
}

func (store) removeGrant(ctx context.Context, grant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from subject_grant where id = $1`, grant)
	return err
}

// removeSubject takes everything from a subject.
func (store) removeSubject(ctx context.Context, gone Subject) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from role_assignment where subject_kind = $1 and subject_id = $2`, gone.Kind, gone.ID)
	if err == nil {
		_, err = db.Tx(ctx).Exec(ctx, `delete from subject_grant where subject_kind = $1 and subject_id = $2`, gone.Kind, gone.ID)
	}
	return err
}
