package audit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

// insert writes records at the end of the transaction; then hears how it went.
func (store) insert(ctx context.Context, lines []line, then func(error)) error {
	sql, args := insertion(lines)
	return db.AtCommit(ctx, then, sql, args...)
}

// insertNow writes records that the rest of the transaction reads.
func (store) insertNow(ctx context.Context, lines ...line) error {
	sql, args := insertion(lines)
	_, err := db.Tx(ctx).Exec(ctx, sql, args...)
	return err
}

func insertion(lines []line) (sql string, args []any) {
	if len(lines) == 1 {
		return `insert into audit_record (id, event, body) values ($1, $2, $3)`, []any{lines[0].id, lines[0].event, lines[0].body}
	}
	ids, events, bodies := make([]pgtype.UUID, len(lines)), make([]string, len(lines)), make([][]byte, len(lines))
	for i, l := range lines {
		ids[i], events[i], bodies[i] = pgtype.UUID{Bytes: l.id, Valid: true}, l.event, l.body
	}
	return `insert into audit_record (id, event, body) select * from unnest($1::uuid[], $2::text[], $3::bytea[])`, []any{ids, events, bodies}
}

// last is the newest sequence number of the chain; 0 when it is empty.
func (store) last(ctx context.Context) (sequence int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(sequence), 0) from audit_entry`).Scan(&sequence)
	return sequence, err
}

func (st store) get(ctx context.Context, sequence int64) (Sealed, error) {
	found, err := st.read(ctx, []int64{sequence})
	if err == nil && len(found) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return Sealed{}, err
	}
	return found[0], nil
}

// index gives the next records their words and tells how many. One node does
// it at a time; another one finds nothing to do.
func (store) index(ctx context.Context, most int) (int64, error) {
	done, err := db.Tx(ctx).Exec(ctx, `with free as materialized (select pg_try_advisory_xact_lock(hashtextextended('audit words ' || current_schema(), 0)) as mine)
		insert into audit_word (sequence, words)
		select n.sequence, jsonb_to_tsvector('simple', convert_from(r.body, 'UTF8')::jsonb, '["string", "numeric"]') || to_tsvector('simple', translate(n.event, '.-_', '   '))
		from (select sequence, record_id, event from audit_entry
			where sequence > (select coalesce(max(sequence), 0) from audit_word) and (select mine from free) order by sequence limit $1) n
		join audit_record r on r.id = n.record_id`, most)
	return done.RowsAffected(), err
}

// lock lets one sealer at a time work on a chain.
func (store) lock(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('audit ' || current_schema(), 0))`)
	return err
}

// head returns the last link; sequence 0 when the chain is empty.
func (store) head(ctx context.Context) (sequence int64, hash []byte, horizon uint64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select sequence, link, horizon::text::bigint from audit_entry order by sequence desc limit 1`).
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
// transactions. Rows that were moved from another cluster may have ids that lie
// ahead: with horizon 0 they are looked at, and after that never again.
func (store) unlinked(ctx context.Context, horizon uint64, limit int) ([]unlinked, error) {
	ahead := ``
	if horizon > 0 {
		ahead = `and r.xid < pg_snapshot_xmax(pg_current_snapshot())`
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select r.id, r.body from audit_record r
		where r.xid >= $1::text::xid8 `+ahead+` and not exists (select from audit_entry e where e.record_id = r.id)
		order by r.xid, r.id limit $2`, fmt.Sprint(horizon), limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[unlinked])
}

// entry is a record with its place in the chain.
type entry struct {
	Record
	sequence   int64
	record     id.ID
	leaf, link Hash
	horizon    uint64
}

// link inserts entries in one statement; COPY does not go with row-level security.
func (store) link(ctx context.Context, entries []entry) error {
	n := len(entries)
	var (
		sequences                              = make([]int64, n)
		records, actors                        = make([]pgtype.UUID, n), make([]pgtype.UUID, n)
		leaves, links                          = make([][]byte, n), make([][]byte, n)
		horizons                               = make([]string, n)
		times                                  = make([]time.Time, n)
		events, outcomes, priorities, kinds    = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		names, targetKinds, targetIDs, targets = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		addresses, requests                    = make([]string, n), make([]string, n)
		behalves                               = make([]pgtype.UUID, n)
		behalfKinds, behalfNames               = make([]string, n), make([]string, n)
	)
	for i := range entries {
		e := &entries[i]
		sequences[i], leaves[i], links[i], horizons[i] = e.sequence, e.leaf[:], e.link[:], strconv.FormatUint(e.horizon, 10)
		records[i], actors[i] = pgtype.UUID{Bytes: e.record, Valid: true}, pgtype.UUID{Bytes: e.Actor.ID, Valid: !e.Actor.ID.IsZero()}
		times[i], events[i], outcomes[i], priorities[i] = e.Time, e.Event, string(e.Outcome), string(e.Priority)
		kinds[i], names[i], addresses[i], requests[i] = string(e.Actor.Kind), e.Actor.Name, e.Actor.Address, e.Actor.RequestID
		targetKinds[i], targetIDs[i], targets[i] = e.Target.Kind, e.Target.ID, e.Target.Name
		other := e.Actor.OnBehalfOf
		behalves[i], behalfKinds[i], behalfNames[i] = pgtype.UUID{Bytes: other.ID, Valid: !other.ID.IsZero()}, string(other.Kind), other.Name
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_entry (sequence, record_id, actor_id, leaf, link, horizon, time, event, outcome, priority,
			actor_kind, actor_name, target_kind, target_id, target_name, address, request_id, behalf_id, behalf_kind, behalf_name)
		select s, r, a, l, k, h::xid8, t, v, o, p, ak, an, tk, ti, tn, ad, rq, bi, bk, bn from unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bytea[], $5::bytea[],
			$6::text[], $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
			$16::text[], $17::text[], $18::uuid[], $19::text[], $20::text[]) as u (s, r, a, l, k, h, t, v, o, p, ak, an, tk, ti, tn, ad, rq, bi, bk, bn)`,
		sequences, records, actors, leaves, links, horizons, times, events, outcomes, priorities,
		kinds, names, targetKinds, targetIDs, targets, addresses, requests, behalves, behalfKinds, behalfNames)
	return err
}

// orphans lists records older than the horizon of the chain that have no entry. A
// horizon that lies ahead of every transaction is of another cluster, from which
// the rows were moved, and says nothing here.
func (store) orphans(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select r.id from audit_record r
		where r.xid < (select horizon from audit_entry where horizon <= pg_snapshot_xmax(pg_current_snapshot()) order by sequence desc limit 1)
		and not exists (select from audit_entry e where e.record_id = r.id) order by r.id`)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}
