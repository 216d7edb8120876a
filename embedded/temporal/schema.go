package temporal

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/server/schema"
	"golang.org/x/sync/errgroup"
)

// databases maps each database to the folder of its schema among Temporal's assets.
var databases = map[string]string{
	MainDatabase:       "postgresql/v12/temporal/versioned",
	VisibilityDatabase: "postgresql/v12/visibility/versioned",
}

// prepareDatabases makes the two databases when they are missing and brings their schemas
// to the version of the linked server.
func prepareDatabases(ctx context.Context, dsn func(string) string) error {
	var group errgroup.Group
	for name, dir := range databases {
		group.Go(func() error {
			if err := createDatabase(ctx, dsn, name); err != nil {
				return fmt.Errorf("create database %s: %w", name, err)
			}
			if err := upgrade(ctx, dsn(name), name, dir, nil); err != nil {
				return fmt.Errorf("schema of %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// createDatabase connects to the database itself first: an administrator who made both may
// give us a role that cannot create any.
func createDatabase(ctx context.Context, dsn func(string) string, name string) error {
	conn, err := pgx.Connect(ctx, dsn(name))
	if err == nil {
		return conn.Close(ctx)
	}
	if !hasCode(err, "3D000") { // invalid_catalog_name: no such database
		return err
	}
	admin, err := pgx.Connect(ctx, dsn("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0")
	if hasCode(err, "42P04") { // duplicate_database: another node was faster
		return nil
	}
	return err
}

func hasCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}

// versionTables are the tables in which Temporal's own tools keep the version; they are
// kept the same way, so that those tools work on these databases.
const versionTables = `
CREATE TABLE IF NOT EXISTS schema_version (
	version_partition INT NOT NULL,
	db_name VARCHAR(255) NOT NULL,
	creation_time TIMESTAMP,
	curr_version VARCHAR(64),
	min_compatible_version VARCHAR(64),
	PRIMARY KEY (version_partition, db_name));
CREATE TABLE IF NOT EXISTS schema_update_history (
	version_partition INT NOT NULL,
	year INT NOT NULL,
	month INT NOT NULL,
	update_time TIMESTAMP NOT NULL,
	description VARCHAR(255),
	manifest_md5 VARCHAR(64),
	new_version VARCHAR(64),
	old_version VARCHAR(64),
	PRIMARY KEY (version_partition, year, month, update_time));`

// step is one version of a schema.
type step struct {
	version       version
	name          string // of the version: "1.10"
	minCompatible string
	description   string
	sum           string // MD5 of the manifest, as Temporal records it
	sql           string
}

// upgrade applies the missing versions, each in one transaction with its entry in the
// version table: whatever happens in between, the next call goes on where this one stopped.
// With a last version it stops there.
func upgrade(ctx context.Context, dsn, database, dir string, last *version) error {
	steps, err := loadSteps(dir)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// One node at a time; the lock ends with the session.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended('nimbus temporal schema', 0))"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, versionTables); err != nil {
		return err
	}
	current, err := currentVersion(ctx, conn, database, steps[len(steps)-1])
	if err != nil {
		return err
	}
	for _, s := range steps {
		if !current.before(s.version) || last != nil && last.before(s.version) {
			continue
		}
		if err := s.apply(ctx, conn, database, current); err != nil {
			return fmt.Errorf("version %s: %w", s.name, err)
		}
		current = s.version
	}
	return nil
}

// currentVersion reads the version of the schema, 0.0 for an empty database. It refuses a
// schema that is newer than this server can work with.
func currentVersion(ctx context.Context, conn *pgx.Conn, database string, newest step) (version, error) {
	var current, needs string
	err := conn.QueryRow(ctx, "SELECT curr_version, min_compatible_version FROM schema_version WHERE version_partition = 0 AND db_name = $1", database).Scan(&current, &needs)
	if errors.Is(err, pgx.ErrNoRows) {
		return version{}, nil
	}
	if err != nil {
		return version{}, err
	}
	v, err := parseVersion(current)
	if err != nil {
		return version{}, err
	}
	least, err := parseVersion(needs)
	if err != nil {
		return version{}, err
	}
	if newest.version.before(least) {
		return version{}, fmt.Errorf("it has version %s, which a newer program made; this one knows %s: install that program again", current, newest.name)
	}
	return v, nil
}

func (s step) apply(ctx context.Context, conn *pgx.Conn, database string, from version) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO schema_version (version_partition, db_name, creation_time, curr_version, min_compatible_version)
			VALUES (0, $1, now() AT TIME ZONE 'UTC', $2, $3)
			ON CONFLICT (version_partition, db_name) DO UPDATE
			SET creation_time = excluded.creation_time, curr_version = excluded.curr_version, min_compatible_version = excluded.min_compatible_version`,
			database, s.name, s.minCompatible); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO schema_update_history (version_partition, year, month, update_time, old_version, new_version, manifest_md5, description)
			SELECT 0, extract(year FROM t), extract(month FROM t), t, $1, $2, $3, $4 FROM (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS t)`,
			from.String(), s.name, s.sum, s.description)
		return err
	})
}

// loadSteps reads all versions in a folder of Temporal's assets, oldest first.
func loadSteps(dir string) ([]step, error) {
	entries, err := fs.ReadDir(schema.Assets(), dir)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), "v") {
			continue
		}
		s, err := loadStep(path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b step) int { return a.version.compare(b.version) })
	return steps, nil
}

func loadStep(dir string) (step, error) {
	data, err := fs.ReadFile(schema.Assets(), path.Join(dir, "manifest.json"))
	if err != nil {
		return step{}, err
	}
	var manifest struct {
		CurrVersion, MinCompatibleVersion, Description string
		SchemaUpdateCqlFiles                           []string
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return step{}, err
	}
	v, err := parseVersion(manifest.CurrVersion)
	if err != nil {
		return step{}, err
	}
	sum := md5.Sum(data)
	s := step{version: v, name: v.String(), minCompatible: manifest.MinCompatibleVersion, description: manifest.Description, sum: hex.EncodeToString(sum[:])}
	for _, file := range manifest.SchemaUpdateCqlFiles {
		sql, err := fs.ReadFile(schema.Assets(), path.Join(dir, file))
		if err != nil {
			return step{}, err
		}
		s.sql += transactional(string(sql)) + "\n"
	}
	return s, nil
}

// transactional lets indexes be built inside the transaction: nobody uses the tables then.
func transactional(sql string) string {
	return strings.ReplaceAll(sql, "INDEX CONCURRENTLY ", "INDEX ")
}

// version is "major.minor" of a schema.
type version struct{ major, minor int }

func parseVersion(s string) (version, error) {
	major, minor, ok := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	if err := errors.Join(errA, errB); err != nil || !ok {
		return version{}, fmt.Errorf("%q is no schema version", s)
	}
	return version{a, b}, nil
}

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) compare(w version) int {
	if v.major != w.major {
		return v.major - w.major
	}
	return v.minor - w.minor
}

func (v version) before(w version) bool { return v.compare(w) < 0 }
