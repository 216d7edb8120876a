package doctor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// Sizes are the sizes of our databases on this server, in bytes.
func Sizes(ctx context.Context, d *db.DB) (map[string]int64, error) {
	all := map[string]int64{}
	err := d.Core(ctx, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select case when datname = current_database() then 'nimbus' else datname::text end, pg_database_size(oid) from pg_database
			where datname in (current_database(), 'nimbus_temporal', 'nimbus_temporal_visibility') and has_database_privilege(oid, 'connect')`)
		var name string
		var size int64
		_, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error { all[name] = size; return nil })
		return err
	})
	return all, err
}

// cluster is how a Postgres server is.
type cluster struct {
	Version     string
	Connections int
	Most        int
	Checksums   string
	Corrupt     int64     // blocks whose checksum was wrong
	Oldest      int64     // transactions since the oldest row that was not frozen
	LongestOpen float64   // seconds of the oldest open transaction of ours
	Now         time.Time // by its clock
}

func readCluster(ctx context.Context) (c cluster, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select current_setting('server_version'), current_setting('max_connections')::int, current_setting('data_checksums'),
		(select coalesce(sum(numbackends), 0)::int from pg_stat_database),
		(select coalesce(sum(checksum_failures), 0)::bigint from pg_stat_database),
		(select max(age(datfrozenxid))::bigint from pg_database),
		(select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()),
		clock_timestamp()`).
		Scan(&c.Version, &c.Most, &c.Checksums, &c.Connections, &c.Corrupt, &c.Oldest, &c.LongestOpen, &c.Now)
	return c, err
}

// applied counts, for each version of the history, the scopes that have it,
// and all scopes.
func applied(ctx context.Context) (versions map[string]int, scopes int, err error) {
	versions = map[string]int{}
	if err := db.Tx(ctx).QueryRow(ctx, `select count(distinct scope) from schema_migration`).Scan(&scopes); err != nil {
		return nil, 0, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select version, count(*) from schema_migration group by version`)
	var version string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&version, &n}, func() error { versions[version] = n; return nil })
	return versions, scopes, err
}

// TableSize is how large a table is over all tenants together.
type TableSize struct {
	Table  string `json:"table"`
	Level  string `json:"level"` // core or tenant
	Tables int    `json:"tables"`
	Rows   int64  `json:"rows"` // as Postgres estimates it
	Bytes  int64  `json:"bytes"`
}

// tableSizes are sums over the tenants, so that no tenant is named.
func tableSizes(ctx context.Context) ([]TableSize, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select c.relname::text, case when n.nspname = 'core' then 'core' else 'tenant' end, count(*)::int,
		sum(greatest(c.reltuples, 0))::bigint, sum(pg_total_relation_size(c.oid))::bigint
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and (n.nspname = 'core' or n.nspname like 'tenant\_%')
		group by 1, 2 order by 5 desc, 1, 2`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TableSize])
}
