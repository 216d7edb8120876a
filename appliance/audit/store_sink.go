package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// sinkRow is a sink as it is stored.
type sinkRow struct {
	Sink
	secrets  []byte
	failures int
	dueNow   bool // a dead letter waits to be sent again
}

const sinkColumns = `select s.id, s.name, s.kind, s.enabled, s.filter, s.batch_size, s.format, s.url, s.address, s.transport, s.ca_pem, s.client_cert_pem,
	s.has, s.secrets, s.cursor, s.sent, s.failures, s.failing_since, s.last_success, s.last_error, s.retry_at, s.created_at, s.updated_at, now(),
	greatest(coalesce((select max(sequence) from audit_entry), 0) - s.cursor, 0),
	(select count(*) from audit_dead_letter d where d.sink_id = s.id), exists (select from audit_dead_letter d where d.sink_id = s.id and d.due)
	from audit_sink s `

func scanSink(row pgx.CollectableRow) (sinkRow, error) {
	var s sinkRow
	var has []string
	var since *time.Time
	var now time.Time
	h := &s.Health
	err := row.Scan(&s.ID, &s.Name, &s.Kind, &s.Enabled, &s.Filter, &s.BatchSize, &s.Format, &s.URL, &s.Address, &s.Transport, &s.CAPEM, &s.ClientCertPEM,
		&has, &s.secrets, &s.Cursor, &h.Sent, &s.failures, &since, &h.LastSuccess, &h.LastError, &h.RetryAt, &s.CreatedAt, &s.UpdatedAt, &now,
		&h.Lag, &h.Dead, &s.dueNow)
	for _, one := range has {
		s.HasSecret = s.HasSecret || one == "secret"
		s.HasAuthorization = s.HasAuthorization || one == "authorization"
		s.HasClientKey = s.HasClientKey || one == "client_key"
	}
	s.Filter.complete()
	h.judge(s.Enabled, s.failures, since, now)
	return s, err
}

// has is what the column of that name says.
func (s Sink) has() []string {
	all := []string{}
	for name, there := range map[string]bool{"secret": s.HasSecret, "authorization": s.HasAuthorization, "client_key": s.HasClientKey} {
		if there {
			all = append(all, name)
		}
	}
	return all
}

func (store) sinks(ctx context.Context) ([]Sink, error) {
	rows, _ := db.Tx(ctx).Query(ctx, sinkColumns+`order by lower(s.name)`)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Sink, error) {
		s, err := scanSink(row)
		return s.Sink, err
	})
}

func (store) sink(ctx context.Context, sink id.ID, lock bool) (sinkRow, error) {
	sql := sinkColumns + `where s.id = $1`
	if lock {
		sql += ` for update of s`
	}
	rows, _ := db.Tx(ctx).Query(ctx, sql, sink)
	return pgx.CollectExactlyOneRow(rows, scanSink)
}

func (store) countSinks(ctx context.Context) (n int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_sink`).Scan(&n)
	return n, err
}

// addSink begins after the newest record, or before record from when that is
// above zero.
func (store) addSink(ctx context.Context, s sinkRow, from int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_sink (id, name, kind, enabled, filter, batch_size, format, url, address, transport, ca_pem,
			client_cert_pem, has, secrets, cursor)
		select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, case when $15 > 0 then least($15 - 1, m) else m end
		from (select coalesce(max(sequence), 0) as m from audit_entry) as newest`,
		s.ID, s.Name, string(s.Kind), s.Enabled, s.Filter, s.BatchSize, string(s.Format), s.URL, s.Address, string(s.Transport), s.CAPEM,
		s.ClientCertPEM, s.has(), s.secrets, from)
	return err
}

// updateSink also forgets how delivery went so far, so that it is tried at once.
func (store) updateSink(ctx context.Context, s sinkRow) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_sink set name = $2, enabled = $3, filter = $4, batch_size = $5, format = $6, url = $7, address = $8,
		transport = $9, ca_pem = $10, client_cert_pem = $11, has = $12, secrets = $13, retry_at = null, updated_at = now() where id = $1`,
		s.ID, s.Name, s.Enabled, s.Filter, s.BatchSize, string(s.Format), s.URL, s.Address, string(s.Transport), s.CAPEM, s.ClientCertPEM, s.has(), s.secrets)
	return err
}

func (store) deleteSink(ctx context.Context, sink id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from audit_sink where id = $1`, sink)
	return err
}

func (store) rewind(ctx context.Context, sink id.ID, cursor int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_sink set cursor = $2, retry_at = null where id = $1`, sink, cursor)
	return err
}

// dueSinks lists what has something to deliver now, and when the next one has.
func (store) dueSinks(ctx context.Context) (due []id.ID, next *time.Duration, err error) {
	rows, err := db.Tx(ctx).Query(ctx, `select s.id, extract(epoch from greatest(coalesce(s.retry_at, now()), coalesce(s.lease_until, now())) - now())::float8
		from audit_sink s where s.enabled and (s.cursor < coalesce((select max(sequence) from audit_entry), 0)
			or exists (select from audit_dead_letter d where d.sink_id = s.id and d.due))`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var sink id.ID
		var seconds float64
		if err := rows.Scan(&sink, &seconds); err != nil {
			return nil, nil, err
		}
		if wait := time.Duration(seconds * float64(time.Second)); wait <= 0 {
			due = append(due, sink)
		} else if next == nil || wait < *next {
			next = &wait
		}
	}
	return due, next, rows.Err()
}

// deadSinks lists the sinks to which nothing got for long.
func (store) deadSinks(ctx context.Context) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from audit_sink where enabled and failures > 0 and failing_since <= now() - $1 * interval '1 second'`, deadAfter.Seconds())
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

// claim takes or extends the right to deliver, so that only one node does.
func (store) claim(ctx context.Context, sink, lease id.ID, d time.Duration) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update audit_sink set lease = $2, lease_until = now() + $3 * interval '1 second'
		where id = $1 and enabled and (lease is null or lease = $2 or lease_until < now()) and (retry_at is null or retry_at <= now())`, sink, lease, d.Seconds())
	return tag.RowsAffected() == 1, err
}

func (store) release(ctx context.Context, sink, lease id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_sink set lease = null, lease_until = null where id = $1 and lease = $2`, sink, lease)
	return err
}

// scanWindow is how many sequence numbers one look covers.
const scanWindow = 5000

// pending reads the next records that match, and up to where it looked.
func (store) pending(ctx context.Context, s Sink) (found []Sealed, upTo int64, err error) {
	if err := db.Tx(ctx).QueryRow(ctx, `select least(coalesce(max(sequence), 0), $1) from audit_entry`, s.Cursor+scanWindow).Scan(&upTo); err != nil {
		return nil, 0, err
	}
	found, err = selected(ctx, s.Filter, s.Cursor+1, upTo, s.BatchSize)
	if len(found) == s.BatchSize {
		upTo = found[len(found)-1].Sequence
	}
	return found, max(upTo, s.Cursor), err
}

// selected reads records of a range that a filter lets through, oldest first.
func selected(ctx context.Context, f SinkFilter, from, to int64, limit int) ([]Sealed, error) {
	f.complete()
	least := 0
	for i, p := range rank {
		if p == f.MinPriority {
			least = i
		}
	}
	allowed, outcomes := []string{}, []string{}
	for _, p := range rank[least:] {
		allowed = append(allowed, string(p))
	}
	for _, o := range f.Outcomes {
		outcomes = append(outcomes, string(o))
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select e.sequence, e.leaf, r.body from audit_entry e join audit_record r on r.id = e.record_id
		where e.sequence between $1 and $2 and e.priority = any($3)
		and (cardinality($4::text[]) = 0 or e.outcome = any($4)) and (cardinality($5::text[]) = 0 or split_part(e.event, '.', 1) = any($5))
		and (cardinality($6::text[]) = 0 or exists (select from unnest($6::text[]) c where e.event = c or starts_with(e.event, rtrim(c, '.') || '.')))
		order by e.sequence limit $7`, from, to, allowed, outcomes, f.Categories, f.Events, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Sealed, err error) {
		if err := row.Scan(&s.Sequence, &s.Leaf, &s.Body); err != nil {
			return s, err
		}
		return s, json.Unmarshal(s.Body, &s.Record)
	})
}

// settled moves the cursor, unless it was moved by somebody else meanwhile.
func (store) settled(ctx context.Context, s Sink, lease id.ID, to int64, sent int) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update audit_sink set cursor = $4, sent = sent + $5 where id = $1 and lease = $2 and cursor = $3`,
		s.ID, lease, s.Cursor, to, sent)
	return tag.RowsAffected() == 1, err
}

func (store) succeeded(ctx context.Context, sink id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_sink set failures = 0, failing_since = null, last_success = now(), last_error = '', retry_at = null
		where id = $1`, sink)
	return err
}

func (store) failed(ctx context.Context, sink id.ID, reason string, wait time.Duration) (failures int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `update audit_sink set failures = failures + 1, failing_since = coalesce(failing_since, now()), last_error = $2,
		retry_at = now() + $3 * interval '1 second' where id = $1 returning failures`, sink, reason, wait.Seconds()).Scan(&failures)
	return failures, err
}

const letterColumns = ` id, first, last, reason, attempts, due, created_at`

func (store) deadLetters(ctx context.Context, sink, after id.ID, limit int) ([]DeadLetter, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select`+letterColumns+` from audit_dead_letter where sink_id = $1 and id > $2 order by id limit $3`, sink, after, limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[DeadLetter])
}

func (store) addLetter(ctx context.Context, sink id.ID, l DeadLetter) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_dead_letter (id, sink_id, first, last, reason, attempts) values ($1, $2, $3, $4, $5, $6)`,
		id.New(), sink, l.First, l.Last, l.Reason, l.Attempts)
	return err
}

// markDue marks one dead letter, or all with the zero id.
func (store) markDue(ctx context.Context, sink, letter id.ID) (int64, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update audit_dead_letter set due = true where sink_id = $1 and ($2::uuid is null or id = $2)`, sink, letter)
	return tag.RowsAffected(), err
}

func (store) dueLetter(ctx context.Context, sink id.ID) (l DeadLetter, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select`+letterColumns+` from audit_dead_letter where sink_id = $1 and due order by id limit 1`, sink)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[DeadLetter])
}

func (store) returned(ctx context.Context, letter id.ID, reason string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_dead_letter set due = false, attempts = attempts + 1, reason = $2 where id = $1`, letter, reason)
	return err
}

func (store) removeLetter(ctx context.Context, sink, letter id.ID) (DeadLetter, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from audit_dead_letter where sink_id = $1 and id = $2 returning`+letterColumns, sink, letter)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[DeadLetter])
}

func (store) letterSent(ctx context.Context, sink, letter id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `with gone as (delete from audit_dead_letter where id = $2 and sink_id = $1)
		update audit_sink set sent = sent + 1 where id = $1`, sink, letter)
	return err
}

// message is a record as collectors get it.
func message(chain id.ID, s Sealed) siem.Message {
	m := siem.Message{
		Sequence: s.Sequence, ID: s.ID.String(), Time: s.Time, Chain: chainName(chain), Event: s.Event, Category: Category(s.Event),
		Priority: string(s.Priority), Outcome: string(s.Outcome), Actor: siem.Party{Kind: string(s.Actor.Kind), Name: s.Actor.Name},
		Target:  siem.Party{ID: s.Target.ID, Kind: s.Target.Kind, Name: s.Target.Name},
		Address: s.Actor.Address, Request: s.Actor.RequestID, Reason: s.Reason, Leaf: s.Leaf, Body: s.Body,
	}
	if !s.Actor.ID.IsZero() {
		m.Actor.ID = s.Actor.ID.String()
	}
	if other := s.Actor.OnBehalfOf; other != (actor.Principal{}) {
		m.Behalf = siem.Behalf{Party: siem.Party{Kind: string(other.Kind), Name: other.Name}, Claimed: other.Claimed}
		if !other.ID.IsZero() {
			m.Behalf.ID = other.ID.String()
		}
	}
	if !json.Valid(m.Body) {
		m.Body = nil
	}
	return m
}
