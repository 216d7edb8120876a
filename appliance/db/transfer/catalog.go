package transfer

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ours is what does not belong to Postgres or to an extension.
const ours = `with ns as (select oid, nspname, nspowner, nspacl from pg_namespace where nspname !~ '^(pg_|information_schema)'),
rel as (select c.*, n.nspname from pg_class c join ns n on n.oid = c.relnamespace where not exists (
	select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')),
acl as (select oid, (select string_agg(a::text, ' ' order by a::text) from unnest(relacl) a) as acl from rel)
`

// questions each return one line for each thing of its kind.
var questions = []string{
	`select format('role %s super=%s inherit=%s createrole=%s createdb=%s login=%s replication=%s bypassrls=%s limit=%s', rolname,
		rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit) from pg_roles where rolname !~ '^pg_'`,
	`select format('member %s in %s admin=%s inherit=%s set=%s', member::regrole, roleid::regrole, admin_option, inherit_option, set_option)
		from pg_auth_members where roleid::regrole::text !~ '^pg_'`,
	`select format('database owner=%s encoding=%s acl=%s', datdba::regrole, pg_encoding_to_char(encoding),
		(select string_agg(a::text, ' ' order by a::text) from unnest(datacl) a)) from pg_database where datname = current_database()`,
	`select format('schema %s owner=%s acl=%s', nspname, nspowner::regrole, (select string_agg(a::text, ' ' order by a::text) from unnest(nspacl) a)) from ns`,
	`select format('relation %s.%s kind=%s owner=%s rls=%s forced=%s options=%s acl=%s comment=%s', nspname, relname, relkind, relowner::regrole,
		relrowsecurity, relforcerowsecurity, reloptions, acl, obj_description(rel.oid, 'pg_class')) from rel join acl using (oid) where relkind in ('r', 'p', 'v', 'm', 'S', 'f')`,
	`select format('column %s.%s.%s %s notnull=%s default=%s generated=%s identity=%s collation=%s comment=%s', nspname, relname, attname, format_type(atttypid, atttypmod),
		attnotnull, pg_get_expr(adbin, adrelid), attgenerated, attidentity, (select collname from pg_collation where oid = attcollation), col_description(rel.oid, attnum))
		from rel join pg_attribute a on attrelid = rel.oid left join pg_attrdef on adrelid = attrelid and adnum = attnum
		where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm', 'f')`,
	`select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid)) from pg_constraint c join rel on rel.oid = conrelid where contype <> 'n'`,
	`select 'index ' || pg_get_indexdef(indexrelid) from pg_index join rel on rel.oid = indexrelid`,
	`select format('policy %s %s permissive=%s command=%s roles=%s using=%s check=%s', polrelid::regclass, polname, polpermissive, polcmd,
		(select string_agg(case r when 0 then 'public' else r::regrole::text end, ' ' order by 1) from unnest(polroles) r), pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy`,
	`select format('trigger %s %s enabled=%s', tgrelid::regclass, pg_get_triggerdef(t.oid), tgenabled) from pg_trigger t join rel on rel.oid = tgrelid where not tgisinternal`,
	`select format('function owner=%s acl=%s %s', proowner::regrole, (select string_agg(a::text, ' ' order by a::text) from unnest(proacl) a), pg_get_functiondef(p.oid))
		from pg_proc p join ns n on n.oid = pronamespace where prokind in ('f', 'p') and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')`,
	`select format('sequence %s.%s last=%s increment=%s', schemaname, sequencename, last_value, increment_by) from pg_sequences`,
	`select format('extension %s', extname) from pg_extension`,
	`select format('searchable %s', proleakproof) from pg_proc where oid = 'pg_catalog.ts_match_vq(tsvector, tsquery)'::regprocedure`,
}

// Catalog describes everything of a database but its rows: roles, privileges,
// schemas, tables, policies, functions, sequences. Two databases with the same
// lines, in the same order, are made alike.
func Catalog(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var all []string
	err := reading(ctx, conn, func(tx pgx.Tx) error {
		for _, q := range questions {
			rows, _ := tx.Query(ctx, ours+q, pgx.QueryExecModeSimpleProtocol)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			all = append(all, lines...)
		}
		return nil
	})
	slices.Sort(all)
	return all, err
}

// Differences lists the lines that only one of two sorted lists has, marked with
// - and +.
func Differences(before, after []string) []string {
	var all []string
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0] < after[0]:
			all, before = append(all, "- "+before[0]), before[1:]
		case len(before) == 0 || after[0] < before[0]:
			all, after = append(all, "+ "+after[0]), after[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
	return all
}

var (
	theirs = regexp.MustCompile(`^(role|member) `)
	ofOurs = regexp.MustCompile(`^(role (nimbus_[a-z]+|tenant_[0-9a-f]{32}) |member (nimbus_[a-z]+|tenant_[0-9a-f]{32}) in (nimbus_[a-z]+|tenant_[0-9a-f]{32}) )`)
)

// portable is what of a catalog can be the same on another server: without roles
// that are not ours, extensions that come with every database there and what only
// a superuser sets; with one name for the administrator, and without the right
// that Postgres 16 does not know.
func portable(lines []string, admin string) []string {
	owned := regexp.MustCompile(`\bowner="?` + regexp.QuoteMeta(admin) + `"? `)
	var all []string
	for _, line := range lines {
		switch {
		case theirs.MatchString(line) && !ofOurs.MatchString(line),
			strings.HasPrefix(line, "searchable "), strings.HasPrefix(line, "extension "):
			continue
		}
		line = owned.ReplaceAllString(line, "owner=administrator ")
		all = append(all, strings.ReplaceAll(line, "=arwdDxtm/", "=arwdDxt/"))
	}
	slices.Sort(all)
	return all
}
