package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CopyDatabase copies all rows of the database at one address to the one at
// another, and then compares everything else that they hold. See Copy.
func CopyDatabase(ctx context.Context, from, to string, progress Progress) ([]Table, error) {
	source, err := pgx.Connect(ctx, from)
	if err != nil {
		return nil, err
	}
	defer source.Close(context.WithoutCancel(ctx))
	target, err := pgx.Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	defer target.Close(context.WithoutCancel(ctx))
	copied, err := Copy(ctx, source, target, progress)
	if err != nil {
		return nil, err
	}
	return copied, sameCatalog(ctx, source, target)
}

func sameCatalog(ctx context.Context, source, target *pgx.Conn) error {
	before, err := Catalog(ctx, source)
	if err != nil {
		return err
	}
	after, err := Catalog(ctx, target)
	if err != nil {
		return err
	}
	if d := Differences(before, after); len(d) > 0 {
		return fmt.Errorf("%w: %s", ErrDifferent, strings.Join(d[:min(len(d), 10)], "; "))
	}
	return nil
}

// Foreign lists the databases of a server that are not among those named.
func Foreign(ctx context.Context, dsn string, known ...string) ([]string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, `select datname from pg_database where not datistemplate and datname <> all($1) order by 1`, known)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// IsMissing is true for the error of an address whose database does not exist.
func IsMissing(err error) bool {
	var e interface{ SQLState() string }
	return errors.As(err, &e) && e.SQLState() == "3D000"
}
