package permission

import (
	"context"
	"embed"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

func (store) addRole(ctx context.Context, r Role) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into role (id, name, description, system) values ($1, $2, $3, $4)`,
		r.ID, r.Name, r.Description, r.System)
	for _, g := range r.Grants {
		if err != nil || r.System {
			break
		}
		_, err = db.Tx(ctx).Exec(ctx, `insert into role_grant (role_id, permission, effect, hard) values ($1, $2, $3, $4)`,
			r.ID, g.Permission, g.Effect, g.Hard)
	}
	return err
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

const roleColumns = `select r.id, r.name, r.description, r.system,
	coalesce((select jsonb_agg(jsonb_build_object('permission', g.permission, 'effect', g.effect, 'hard', g.hard) order by g.permission)
		from role_grant g where g.role_id = r.id), '[]') from role r `

func scanRole(row pgx.CollectableRow) (Role, error) {
	var r Role
	var grants []byte
	if err := row.Scan(&r.ID, &r.Name, &r.Description, &r.System, &grants); err != nil {
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

// rolesOf lists the roles of a user.
func (store) rolesOf(ctx context.Context, user id.ID) ([]Role, error) {
	rows, _ := db.Tx(ctx).Query(ctx, roleColumns+`join role_assignment a on a.role_id = r.id where a.user_id = $1 order by r.name`, user)
	return pgx.CollectRows(rows, scanRole)
}

func (store) assign(ctx context.Context, user, role id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `insert into role_assignment (user_id, role_id) values ($1, $2) on conflict do nothing`, user, role)
	return tag.RowsAffected() == 1, err
}

func (store) unassign(ctx context.Context, user, role id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from role_assignment where user_id = $1 and role_id = $2`, user, role)
	return tag.RowsAffected() == 1, err
}

// holders counts the users of a role.
func (store) holders(ctx context.Context, role id.ID) (int, error) {
	var n int
	err := db.Tx(ctx).QueryRow(ctx, `select count(*) from role_assignment where role_id = $1`, role).Scan(&n)
	return n, err
}
