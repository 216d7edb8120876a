package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// CopyDatabase copies all rows of the database at one address to the one at
// another, schema by schema. With resume it passes over those whose rows are
// all there already.
func CopyDatabase(ctx context.Context, from, to string, resume bool, progress Progress) error {
	return between(ctx, from, to, func(source, target *pgx.Conn) error {
		all, err := list(ctx, source)
		if err != nil {
			return err
		}
		done := 0
		arrived := func(t Table) {
			done++
			progress(done, len(all), t)
		}
		for _, schema := range schemas(all) {
			if resume {
				there, err := arrivedAlready(ctx, source, target, schema)
				if err != nil {
					return err
				}
				if there != nil {
					for _, t := range there {
						arrived(t)
					}
					continue
				}
			}
			if err := copySchema(ctx, source, target, schema, arrived); err != nil {
				return err
			}
		}
		return nil
	})
}

// arrivedAlready returns the tables of a schema when the target has all of their
// rows and no other, else nil. A target that was not begun is told by its numbers.
func arrivedAlready(ctx context.Context, source, target *pgx.Conn, schema string) ([]Table, error) {
	none := func(Table) {}
	there, err := countSchema(ctx, target, schema, none)
	if err != nil || !slices.ContainsFunc(there, func(t Table) bool { return t.Rows > 0 }) {
		return nil, err
	}
	here, err := countSchema(ctx, source, schema, none)
	if err != nil || !slices.Equal(here, there) {
		return nil, err
	}
	return there, nil
}

// Place is a database, with the name of the login that administers its server.
type Place struct{ DSN, Admin string }

// Compare reads every row of two databases, the sums of both sides at once, and
// everything else that their catalogs hold. It returns what the two have in
// common, and ErrDifferent with what they have not.
func Compare(ctx context.Context, from, to Place, progress Progress) ([]Table, error) {
	var before, after []Table
	err := between(ctx, from.DSN, to.DSN, func(source, target *pgx.Conn) error {
		all, err := list(ctx, target)
		if err != nil {
			return err
		}
		done := 0
		g, both := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			before, err = countSchema(both, source, "", func(Table) {})
			return err
		})
		g.Go(func() (err error) {
			after, err = countSchema(both, target, "", func(t Table) { done++; progress(done, len(all), t) })
			return err
		})
		if err := g.Wait(); err != nil {
			return err
		}
		if d := Unequal(before, after); len(d) > 0 {
			return fmt.Errorf("%w: %s", ErrDifferent, strings.Join(d[:min(len(d), 10)], "; "))
		}
		return sameCatalog(ctx, source, target, func(lines []string, old bool) []string {
			if old {
				return portable(lines, from.Admin)
			}
			return portable(lines, to.Admin)
		})
	})
	return after, err
}

// Unequal says, by table, where two counts differ.
func Unequal(before, after []Table) []string {
	there := map[string]Table{}
	for _, t := range after {
		there[t.Schema+"."+t.Name] = t
	}
	var all []string
	for _, t := range before {
		name := t.Schema + "." + t.Name
		found, ok := there[name]
		delete(there, name)
		switch {
		case !ok:
			all = append(all, name+" is missing")
		case found.Rows != t.Rows:
			all = append(all, fmt.Sprintf("%s has %d rows instead of %d", name, found.Rows, t.Rows))
		case found.Sum != t.Sum:
			all = append(all, name+" has other rows")
		}
	}
	for name := range there {
		all = append(all, name+" should not be there")
	}
	slices.Sort(all)
	return all
}

// SameCatalog compares everything of two databases but their rows.
func SameCatalog(ctx context.Context, from, to string) error {
	return between(ctx, from, to, func(source, target *pgx.Conn) error {
		return sameCatalog(ctx, source, target, func(lines []string, _ bool) []string { return lines })
	})
}

// between connects to two databases.
func between(ctx context.Context, from, to string, fn func(source, target *pgx.Conn) error) error {
	source, err := pgx.Connect(ctx, from)
	if err != nil {
		return err
	}
	defer source.Close(context.WithoutCancel(ctx))
	target, err := pgx.Connect(ctx, to)
	if err != nil {
		return err
	}
	defer target.Close(context.WithoutCancel(ctx))
	return fn(source, target)
}

func list(ctx context.Context, conn *pgx.Conn) (all []relation, err error) {
	err = reading(ctx, conn, func(tx pgx.Tx) error {
		all, err = relations(ctx, tx, "")
		return err
	})
	return all, err
}

// schemas are those of tables that are sorted by them.
func schemas(all []relation) []string {
	names := make([]string, len(all))
	for i, r := range all {
		names[i] = r.Schema
	}
	return slices.Compact(names)
}

func sameCatalog(ctx context.Context, source, target *pgx.Conn, shown func(lines []string, old bool) []string) error {
	before, err := Catalog(ctx, source)
	if err != nil {
		return err
	}
	after, err := Catalog(ctx, target)
	if err != nil {
		return err
	}
	if d := Differences(shown(before, true), shown(after, false)); len(d) > 0 {
		return fmt.Errorf("%w: %s", ErrDifferent, strings.Join(d[:min(len(d), 10)], "; "))
	}
	return nil
}

// Databases lists those of a server.
func Databases(ctx context.Context, dsn string) ([]string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, `select datname from pg_database where not datistemplate order by 1`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
