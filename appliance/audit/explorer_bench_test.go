package audit

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// BenchmarkExplorer asks what a person asks of a trail of 10 million records
// (NIMBUS_BENCH_RECORDS for another number) and prints the median and the 95th
// percentile of each question in milliseconds, and of all of them.
func BenchmarkExplorer(b *testing.B) {
	records := 10_000_000
	if n, err := strconv.Atoi(os.Getenv("NIMBUS_BENCH_RECORDS")); err == nil {
		records = n
	}
	d, history, dsn := dbtest.OpenDSN(b, Migrations)
	s := New(Config{DB: d, IsRoot: func(id.ID) bool { return false }, Check: func(context.Context, string) error { return nil }})
	tenant := id.New()
	if err := d.AddTenant(b.Context(), tenant, history); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	fill(b, dsn, db.TenantSchema(tenant), records)
	b.Logf("%d records in %v", records, time.Since(start).Round(time.Second))
	ctx := actor.AsSystem(b.Context(), "test", tenant)
	now := time.Now()
	middle := int64(records / 2)
	questions := []struct {
		name string
		Filter
	}{
		{"newest", Filter{}},
		{"deep-page", Filter{Before: 1000}},
		{"frequent-event", Filter{Events: []string{"bench.e0.done"}}},
		{"rare-event", Filter{Events: []string{"bench.rare.done"}}},
		{"event-prefix", Filter{Events: []string{"bench.e3"}}},
		{"category", Filter{Category: "bench"}},
		{"denied", Filter{Outcome: Denied}},
		{"critical", Filter{Priority: Critical}},
		{"warnings", Filter{Priority: Warning}},
		{"actor-name", Filter{Actor: "person 17"}},
		{"actor-part", Filter{Actor: "person"}},
		{"target", Filter{Target: "target-4711"}},
		{"address", Filter{Address: "10.0.0.7"}},
		{"request", Filter{RequestID: "request-1234567"}},
		{"month-ago", Filter{From: now.AddDate(0, -1, -1), To: now.AddDate(0, -1, 0)}},
		{"event-in-old-week", Filter{Events: []string{"bench.e5.done"}, From: now.AddDate(0, -6, -7), To: now.AddDate(0, -6, 0)}},
		{"denied-of-actor", Filter{Actor: "person 3", Outcome: Denied}},
		{"target-and-event", Filter{Target: "target-4711", Events: []string{"bench.e1.done"}}},
		{"actor-and-event", Filter{Actor: "person 150", Events: []string{"bench.e7.done"}, Before: middle}},
		{"frequent-word", Filter{Text: "common"}},
		{"word", Filter{Text: "word123"}},
		{"rare-word", Filter{Text: "needle"}},
		{"word-and-denied", Filter{Text: "word77", Outcome: Denied}},
		{"two-words-deep", Filter{Text: "common word42", Before: middle}},
		{"absent-word", Filter{Text: "nowhere"}},
	}
	var all []time.Duration
	for b.Loop() {
		for _, q := range questions {
			q.Limit = 50
			var took []time.Duration
			for range 20 {
				start := time.Now()
				if _, err := s.List(ctx, q.Filter); err != nil {
					b.Fatal(q.name, err)
				}
				took = append(took, time.Since(start))
			}
			all = append(all, took...)
			b.ReportMetric(milliseconds(took, 0.5), q.name+"-p50-ms")
			b.ReportMetric(milliseconds(took, 0.95), q.name+"-p95-ms")
		}
	}
	b.ReportMetric(milliseconds(all, 0.95), "all-p95-ms")
	b.ReportMetric(0, "ns/op")
}

func milliseconds(took []time.Duration, quantile float64) float64 {
	took = slices.Clone(took)
	slices.Sort(took)
	return float64(took[int(quantile*float64(len(took)-1))].Microseconds()) / 1000
}

// fill writes records straight into the tables: a year of them, events and
// people as uneven as they are. Indexes are made afterwards.
func fill(b *testing.B, dsn, schema string, records int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	exec := func(sql string, args ...any) {
		b.Helper()
		if _, err := conn.Exec(b.Context(), sql, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(db.SearchableSQL)
	exec("set synchronous_commit = off")
	exec("set maintenance_work_mem = '1GB'")
	exec("set search_path = " + schema + ", public")
	rows, _ := conn.Query(b.Context(), `select indexdef, indexname from pg_indexes where schemaname = $1 and tablename in ('audit_entry', 'audit_word', 'audit_record')
		and indexname not like '%_pkey' and indexname not like '%_key'`, schema)
	indexes, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (pair [2]string, err error) { return pair, r.Scan(&pair[0], &pair[1]) })
	if err != nil {
		b.Fatal(err)
	}
	for _, i := range indexes {
		exec("drop index " + i[1])
	}
	exec(`create temp table vocabulary as select n, to_tsvector('simple', 'common other' || (n % 7) || ' word' || n || ' name' || (n % 100)) as v from generate_series(0, 999) n`)
	exec(`create index on vocabulary (n)`)
	// The n-th value of a square law: the first are frequent, the last are rare.
	exec(`create function pg_temp.uneven(g bigint, most int, salt int) returns int language sql immutable as
		$$ select (most * power(((hashint8(g * 31 + salt)::bigint + 2147483648) % 100000) / 100000.0, 3))::int $$`)
	const chunk = 1_000_000
	for first := 1; first <= records; first += chunk {
		last := min(first+chunk-1, records)
		exec(`with g as (select g, now() - (($3 - g)::float8 / $3 * interval '365 days') as at, gen_random_uuid() as id,
				case when g % 200003 = 0 then 'bench.rare.done' else 'bench.e' || pg_temp.uneven(g, 39, 1) || '.done' end as event,
				pg_temp.uneven(g, 199, 2) as who, pg_temp.uneven(g, 49999, 3) as what
				from generate_series($1::bigint, $2::bigint) g),
			records as (insert into audit_record (id, xid, event, body)
				select id, '3'::xid8, event, convert_to(format('{"v":1,"id":"%s","time":"2026-01-01T00:00:00Z","event":"%s","outcome":"success","priority":"info","actor":{"kind":"user","name":"person %s"},"target":{"kind":"vm","id":"target-%s"}}', id, event, who, what), 'UTF8') from g)
			insert into audit_entry (sequence, record_id, leaf, link, horizon, sealed_at, time, event, outcome, priority, actor_id, actor_kind, actor_name,
				target_kind, target_id, target_name, address, request_id)
			select g, id, '\x00', '\x00', '3', at, at, event, case when g % 50 = 0 then 'denied' when g % 33 = 0 then 'failure' else 'success' end,
				case when g % 100003 = 0 then 'critical' when g % 20 = 0 then 'warning' else 'info' end, null, 'user', 'person ' || who,
				'vm', 'target-' || what, '', '10.0.0.' || (who % 50), 'request-' || (g / 2) from g`, first, last, records)
		exec(`insert into audit_word (sequence, words) select g, case when g % 1000003 = 0 then v || 'needle:9'::tsvector else v end
			from generate_series($1::bigint, $2::bigint) g join vocabulary on n = g % 1000`, first, last)
	}
	for _, i := range indexes {
		exec(i[0])
	}
	exec(fmt.Sprintf("vacuum analyze %[1]s.audit_entry, %[1]s.audit_word, %[1]s.audit_record", schema))
}
