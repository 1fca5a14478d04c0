package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"
)

const (
	// endedTrees gives trees of which nothing is at work, from the one that ended
	// first.
	endedTrees = `SELECT id, owner, ended FROM execution e
		WHERE parent = '' AND ended IS NOT NULL AND ended < ?1 AND (ended, id) > (?2, ?3)
		AND NOT EXISTS (SELECT 1 FROM execution WHERE parent <> '' AND root = e.id AND ended IS NULL)
		ORDER BY ended, id LIMIT 100`
	// stillEnded gives those of a list of roots that have not come to life again.
	stillEnded = `SELECT e.id, ` + rowsOf + ` FROM json_each(?1) l JOIN execution e ON e.id = l.value
		WHERE e.ended IS NOT NULL AND e.ended < ?2
		AND NOT EXISTS (SELECT 1 FROM execution WHERE parent <> '' AND root = e.id AND ended IS NULL)`
	// below gives executions of trees, those that came last before the others.
	below = `SELECT e.id, ` + rowsOf + ` FROM json_each(?1) l JOIN execution e ON e.root = l.value
		WHERE e.parent <> '' ORDER BY l.key, e.created DESC, e.id DESC LIMIT ?2`
	rowsOf = `2 + (SELECT coalesce(max(number), 0) FROM journal WHERE execution = e.id)
		+ (SELECT coalesce(max(number), 0) FROM log WHERE execution = e.id)`
	textsOfTrees   = `SELECT DISTINCT text FROM text_use WHERE root IN (SELECT value FROM json_each(?))`
	deleteJournals = `DELETE FROM journal WHERE execution IN (SELECT value FROM json_each(?))`
	deleteLogs     = `DELETE FROM log WHERE execution IN (SELECT value FROM json_each(?))`
	deleteOrders   = `DELETE FROM orders WHERE execution IN (SELECT value FROM json_each(?))`
	deleteTraces   = `DELETE FROM trace WHERE root IN (SELECT value FROM json_each(?))`
	deleteTextUses = `DELETE FROM text_use WHERE root IN (SELECT value FROM json_each(?))`
	deleteThem     = `DELETE FROM execution WHERE id IN (SELECT value FROM json_each(?))`
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
		var ids []string
		for _, t := range page {
			if len(owners) == 0 || slices.Contains(owners, t.owner) {
				ids = append(ids, t.id)
			}
		}
		for len(ids) > 0 {
			start := time.Now()
			var gone int
			err := e.s.write(ctx, "prune executions", func(tx *sql.Tx, _ *keys) (err error) {
				ids, gone, err = prune(ctx, tx, ids, before)
				return err
			})
			if err != nil {
				return trees, err
			}
			trees += gone
			select {
			case <-time.After(time.Since(start)): // as long for others
			case <-ctx.Done():
				return trees, ctx.Err()
			}
		}
	}
}

type endedTree struct {
	id, owner string
	ended     int64
}

func (e *Executions) endedTrees(ctx context.Context, before time.Time, from int64, after string) ([]endedTree, error) {
	rows, err := e.s.db.QueryContext(ctx, endedTrees, micros(before), from, after)
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

// prune removes as much of trees as is enough for one transaction, and gives what
// is left of them to be looked at and how many are gone. Roots go last, so that
// what is left when this is interrupted can be read, and is removed the next time.
func prune(ctx context.Context, tx *sql.Tx, trees []string, before time.Time) (left []string, gone int, err error) {
	budget := pruneRows
	roots, err := prunable(ctx, tx, stillEnded, list(trees), micros(before))
	if err != nil {
		return nil, 0, err
	}
	trees = names(roots)
	leaves, err := prunable(ctx, tx, below, list(trees), pruneRows)
	if err != nil {
		return nil, 0, err
	}
	removed := afford(leaves, &budget)
	if len(removed) < len(leaves) || len(leaves) == pruneRows {
		return trees, 0, deleteExecutions(ctx, tx, names(removed))
	}
	ended := afford(roots, &budget)
	texts, err := rowIDs(ctx, tx, textsOfTrees, list(names(ended)))
	if err != nil {
		return nil, 0, err
	}
	for _, query := range []string{deleteTraces, deleteTextUses} {
		if _, err := tx.ExecContext(ctx, query, list(names(ended))); err != nil {
			return nil, 0, err
		}
	}
	if err := deleteExecutions(ctx, tx, names(append(removed, ended...))); err != nil {
		return nil, 0, err
	}
	return trees[len(ended):], len(ended), deleteTexts(ctx, tx, texts)
}

// weighed is an execution and about how many rows it has.
type weighed struct {
	id   string
	rows int
}

// afford gives the first of the executions that the budget has room for, at
// least one while there is any, and takes them off it.
func afford(all []weighed, budget *int) []weighed {
	for i, w := range all {
		if *budget <= 0 {
			return all[:i:i]
		}
		*budget -= w.rows
	}
	return all[:len(all):len(all)]
}

func prunable(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]weighed, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []weighed
	for rows.Next() {
		var w weighed
		if err := rows.Scan(&w.id, &w.rows); err != nil {
			return nil, err
		}
		found = append(found, w)
	}
	return found, rows.Err()
}

// deleteExecutions removes executions and all that belongs to them alone.
func deleteExecutions(ctx context.Context, tx *sql.Tx, ids []string) error {
	for _, query := range []string{deleteJournals, deleteLogs, deleteOrders, deleteThem} {
		if _, err := tx.ExecContext(ctx, query, list(ids)); err != nil {
			return err
		}
	}
	return nil
}

func names(all []weighed) []string {
	ids := make([]string, 0, len(all))
	for _, w := range all {
		ids = append(ids, w.id)
	}
	return ids
}

// list gives a list as an argument of a query.
func list(ids []string) string {
	if len(ids) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(ids) // strings never fail
	return string(text)
}
