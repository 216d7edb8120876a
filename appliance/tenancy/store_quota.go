package tenancy

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// given is the sum of what the sub-tenants of q's tenant have.
const given = `(select coalesce(sum(c.hard), 0)::bigint from tenant_quota c join tenant t on t.id = c.tenant_id
	where t.parent_id = q.tenant_id and t.deleted_at is null and c.kind = q.kind)`

func (store) quotas(ctx context.Context, tenant id.ID) (map[QuotaKind]Quota, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select kind, soft, hard, `+given+` from tenant_quota q where tenant_id = $1`, tenant)
	all := map[QuotaKind]Quota{}
	var q Quota
	_, err := pgx.ForEachRow(rows, []any{&q.Kind, &q.Soft, &q.Hard, &q.Given}, func() error {
		all[q.Kind] = q
		return nil
	})
	return all, err
}

// lockQuota makes other reservations of the kind wait; false when there is no
// limit.
func (store) lockQuota(ctx context.Context, tenant id.ID, kind QuotaKind) (Quota, bool, error) {
	q := Quota{Kind: kind}
	err := db.Tx(ctx).QueryRow(ctx, `select soft, hard, `+given+` from tenant_quota q where tenant_id = $1 and kind = $2 for update of q`, tenant, kind).
		Scan(&q.Soft, &q.Hard, &q.Given)
	if errors.Is(err, pgx.ErrNoRows) {
		return q, false, nil
	}
	return q, err == nil, err
}

// setQuotas replaces all limits of a tenant. Rows that stay are not deleted in
// between: reservations wait for them.
func (store) setQuotas(ctx context.Context, tenant id.ID, quotas []Quota) error {
	kinds := make([]QuotaKind, 0, len(quotas))
	b := &pgx.Batch{}
	for _, q := range quotas {
		if q.Soft == nil && q.Hard == nil {
			continue
		}
		kinds = append(kinds, q.Kind)
		b.Queue(`insert into tenant_quota (tenant_id, kind, soft, hard) values ($1, $2, $3, $4)
			on conflict (tenant_id, kind) do update set soft = excluded.soft, hard = excluded.hard`, tenant, q.Kind, q.Soft, q.Hard)
	}
	b.Queue(`delete from tenant_quota where tenant_id = $1 and kind <> all ($2)`, tenant, kinds)
	return db.Tx(ctx).SendBatch(ctx, b).Close()
}

// inheritQuotas gives a new tenant nothing of what its parent has a hard quota
// of, until it is given some.
func (store) inheritQuotas(ctx context.Context, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into tenant_quota (tenant_id, kind, hard)
		select t.id, q.kind, 0 from tenant t join tenant_quota q on q.tenant_id = t.parent_id where t.id = $1 and q.hard is not null`, tenant)
	return err
}

// overcommitment is a hard quota that does not hold for the sub-tenants.
type overcommitment struct {
	Kind        QuotaKind
	parent      string
	hard, given int64
	unlimited   string // a sub-tenant without a hard quota
}

// overcommitted finds one below a tenant.
func (store) overcommitted(ctx context.Context, parent id.ID) (o overcommitment, found bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select q.kind, p.name, q.hard, coalesce(sum(c.hard), 0)::bigint, coalesce(min(t.name) filter (where c.hard is null), '')
		from tenant_quota q join tenant p on p.id = q.tenant_id join tenant t on t.parent_id = p.id and t.deleted_at is null
		left join tenant_quota c on c.tenant_id = t.id and c.kind = q.kind
		where q.tenant_id = $1 and q.hard is not null group by q.kind, p.name, q.hard
		having bool_or(c.hard is null) or sum(c.hard) > q.hard order by q.kind limit 1`, parent).
		Scan(&o.Kind, &o.parent, &o.hard, &o.given, &o.unlimited)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	return o, err == nil, err
}
