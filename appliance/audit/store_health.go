package audit

import (
	"context"

	"nimbus/appliance/db"
)

// health reads what the database knows of a chain's checkpoints and verifications.
func (store) health(ctx context.Context, h *Health) error {
	return db.Tx(ctx).QueryRow(ctx, `select
		(select max(created_at) from audit_checkpoint),
		(select count(*) from audit_publication_place where enabled),
		(select max(published_at) from audit_checkpoint_publication),
		coalesce((select error from audit_checkpoint_publication where published_at is null and error <> '' order by updated_at desc limit 1), ''),
		v.updated_at, coalesce((v.result->>'ok')::boolean, false)
		from (select 1) one left join lateral (
			select updated_at, result from audit_verification where state = 'done' order by updated_at desc limit 1) v on true`).
		Scan(&h.Checkpoint, &h.Places, &h.Published, &h.Refused, &h.Verified, &h.Sound)
}
