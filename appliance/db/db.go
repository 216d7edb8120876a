// Package db is the way to Postgres: the pool, the transaction in the
// context, and the one migration history over the core schema and every
// tenant's schema.
//
// Isolation is the database's job. The application logs in as nimbus_app,
// which owns nothing, bypasses nothing and can see no schema of ours. Core
// and Tenant begin a transaction and take, for that transaction only, the
// role and search path of the provider level or of one tenant. Code that
// forgets to gets an error from Postgres, not somebody else's rows.
package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Roles and schemas of the application's database.
const (
	CoreSchema = "core"
	coreRole   = "nimbus_core"
	ownerRole  = "nimbus_owner"
	appRole    = "nimbus_app"
)

// TenantSchema is the name of a tenant's schema and of its role.
func TenantSchema(tenant id.ID) string { return "tenant_" + tenant.Hex() }

// Config says how to reach the database.
type Config struct {
	AppDSN   string // as nimbus_app
	OwnerDSN string // as nimbus_owner: migrations and new tenants
	MaxConns int32  // of the application's pool; 0 means 12
	// MaxTenants is how many tenants a connection may touch before it is
	// replaced; 0 means 40.
	MaxTenants int
	Logger     *slog.Logger
}

// DB is the application's database.
type DB struct {
	app    *pool
	owner  *pgxpool.Pool
	logger *slog.Logger
}

// Connections is how many a DB holds at most, of its usual size.
const Connections = defaultConns + migrators + 1

const defaultConns = 12

// Open makes the pools and checks that the server answers. It returns
// fault.Unavailable when it does not.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultConns
	}
	if cfg.MaxTenants == 0 {
		cfg.MaxTenants = maxTenants
	}
	app, err := openPool(ctx, cfg.AppDSN, cfg.MaxConns, cfg.MaxTenants)
	if err != nil {
		return nil, err
	}
	owner, err := openOwner(ctx, cfg.OwnerDSN)
	if err != nil {
		app.close()
		return nil, err
	}
	d := &DB{app: app, owner: owner, logger: cfg.Logger}
	if err := d.Ready(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// openOwner is the pool of the few connections that change schemas.
func openOwner(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := poolConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = migrators + 1
	owner, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The database cannot be reached.")
	}
	return owner, nil
}

// Ready is nil when the database answers, else fault.Unavailable.
func (d *DB) Ready(ctx context.Context) error {
	if err := d.app.ping(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The database does not answer.")
	}
	return nil
}

// Close ends all connections. A second Close does nothing.
func (d *DB) Close() {
	d.app.close()
	d.owner.Close()
}

// Core runs fn in a transaction at the provider level: role nimbus_core,
// schema core. Inside a transaction of a tenant it joins it and changes the
// role for the duration of fn. When fn fails nothing it did remains.
func (d *DB) Core(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.run(ctx, scope{role: coreRole, schema: CoreSchema}, fn)
}

// Tenant runs fn in a transaction of one tenant: its role, its schema. It
// joins a surrounding transaction of the same tenant or of the provider level
// and refuses one of another tenant with fault.Internal.
func (d *DB) Tenant(ctx context.Context, tenant id.ID, fn func(ctx context.Context) error) error {
	if tenant.IsZero() {
		return fault.New(fault.Internal, "No tenant is chosen.")
	}
	return d.run(ctx, scope{role: TenantSchema(tenant), schema: TenantSchema(tenant), tenant: tenant}, fn)
}

// Scope tells whose data the transaction of the context works on: a tenant's,
// or the provider level's (zero id). ok is false outside a transaction.
func Scope(ctx context.Context) (tenant id.ID, ok bool) {
	t, ok := ctx.Value(txKey{}).(*transaction)
	if !ok || t.scope.role == coreRole {
		return id.ID{}, ok
	}
	return t.scope.tenant, true
}

// Apart returns a context without the transaction: what runs in it commits on
// its own and stays when the surrounding transaction is rolled back.
func Apart(ctx context.Context) context.Context {
	return context.WithValue(ctx, txKey{}, nil)
}

// Tenants lists the tenants that have a schema.
func (d *DB) Tenants(ctx context.Context) ([]id.ID, error) {
	var all []id.ID
	err := d.Core(ctx, func(ctx context.Context) error {
		rows, _ := Tx(ctx).Query(ctx, `select distinct substr(scope, 8)::uuid from schema_migration where scope <> 'core' order by 1`)
		var err error
		all, err = pgx.CollectRows(rows, pgx.RowTo[id.ID])
		return err
	})
	return all, err
}

// OnCommit runs fn after the surrounding transaction was committed, in the
// order of registration; without one it runs at once.
func OnCommit(ctx context.Context, fn func()) {
	t, ok := ctx.Value(txKey{}).(*transaction)
	if !ok {
		fn()
		return
	}
	t.state.onCommit = append(t.state.onCommit, fn)
}

// Querier is what store.go files need of a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
}

// Tx returns the transaction of the context. Without one it returns a Querier
// on which everything fails: queries run inside Core or Tenant only.
func Tx(ctx context.Context) Querier {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok {
		return t.tx
	}
	return noTx{}
}

type txKey struct{}

type scope struct {
	role, schema string
	tenant       id.ID
}

// use takes the scope for the rest of the transaction.
func (s scope) use() string {
	return fmt.Sprintf(`set local role %s; set local search_path = %s`,
		pgx.Identifier{s.role}.Sanitize(), s.path())
}

// path is the search path.
func (s scope) path() string { return pgx.Identifier{s.schema}.Sanitize() + ", pg_temp" }

type transaction struct {
	tx    pgx.Tx
	scope scope
	state *state
	last  []statement // wait for the end of the scope
}

// state is what the nested scopes of one transaction share.
type state struct {
	lease    *lease
	onCommit []func()
	failed   error
	ended    bool // committed
}

func (d *DB) run(ctx context.Context, s scope, fn func(ctx context.Context) error) error {
	if outer, ok := ctx.Value(txKey{}).(*transaction); ok {
		return outer.nested(ctx, s, fn)
	}
	t, err := d.begin(ctx, s)
	if err != nil {
		return Fault(err)
	}
	defer t.rollback(ctx)
	if err := fn(context.WithValue(ctx, txKey{}, t)); err != nil {
		return Fault(err)
	}
	return t.commit(ctx)
}

// begin takes a connection that knows the scope's tenant, or the actor's when
// the scope is the provider level: what follows is mostly about that one.
func (d *DB) begin(ctx context.Context, s scope) (*transaction, error) {
	tenant := s.tenant
	if a, ok := actor.From(ctx); ok && tenant.IsZero() {
		tenant = a.TenantID
	}
	l, err := d.app.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	l.touch(s.tenant)
	tx, err := l.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: "begin; " + s.use()})
	if err != nil {
		l.release()
		return nil, err
	}
	return &transaction{tx: tx, scope: s, state: &state{lease: l}}, nil
}

// commit refuses when a nested scope failed, even if its error was dropped on
// the way: nothing is ever half-done.
func (t *transaction) commit(ctx context.Context) error {
	if t.state.failed != nil {
		return t.state.failed
	}
	if err := t.end(ctx); err != nil {
		return Fault(err)
	}
	t.state.lease.release()
	for _, after := range t.state.onCommit {
		after()
	}
	return nil
}

// rollback ends the transaction even when the caller's context is over; after
// a commit it does nothing.
func (t *transaction) rollback(ctx context.Context) {
	if t.state.ended {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = t.tx.Rollback(ctx)
	t.state.lease.release()
}

// nested runs fn in the scope asked for and comes back to the surrounding one.
// A tenant is remembered while at the provider level, so that no other tenant
// can follow in the same transaction.
func (t *transaction) nested(ctx context.Context, s scope, fn func(ctx context.Context) error) error {
	if !s.tenant.IsZero() && !t.scope.tenant.IsZero() && s.tenant != t.scope.tenant {
		return fault.New(fault.Internal, "A transaction of one tenant asked for another tenant's data.")
	}
	if s.role == t.scope.role {
		return fn(ctx)
	}
	if s.tenant.IsZero() {
		s.tenant = t.scope.tenant
	}
	if err := t.take(ctx, s); err != nil {
		return err
	}
	inner := &transaction{tx: t.tx, scope: s, state: t.state}
	err := fn(context.WithValue(ctx, txKey{}, inner))
	if err == nil {
		err = inner.leave(ctx, t.scope)
	}
	if err != nil {
		t.state.failed = Fault(err)
	}
	return t.state.failed
}

func (t *transaction) take(ctx context.Context, s scope) error {
	if s.role != coreRole {
		t.state.lease.touch(s.tenant)
	}
	_, err := t.tx.Exec(ctx, s.use(), pgx.QueryExecModeSimpleProtocol)
	return Fault(err)
}

// Fault turns an error of Postgres into a fault: unique violations are
// Conflict, missing rows NotFound, a server that is away or full Unavailable.
// Other faults and errors that are not the database's pass unchanged.
func Fault(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.Wrap(fault.NotFound, err, "It does not exist, or it is not yours.")
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return byCode(pg)
	}
	if lost(err) {
		return fault.Wrap(fault.Unavailable, err, "The database does not answer. Try again in a moment.")
	}
	return err
}

// lost tells errors of the connection from those of the caller.
func lost(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}

// byCode follows PostgreSQL's appendix A, error codes.
func byCode(pg *pgconn.PgError) error {
	switch {
	case pg.Code == "23505":
		return fault.Wrap(fault.Conflict, pg, "Something with this name or key exists already.")
	case pg.Code == "23503":
		return fault.Wrap(fault.Conflict, pg, "It is still in use, or what it refers to does not exist.")
	case pg.Code == "40001" || pg.Code == "40P01":
		return fault.Wrap(fault.Conflict, pg, "Somebody else changed the same thing at the same time. Try again.")
	case pg.Code[:2] == "53" || pg.Code[:2] == "57" || pg.Code[:2] == "58" || pg.Code[:2] == "08":
		return fault.Wrap(fault.Unavailable, pg, "The database cannot accept this now (%s). See System health.", pg.Message)
	}
	return fault.Wrap(fault.Internal, pg, "The database refused an operation.")
}
