package store

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/engine"
)

// Of a prefix, the keys from it to the highest that starts with it.
const findExecutions = `SELECT id FROM execution
	WHERE id >= ?1 AND id < ?1 || char(0x10ffff) AND owner = ?2 AND (?3 OR parent = '') ORDER BY id LIMIT ?4`

// Find gives the ids of an owner's executions that start with a prefix, in their
// order and at most limit of them: of those that others started only if children
// is set.
func (e *Executions) Find(ctx context.Context, owner, prefix string, children bool, limit int) ([]engine.ID, error) {
	ids, err := e.find(ctx, owner, prefix, children, limit)
	return ids, e.s.explain(fmt.Sprintf("look for execution %s", prefix), err)
}

func (e *Executions) find(ctx context.Context, owner, prefix string, children bool, limit int) ([]engine.ID, error) {
	rows, err := e.s.db.QueryContext(ctx, findExecutions, prefix, owner, children, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []engine.ID
	for rows.Next() {
		var id engine.ID
		if err := rows.Scan((*string)(&id)); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
