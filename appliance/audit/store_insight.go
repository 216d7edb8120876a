package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// insightStore keeps what was learned and found.
type insightStore struct{}

// scan is how far a chain was looked at.
type scan struct {
	Sequence int64
	Began    time.Time // zero: nothing was looked at yet
}

// lockScan makes one detection at a time go on with a chain.
func (insightStore) lockScan(ctx context.Context, source string) (s scan, err error) {
	_, err = db.Tx(ctx).Exec(ctx, `insert into audit_anomaly_scan (source, sequence, began) values ($1, 0, 'epoch') on conflict do nothing`, source)
	if err != nil {
		return s, err
	}
	err = db.Tx(ctx).QueryRow(ctx, `select sequence, began from audit_anomaly_scan where source = $1 for update`, source).Scan(&s.Sequence, &s.Began)
	if s.Began.Unix() == 0 {
		s.Began = time.Time{}
	}
	return s, err
}

func (insightStore) saveScan(ctx context.Context, source string, s scan) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_anomaly_scan set sequence = $2, began = $3 where source = $1`, source, s.Sequence, s.Began)
	return err
}

// sealedBefore is the last sequence number of records older than a time.
func (insightStore) sealedBefore(ctx context.Context, at time.Time) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(sequence), 0) from audit_entry where time < $1`, at).Scan(&n)
	return n, err
}

// answering is who answers for a record: of what was done on behalf of somebody
// who is known that one, otherwise who acted. Who is only claimed has no id.
const answering = `coalesce(e.behalf_id, e.actor_id), case when e.behalf_id is null then e.actor_kind else e.behalf_kind end,
	case when e.behalf_id is null then e.actor_name else e.behalf_name end`

const seenColumns = `select e.sequence, e.time, e.event, e.outcome, ` + answering + `, e.target_kind, e.target_id, e.target_name, e.address,
	case when e.event like 'permission.%' or e.event = 'identity.session.created' then r.body end
	from audit_entry e left join audit_record r on r.id = e.record_id `

// after lists the records after a sequence number; with events only those.
func (insightStore) after(ctx context.Context, sequence int64, events []string, limit int) ([]seen, error) {
	rows, _ := db.Tx(ctx).Query(ctx, seenColumns+`where e.sequence > $1 and ($2::text[] is null or e.event = any($2)) order by e.sequence limit $3`,
		sequence, events, limit)
	return pgx.CollectRows(rows, scanSeen)
}

// windowed is how many records before the new ones are searched for those of
// the same window.
const windowed = 50_000

// before lists refusals, and reads, up to a sequence number and since a time.
func (insightStore) before(ctx context.Context, sequence int64, since time.Time) ([]seen, error) {
	rows, _ := db.Tx(ctx).Query(ctx, seenColumns+`where e.sequence <= $1 and e.sequence > $1 - $2::bigint and e.time >= $3
		and (e.event = any($4) or e.event ~ $5) order by e.sequence`, sequence, windowed, since, refusals, reading.String())
	return pgx.CollectRows(rows, scanSeen)
}

func scanSeen(row pgx.CollectableRow) (s seen, err error) {
	return s, row.Scan(&s.Sequence, &s.Time, &s.Event, &s.Outcome, &s.ActorID, &s.ActorKind, &s.ActorName, &s.TargetKind, &s.TargetID, &s.TargetName, &s.Address, &s.Body)
}

func (insightStore) loadHabits(ctx context.Context, m *memory, subjects []string) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select subject, first_seen, last_seen, sign_ins, hours from audit_anomaly_habit where subject = any($1)`, subjects)
	var subject string
	var h habit
	_, err := pgx.ForEachRow(rows, []any{&subject, &h.FirstSeen, &h.LastSeen, &h.SignIns, &h.Hours}, func() error {
		one := h
		one.Hours = slices.Clone(h.Hours)
		m.habits[subject] = &one
		return nil
	})
	return err
}

func (insightStore) loadNetworks(ctx context.Context, m *memory, subjects []string) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select subject, network from audit_anomaly_network where subject = any($1)`, subjects)
	var n network
	_, err := pgx.ForEachRow(rows, []any{&n.Subject, &n.Network}, func() error {
		m.networks[n] = true
		return nil
	})
	return err
}

func (insightStore) loadRoles(ctx context.Context, m *memory) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select role from audit_anomaly_role`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, role := range all {
		m.roles[role] = true
	}
	return err
}

func (insightStore) loadHours(ctx context.Context, m *memory, since time.Time) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select hour, total, failed from audit_anomaly_hour where hour >= $1`, since)
	var at time.Time
	var h hour
	_, err := pgx.ForEachRow(rows, []any{&at, &h.Total, &h.Failed}, func() error {
		one := h
		m.hours[at.UTC()] = &one
		return nil
	})
	return err
}

// saveMemory writes what changed of what was learned.
func (insightStore) saveMemory(ctx context.Context, m *memory) error {
	b := &pgx.Batch{}
	for subject := range m.touched.habits {
		h := m.habits[subject]
		b.Queue(`insert into audit_anomaly_habit (subject, first_seen, last_seen, sign_ins, hours) values ($1, $2, $3, $4, $5)
			on conflict (subject) do update set last_seen = excluded.last_seen, sign_ins = excluded.sign_ins, hours = excluded.hours`,
			subject, h.FirstSeen, h.LastSeen, h.SignIns, h.Hours)
	}
	for n, at := range m.touched.networks {
		b.Queue(`insert into audit_anomaly_network (subject, network, first_seen, last_seen) values ($1, $2, $3, $3)
			on conflict (subject, network) do update set last_seen = excluded.last_seen`, n.Subject, n.Network, at)
	}
	for role, broad := range m.touched.roles {
		if broad {
			b.Queue(`insert into audit_anomaly_role (role) values ($1) on conflict do nothing`, role)
			continue
		}
		b.Queue(`delete from audit_anomaly_role where role = $1`, role)
	}
	var newest time.Time
	for at, added := range m.touched.hours {
		b.Queue(`insert into audit_anomaly_hour as h (hour, total, failed) values ($1, $2, $3)
			on conflict (hour) do update set total = h.total + excluded.total, failed = h.failed + excluded.failed`, at, added.Total, added.Failed)
		if at.After(newest) {
			newest = at
		}
	}
	if !newest.IsZero() {
		b.Queue(`delete from audit_anomaly_hour where hour < $1`, newest.Add(-2*usualDays))
	}
	if b.Len() == 0 {
		return nil
	}
	return db.Tx(ctx).SendBatch(ctx, b).Close()
}

func (insightStore) rules(ctx context.Context) (map[AnomalyKind]AnomalyRule, error) {
	all := standardRules()
	rows, _ := db.Tx(ctx).Query(ctx, `select kind, enabled, parameters from audit_anomaly_rule`)
	var r AnomalyRule
	_, err := pgx.ForEachRow(rows, []any{&r.Kind, &r.Enabled, &r.Parameters}, func() error {
		if _, known := all[r.Kind]; known {
			all[r.Kind] = r.filled()
		}
		r.Parameters = nil
		return nil
	})
	return all, err
}

func (insightStore) saveRule(ctx context.Context, r AnomalyRule) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_anomaly_rule (kind, enabled, parameters) values ($1, $2, $3)
		on conflict (kind) do update set enabled = excluded.enabled, parameters = excluded.parameters, updated_at = now()`, r.Kind, r.Enabled, r.Parameters)
	return err
}

const anomalyColumns = `id, kind, severity, state, subject_kind, subject_id, subject_name, summary, chain = 'provider', evidence, first_at, last_at, count,
	suppressed, decided_by, decided_name, coalesce(decided_at, 'epoch'), note`

func scanAnomaly(row pgx.CollectableRow) (a Anomaly, err error) {
	err = row.Scan(&a.ID, &a.Kind, &a.Severity, &a.State, &a.Subject.Kind, &a.Subject.ID, &a.Subject.Name, &a.Summary, &a.Provider, &a.Evidence,
		&a.FirstAt, &a.LastAt, &a.Count, &a.Suppressed, &a.DecidedBy, &a.Decider, &a.DecidedAt, &a.Note)
	if a.DecidedAt.Unix() == 0 {
		a.DecidedAt = time.Time{}
	}
	return a, err
}

// standing finds the open finding of a pattern, or its false positive.
func (insightStore) standing(ctx context.Context, pattern string) (a Anomaly, last int64, ok bool, err error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+anomalyColumns+` from audit_anomaly where pattern = $1 and state <> 'acknowledged'
		order by state = 'false_positive' desc limit 1 for update`, pattern)
	a, err = pgx.CollectExactlyOneRow(rows, scanAnomaly)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, 0, false, nil
	}
	if err == nil {
		err = db.Tx(ctx).QueryRow(ctx, `select last from audit_anomaly where id = $1`, a.ID).Scan(&last)
	}
	return a, last, err == nil, err
}

// counted is the newest sequence number that any finding of a pattern counted.
func (insightStore) counted(ctx context.Context, pattern string) (last int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(max(last), 0) from audit_anomaly where pattern = $1`, pattern).Scan(&last)
	return last, err
}

func (insightStore) insertAnomaly(ctx context.Context, pattern string, a Anomaly, last int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_anomaly (id, kind, pattern, severity, state, subject_kind, subject_id, subject_name, summary, chain,
			evidence, last, first_at, last_at, count)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $10 then 'provider' else 'own' end, $11, $12, $13, $14, $15)`,
		a.ID, a.Kind, pattern, a.Severity, a.State, a.Subject.Kind, a.Subject.ID, a.Subject.Name, a.Summary, a.Provider, a.Evidence, last, a.FirstAt, a.LastAt, a.Count)
	return err
}

func (insightStore) updateAnomaly(ctx context.Context, a Anomaly, last int64) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_anomaly set severity = $2, summary = $3, evidence = $4, last = $5, last_at = $6, count = $7, suppressed = $8
		where id = $1`, a.ID, a.Severity, a.Summary, a.Evidence, last, a.LastAt, a.Count, a.Suppressed)
	return err
}

// anomalies lists findings, newest first.
func (insightStore) anomalies(ctx context.Context, f AnomalyFilter) ([]Anomaly, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+anomalyColumns+` from audit_anomaly
		where ($1 = '' or state = $1) and ($2 = '' or kind = $2) and ($3::uuid is null or id < $3) order by id desc limit $4`,
		f.State, f.Kind, pgtype.UUID{Bytes: f.Before, Valid: !f.Before.IsZero()}, f.Limit)
	return pgx.CollectRows(rows, scanAnomaly)
}

func (insightStore) anomaly(ctx context.Context, anomaly id.ID) (Anomaly, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+anomalyColumns+` from audit_anomaly where id = $1`, anomaly)
	return pgx.CollectExactlyOneRow(rows, scanAnomaly)
}

// lockedAnomaly is one that nobody else changes until the transaction ends.
func (insightStore) lockedAnomaly(ctx context.Context, anomaly id.ID) (Anomaly, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+anomalyColumns+` from audit_anomaly where id = $1 for update`, anomaly)
	return pgx.CollectExactlyOneRow(rows, scanAnomaly)
}

func (insightStore) decide(ctx context.Context, a Anomaly) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_anomaly set state = $2, decided_by = $3, decided_name = $4, decided_at = $5, note = $6 where id = $1`,
		a.ID, a.State, pgtype.UUID{Bytes: a.DecidedBy, Valid: !a.DecidedBy.IsZero()}, a.Decider, a.DecidedAt, a.Note)
	if err != nil {
		return fmt.Errorf("decide about an anomaly: %w", err)
	}
	return nil
}

// openAnomalies counts open findings by severity.
func (insightStore) openAnomalies(ctx context.Context) (map[Severity]int64, error) {
	all := map[Severity]int64{}
	rows, _ := db.Tx(ctx).Query(ctx, `select severity, count(*) from audit_anomaly where state = 'open' group by severity`)
	var s Severity
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&s, &n}, func() error {
		all[s] = n
		return nil
	})
	return all, err
}
