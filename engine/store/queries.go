package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// queries are those that read an execution. They are prepared once for each
// connection: to prepare them takes longer than to ask them.
type queries struct {
	s *Store

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// prepare makes the queries ready. It must not be called within a transaction: it
// may wait for a connection.
func (q *queries) prepare(ctx context.Context) error {
	q.mu.RLock()
	ready := q.prepared != nil
	q.mu.RUnlock()
	if ready {
		return nil
	}
	made := map[string]*sql.Stmt{}
	for _, text := range []string{selectExecution, selectEvents, selectTraces, lastLine, lastOrdinal} {
		statement, err := q.s.db.PrepareContext(ctx, text) //nolint:sqlclosecheck // it is closed with the store
		if err != nil {
			return errors.Join(err, closeAll(made))
		}
		made[text] = statement
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.prepared != nil { // somebody else has done it
		return closeAll(made)
	}
	q.prepared = made
	return nil
}

// row asks a query for one row as part of a transaction.
func (q *queries) row(ctx context.Context, tx *sql.Tx, text string, args ...any) *sql.Row {
	return q.in(ctx, tx, text).QueryRowContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
}

// rows asks a query as part of a transaction.
func (q *queries) rows(ctx context.Context, tx *sql.Tx, text string, args ...any) (*sql.Rows, error) {
	return q.in(ctx, tx, text).QueryContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
}

func (q *queries) in(ctx context.Context, tx *sql.Tx, text string) *sql.Stmt {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return tx.StmtContext(ctx, q.prepared[text])
}

func (q *queries) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return closeAll(q.prepared)
}

func closeAll(statements map[string]*sql.Stmt) error {
	var errs []error
	for _, statement := range statements {
		errs = append(errs, statement.Close())
	}
	return errors.Join(errs...)
}
