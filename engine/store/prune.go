package store

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

const (
	// endedTrees gives trees of which nothing is at work, from the one that ended
	// first.
	endedTrees = `SELECT id, owner, ended FROM execution e
		WHERE parent = '' AND ended IS NOT NULL AND ended < ?1 AND (ended, id) > (?2, ?3)
		AND NOT EXISTS (SELECT 1 FROM execution WHERE parent <> '' AND root = e.id AND ended IS NULL)
		ORDER BY ended, id LIMIT ?4`
	// prunable gives executions of a tree, those below others before them.
	prunable = `SELECT id FROM execution WHERE parent <> '' AND root = ?1
		AND NOT EXISTS (SELECT 1 FROM execution WHERE id = ?1 AND (ended IS NULL OR ended >= ?2))
		ORDER BY created DESC, id DESC LIMIT ?3`
	deleteJournal   = `DELETE FROM journal WHERE execution = ?`
	deleteLog       = `DELETE FROM log WHERE execution = ?`
	deleteOrders    = `DELETE FROM orders WHERE execution = ?`
	deleteExecution = `DELETE FROM execution WHERE id = ?`
	prunableRoot    = `SELECT EXISTS (SELECT 1 FROM execution WHERE id = ?1 AND ended < ?2)
		AND NOT EXISTS (SELECT 1 FROM execution WHERE parent <> '' AND root = ?1)`
	deleteTraces   = `DELETE FROM trace WHERE root = ?`
	textsOfTree    = `SELECT text FROM text_use WHERE root = ?`
	deleteTextUses = `DELETE FROM text_use WHERE root = ?`
)

// pruneRows is about how many rows one transaction of Prune removes.
const pruneRows = 500

// Prune removes the trees of executions that ended before a time, with their
// journals, logs and traces, and the texts that nothing else refers to: of the
// owners that are named, or of all. It works in small transactions and rests
// between them, so that an engine at work is not held up. It gives how many trees
// are gone, also with an error.
func (e *Executions) Prune(ctx context.Context, before time.Time, owners ...string) (trees int, err error) {
	from, after := int64(-1<<63), ""
	for {
		page, err := e.endedTrees(ctx, before, from, after)
		if err != nil || len(page) == 0 {
			return trees, e.s.explain("prune executions", err)
		}
		last := page[len(page)-1]
		from, after = last.ended, last.id
		if len(owners) > 0 {
			page = slices.DeleteFunc(page, func(t endedTree) bool { return !slices.Contains(owners, t.owner) })
		}
		for len(page) > 0 {
			start := time.Now()
			var done, gone int
			err := e.s.write(ctx, "prune executions", func(tx *sql.Tx, _ *keys) (err error) {
				done, gone, err = e.prune(ctx, tx, page, before)
				return err
			})
			if err != nil {
				return trees, err
			}
			page, trees = page[done:], trees+gone
			select {
			case <-time.After(time.Since(start)): // as long for others
			case <-ctx.Done():
				return trees, ctx.Err()
			}
		}
	}
}

// prune removes trees until it has removed enough rows for one transaction: done
// of them need no further look, and gone were removed.
func (e *Executions) prune(ctx context.Context, tx *sql.Tx, page []endedTree, before time.Time) (done, gone int, err error) {
	rows := 0
	for _, t := range page {
		below, err := stringsOf(ctx, tx, prunable, t.id, micros(before), pruneRows)
		if err != nil {
			return 0, 0, err
		}
		for _, id := range below {
			if rows >= pruneRows {
				return done, gone, nil
			}
			n, err := deleteOne(ctx, tx, id)
			if err != nil {
				return 0, 0, err
			}
			rows += n
		}
		if rows >= pruneRows {
			return done, gone, nil
		}
		n, err := e.pruneRoot(ctx, tx, t.id, before)
		if err != nil {
			return 0, 0, err
		}
		done, rows = done+1, rows+n
		if n > 0 {
			gone++
		}
	}
	return done, gone, nil
}

type endedTree struct {
	id, owner string
	ended     int64
}

func (e *Executions) endedTrees(ctx context.Context, before time.Time, from int64, after string) ([]endedTree, error) {
	rows, err := e.s.db.QueryContext(ctx, endedTrees, micros(before), from, after, 100)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var trees []endedTree
	for rows.Next() {
		var t endedTree
		if err := rows.Scan(&t.id, &t.owner, &t.ended); err != nil {
			return nil, err
		}
		trees = append(trees, t)
	}
	return trees, rows.Err()
}

// deleteOne removes an execution and all that belongs to it alone, and gives how
// many rows these were.
func deleteOne(ctx context.Context, tx *sql.Tx, id string) (rows int, err error) {
	for _, query := range []string{deleteJournal, deleteLog, deleteOrders, deleteExecution} {
		result, err := tx.ExecContext(ctx, query, id)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		rows += int(n)
	}
	return rows, nil
}

// pruneRoot removes the root of a tree of which nothing else is left, unless it
// has come to life again. It comes last, so that what is left of a tree when this
// is interrupted can be read, and is removed the next time.
func (e *Executions) pruneRoot(ctx context.Context, tx *sql.Tx, root string, before time.Time) (rows int, err error) {
	var ended bool
	if err := tx.QueryRowContext(ctx, prunableRoot, root, micros(before)).Scan(&ended); err != nil || !ended {
		return 0, err
	}
	texts, err := rowIDs(ctx, tx, textsOfTree, root)
	if err != nil {
		return 0, err
	}
	for _, query := range []string{deleteTraces, deleteTextUses} {
		if _, err := tx.ExecContext(ctx, query, root); err != nil {
			return 0, err
		}
	}
	if rows, err = deleteOne(ctx, tx, root); err != nil {
		return 0, err
	}
	return rows, deleteTexts(ctx, tx, texts)
}

// stringsOf gives the first column of a query.
func stringsOf(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}
