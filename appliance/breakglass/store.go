package breakglass

import (
	"context"
	"embed"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

// columns reads a request that nobody approved in time as expired, by the
// database's clock, before anything has closed it. $1 is the longest wait in
// seconds.
const columns = `select r.id, r.tenant_id, r.user_id, r.user_name, r.requested_by, r.requested_by_name, r.reason, r.minutes,
	case when r.status = 'pending' and r.created_at <= now() - make_interval(secs => $1) then 'expired' else r.status end,
	r.created_at, r.opened_at, r.ends_at, r.ended_at, r.ended_by, r.ended_by_name, r.key_kind, r.key_label, r.key_algorithm
	from breakglass_request r `

func scan(row pgx.CollectableRow) (Request, error) {
	r := Request{Needed: Needed, Approvals: []Approval{}}
	var by Person
	var key Key
	err := row.Scan(&r.ID, &r.TenantID, &r.User.ID, &r.User.Name, &r.RequestedBy.ID, &r.RequestedBy.Name, &r.Reason, &r.Minutes,
		&r.Status, &r.CreatedAt, &r.OpenedAt, &r.EndsAt, &r.EndedAt, &by.ID, &by.Name, &key.Kind, &key.Label, &key.Algorithm)
	if r.EndedAt != nil {
		r.EndedBy = &by
	}
	if key.Kind != "" {
		r.Key = &key
	}
	return r, err
}

func (s store) insert(ctx context.Context, r Request) (Request, error) {
	_, err := db.Tx(ctx).Exec(ctx, `insert into breakglass_request (id, tenant_id, user_id, user_name, requested_by, requested_by_name, reason, minutes)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.ID, r.TenantID, r.User.ID, r.User.Name, r.RequestedBy.ID, r.RequestedBy.Name, r.Reason, r.Minutes)
	if err != nil {
		return r, err
	}
	return s.get(ctx, r.ID)
}

func (s store) get(ctx context.Context, request id.ID) (Request, error) {
	return s.one(ctx, `where r.id = $2`, request)
}

// lock is get that keeps everybody else from changing it until the commit.
func (s store) lock(ctx context.Context, request id.ID) (Request, error) {
	return s.one(ctx, `where r.id = $2 for update of r`, request)
}

func (s store) one(ctx context.Context, where string, request id.ID) (Request, error) {
	rows, _ := db.Tx(ctx).Query(ctx, columns+where, waits.Seconds(), request)
	r, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return Request{}, err
	}
	all := []Request{r}
	err = s.fill(ctx, all)
	return all[0], err
}

// fill adds the approvals, in the order they were given.
func (store) fill(ctx context.Context, all []Request) error {
	ids, at := make([]string, len(all)), map[id.ID]int{}
	for i, r := range all {
		ids[i], at[r.ID] = r.ID.String(), i
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select request_id, user_id, user_name, self, at from breakglass_approval
		where request_id = any($1::text[]::uuid[]) order by at, user_id`, ids)
	var request id.ID
	var a Approval
	_, err := pgx.ForEachRow(rows, []any{&request, &a.User.ID, &a.User.Name, &a.Self, &a.At}, func() error {
		r := &all[at[request]]
		r.Approvals = append(r.Approvals, a)
		return nil
	})
	return err
}

// list returns the newest requests of a tenant, or of all of them when it is zero.
func (s store) list(ctx context.Context, tenant id.ID, limit int) ([]Request, error) {
	rows, _ := db.Tx(ctx).Query(ctx, columns+`where $2::uuid is null or r.tenant_id = $2 order by r.created_at desc, r.id desc limit $3`, waits.Seconds(), tenant, limit)
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, err
	}
	return all, s.fill(ctx, all)
}

func (store) approve(ctx context.Context, request id.ID, a Approval) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into breakglass_approval (request_id, user_id, user_name, self) values ($1, $2, $3, $4)`,
		request, a.User.ID, a.User.Name, a.Self)
	return err
}

func (s store) open(ctx context.Context, request id.ID, challenge []byte, sig Signature) (Request, error) {
	_, err := db.Tx(ctx).Exec(ctx, `update breakglass_request set status = 'open', challenge = $2, signature = $3, public_key = $4,
		key_kind = $5, key_label = $6, key_algorithm = $7, opened_at = now(), ends_at = now() + make_interval(mins => minutes)
		where id = $1 and status = 'pending'`, request, challenge, sig.Bytes, sig.Public, sig.Key.Kind, sig.Key.Label, sig.Key.Algorithm)
	if err != nil {
		return Request{}, err
	}
	return s.get(ctx, request)
}

// finish moves a request from one status to another and tells whether it did.
func (store) finish(ctx context.Context, request id.ID, from, to Status, by Person) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update breakglass_request set status = $3, ended_at = now(), ended_by = $4, ended_by_name = $5
		where id = $1 and status = $2`, request, from, to, by.ID, by.Name)
	return tag.RowsAffected() == 1, err
}

// running is an open session and what remains of it by the database's clock.
type running struct {
	Request
	left time.Duration
}

// running lists the open sessions. A clock that stands before the opening was
// set back: nothing remains then.
func (store) running(ctx context.Context) ([]running, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select r.id, r.tenant_id, r.user_id, r.user_name, r.reason, r.ends_at,
		case when now() < r.opened_at then 0 else greatest(0, extract(epoch from r.ends_at - now()))::float8 end
		from breakglass_request r where r.status = 'open'`)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (running, error) {
		var r running
		var seconds float64
		err := row.Scan(&r.ID, &r.TenantID, &r.User.ID, &r.User.Name, &r.Reason, &r.EndsAt, &seconds)
		r.left = time.Duration(seconds * float64(time.Second))
		return r, err
	})
}

// stale lists the requests that nobody approved in time.
func (store) stale(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from breakglass_request where status = 'pending' and created_at <= now() - make_interval(secs => $1)`, waits.Seconds())
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}
