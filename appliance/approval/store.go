package approval

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// store is the only place with SQL of this domain. Its methods run in the
// tenant's transaction of the context.
type store struct{}

const requestColumns = `id, subject_kind, subject_id, subject_name, digest, policy, permission, needed, status,
	requested_by, requester_name, created_at, expires_at, ended_at`

func (store) insert(ctx context.Context, r Request) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into approval_request (`+requestColumns+`)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		r.ID, r.SubjectKind, r.SubjectID, r.SubjectName, r.Digest, r.Policy, r.Permission, r.Needed, r.Status,
		r.RequestedBy, r.RequesterName, r.CreatedAt, r.ExpiresAt, optional(r.EndedAt))
	return db.Fault(err)
}

func (store) setStatus(ctx context.Context, r Request) error {
	_, err := db.Tx(ctx).Exec(ctx, `update approval_request set status = $2, ended_at = $3 where id = $1`,
		r.ID, r.Status, optional(r.EndedAt))
	return db.Fault(err)
}

func (store) addDecision(ctx context.Context, request id.ID, d Decision) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into approval_decision
		(request_id, actor_id, actor_name, verdict, comment, self, at, reauthenticated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		request, d.ActorID, d.ActorName, d.Verdict, d.Comment, d.Self, d.At, optional(d.ReauthenticatedAt))
	return db.Fault(err)
}

// latest is the newest request about a subject, fault.NotFound without one.
// With lock nobody else can decide until the transaction ends.
func (s store) latest(ctx context.Context, kind string, subject id.ID, lock bool) (Request, error) {
	sql := `select ` + requestColumns + ` from approval_request
		where subject_kind = $1 and subject_id = $2 order by id desc limit 1`
	if lock {
		sql += ` for update`
	}
	rows, _ := db.Tx(ctx).Query(ctx, sql, kind, subject)
	r, err := pgx.CollectExactlyOneRow(rows, scanRequest)
	if err != nil {
		return r, db.Fault(err)
	}
	return r, s.loadDecisions(ctx, &r)
}

// pending lists the open requests of a kind of subject, oldest first.
func (s store) pending(ctx context.Context, kind string, now time.Time) ([]Request, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+requestColumns+` from approval_request
		where subject_kind = $1 and status = 'pending' and expires_at > $2 order by id limit 200`, kind, now)
	all, err := pgx.CollectRows(rows, scanRequest)
	if err != nil {
		return nil, db.Fault(err)
	}
	for i := range all {
		if err := s.loadDecisions(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (store) loadDecisions(ctx context.Context, r *Request) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select actor_id, actor_name, verdict, comment, self, at, reauthenticated_at
		from approval_decision where request_id = $1 order by at`, r.ID)
	var err error
	r.Decisions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Decision, err error) {
		var proved *time.Time
		err = row.Scan(&d.ActorID, &d.ActorName, &d.Verdict, &d.Comment, &d.Self, &d.At, &proved)
		d.ReauthenticatedAt = value(proved)
		return d, err
	})
	return db.Fault(err)
}

func scanRequest(row pgx.CollectableRow) (r Request, err error) {
	var ended *time.Time
	err = row.Scan(&r.ID, &r.SubjectKind, &r.SubjectID, &r.SubjectName, &r.Digest, &r.Policy, &r.Permission, &r.Needed,
		&r.Status, &r.RequestedBy, &r.RequesterName, &r.CreatedAt, &r.ExpiresAt, &ended)
	r.EndedAt = value(ended)
	return r, err
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
