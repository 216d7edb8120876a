package db_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/deployment"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// domains have tables.
var domains = []fs.FS{
	web.Migrations, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations,
	breakglass.Migrations, cmdb.Migrations, provider.Migrations, approval.Migrations, deployment.Migrations,
}

// openAll returns a database with the tables of every domain.
func openAll(t testing.TB) (*db.DB, []db.Migration, string) { return dbtest.OpenDSN(t, domains...) }

func allMigrations(t testing.TB) []db.Migration {
	t.Helper()
	history, err := db.ReadMigrations(domains...)
	must(t, err)
	return history
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRobustness19TheLintFindsNothing looks at the real schemas of all domains.
func TestRobustness19TheLintFindsNothing(t *testing.T) {
	t.Parallel()
	d, history, dsn := openAll(t)
	for range 2 {
		must(t, d.AddTenant(t.Context(), id.New(), history))
	}
	found, err := dbtest.Lint(t.Context(), connect(t, dsn))
	must(t, err)
	for _, v := range found {
		t.Errorf("%s breaks the rule: %s", v.Object, v.Rule)
	}
}

// TestRobustness19TheLintFindsEachViolation plants one violation of each kind
// and expects it to be found, under its rule.
func TestRobustness19TheLintFindsEachViolation(t *testing.T) {
	t.Parallel()
	d, history, dsn := openAll(t)
	tenant, other := id.New(), id.New()
	must(t, d.AddTenant(t.Context(), tenant, history))
	must(t, d.AddTenant(t.Context(), other, history))
	for _, plant := range []struct{ name, rule, sql string }{
		{"a bare table", "forced row-level security", `create table S.planted (tenant_id uuid not null)`},
		{"security that does not bind the owner", "forced row-level security", `alter table S.compartment no force row level security`},
		{"security turned off", "forced row-level security", `alter table S.compartment disable row level security`},
		{"a table without a policy", "one policy", `drop policy tenant on S.compartment`},
		{"a policy that lets all through", "one policy", `create policy planted on S.compartment using (true)`},
		{"a policy of another tenant", "one policy", `alter policy tenant on S.compartment using (tenant_id = 'OTHER')`},
		{"a table without tenant_id", "tenant_id that is never null", `create table S.planted (id uuid)`},
		{"a tenant_id that may be null", "tenant_id that is never null", `alter table S.role_grant drop constraint role_grant_pkey, alter tenant_id drop not null`},
		{"a view with its owner's rights", "a view has the rights", `create view S.planted as select * from S.compartment`},
		{"a view of core with its owner's rights", "a view has the rights", `create view core.planted as select * from core.tenant`},
		{"a view whose rights were turned back", "a view has the rights", `create view S.planted with (security_invoker = false) as select 1`},
		{"a materialized view", "no materialized view", `create materialized view S.planted as select * from S.compartment`},
		{"a definer's function", "search path", `create function public.planted() returns int language sql security definer as 'select 1'`},
		{"pg_temp first", "search path", `create function S.planted() returns int language sql security definer set search_path = pg_temp, core as 'select 1'`},
		{"pg_temp missing", "search path", `create function core.planted() returns int language sql set search_path = core as 'select 1'`},
		{"a table of the application", "own nothing", `grant nimbus_app to current_user; alter table S.compartment owner to nimbus_app`},
		{"a schema of the application", "own nothing", `create schema planted authorization nimbus_core`},
		{"truncate", "cannot truncate", `grant truncate on S.compartment to S`},
		{"references", "cannot truncate", `grant references on core.tenant to nimbus_core`},
		{"everybody may read", "role of its scope only", `grant select on S.compartment to public`},
		{"another tenant may read", "role of its scope only", `grant select on S.compartment to T`},
		{"the application may read by itself", "role of its scope only", `grant select on core.tenant to nimbus_app`},
		{"another tenant may enter", "a schema is open", `grant usage on schema S to T`},
		{"the tenant may make tables", "a schema is open", `grant create on schema S to S`},
		{"a record that can be changed", "append-only", `grant update on S.audit_record to S`},
		{"a reference to another tenant", "foreign key", `alter table S.role_assignment add foreign key (tenant_id, role_id) references T.role`},
		{"a role that bypasses", "harmless", `alter role S bypassrls`},
		{"a role within another", "belongs to no other", `grant T to S`},
	} {
		t.Run(plant.name, func(t *testing.T) {
			conn := connect(t, dsn)
			_, err := conn.Exec(t.Context(), `begin`)
			must(t, err)
			defer conn.Exec(context.Background(), `rollback`)
			sql := strings.NewReplacer(" S.", " "+db.TenantSchema(tenant)+".", " T.", " "+db.TenantSchema(other)+".", "to S", "to "+db.TenantSchema(tenant),
				"to T", "to "+db.TenantSchema(other), "grant T", "grant "+db.TenantSchema(other), "schema S", "schema "+db.TenantSchema(tenant),
				"role S", "role "+db.TenantSchema(tenant), "OTHER", other.String()).Replace(plant.sql)
			_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			must(t, err)
			found, err := dbtest.Lint(t.Context(), conn)
			must(t, err)
			for _, v := range found {
				if strings.Contains(v.Rule, plant.rule) {
					return
				}
			}
			t.Errorf("nothing was said about %q: %+v", plant.rule, found)
		})
	}
}
