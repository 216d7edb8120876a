package tenancy

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

const selectDomain = `select domain, verified_at is not null, created_at, token from tenant_domain where tenant_id = $1 `

func scanDomain(row pgx.CollectableRow) (Domain, error) {
	var d Domain
	var token string
	err := row.Scan(&d.Domain, &d.Verified, &d.CreatedAt, &token)
	if !d.Verified {
		d.Record = &TXT{Name: txtName + d.Domain, Value: txtValue + token}
	}
	return d, err
}

func (store) domains(ctx context.Context, tenant id.ID) ([]Domain, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectDomain+`order by domain`, tenant)
	return pgx.CollectRows(rows, scanDomain)
}

func (store) domain(ctx context.Context, tenant id.ID, domain string) (Domain, error) {
	rows, _ := db.Tx(ctx).Query(ctx, selectDomain+`and domain = $2`, tenant, domain)
	return pgx.CollectExactlyOneRow(rows, scanDomain)
}

func (s store) addDomain(ctx context.Context, tenant id.ID, domain, token string, verified bool) (Domain, error) {
	err := exec(ctx, `insert into tenant_domain (tenant_id, domain, token, verified_at) values ($1, $2, $3, case when $4 then now() end)`,
		tenant, domain, token, verified)
	if err != nil {
		return Domain{}, err
	}
	return s.domain(ctx, tenant, domain)
}

func (store) verifyDomain(ctx context.Context, tenant id.ID, domain string) error {
	return exec(ctx, `update tenant_domain set verified_at = coalesce(verified_at, now()) where tenant_id = $1 and domain = $2`, tenant, domain)
}

func (store) removeDomain(ctx context.Context, tenant id.ID, domain string) error {
	return exec(ctx, `delete from tenant_domain where tenant_id = $1 and domain = $2`, tenant, domain)
}

func (store) tenantOfDomain(ctx context.Context, domain string) (tenant id.ID, found bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select t.id from tenant_domain d join tenant t on t.id = d.tenant_id
		where d.domain = $1 and d.verified_at is not null and t.status = 'active'`, domain).Scan(&tenant)
	if errors.Is(err, pgx.ErrNoRows) {
		return tenant, false, nil
	}
	return tenant, err == nil, err
}
