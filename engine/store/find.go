package store

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/engine"
)

// Of a prefix, the keys from it to the highest that starts with it.
const (
	withPrefix = ` id >= ?1 AND id < ?1 || char(0x10ffff) AND owner = ?2 ORDER BY id LIMIT ?3`
	findRoots  = `SELECT id FROM execution WHERE parent = '' AND` + withPrefix
	findAll    = `SELECT id FROM execution WHERE` + withPrefix
)

// Find gives the ids of an owner's executions that start with a prefix, in their
// order and at most limit of them: of those that others started only if children
// is set. Without children, it does not look at what is another owner's; with them, it
// is for a prefix that begins with the id of one of the owner's.
func (e *Executions) Find(ctx context.Context, owner, prefix string, children bool, limit int) ([]engine.ID, error) {
	ids, err := e.find(ctx, owner, prefix, children, limit)
	return ids, e.s.explain(fmt.Sprintf("look for execution %s", prefix), err)
}

func (e *Executions) find(ctx context.Context, owner, prefix string, children bool, limit int) ([]engine.ID, error) {
	query := findRoots
	if children {
		query = findAll
	}
	rows, err := e.s.db.QueryContext(ctx, query, prefix, owner, limit)
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
