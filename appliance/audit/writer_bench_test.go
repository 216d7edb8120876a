package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// callers is how many ask at once.
const callers = 64

// BenchmarkAppend has 64 callers record events alone, with the sealer at work,
// on the provider's chain and on one tenant's. The goal: 10,000 a second and
// a p99 of at most 50 ms.
func BenchmarkAppend(b *testing.B) {
	for _, tenant := range []string{"provider", "tenant"} {
		b.Run(tenant, func(b *testing.B) { benchAppend(b, tenant == "tenant") })
	}
}

func benchAppend(b *testing.B, inTenant bool) {
	s := lasting(b)
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada Lovelace", Address: "192.0.2.7", RequestID: id.New().String()})
	var chain id.ID
	if inTenant {
		chain = id.New()
		if err := s.DB.AddTenant(ctx, chain, s.history); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	start := time.Now()
	sealed := s.Stats().Sealed
	took := appendMany(b, ctx, s.Service, chain, b.N)
	elapsed := time.Since(start)
	behind := b.N - int(s.Stats().Sealed-sealed)
	for s.Stats().Sealed-sealed < uint64(b.N) {
		time.Sleep(5 * time.Millisecond)
	}
	lag := time.Since(start) - elapsed
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "appends/s")
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(float64(behind), "unsealed-at-end")
	b.ReportMetric(ms(lag), "sealed-after-ms")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// appendMany records n events from all callers and returns how long each took.
func appendMany(b *testing.B, ctx context.Context, s *Service, chain id.ID, n int) []time.Duration {
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := c; i < n; i += callers {
				at := time.Now()
				err := s.RecordAlone(ctx, chain, Entry{
					Event: "test.thing.updated", Target: Target{Kind: "thing", ID: id.New().String(), Name: fmt.Sprintf("thing %d", i)},
					Before: map[string]any{"cores": 2, "memory": 4096}, After: map[string]any{"cores": 4, "memory": 8192},
				})
				if err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
		}()
	}
	wg.Wait()
	return slices.Concat(took...)
}

// BenchmarkRecordInTransaction makes things with and without the record of it,
// in turns, and prints what the record costs of a create's throughput.
func BenchmarkRecordInTransaction(b *testing.B) {
	s := lasting(b)
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada Lovelace", Address: "192.0.2.7", RequestID: id.New().String()})
	superuser(b, s.AdminDSN(db.Database), `create table core.thing (id uuid primary key, name text not null unique, body jsonb not null, created_at timestamptz not null default now())`,
		`create table core.thing_event (id uuid primary key, thing uuid not null references core.thing, kind text not null, at timestamptz not null default now())`,
		`grant select, insert on core.thing, core.thing_event to nimbus_core`)
	var bare, recorded []time.Duration
	b.ResetTimer()
	for range b.N {
		bare = append(bare, create(b, ctx, s.Service, false))
		recorded = append(recorded, create(b, ctx, s.Service, true))
	}
	b.StopTimer()
	without, with := middle(bare), middle(recorded)
	b.ReportMetric(ms(without), "bare-ms")
	b.ReportMetric(ms(with), "recorded-ms")
	b.ReportMetric(100*(1-float64(without)/float64(with)), "%-of-throughput")
}

// create checks a name, inserts a row and its event, as creates do.
func create(b *testing.B, ctx context.Context, s *Service, record bool) time.Duration {
	start := time.Now()
	thing := id.New()
	name := "thing " + thing.String()
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var taken bool
		if err := db.Tx(ctx).QueryRow(ctx, `select exists (select from thing where name = $1)`, name).Scan(&taken); err != nil {
			return err
		}
		if _, err := db.Tx(ctx).Exec(ctx, `insert into thing (id, name, body) values ($1, $2, $3)`, thing, name, `{"cores": 4, "memory": 8192}`); err != nil {
			return err
		}
		if _, err := db.Tx(ctx).Exec(ctx, `insert into thing_event (id, thing, kind) values ($1, $2, 'created')`, id.New(), thing); err != nil {
			return err
		}
		if !record {
			return nil
		}
		return s.Record(ctx, Entry{Event: "test.thing.created", Target: Target{Kind: "thing", ID: thing.String(), Name: name},
			After: map[string]any{"name": name, "cores": 4, "memory": 8192}})
	})
	if err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func middle(all []time.Duration) time.Duration {
	slices.SortFunc(all, cmp.Compare[time.Duration])
	return all[len(all)/2]
}
