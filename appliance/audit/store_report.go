package audit

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// snapshot has what a transaction reads be of one moment. It comes first in it.
func snapshot(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `set transaction isolation level repeatable read`)
	return err
}

const duringColumns = `select e.sequence, e.time, e.event, e.outcome, ` + answering + `, e.target_kind, e.target_id, e.target_name, e.address,
	case when e.event ~ '^(approval|deployment|breakglass)\.' then r.body end
	from audit_entry e left join audit_record r on r.id = e.record_id `

// during calls fn for the records of a period, oldest first; with events or
// actors only theirs. Records are sealed after they happened, within a day
// even when a clock was wrong: the index of sealing narrows what is read.
func (insightStore) during(ctx context.Context, p Period, events []string, actors []id.ID, fn func(seen) error) error {
	rows, err := db.Tx(ctx).Query(ctx, duringColumns+`where e.time >= $1 and e.time < $2 and e.sealed_at >= $1::timestamptz - interval '1 day'
		and ($3::text[] is null or e.event = any($3)) and ($4::uuid[] is null or e.actor_id = any($4) or e.behalf_id = any($4)) order by e.sequence`,
		p.From, p.To, events, uuids(actors))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanSeen(rows)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func uuids(all []id.ID) []string {
	if all == nil {
		return nil
	}
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = one.String()
	}
	return texts
}

// raised counts the records that somebody made with rights that a break-glass
// session raised.
func (insightStore) raised(ctx context.Context, user id.ID, session string, from time.Time, to *time.Time) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_entry e join audit_record r on r.id = e.record_id
		where (e.actor_id = $1 or e.behalf_id = $1) and e.time >= $2 and ($3::timestamptz is null or e.time <= $3)
		and convert_from(r.body, 'UTF8')::jsonb -> 'actor' ->> 'break_glass' = $4`, user, from, to, session).Scan(&n)
	return n, err
}

// coverage tells how much of the chain is signed, published and verified.
func (insightStore) coverage(ctx context.Context) (c Coverage, err error) {
	c.KeyKind = "none"
	tx := db.Tx(ctx)
	ask := func(sql string, to ...any) {
		if err == nil {
			err = tx.QueryRow(ctx, sql).Scan(to...)
		}
		if errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
	}
	ask(`select sequence, link from audit_entry order by sequence desc limit 1`, &c.Records, &c.link)
	ask(`select size, created_at, key_kind, note from audit_checkpoint order by size desc, created_at desc limit 1`, &c.Checkpointed, &c.SignedAt, &c.KeyKind, &c.note)
	ask(`select c.size, p.published_at from audit_checkpoint_publication p join audit_checkpoint c on c.id = p.checkpoint_id
		where p.published_at is not null order by c.size desc, p.published_at desc limit 1`, &c.Published, &c.PublishedAt)
	ask(`select min(c.created_at) from audit_checkpoint c where c.size > coalesce((select max(n.size) from audit_checkpoint_publication p
		join audit_checkpoint n on n.id = p.checkpoint_id where p.published_at is not null), 0)`, &c.OldestUnpublished)
	ask(`select time, outcome = 'success' from audit_entry where event = 'audit.chain.verified' order by sequence desc limit 1`, &c.VerifiedAt, &c.OK)
	return c, err
}

// extent is which records of a period there are.
type extent struct {
	First, Last, Records, Pruned, Waiting int64
}

func (insightStore) extent(ctx context.Context, p Period) (e extent, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(min(e.sequence), 0), coalesce(max(e.sequence), 0), count(*) from audit_entry e
		where e.time >= $1 and e.time < $2 and e.sealed_at >= $1::timestamptz - interval '1 day'`, p.From, p.To).Scan(&e.First, &e.Last, &e.Records)
	if err != nil {
		return e, err
	}
	err = db.Tx(ctx).QueryRow(ctx, `select $2::bigint - $1::bigint + 1 - count(*) from audit_entry where sequence between $1 and $2`, e.First, e.Last).Scan(&e.Pruned)
	if err != nil || e.Records == 0 {
		e.Pruned = 0
	}
	if err != nil {
		return e, err
	}
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_record r where r.xid >= coalesce((select horizon from audit_entry order by sequence desc limit 1), '0'::xid8)
		and r.xid < pg_snapshot_xmax(pg_current_snapshot()) and not exists (select from audit_entry e where e.record_id = r.id)`).Scan(&e.Waiting)
	return e, err
}

// lastActs is when each of some people last did something that was recorded, or
// had it done.
func (insightStore) lastActs(ctx context.Context, people []id.ID) (map[id.ID]time.Time, error) {
	all := map[id.ID]time.Time{}
	rows, _ := db.Tx(ctx).Query(ctx, `select p, max(e.time) from unnest($1::uuid[]) p cross join lateral (
		(select time from audit_entry where actor_id = p order by sequence desc limit 1) union all
		(select time from audit_entry where behalf_id = p order by sequence desc limit 1)) e group by p`, uuids(people))
	var who id.ID
	var at time.Time
	_, err := pgx.ForEachRow(rows, []any{&who, &at}, func() error {
		all[who] = at
		return nil
	})
	return all, err
}
