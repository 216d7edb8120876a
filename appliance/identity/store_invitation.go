package identity

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// addInvitation stores an invitation in place of an earlier one to the same
// address, and reads its times back.
func (store) addInvitation(ctx context.Context, i *Invitation, hash []byte, life time.Duration) error {
	return db.Tx(ctx).QueryRow(ctx, `insert into invitation (id, token_hash, tenant_id, name, email, role_ids, group_ids, invited_by, expires_at, inviter_kind, inviter_id)
		values ($1, $2, $3, $4, $5, $6::uuid[], $7::uuid[], $8, now() + make_interval(secs => $9), $10, $11)
		on conflict (tenant_id, lower(email)) do update set id = excluded.id, token_hash = excluded.token_hash, name = excluded.name,
			role_ids = excluded.role_ids, group_ids = excluded.group_ids, invited_by = excluded.invited_by, inviter_kind = excluded.inviter_kind, inviter_id = excluded.inviter_id,
			created_at = now(), expires_at = excluded.expires_at
		returning created_at, expires_at`,
		i.ID, hash, i.TenantID, i.Name, i.Email, texts(i.RoleIDs), texts(i.GroupIDs), i.InvitedBy, life.Seconds(), string(i.inviter.Kind), i.inviter.ID).Scan(&i.CreatedAt, &i.ExpiresAt)
}

const invitationColumns = `select i.id, i.tenant_id, t.name, i.name, i.email, i.role_ids::text[], i.group_ids::text[], i.invited_by, i.created_at, i.expires_at, i.inviter_kind, i.inviter_id
	from invitation i join tenant t on t.id = i.tenant_id `

func scanInvitation(row pgx.CollectableRow) (Invitation, error) {
	var i Invitation
	var roles, groups []string
	err := row.Scan(&i.ID, &i.TenantID, &i.Tenant, &i.Name, &i.Email, &roles, &groups, &i.InvitedBy, &i.CreatedAt, &i.ExpiresAt, &i.inviter.Kind, &i.inviter.ID)
	i.inviter.Name = i.InvitedBy
	if err == nil {
		i.RoleIDs, err = parsed(roles)
	}
	if err == nil {
		i.GroupIDs, err = parsed(groups)
	}
	return i, err
}

func parsed(list []string) ([]id.ID, error) {
	ids := make([]id.ID, len(list))
	for n, text := range list {
		var err error
		if ids[n], err = id.Parse(text); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// invitations lists those of a tenant that are open, the newest first.
func (store) invitations(ctx context.Context, tenant id.ID) ([]Invitation, error) {
	rows, _ := db.Tx(ctx).Query(ctx, invitationColumns+`where i.tenant_id = $1 and i.expires_at > now() order by i.created_at desc, i.id`, tenant)
	return pgx.CollectRows(rows, scanInvitation)
}

// invitationBy finds an open invitation of an open tenant by its token.
func (store) invitationBy(ctx context.Context, hash []byte) (Invitation, error) {
	rows, _ := db.Tx(ctx).Query(ctx, invitationColumns+`where i.token_hash = $1 and i.expires_at > now() and t.status = 'active'`, hash)
	return pgx.CollectExactlyOneRow(rows, scanInvitation)
}

// useInvitation removes an open invitation and tells whether it was there: it
// works once.
func (store) useInvitation(ctx context.Context, invitation id.ID, hash []byte) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from invitation where id = $1 and token_hash = $2 and expires_at > now()`, invitation, hash)
	return tag.RowsAffected() == 1, err
}

// removeInvitation withdraws one of a tenant and returns its address.
func (store) removeInvitation(ctx context.Context, tenant, invitation id.ID) (email string, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `delete from invitation where tenant_id = $1 and id = $2 returning email`, tenant, invitation).Scan(&email)
	return email, err
}

// inviter tells whether somebody is a person or service account of a tenant, and
// whether they are in use, there or (of another tenant) at all.
func (store) inviter(ctx context.Context, tenant, inviter id.ID) (member, active bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(bool_or(member), false), coalesce(bool_and(active), false) from (
			select m.user_id is not null as member, a.status = 'active' and coalesce(m.status, 'active') = 'active' as active
				from account a left join membership m on m.user_id = a.id and m.tenant_id = $1 where a.id = $2
			union all select true, status = 'active' from service_account where tenant_id = $1 and id = $2) known`, tenant, inviter).Scan(&member, &active)
	return member, active, err
}

// dropInvitationsOf withdraws what somebody promised in a tenant that they leave.
func (store) dropInvitationsOf(ctx context.Context, tenant, inviter id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from invitation where tenant_id = $1 and inviter_id = $2`, tenant, inviter)
	return err
}

// memberByEmail tells whether somebody with an address is in a tenant.
func (store) memberByEmail(ctx context.Context, tenant id.ID, email string) (bool, error) {
	var yes bool
	err := db.Tx(ctx).QueryRow(ctx, `select exists (select from membership m join account a on a.id = m.user_id
		where m.tenant_id = $1 and lower(a.email) = lower($2))`, tenant, email).Scan(&yes)
	return yes, err
}
