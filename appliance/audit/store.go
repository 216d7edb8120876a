package audit

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

func (store) insert(ctx context.Context, r Record, body []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_record
		(id, time, event, outcome, priority, actor_id, actor_name, target_kind, target_id, body)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.ID, r.Time, r.Event, r.Outcome, r.Priority, r.Actor.ID, r.Actor.Name, r.Target.Kind, r.Target.ID, body)
	return err
}

const sealedColumns = `l.sequence, l.hash, coalesce(p.hash, ''::bytea), l.sealed_at, r.body
	from audit_link l join audit_record r on r.id = l.record_id left join audit_link p on p.sequence = l.sequence - 1`

func (store) list(ctx context.Context, f Filter) ([]Sealed, error) {
	where, args := f.where()
	rows, _ := db.Tx(ctx).Query(ctx, `select `+sealedColumns+where+
		fmt.Sprintf(` order by l.sequence desc limit %d`, min(max(f.Limit, 1), 200)), args...)
	return pgx.CollectRows(rows, scanSealed)
}

func (f Filter) where() (string, []any) {
	var parts []string
	var args []any
	add := func(when bool, sql string, value any) {
		if when {
			args = append(args, value)
			parts = append(parts, strings.ReplaceAll(sql, "?", fmt.Sprintf("$%d", len(args))))
		}
	}
	add(f.Before > 0, "l.sequence < ?", f.Before)
	add(f.Event != "", "(r.event = ? or r.event like ? || '.%')", f.Event)
	add(f.Actor != "", "(r.actor_id::text = ? or r.actor_name ilike '%' || ? || '%')", f.Actor)
	add(f.Target != "", "r.target_id = ?", f.Target)
	add(f.Outcome != "", "r.outcome = ?", string(f.Outcome))
	add(!f.From.IsZero(), "r.time >= ?", f.From)
	add(!f.To.IsZero(), "r.time < ?", f.To)
	add(f.Text != "", "position(lower(?) in lower(convert_from(r.body, 'UTF8'))) > 0", f.Text)
	if len(parts) == 0 {
		return "", nil
	}
	return " where " + strings.Join(parts, " and "), args
}

func (store) get(ctx context.Context, sequence int64) (Sealed, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+sealedColumns+` where l.sequence = $1`, sequence)
	return pgx.CollectExactlyOneRow(rows, scanSealed)
}

func scanSealed(row pgx.CollectableRow) (Sealed, error) {
	var s Sealed
	if err := row.Scan(&s.Sequence, &s.Hash, &s.Previous, &s.SealedAt, &s.Body); err != nil {
		return s, err
	}
	return s, json.Unmarshal(s.Body, &s.Record)
}

// lock lets one sealer at a time work on a chain.
func (store) lock(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('audit ' || current_schema(), 0))`)
	return err
}

// head returns the last link; sequence 0 when the chain is empty.
func (store) head(ctx context.Context) (sequence int64, hash []byte, horizon uint64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select sequence, hash, horizon::text::bigint from audit_link order by sequence desc limit 1`).
		Scan(&sequence, &hash, &horizon)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return sequence, hash, horizon, err
}

// horizon is the oldest transaction that may still commit records, and the
// newest one that began.
func (store) horizon(ctx context.Context) (oldest, next uint64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint from pg_current_snapshot() s`).
		Scan(&oldest, &next)
	return oldest, next, err
}

type unlinked struct {
	ID   id.ID
	Body []byte
}

// unlinked returns committed records without a link, in the order of their
// transactions.
func (store) unlinked(ctx context.Context, horizon uint64, limit int) ([]unlinked, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select r.id, r.body from audit_record r
		where r.xid >= $1::text::xid8 and not exists (select from audit_link l where l.record_id = r.id)
		order by r.xid, r.id limit $2`, fmt.Sprint(horizon), limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[unlinked])
}

func (store) link(ctx context.Context, sequences []int64, records []id.ID, hashes [][]byte, horizon uint64) error {
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.String()
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_link (sequence, record_id, hash, horizon)
		select s, r::uuid, h, $4::text::xid8 from unnest($1::bigint[], $2::text[], $3::bytea[]) as t (s, r, h)`,
		sequences, ids, hashes, fmt.Sprint(horizon))
	return err
}

// chainRow is one link with the record it points to, if that is there.
type chainRow struct {
	sequence int64
	hash     []byte
	record   id.ID
	body     []byte // nil: missing
	columns  columns
}

type columns struct {
	ID                                  id.ID
	Time                                time.Time
	Event, Outcome, Priority, ActorName string
	ActorID                             id.ID
	TargetKind, TargetID                string
}

// chain calls fn for every link, oldest first.
func (store) chain(ctx context.Context, fn func(chainRow) error) error {
	rows, err := db.Tx(ctx).Query(ctx, `select l.sequence, l.hash, l.record_id, r.body, r.id, coalesce(r.time, 'epoch'),
		coalesce(r.event, ''), coalesce(r.outcome, ''), coalesce(r.priority, ''), coalesce(r.actor_name, ''), r.actor_id,
		coalesce(r.target_kind, ''), coalesce(r.target_id, '')
		from audit_link l left join audit_record r on r.id = l.record_id order by l.sequence`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c chainRow
		k := &c.columns
		err := rows.Scan(&c.sequence, &c.hash, &c.record, &c.body, &k.ID, &k.Time, &k.Event, &k.Outcome, &k.Priority,
			&k.ActorName, &k.ActorID, &k.TargetKind, &k.TargetID)
		if err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return rows.Err()
}

// orphans lists records older than the horizon of the chain that have no link.
func (store) orphans(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select r.id from audit_record r
		where r.xid < (select max(horizon::text::bigint) from audit_link)::text::xid8
		and not exists (select from audit_link l where l.record_id = r.id) order by r.id`)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}
