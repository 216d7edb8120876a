package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// lockLife lets one transaction at a time change what is kept, held, archived
// or pruned of a chain. audit_prune takes the same lock.
func (store) lockLife(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('audit life ' || current_schema(), 0))`)
	return err
}

func (store) retention(ctx context.Context) (Retention, error) {
	r := Retention{ArchiveAfterDays: defaultArchive}
	err := db.Tx(ctx).QueryRow(ctx, `select default_days, archive_after_days, prune_enabled from audit_retention`).Scan(&r.DefaultDays, &r.ArchiveAfterDays, &r.PruneEnabled)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return r, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select event, days from audit_retention_rule order by event`)
	r.Rules, err = pgx.CollectRows(rows, pgx.RowToStructByPos[RetentionRule])
	return r, err
}

func (store) setRetention(ctx context.Context, r Retention) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_retention (default_days, archive_after_days, prune_enabled) values ($1, $2, $3)
		on conflict (only_row) do update set default_days = excluded.default_days, archive_after_days = excluded.archive_after_days,
			prune_enabled = excluded.prune_enabled, updated_at = now()`, r.DefaultDays, r.ArchiveAfterDays, r.PruneEnabled)
	if err != nil {
		return err
	}
	events, days := make([]string, len(r.Rules)), make([]*int, len(r.Rules))
	for i, rule := range r.Rules {
		events[i], days[i] = rule.Event, rule.Days
	}
	if _, err := db.Tx(ctx).Exec(ctx, `delete from audit_retention_rule`); err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into audit_retention_rule (event, days) select * from unnest($1::text[], $2::integer[])`, events, days)
	return err
}

const holdColumns = `select id, name, reason, from_sequence, to_sequence, from_time, to_time, actor, target, event,
	created_by, creator, created_at, released_at, released_by, releaser, release_reason from audit_hold`

func scanHold(row pgx.CollectableRow) (h Hold, err error) {
	var by, released *id.ID
	var releaser string
	err = row.Scan(&h.ID, &h.Name, &h.Reason, &h.FromSequence, &h.ToSequence, &h.From, &h.To, &h.Filter.Actor, &h.Filter.Target, &h.Filter.Event,
		&by, &h.CreatedBy.Name, &h.CreatedAt, &h.ReleasedAt, &released, &releaser, &h.ReleaseReason)
	if by != nil {
		h.CreatedBy.ID = *by
	}
	if released != nil {
		h.ReleasedBy = &Somebody{*released, releaser}
	}
	return h, err
}

// holds lists those that hold first. They are few: people make them.
func (store) holds(ctx context.Context) ([]Hold, error) {
	rows, _ := db.Tx(ctx).Query(ctx, holdColumns+` order by released_at is not null, created_at desc limit 1000`)
	return pgx.CollectRows(rows, scanHold)
}

func (store) hold(ctx context.Context, hold id.ID) (Hold, error) {
	rows, _ := db.Tx(ctx).Query(ctx, holdColumns+` where id = $1 for update`, hold)
	return pgx.CollectExactlyOneRow(rows, scanHold)
}

func (store) addHold(ctx context.Context, h Hold) (at time.Time, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `insert into audit_hold (id, name, reason, from_sequence, to_sequence, from_time, to_time, actor, target, event, created_by, creator)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning created_at`, h.ID, h.Name, h.Reason, h.FromSequence, h.ToSequence, h.From, h.To,
		h.Filter.Actor, h.Filter.Target, h.Filter.Event, h.CreatedBy.ID, h.CreatedBy.Name).Scan(&at)
	return at, err
}

func (store) releaseHold(ctx context.Context, hold, by id.ID, name, why string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_hold set released_at = now(), released_by = $2, releaser = $3, release_reason = $4 where id = $1`, hold, by, name, why)
	return err
}

// archive is the present target and how the last run went.
func (store) archive(ctx context.Context) (ArchiveStatus, error) {
	a := ArchiveStatus{ArchiveTarget: ArchiveTarget{Kind: ArchiveNone}, Waiting: Waiting{For: []string{}}}
	var settings []byte
	err := db.Tx(ctx).QueryRow(ctx, `select id, kind, settings, secret from audit_archive_target where current`).Scan(&a.id, &a.Kind, &settings, &a.sealed)
	if err == nil {
		err = json.Unmarshal(settings, &a.ArchiveTarget)
		a.HasSecret = len(a.sealed) > 0
	} else if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return a, err
	}
	err = db.Tx(ctx).QueryRow(ctx, `select ran_at, failed_at, error, waiting, waits_for from audit_archive_state`).
		Scan(&a.RanAt, &a.FailedAt, &a.Error, &a.Records, &a.For)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return a, err
}

// setArchive makes a target the present one. Others are kept for their segments.
func (store) setArchive(ctx context.Context, t ArchiveTarget) error {
	if _, err := db.Tx(ctx).Exec(ctx, `update audit_archive_target set current = false where current and id <> $1`, t.id); err != nil || t.Kind == ArchiveNone {
		return err
	}
	settings, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into audit_archive_target (id, kind, settings, secret, current) values ($1, $2, $3, $4, true)
		on conflict (id) do update set settings = excluded.settings, secret = excluded.secret, current = true, updated_at = now()`, t.id, t.Kind, settings, t.sealed)
	return err
}

// archiveRan keeps how a run ended: with a problem, or "".
func (store) archiveRan(ctx context.Context, problem string) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_archive_state as a (ran_at, failed_at, error) values (now(), case when $1 <> '' then now() end, $1)
		on conflict (only_row) do update set ran_at = now(), error = excluded.error,
			failed_at = case when excluded.failed_at is not null then coalesce(a.failed_at, excluded.failed_at) end`, problem)
	return err
}

// withheld is what would be pruned if every enabled sink had it. What was not
// archived yet is not counted.
func (store) withheld(ctx context.Context) (w Waiting, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `with edge as (select min(cursor) as cursor from audit_sink where enabled),
		over as (select count(o) as records, max(o) as last from edge, audit_over(edge.cursor + 1, (select max(last) from audit_segment)) o)
		select records, array(select name from audit_sink, over where enabled and cursor < over.last order by lower(name)) from over`).Scan(&w.Records, &w.For)
	return w, err
}

func (store) setWaiting(ctx context.Context, w Waiting) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_archive_state (ran_at, waiting, waits_for) values (now(), $1, $2)
		on conflict (only_row) do update set waiting = excluded.waiting, waits_for = excluded.waits_for`, w.Records, w.For)
	return err
}

// archived is the last record that is in the archive; 0 when none is.
func (store) archived(ctx context.Context) (last int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(last), 0) from audit_segment`).Scan(&last)
	return last, err
}

// coldest is the record before the first one, from a sequence number on, that
// was sealed at a time or later.
func (store) coldest(ctx context.Context, first int64, at time.Time) (last int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(
		(select min(sequence) - 1 from audit_entry where sealed_at >= $2 and sequence between $1 and $3), (select max(sequence) from audit_entry), 0)`, first, at, first+segmentMost).Scan(&last)
	return last, err
}

func (store) addSegment(ctx context.Context, seg Segment, target id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_segment (id, first, last, bytes, plain, key, sha256, target_id) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		seg.ID, seg.First, seg.Last, seg.Bytes, seg.Plain, seg.Key, seg.SHA256, target)
	if err == nil {
		_, err = db.Tx(ctx).Exec(ctx, `insert into audit_segment_check (segment_id, error) values ($1, '')`, seg.ID)
	}
	return err
}

// archived is a segment with where it is and what became of it.
type archived struct {
	Segment
	place ArchiveTarget

	CreatedAt  time.Time
	VerifiedAt *time.Time // the last time that it was read back and found whole
	Error      string     // of the last time
	PrunedAt   *time.Time
	Pruned     int64 // records
}

const segmentColumns = `select s.id, s.first, s.last, s.bytes, s.plain, s.key, s.sha256, s.created_at, t.id, t.kind, t.settings, t.secret,
	(select max(c.at) from audit_segment_check c where c.segment_id = s.id and c.error = ''),
	coalesce((select c.error from audit_segment_check c where c.segment_id = s.id order by c.at desc limit 1), ''),
	(select max(p.at) from audit_pruning p where p.segment_id = s.id), (select coalesce(sum(p.records), 0)::bigint from audit_pruning p where p.segment_id = s.id)
	from audit_segment s join audit_archive_target t on t.id = s.target_id `

func scanSegment(row pgx.CollectableRow) (a archived, err error) {
	var settings []byte
	err = row.Scan(&a.ID, &a.First, &a.Last, &a.Bytes, &a.Plain, &a.Key, &a.SHA256, &a.CreatedAt, &a.place.id, &a.place.Kind, &settings, &a.place.sealed,
		&a.VerifiedAt, &a.Error, &a.PrunedAt, &a.Pruned)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(settings, &a.place)
}

// segmentAfter is the first segment after a sequence number.
func (store) segmentAfter(ctx context.Context, after int64) (archived, bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, segmentColumns+`where s.first > $1 order by s.first limit 1`, after)
	found, err := pgx.CollectExactlyOneRow(rows, scanSegment)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	return found, err == nil, err
}

// segments lists segments before a sequence number, the newest first.
func (store) segments(ctx context.Context, before int64, limit int) ([]archived, error) {
	rows, _ := db.Tx(ctx).Query(ctx, segmentColumns+`where $1 = 0 or s.first < $1 order by s.first desc limit $2`, before, limit)
	return pgx.CollectRows(rows, scanSegment)
}

func (store) segment(ctx context.Context, segment id.ID) (archived, error) {
	rows, _ := db.Tx(ctx).Query(ctx, segmentColumns+`where s.id = $1`, segment)
	return pgx.CollectExactlyOneRow(rows, scanSegment)
}

// checkSegment keeps how reading a segment back ended, and returns how it ended
// the time before.
func (store) checkSegment(ctx context.Context, segment id.ID, problem string) (before string, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select error from audit_segment_check where segment_id = $1 order by at desc limit 1`, segment).Scan(&before)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return before, err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into audit_segment_check (segment_id, error) values ($1, $2)`, segment, problem)
	return before, err
}

// due are the ranges of records that may go now, as the database decides it.
func (store) due(ctx context.Context, first, last int64) ([][2]int64, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select d from audit_due($1, $2) d order by 1`, first, last)
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return spans(numbers), err
}

// prune has the database delete what a record of this transaction tells of. It
// returns fault.Conflict with the database's sentence when that may not be.
func (store) prune(ctx context.Context, told id.ID) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select audit_prune($1)`, told).Scan(&n)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "P0001" {
		return 0, fault.Wrap(fault.Conflict, err, "The database refuses to prune. %s", refused.Message)
	}
	return n, err
}

// prunedAfter tells whether a record after a sequence number tells of something
// pruned.
func (store) prunedAfter(ctx context.Context, sequence int64) (any bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select from audit_entry where event = $1 and sequence > $2)`, PrunedEvent, sequence).Scan(&any)
	return any, err
}

// unarchived lists the records that tell of something pruned into a segment
// that the archive does not have.
func (store) unarchived(ctx context.Context) ([]int64, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select t.sequence from (
			select e.sequence, convert_from(r.body, 'UTF8')::jsonb -> 'details' as told from audit_entry e join audit_record r on r.id = e.record_id where e.event = $1) t
		left join audit_segment s on s.id::text = t.told ->> 'segment' and s.sha256 = t.told ->> 'sha256'
		where s.id is null or exists (select from jsonb_array_elements(t.told -> 'ranges') r where (r ->> 0)::bigint < s.first or (r ->> 1)::bigint > s.last)
		order by 1`, PrunedEvent)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// knowsKey tells whether an object is a segment.
func (store) knowsKey(ctx context.Context, key string) (known bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select exists (select from audit_segment where key = $1)`, key).Scan(&known)
	return known, err
}

// keptCounts counts what is archived, pruned and held.
func (store) keptCounts(ctx context.Context, k *Kept) error {
	return db.Tx(ctx).QueryRow(ctx, `with newest as (select s.id, c.at, c.error from audit_segment s
			left join lateral (select at, error from audit_segment_check where segment_id = s.id order by at desc limit 1) c on true)
		select (select sealed_at from audit_entry order by sequence limit 1),
			(select count(*) from audit_hold where released_at is null),
			(select coalesce(sum(last - first + 1), 0)::bigint from audit_segment),
			(select coalesce(sum(records), 0)::bigint from audit_pruning),
			count(*), count(*) filter (where error <> ''), min(at) from newest`).
		Scan(&k.Oldest, &k.Holds, &k.Archived, &k.Pruned, &k.Segments, &k.Damaged, &k.ReadBackAt)
}

// stale are segments that were not read back since a time, the longest first.
func (store) stale(ctx context.Context, since time.Time, most int) ([]archived, error) {
	rows, _ := db.Tx(ctx).Query(ctx, segmentColumns+`where coalesce((select max(c.at) from audit_segment_check c where c.segment_id = s.id), 'epoch') < $1
		order by (select max(c.at) from audit_segment_check c where c.segment_id = s.id) nulls first limit $2`, since, most)
	return pgx.CollectRows(rows, scanSegment)
}

// prunedSegment is the first segment with the record of that number or a later
// one from which something was pruned.
func (store) prunedSegment(ctx context.Context, next int64) (archived, bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, segmentColumns+`where s.last >= $1 and exists (select from audit_pruning p where p.segment_id = s.id) order by s.first limit 1`, next)
	found, err := pgx.CollectExactlyOneRow(rows, scanSegment)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	return found, err == nil, err
}
