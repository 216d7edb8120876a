package dbtest

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Violation is one object of a database that breaks a rule of isolation.
type Violation struct {
	Rule   string
	Object string
}

// rules are questions to the catalog; each returns the objects that break it.
// They look at what is there, so that no table, view or function can be missed.
var rules = []struct{ name, sql string }{
	{"a tenant's table has forced row-level security",
		`select c.oid::regclass::text from ours c where c.tenant and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)`},
	{"a tenant's table has one policy, for its tenant only",
		`select c.oid::regclass::text from ours c where c.tenant and c.relkind in ('r', 'p') and (
			select count(*) <> 1 or not bool_and(p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'
				and pg_get_expr(p.polqual, c.oid) = wanted and pg_get_expr(p.polwithcheck, c.oid) = wanted)
			from pg_policy p, format('(tenant_id = %L::uuid)', substr(c.nspname, 8)::uuid) wanted where p.polrelid = c.oid)`},
	{"a tenant's table has a tenant_id that is never null",
		`select c.oid::regclass::text from ours c where c.tenant and c.relkind in ('r', 'p') and not exists (
			select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull and a.atttypid = 'uuid'::regtype)`},
	{"a view has the rights of who asks",
		`select c.oid::regclass::text from ours c where c.relkind = 'v'
			and not coalesce(c.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1}', false)`},
	{"there is no materialized view or foreign table, which know no row-level security",
		`select c.oid::regclass::text from ours c where c.relkind in ('m', 'f')`},
	{"a function pins its search path, with pg_temp last",
		`select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			where (n.nspname = 'core' or n.nspname like 'tenant\_%' or p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema'))
			and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
			and not exists (select from unnest(p.proconfig) c where c ~ '^search_path=.*[ ,=]pg_temp$')`},
	{"the roles of the application own nothing",
		`select coalesce(pg_describe_object(d.classid, d.objid, d.objsubid), d.objid::text) from pg_shdepend d
			where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and d.refobjid in (select oid from roles)
			and d.dbid in (0, (select oid from pg_database where datname = current_database()))`},
	{"the roles of the application cannot truncate, refer to or trigger",
		`select c.oid::regclass::text from ours c, aclexplode(c.relacl) g
			where g.grantee <> c.relowner and g.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')`},
	{"a table is granted to the role of its scope only",
		`select c.oid::regclass::text from ours c, aclexplode(c.relacl) g
			where g.grantee <> c.relowner and g.grantee is distinct from to_regrole(case when c.tenant then c.nspname else 'nimbus_core' end)`},
	{"a schema is open to the role of its scope only",
		`select n.nspname from pg_namespace n, aclexplode(n.nspacl) g where (n.nspname = 'core' or n.nspname like 'tenant\_%')
			and g.grantee <> n.nspowner and (g.privilege_type <> 'USAGE'
				or g.grantee is distinct from to_regrole(case n.nspname when 'core' then 'nimbus_core' else n.nspname end))`},
	{"an append-only table cannot be changed",
		`select c.oid::regclass::text from ours c, aclexplode(c.relacl) g
			where obj_description(c.oid, 'pg_class') like 'append-only%' and g.grantee <> c.relowner and g.privilege_type in ('UPDATE', 'DELETE')`},
	{"a foreign key of a tenant stays in its schema",
		`select k.conrelid::regclass::text || '.' || k.conname from pg_constraint k join ours c on c.oid = k.conrelid join pg_class f on f.oid = k.confrelid
			where k.contype = 'f' and c.tenant and f.relnamespace <> c.relnamespace`},
	{"the roles of the application are harmless",
		`select rolname from roles r where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication`},
	{"a tenant's role belongs to no other, and nobody inherits its rights",
		`select m.member::regrole::text || ' in ' || m.roleid::regrole::text from pg_auth_members m
			where m.member in (select oid from roles where rolname <> 'nimbus_app')
			or m.roleid in (select oid from roles) and m.member = to_regrole('nimbus_app') and m.inherit_option`},
}

const withObjects = `with ours as (
	select c.*, n.nspname, n.nspname like 'tenant\_%' as tenant from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where (n.nspname = 'core' or n.nspname like 'tenant\_%') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')),
roles as (
	select * from pg_roles where rolname in ('nimbus_app', 'nimbus_core')
	or exists (select from pg_namespace n where n.nspname = rolname and n.nspname like 'tenant\_%'))
`

// Lint tells what in a database breaks the rules that keep tenants apart.
func Lint(ctx context.Context, conn *pgx.Conn) ([]Violation, error) {
	var all []Violation
	for _, rule := range rules {
		rows, _ := conn.Query(ctx, withObjects+rule.sql)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		for _, object := range found {
			all = append(all, Violation{Rule: rule.name, Object: object})
		}
	}
	return all, nil
}
