package temporal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Rebuild makes the databases of Temporal that a server has on another one, empty, each
// with the schema at the version that it has there. It returns the names of those it made.
func Rebuild(ctx context.Context, from, to func(database string) string) ([]string, error) {
	var made []string
	for _, name := range []string{MainDatabase, VisibilityDatabase} {
		found, err := rebuild(ctx, from, to, name)
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		if found {
			made = append(made, name)
		}
	}
	return made, nil
}

func rebuild(ctx context.Context, from, to func(database string) string, name string) (bool, error) {
	steps, err := loadSteps(databases[name])
	if err != nil {
		return false, err
	}
	conn, err := pgx.Connect(ctx, from(name))
	if hasCode(err, "3D000") { // it was never started
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	has, err := currentVersion(ctx, conn, name, steps[len(steps)-1])
	if err == nil && steps[len(steps)-1].version.before(has) {
		err = errors.New("a newer program made it: install that program again")
	}
	if err != nil {
		return false, err
	}
	if err := createDatabase(ctx, to, name); err != nil {
		return false, err
	}
	return true, upgrade(ctx, to(name), name, databases[name], &has)
}
