package identity

import (
	"context"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

func (store) countPeople(ctx context.Context, tenant id.ID) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from membership where tenant_id = $1`, tenant).Scan(&n)
	return n, err
}

// purgeTenant keeps the emergency account, whatever it belongs to.
func (store) purgeTenant(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `with gone as (delete from membership where tenant_id = $1 returning user_id)
		delete from account where id in (select user_id from gone) and not emergency
			and not exists (select from membership m where m.user_id = account.id and m.tenant_id <> $1)`, tenant)
	return err
}
