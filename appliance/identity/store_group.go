package identity

import (
	"context"

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
