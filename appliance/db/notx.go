package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errNoTx is a programming error: a store was used outside Core or Tenant.
var errNoTx = errors.New("db: query outside a transaction; use Core or Tenant")

// noTx is the Querier of a context without a transaction.
type noTx struct{}

func (noTx) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errNoTx
}
func (noTx) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNoTx }
func (noTx) QueryRow(context.Context, string, ...any) pgx.Row        { return noRow{} }
func (noTx) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults  { return noBatch{} }
func (noTx) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errNoTx
}

type noRow struct{}

func (noRow) Scan(...any) error { return errNoTx }

type noBatch struct{}

func (noBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, errNoTx }
func (noBatch) Query() (pgx.Rows, error)         { return nil, errNoTx }
func (noBatch) QueryRow() pgx.Row                { return noRow{} }
func (noBatch) Close() error                     { return errNoTx }
