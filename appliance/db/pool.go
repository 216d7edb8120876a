package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// maxTenants is how many tenants one connection may touch before it is closed
// and replaced. A backend keeps the catalog entries of every table that it has
// seen, about 0.6 MB a tenant, and never gives them back.
const maxTenants = 40

const (
	connLifetime = 30 * time.Minute
	connIdle     = 2 * time.Minute
)

// errClosed is what waits for a connection of a pool that was closed.
var errClosed = errors.New("the database pool is closed")

// pool is a fixed number of places, each with at most one connection, that
// keeps a tenant on the same few of them: the place it was on before when that
// is free, else its home, which its id decides, else the one that knows the
// fewest tenants.
type pool struct {
	free  chan struct{} // one token for each free place
	limit int           // tenants a connection may touch

	mu     sync.Mutex
	places []*place
	closed bool
}

// place is one connection, dialled when it is needed. pgxpool replaces it when
// it is broken, old or idle.
type place struct {
	pool    *pgxpool.Pool
	busy    bool
	conn    *pgx.Conn // to see that it was replaced
	touched map[id.ID]struct{}
}

func openPool(ctx context.Context, dsn string, size int32, limit int) (*pool, error) {
	cfg, err := poolConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 1
	p := &pool{free: make(chan struct{}, size), limit: limit}
	for range size {
		one, err := pgxpool.NewWithConfig(ctx, cfg.Copy())
		if err != nil {
			p.close()
			return nil, fault.Wrap(fault.Unavailable, err, "The database cannot be reached.")
		}
		p.places = append(p.places, &place{pool: one, touched: map[id.ID]struct{}{}})
		p.free <- struct{}{}
	}
	return p, nil
}

func poolConfig(dsn string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, addressFault(err)
	}
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = connIdle
	cfg.MaxConnLifetime = connLifetime
	// The same text means another table in each tenant: cache only what the
	// parameters look like, and keep no plans on the server.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	return cfg, nil
}

// lease is a connection that somebody holds.
type lease struct {
	pool  *pool
	place *place
	conn  *pgxpool.Conn
	once  sync.Once
}

// acquire waits for a connection for a tenant (zero: the provider level).
func (p *pool) acquire(ctx context.Context, tenant id.ID) (*lease, error) {
	select {
	case <-p.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at, err := p.take(tenant)
	if err != nil {
		p.free <- struct{}{}
		return nil, err
	}
	conn, err := at.pool.Acquire(ctx)
	if err != nil {
		p.give(at)
		return nil, err
	}
	if at.conn != conn.Conn() {
		at.conn, at.touched = conn.Conn(), map[id.ID]struct{}{}
	}
	return &lease{pool: p, place: at, conn: conn}, nil
}

// take chooses a free place; the caller holds the token of one.
func (p *pool) take(tenant id.ID) (*place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	home := int(tenant[14])<<8 | int(tenant[15]) // the random end of a uuid
	var best *place
	least := 0
	for i := range p.places {
		at := p.places[(home+i)%len(p.places)]
		if at.busy {
			continue
		}
		cost := len(at.touched) + 1
		if _, known := at.touched[tenant]; known || i == 0 {
			cost = 0
		}
		if best == nil || cost < least {
			best, least = at, cost
		}
	}
	best.busy = true
	return best, nil
}

func (p *pool) give(at *place) {
	p.mu.Lock()
	at.busy = false
	p.mu.Unlock()
	p.free <- struct{}{}
}

// touch notes that the connection works for a tenant.
func (l *lease) touch(tenant id.ID) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if !tenant.IsZero() {
		l.place.touched[tenant] = struct{}{}
	}
}

// release gives the connection back, or closes it when it has touched as many
// tenants as it may. A second release does nothing.
func (l *lease) release() {
	l.once.Do(func() {
		l.pool.mu.Lock()
		worn := len(l.place.touched) >= l.pool.limit
		l.pool.mu.Unlock()
		if worn {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = l.conn.Conn().Close(ctx)
			cancel()
		}
		l.conn.Release()
		l.pool.give(l.place)
	})
}

func (p *pool) ping(ctx context.Context) error {
	l, err := p.acquire(ctx, id.ID{})
	if err != nil {
		return err
	}
	defer l.release()
	return l.conn.Ping(ctx)
}

// close waits for the connections in use and ends all. A second close does nothing.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, at := range p.places {
		at.pool.Close()
	}
}
