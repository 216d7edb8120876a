package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iancoleman/strcase"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
)

// Connections each database gets at most. Temporal alone would open a pool per service.
const (
	mainConnections       = 16
	visibilityConnections = 6
)

// pools holds the connections that all services of one server share.
type pools struct {
	byDatabase map[string]*pgxpool.Pool
}

func openPools(ctx context.Context, dsn func(string) string) (*pools, error) {
	p := &pools{byDatabase: map[string]*pgxpool.Pool{}}
	for database, size := range map[string]int32{MainDatabase: mainConnections, VisibilityDatabase: visibilityConnections} {
		pool, err := openPool(ctx, dsn(database), size)
		if err != nil {
			p.close()
			return nil, err
		}
		p.byDatabase[database] = pool
	}
	return p, nil
}

func openPool(ctx context.Context, dsn string, size int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = size
	cfg.MaxConnIdleTime = 30 * time.Second
	cfg.MaxConnLifetime = time.Hour
	cfg.ConnConfig.RuntimeParams["application_name"] = "temporal"
	cfg.AfterConnect = registerTypes
	return pgxpool.NewWithConfig(ctx, cfg)
}

// registerTypes makes pgx store a duration as Temporal's tables do, as nanoseconds.
func registerTypes(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterDefaultPgType(time.Duration(0), "int8")
	conn.TypeMap().RegisterDefaultPgType((*time.Duration)(nil), "int8")
	return nil
}

// connect is Temporal's hook for opening a store. Each service gets its own handle, which
// it may close and open again; the connections stay with the pool.
func (p *pools) connect(cfg *config.SQL) (*sqlx.DB, error) {
	pool, ok := p.byDatabase[cfg.DatabaseName]
	if !ok {
		return nil, fmt.Errorf("no pool for database %q", cfg.DatabaseName)
	}
	db := sqlx.NewDb(stdlib.OpenDBFromPool(pool), "pgx")
	db.MapperFunc(strcase.ToSnake)
	return db, nil
}

func (p *pools) ping(ctx context.Context) (err error) {
	for _, pool := range p.byDatabase {
		err = errors.Join(err, pool.Ping(ctx))
	}
	return err
}

func (p *pools) close() {
	for _, pool := range p.byDatabase {
		pool.Close()
	}
}
