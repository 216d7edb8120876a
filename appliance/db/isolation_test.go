package db_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// reopen returns the database of a DSN with another pool.
func reopen(t testing.TB, dsn string, conns int32, tenants int) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), db.Config{AppDSN: dsn, OwnerDSN: dsn, MaxConns: conns, MaxTenants: tenants})
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

func addTenants(t testing.TB, d *db.DB, history []db.Migration, n int) []id.ID {
	t.Helper()
	all := make([]id.ID, n)
	for i := range all {
		all[i] = id.New()
		must(t, d.AddTenant(t.Context(), all[i], history))
	}
	return all
}

func backend(ctx context.Context) (pid int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select pg_backend_pid()`).Scan(&pid)
	return pid, err
}

// TestRobustness18NextTransactionSeesNothing ends transactions in every way a
// request can end, on one connection, and looks what the next one sees.
func TestRobustness18NextTransactionSeesNothing(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	d := reopen(t, dsn, 1, 64)
	tenants := addTenants(t, d, history, 2)
	insert := func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `insert into compartment (id, name) values ($1, 'one')`, id.New())
		return err
	}
	ends := map[string]func(ctx context.Context) error{
		"commit": insert,
		"error":  func(ctx context.Context) error { return errors.Join(insert(ctx), errors.New("boom")) },
		"timeout": func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			_, err := db.Tx(ctx).Exec(ctx, `select pg_sleep(10)`)
			return err
		},
		"panic": func(ctx context.Context) error { panic("boom") },
		"broken SQL": func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, `select nonsense`)
			return err
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			func() {
				defer func() { _ = recover() }()
				_ = d.Tenant(t.Context(), tenants[0], end)
			}()
			if _, err := db.Tx(t.Context()).Exec(t.Context(), `select count(*) from compartment`); err == nil {
				t.Error("a query without a tenant works")
			}
			must(t, d.Core(t.Context(), func(ctx context.Context) error {
				var path string
				err := db.Tx(ctx).QueryRow(ctx, `select current_setting('search_path') || ' ' || current_user`).Scan(&path)
				if strings.Contains(path, "tenant_") || !strings.HasSuffix(path, "nimbus_core") {
					t.Errorf("the provider level works with %s", path)
				}
				return err
			}))
			must(t, d.Tenant(t.Context(), tenants[1], func(ctx context.Context) error {
				var n int
				err := db.Tx(ctx).QueryRow(ctx, `select count(*) from compartment`).Scan(&n)
				if n != 0 {
					t.Errorf("the next tenant sees %d rows", n)
				}
				return err
			}))
		})
	}
}

// TestRobustness20ForeignReferencesAreMissing refers to another tenant's rows
// and takes its ids and names: all is as if the other tenant did not exist.
func TestRobustness20ForeignReferencesAreMissing(t *testing.T) {
	t.Parallel()
	d, history, _ := openAll(t)
	tenants := addTenants(t, d, history, 2)
	theirs := id.New()
	exec := func(tenant id.ID, sql string, args ...any) error {
		return d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, sql, args...)
			return err
		})
	}
	must(t, exec(tenants[0], `insert into role (id, name) values ($1, 'Theirs')`, theirs))
	must(t, exec(tenants[0], `insert into compartment (id, name) values ($1, 'Theirs')`, theirs))
	for _, sql := range []string{
		`insert into role_assignment (subject_id, role_id) values ('` + id.New().String() + `', $1)`,
		`insert into compartment (id, parent_id, name) values ('` + id.New().String() + `', $1, 'x')`,
	} {
		foreign, missing := exec(tenants[1], sql, theirs), exec(tenants[1], sql, id.New())
		if !fault.Is(foreign, fault.Conflict) || fault.Message(foreign) != fault.Message(missing) {
			t.Errorf("%s: %v for another tenant's, %v for a missing one", sql, foreign, missing)
		}
	}
	must(t, exec(tenants[1], `insert into role (id, name) values ($1, 'Theirs')`, theirs))        // the same id and name are free here
	must(t, exec(tenants[1], `insert into compartment (id, name) values ($1, 'Theirs')`, theirs)) // and tell nothing
	err := exec(tenants[1], `insert into role (tenant_id, id, name) values ($1, $2, 'Planted')`, tenants[0], id.New())
	if err == nil {
		t.Error("a row could be written for another tenant")
	}
	for _, sql := range []string{`select count(*) from ` + db.TenantSchema(tenants[0]) + `.role`, `select count(*) from core.account`, `truncate role`} {
		if err := exec(tenants[1], sql); err == nil {
			t.Errorf("%s works", sql)
		}
	}
}

// TestRobustness19TempTablesDoNotHijack plants a temporary table under the name
// of a real one; the real one is used.
func TestRobustness19TempTablesDoNotHijack(t *testing.T) {
	t.Parallel()
	d, history, _ := openAll(t)
	tenant := addTenants(t, d, history, 1)[0]
	must(t, d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
		_, err := db.Tx(ctx).Exec(ctx, `create temp table compartment (id uuid, name text) on commit drop`)
		if fault.Is(err, fault.Internal) {
			return nil // not even a temporary table
		}
		must(t, err)
		_, err = db.Tx(ctx).Exec(ctx, `insert into pg_temp.compartment values ($1, 'planted')`, id.New())
		must(t, err)
		var n int
		err = db.Tx(ctx).QueryRow(ctx, `select count(*) from compartment`).Scan(&n)
		if n != 0 {
			t.Error("the temporary table was read")
		}
		return err
	}))
}

// TestConnectionsKeepTheirTenants asks for tenants one after the other: each
// stays on its connection, and none is on more than it needs.
func TestConnectionsKeepTheirTenants(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	d := reopen(t, dsn, 4, 64)
	tenants := addTenants(t, d, history, 8)
	seen := map[id.ID]map[int]bool{}
	for range 200 {
		tenant := tenants[rand.IntN(len(tenants))]
		must(t, d.Tenant(t.Context(), tenant, func(ctx context.Context) error {
			pid, err := backend(ctx)
			if seen[tenant] == nil {
				seen[tenant] = map[int]bool{}
			}
			seen[tenant][pid] = true
			return err
		}))
	}
	for tenant, pids := range seen {
		if len(pids) != 1 {
			t.Errorf("%s was on %d connections", tenant, len(pids))
		}
	}
}

// TestConnectionsAreReplacedAfterTheirTenants touches more tenants than a
// connection may, and counts per backend.
func TestConnectionsAreReplacedAfterTheirTenants(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	const limit = 3
	d := reopen(t, dsn, 2, limit)
	tenants := addTenants(t, d, history, 10)
	touched := map[int]map[id.ID]bool{}
	for i := range 60 {
		tenant := tenants[i%len(tenants)]
		in := d.Tenant
		if i%2 == 1 { // by way of the provider level
			in = func(ctx context.Context, tenant id.ID, fn func(context.Context) error) error {
				return d.Core(ctx, func(ctx context.Context) error { return d.Tenant(ctx, tenant, fn) })
			}
		}
		must(t, in(t.Context(), tenant, func(ctx context.Context) error {
			pid, err := backend(ctx)
			if touched[pid] == nil {
				touched[pid] = map[id.ID]bool{}
			}
			touched[pid][tenant] = true
			return err
		}))
	}
	for pid, tenants := range touched {
		if len(tenants) > limit {
			t.Errorf("backend %d touched %d tenants", pid, len(tenants))
		}
	}
}

// TestPoolServesAllUnderPressure has more callers than connections, some of
// which give up, and expects everybody else to be served and nothing to leak.
func TestPoolServesAllUnderPressure(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	d := reopen(t, dsn, 3, 4)
	tenants := addTenants(t, d, history, 6)
	var failed, gaveUp atomic.Int64
	var g sync.WaitGroup
	for caller := range 24 {
		g.Go(func() {
			for i := range 20 {
				ctx := t.Context()
				if i%5 == 4 {
					c, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
					defer cancel()
					ctx = c
				}
				err := d.Tenant(ctx, tenants[(caller+i)%len(tenants)], func(ctx context.Context) error {
					_, err := backend(ctx)
					return err
				})
				switch {
				case err != nil && ctx.Err() != nil:
					gaveUp.Add(1)
				case err != nil:
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	g.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d calls failed", failed.Load())
	}
	observer, open := connect(t, dsn), 1
	// The connection of a call that gave up is closed behind it; the server
	// needs a moment to notice.
	for deadline := time.Now().Add(10 * time.Second); open != 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		must(t, observer.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'`).Scan(&open))
	}
	if open != 0 {
		t.Errorf("%d transactions were left open, %d calls gave up", open, gaveUp.Load())
	}
	d.Close()
	if err := d.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
}

// next is a migration of a later release.
func next(sql string) db.Migration {
	return db.Migration{Version: "29990101T000000", Name: "next", Tenant: sql, Sum: "next"}
}

const nextSQL = `create table next_thing (tenant_id uuid not null default '{{tenant}}', id uuid primary key);
alter table compartment add next_column int;`

// TestRobustness24ManyTenants touches many tenants over a small pool under a
// bound of memory, then migrates all of them with a kill in the middle: what
// was migrated is whole, the rest is as before, and the next start goes on.
func TestRobustness24ManyTenants(t *testing.T) {
	t.Parallel()
	_, history, dsn := openAll(t)
	const conns, limit, count = 4, 8, 40
	d := reopen(t, dsn, conns, limit)
	tenants := addTenants(t, d, history, count)
	soak(t, d, tenants, 8, 400)
	must(t, d.Ready(t.Context()))
	if used := privateMemory(t, dsn); used == 0 || used > conns*(12+limit)<<20 {
		t.Errorf("%d connections use %d MB", conns, used>>20)
	}

	later := append(history[:len(history):len(history)], next(nextSQL))
	watch := connect(t, dsn)
	killed := make(chan error, 1)
	go func() {
		for migrated(t.Context(), watch) < count/4 {
			time.Sleep(time.Millisecond)
		}
		_, err := watch.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
		killed <- err
	}()
	if err := d.Migrate(t.Context(), later); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("the migration was not interrupted: %v", err)
	}
	must(t, <-killed)
	before := migrated(t.Context(), watch)
	var halves int
	must(t, watch.QueryRow(t.Context(), `select count(*) from pg_namespace n where nspname like 'tenant\_%' and (
			(to_regclass(nspname || '.next_thing') is not null)::int
			+ (exists (select from pg_attribute where attrelid = to_regclass(nspname || '.compartment') and attname = 'next_column'))::int
			+ (exists (select from core.schema_migration where scope = nspname and name = 'next'))::int) not in (0, 3)`).Scan(&halves))
	if before == 0 || before >= count || halves > 0 {
		t.Fatalf("%d of %d are migrated, %d by half", before, count, halves)
	}
	began := time.Now()
	must(t, reopen(t, dsn, conns, limit).Migrate(t.Context(), later)) // the next start
	if after := migrated(t.Context(), watch); after != count {
		t.Errorf("%d of %d are migrated", after, count)
	}
	t.Logf("%d tenants in %s", count-before, time.Since(began))
}

// TestAFailingMigrationLeavesEachTenantWhole lets one tenant's migration fail.
func TestAFailingMigrationLeavesEachTenantWhole(t *testing.T) {
	t.Parallel()
	d, history, dsn := openAll(t)
	tenants := addTenants(t, d, history, 6)
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), `alter table `+db.TenantSchema(tenants[3])+`.compartment add next_column text`)
	must(t, err)
	later := append(history[:len(history):len(history)], next(nextSQL))
	if err := d.Migrate(t.Context(), later); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), db.TenantSchema(tenants[3])) {
		t.Errorf("the failure is %v", err)
	}
	var left bool
	must(t, conn.QueryRow(t.Context(), `select to_regclass($1) is not null`, db.TenantSchema(tenants[3])+".next_thing").Scan(&left))
	if left {
		t.Error("half of the migration remained")
	}
	edited := append([]db.Migration{}, history...)
	edited[0].Sum = "edited"
	if err := d.Migrate(t.Context(), edited); !fault.Is(err, fault.Conflict) {
		t.Errorf("an edited migration: %v", err)
	}
	if err := d.Migrate(t.Context(), history[:len(history)-1]); !fault.Is(err, fault.Conflict) {
		t.Errorf("a newer database: %v", err)
	}
}

func migrated(ctx context.Context, conn *pgx.Conn) (n int) {
	_ = conn.QueryRow(ctx, `select count(*) from core.schema_migration where name = 'next' and scope <> 'core'`).Scan(&n)
	return n
}

// soak reads and writes in random tenants from several callers at once.
func soak(t testing.TB, d *db.DB, tenants []id.ID, callers, each int) {
	t.Helper()
	var g sync.WaitGroup
	for range callers {
		g.Go(func() {
			for range each / callers {
				if err := d.Tenant(t.Context(), tenants[rand.IntN(len(tenants))], touchTables); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	g.Wait()
}

// touchTables uses every kind of table of a tenant, as its requests would.
func touchTables(ctx context.Context) error {
	rows, _ := db.Tx(ctx).Query(ctx, `select oid::regclass::text from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r'`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, table := range tables {
		if err == nil {
			_, err = db.Tx(ctx).Exec(ctx, `select count(*) from (select * from `+table+` limit 1) x`)
		}
	}
	if err == nil {
		_, err = db.Tx(ctx).Exec(ctx, `insert into compartment (id, name) values ($1, $2)`, id.New(), id.New().String())
	}
	return err
}

// privateMemory adds up what the backends of a database have for themselves.
func privateMemory(t testing.TB, dsn string) (bytes int) {
	t.Helper()
	rows, _ := connect(t, dsn).Query(t.Context(), `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(t, err)
	for _, pid := range pids {
		bytes += smaps(pid, "Private_Dirty:")
	}
	return bytes
}

// smaps reads one line of what the kernel knows of a process's memory; 0 when
// the process is over.
func smaps(pid int, field string) int {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10
		}
	}
	return 0
}
