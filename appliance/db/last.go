package db

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statement waits for the end of a scope.
type statement struct {
	sql  string
	args []any
	then func(error)
}

// AtCommit runs a statement in the surrounding transaction, in the scope of
// the context, but sends it together with what ends that scope: the commit, or
// the way back to the surrounding one. It costs no round trip of its own. When
// it fails the transaction is rolled back, and then, if given, hears why. Statements
// keep their order; those that are run directly come before them. It returns
// an error outside a transaction.
func AtCommit(ctx context.Context, then func(error), sql string, args ...any) error {
	t, ok := ctx.Value(txKey{}).(*transaction)
	if !ok {
		return errNoTx
	}
	t.last = append(t.last, statement{sql, args, then})
	return nil
}

// finish sends the statements that wait in this scope and the one that ends
// it in one round trip. One that fails keeps the others from being run.
func (t *transaction) finish(ctx context.Context, sql string, args ...any) (end pgconn.CommandTag, err error) {
	waiting := t.last
	t.last = nil
	batch := &pgx.Batch{}
	for _, s := range waiting {
		batch.Queue(s.sql, s.args...)
	}
	batch.Queue(sql, args...)
	results := t.tx.SendBatch(ctx, batch)
	defer func() {
		if closed := results.Close(); err == nil {
			err = closed
		}
	}()
	for _, s := range waiting {
		_, err = results.Exec()
		if s.then != nil {
			s.then(Fault(err))
		}
		if err != nil {
			return end, err
		}
	}
	return results.Exec()
}

// end commits, after what waits.
func (t *transaction) end(ctx context.Context) error {
	if len(t.last) == 0 {
		return t.tx.Commit(ctx)
	}
	tag, err := t.finish(ctx, "commit")
	if err == nil && tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback
	}
	t.state.ended = err == nil
	return err
}

// leave goes back to the surrounding scope, after what waits.
func (t *transaction) leave(ctx context.Context, outer scope) error {
	if len(t.last) == 0 {
		return t.take(ctx, outer)
	}
	_, err := t.finish(ctx, `select set_config('role', $1, true), set_config('search_path', $2, true)`,
		outer.role, outer.path())
	return Fault(err)
}
