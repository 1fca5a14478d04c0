package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
	stillEnded = `SELECT e.id FROM json_each(?1) l JOIN execution e ON e.id = l.value
		WHERE e.ended IS NOT NULL AND e.ended < ?2
		AND NOT EXISTS (SELECT 1 FROM execution WHERE parent <> '' AND root = e.id AND ended IS NULL)`
	// below gives executions of trees, those that came last before the others.
	below = `SELECT e.id FROM json_each(?1) l JOIN execution e ON e.root = l.value
		WHERE e.parent <> '' ORDER BY l.key, e.created DESC, e.id DESC LIMIT ?2`
	// namedEvents and namedLines give the executions that have some, in the order of
	// their ids between two, and whether they are there.
	namedEvents = `WITH RECURSIVE named (id, n) AS (
			SELECT (SELECT min(execution) FROM journal WHERE execution > ?1), 1 UNION ALL
			SELECT (SELECT min(execution) FROM journal WHERE execution > id), n + 1 FROM named WHERE id < ?2 AND n < ?3)
		SELECT id, EXISTS (SELECT 1 FROM execution e WHERE e.id = named.id) FROM named WHERE id < ?2`
	namedLines = `WITH RECURSIVE named (id, n) AS (
			SELECT (SELECT min(execution) FROM log WHERE execution > ?1), 1 UNION ALL
			SELECT (SELECT min(execution) FROM log WHERE execution > id), n + 1 FROM named WHERE id < ?2 AND n < ?3)
		SELECT id, EXISTS (SELECT 1 FROM execution e WHERE e.id = named.id) FROM named WHERE id < ?2`
	sizesOfEvents    = `SELECT number, length(body) FROM journal WHERE execution = ? ORDER BY number LIMIT ?`
	sizesOfLines     = `SELECT number, length(body) FROM log WHERE execution = ? ORDER BY number LIMIT ?`
	deleteEvents     = `DELETE FROM journal WHERE execution = ? AND number <= ?`
	deleteLines      = `DELETE FROM log WHERE execution = ? AND number <= ?`
	textsOfTrees     = `SELECT DISTINCT text FROM text_use WHERE root IN (SELECT value FROM json_each(?))`
	deleteBeginnings = `DELETE FROM journal WHERE execution IN (SELECT value FROM json_each(?)) AND number = 0`
	deleteFirstLines = `DELETE FROM log WHERE execution IN (SELECT value FROM json_each(?)) AND number = 1`
	deleteOrders     = `DELETE FROM orders WHERE execution IN (SELECT value FROM json_each(?))`
	deleteTraces     = `DELETE FROM trace WHERE root IN (SELECT value FROM json_each(?))`
	deleteTextUses   = `DELETE FROM text_use WHERE root IN (SELECT value FROM json_each(?))`
	deleteThem       = `DELETE FROM execution WHERE id IN (SELECT value FROM json_each(?))`
)

// What one transaction of Prune removes at most: so many executions, or so many events
// and lines, or about so many bytes of them.
const (
	pruneExecutions = 200
	pruneRows       = 500
	pruneBytes      = 4 << 20
)

// Prune removes the trees of executions that ended before a time, with their
// journals, logs and traces, and the texts that nothing else refers to: of the
// owners that are named, or of all. It works in small transactions and rests
// between them, so that an engine at work is not held up. It gives how many trees
// are gone, also with an error.
func (e *Executions) Prune(ctx context.Context, before time.Time, owners ...string) (trees int, err error) {
	if err := e.sweep(ctx, before); err != nil {
		return 0, e.s.explain("prune executions", err)
	}
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
			var gone int
			var removed []string
			err := e.gently(ctx, func(tx *sql.Tx) (err error) {
				ids, removed, gone, err = prune(ctx, tx, ids, before)
				return err
			})
			if err != nil {
				return trees, err
			}
			trees += gone
			if err := e.clear(ctx, removed); err != nil {
				return trees, err
			}
		}
	}
}

// gently makes a change, and then leaves the store to others for as long.
func (e *Executions) gently(ctx context.Context, change func(*sql.Tx) error) error {
	start := time.Now()
	if err := e.s.write(ctx, "prune executions", func(tx *sql.Tx, _ *keys) error { return change(tx) }); err != nil {
		return err
	}
	select {
	case <-time.After(time.Since(start)):
	case <-ctx.Done(): // the change is made; what comes next is not
	}
	return nil
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

// prune removes as many executions of trees as is enough for one transaction, and
// gives what is left of the trees to be looked at, the executions of which events and
// lines are left, and how many trees are gone. Roots go last, so that what is left
// when this is interrupted can be read, and is removed the next time.
func prune(ctx context.Context, tx *sql.Tx, trees []string, before time.Time) (left, removed []string, gone int, err error) {
	trees, err = names(ctx, tx, stillEnded, list(trees), micros(before))
	if err != nil {
		return nil, nil, 0, err
	}
	removed, err = names(ctx, tx, below, list(trees), pruneExecutions)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(removed) == pruneExecutions {
		return trees, removed, 0, deleteExecutions(ctx, tx, removed)
	}
	ended := trees[:min(len(trees), pruneExecutions-len(removed))]
	texts, err := rowIDs(ctx, tx, textsOfTrees, list(ended))
	if err != nil {
		return nil, nil, 0, err
	}
	for _, query := range []string{deleteTraces, deleteTextUses} {
		if _, err := tx.ExecContext(ctx, query, list(ended)); err != nil {
			return nil, nil, 0, err
		}
	}
	removed = append(removed, ended...)
	if err := deleteExecutions(ctx, tx, removed); err != nil {
		return nil, nil, 0, err
	}
	return trees[len(ended):], removed, len(ended), deleteTexts(ctx, tx, texts)
}

// deleteExecutions removes executions, and the beginnings of their journals and logs:
// from then on nobody sees what is left of them.
func deleteExecutions(ctx context.Context, tx *sql.Tx, ids []string) error {
	for _, query := range []string{deleteBeginnings, deleteFirstLines, deleteOrders, deleteThem} {
		if _, err := tx.ExecContext(ctx, query, list(ids)); err != nil {
			return err
		}
	}
	return nil
}

// clear removes the events and lines that are left of executions.
func (e *Executions) clear(ctx context.Context, ids []string) error {
	for len(ids) > 0 {
		cleared := 0
		err := e.gently(ctx, func(tx *sql.Tx) error {
			rows, bytes := pruneRows, pruneBytes
			for _, id := range ids {
				for _, of := range [][2]string{{sizesOfEvents, deleteEvents}, {sizesOfLines, deleteLines}} {
					if err := clearSome(ctx, tx, id, of[0], of[1], &rows, &bytes); err != nil {
						return err
					}
					if rows == 0 || bytes <= 0 {
						return nil
					}
				}
				cleared++
			}
			return nil
		})
		if err != nil {
			return err
		}
		ids = ids[cleared:]
	}
	return nil
}

// clearSome removes as many of an execution's rows as there is room for, and at least
// one, and takes them off it.
func clearSome(ctx context.Context, tx *sql.Tx, id, sizes, remove string, rows, bytes *int) error {
	found, err := tx.QueryContext(ctx, sizes, id, *rows)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	last := -1
	for *bytes > 0 && found.Next() {
		size := 0
		if err := found.Scan(&last, &size); err != nil {
			return err
		}
		*rows--
		*bytes -= size
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil || last < 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, remove, id, last)
	return err
}

// sweepPage is how many executions sweep looks at in one query.
const sweepPage = 1000

// sweep removes what is left of executions whose removal was interrupted. It is done
// once for an open store, and looks at those that were made before a time: their ids
// are in the order of their making.
func (e *Executions) sweep(ctx context.Context, before time.Time) error {
	if e.swept.Load() {
		return nil
	}
	end := fmt.Sprintf("%011x", before.UnixMilli())
	for _, query := range []string{namedEvents, namedLines} {
		last := ""
		for n := sweepPage; n == sweepPage; {
			var strays []string
			var err error
			if last, n, strays, err = e.strays(ctx, query, last, end); err != nil {
				return err
			}
			if err := e.clear(ctx, strays); err != nil {
				return err
			}
		}
	}
	e.swept.Store(true)
	return nil
}

// strays gives, of the next executions that have events or lines, those that are not
// there, the last one, and how many were looked at.
func (e *Executions) strays(ctx context.Context, query, from, end string) (last string, n int, strays []string, err error) {
	rows, err := e.s.db.QueryContext(ctx, query, from, end, sweepPage)
	if err != nil {
		return "", 0, nil, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		there := false
		if err := rows.Scan(&last, &there); err != nil {
			return "", 0, nil, err
		}
		if !there {
			strays = append(strays, last)
		}
	}
	return last, n, strays, rows.Err()
}

// names runs a query for ids.
func names(ctx context.Context, tx *sql.Tx, query string, args ...any) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		id := ""
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// list gives a list as an argument of a query.
func list(ids []string) string {
	if len(ids) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(ids) // strings never fail
	return string(text)
}
