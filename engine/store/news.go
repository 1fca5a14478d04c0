package store

import (
	"context"

	"github.com/weir-engine/weir/engine"
)

const (
	lastPosition = `SELECT coalesce(max(position), 0) FROM log`
	listNews     = `SELECT l.position, l.execution, l.number, l.ordinal, l.body, e.parent, e.owner, e.key, l.root
		FROM log l JOIN execution e ON e.id = l.execution
		WHERE l.position > ?1 AND (?2 OR e.owner = ?3) ORDER BY l.position LIMIT ?4`
)

// NewsLine is a line of the log of any execution.
type NewsLine struct {
	LogLine
	Root  engine.ID
	Owner string
}

// Position gives the position of the last line of all logs; 0 if there is none.
func (e *Executions) Position(ctx context.Context) (position int64, err error) {
	err = e.s.db.QueryRowContext(ctx, lastPosition).Scan(&position)
	return position, e.s.explain("read the logs", err)
}

// News gives lines of the logs of all executions of an owner, or of all owners for
// nil: those after a position, in the order in which they were written, and at most
// limit of them.
func (e *Executions) News(ctx context.Context, owner *string, after int64, limit int) ([]NewsLine, error) {
	lines, err := e.sealedNews(ctx, owner, after, limit)
	if err != nil {
		return nil, e.s.explain("read the logs", err)
	}
	members := map[engine.ID]*member{}
	found := make([]NewsLine, 0, len(lines))
	for _, l := range lines {
		if members[l.Execution] == nil {
			key, err := e.members.rootKey(ctx, e.s.db, l.key)
			if err != nil {
				return nil, e.s.explain("read the logs", err)
			}
			members[l.Execution] = newMember(key, l.key, string(l.Execution), string(l.root), l.parent, l.owner)
		}
		if err := l.open(members[l.Execution]); err != nil {
			return nil, err
		}
		found = append(found, NewsLine{l.LogLine, l.root, l.owner})
	}
	return found, nil
}

type sealedNews struct {
	sealedLine
	root engine.ID
}

func (e *Executions) sealedNews(ctx context.Context, owner *string, after int64, limit int) ([]sealedNews, error) {
	var of string
	if owner != nil {
		of = *owner
	}
	rows, err := e.s.db.QueryContext(ctx, listNews, after, owner == nil, of, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var lines []sealedNews
	for rows.Next() {
		var l sealedNews
		if err := rows.Scan(&l.Position, (*string)(&l.Execution), &l.Number, &l.Ordinal, &l.body, &l.parent, &l.owner, &l.key, (*string)(&l.root)); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}
