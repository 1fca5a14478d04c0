package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	// Each has an index that gives its rows in their order. Of a status, the ended
	// and the open ones are told apart because most executions have succeeded.
	listRoots = `SELECT ` + executionColumns + ` FROM execution
		WHERE parent = '' AND owner = ?1 AND (created, id) < (?2, ?3) AND (?4 = '' OR name = ?4) AND (?5 = '' OR status = ?5)
		ORDER BY created DESC, id DESC LIMIT ?6`
	listChildren = `SELECT ` + executionColumns + ` FROM execution
		WHERE parent <> '' AND owner = ?1 AND (created, id) < (?2, ?3) AND (?4 = '' OR name = ?4) AND (?5 = '' OR status = ?5)
		ORDER BY created DESC, id DESC LIMIT ?6`
	listOpen = `SELECT ` + executionColumns + ` FROM execution
		WHERE status <> 'succeeded' AND owner = ?1 AND (created, id) < (?2, ?3) AND (?4 = '' OR name = ?4) AND status = ?5
		AND (?7 OR parent = '') ORDER BY created DESC, id DESC LIMIT ?6`
	selectOwn = selectExecution + ` AND owner = ?`
	listTree  = `SELECT ` + executionColumns + ` FROM execution WHERE parent <> '' AND root = ? ORDER BY created, id`
	// countAll counts what two indexes hold between them, and countOpen all but the
	// succeeded.
	countAll = `SELECT (SELECT count(*) FROM execution WHERE parent = '' AND owner = ?1) +
		(SELECT count(*) FROM execution WHERE parent <> '' AND owner = ?1)`
	countOpen = `SELECT status, count(*) FROM execution WHERE status <> 'succeeded'
		AND status IN ('pending', 'running', 'waiting', 'paused', 'failed', 'cancelled') AND owner = ? GROUP BY status`
	listLines = `SELECT l.position, l.execution, l.number, l.ordinal, l.body, e.parent, e.owner, e.key
		FROM log l JOIN execution e ON e.id = l.execution
		WHERE l.root = ? AND l.position > ? ORDER BY l.position LIMIT ?`
)

// Filter says which executions to list.
type Filter struct {
	Owner  string
	Status engine.Status // empty for any
	Name   string        // of the flow, or what its options call it; empty for any
	// Children lists executions that others started, too.
	Children bool
	Limit    int    // of the page; zero means 100
	Before   string // the cursor that the page before gave; empty for the first page
}

// List gives a page of executions, the newest first, and a cursor for the next
// page, which is empty if there is none. What is started meanwhile does not move
// the pages.
func (e *Executions) List(ctx context.Context, f Filter) (rows []journal.Row, next string, err error) {
	created, id, err := f.before()
	if err != nil {
		return nil, "", err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	args := []any{f.Owner, created, id, f.Name, string(f.Status), limit + 1}
	queries := []string{listRoots}
	switch {
	case f.Status != "" && f.Status != engine.Succeeded:
		queries, args = []string{listOpen}, append(args, f.Children)
	case f.Children:
		queries = append(queries, listChildren)
	}
	for _, query := range queries {
		found, err := e.rows(ctx, query, args...)
		if err != nil {
			return nil, "", e.s.explain("list executions", err)
		}
		rows = append(rows, found...)
	}
	if len(queries) > 1 {
		slices.SortFunc(rows, func(a, b journal.Row) int {
			return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
		})
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = fmt.Sprintf("%d-%s", micros(last.Created), last.ID)
	}
	return rows, next, nil
}

// before gives the place that the page begins after.
func (f Filter) before() (created int64, id string, err error) {
	if f.Before == "" {
		return 1<<63 - 1, "", nil
	}
	number, id, ok := strings.Cut(f.Before, "-")
	created, err = strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return 0, "", fail(engine.Invalid, "it is what the page before gave", "%q is no cursor of a list of executions", f.Before)
	}
	return created, id, nil
}

// Counts gives how many executions of an owner have each status, children
// included.
func (e *Executions) Counts(ctx context.Context, owner string) (map[engine.Status]int, error) {
	counts, err := e.counts(ctx, owner)
	return counts, e.s.explain("count executions", err)
}

func (e *Executions) counts(ctx context.Context, owner string) (map[engine.Status]int, error) {
	tx, err := e.s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	var all int
	if err := tx.QueryRowContext(ctx, countAll, owner).Scan(&all); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, countOpen, owner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	counts := map[engine.Status]int{}
	for rows.Next() {
		var status engine.Status
		var n int
		if err := rows.Scan((*string)(&status), &n); err != nil {
			return nil, err
		}
		counts[status] = n
		all -= n
	}
	if all > 0 {
		counts[engine.Succeeded] = all
	}
	return counts, rows.Err()
}

// Row gives an execution without its journal. Its error is of kind notfound if
// there is none.
func (e *Executions) Row(ctx context.Context, id engine.ID) (journal.Row, error) {
	var key int64
	r, err := scanRow(e.s.db.QueryRowContext(ctx, selectExecution, string(id)), &key)
	if errors.Is(err, sql.ErrNoRows) {
		return journal.Row{}, missingExecution(id)
	}
	return r, e.s.explain(fmt.Sprintf("read execution %s", id), err)
}

// Own gives an execution of an owner without its journal. Its error is of kind
// notfound if there is none, and the same, after the same work, for one that is
// another's.
func (e *Executions) Own(ctx context.Context, owner string, id engine.ID) (journal.Row, error) {
	var key int64
	r, err := scanRow(e.s.db.QueryRowContext(ctx, selectOwn, string(id), owner), &key)
	if errors.Is(err, sql.ErrNoRows) {
		return journal.Row{}, missingExecution(id)
	}
	return r, e.s.explain(fmt.Sprintf("read execution %s", id), err)
}

// Tree gives an execution and all below it, itself first and the others in the
// order in which they were started. Its error is of kind notfound if there is no
// such execution.
func (e *Executions) Tree(ctx context.Context, id engine.ID) ([]journal.Row, error) {
	top, err := e.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := e.rows(ctx, listTree, string(top.Root))
	if err != nil {
		return nil, e.s.explain(fmt.Sprintf("read what is below execution %s", id), err)
	}
	tree := []journal.Row{top}
	within := within(id, all)
	for _, r := range all {
		if r.ID != id && within[r.ID] {
			tree = append(tree, r)
		}
	}
	return tree, nil
}

// within tells which rows of a tree are an execution or below it.
func within(id engine.ID, rows []journal.Row) map[engine.ID]bool {
	parent := make(map[engine.ID]engine.ID, len(rows))
	for _, r := range rows {
		parent[r.ID] = r.Parent
	}
	in := map[engine.ID]bool{id: true}
	for _, r := range rows {
		above := r.ID
		for above != "" && above != id {
			above = parent[above]
		}
		if above == id {
			in[r.ID] = true
		}
	}
	return in
}

// LogLine is a line of the log of a tree of executions.
type LogLine struct {
	Position  int64     // grows from line to line, over all executions
	Execution engine.ID // the flow in whose log it is
	journal.Line
}

// Lines gives lines of the logs of an execution and all below it, in the order in
// which they were written: those after a position, or from the start if it is 0,
// and at most limit of them. Its error is of kind notfound if there is no such
// execution.
func (e *Executions) Lines(ctx context.Context, id engine.ID, after int64, limit int) ([]LogLine, error) {
	top, err := e.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	var in map[engine.ID]bool
	if top.Root != id {
		all, err := e.rows(ctx, listTree, string(top.Root))
		if err != nil {
			return nil, e.s.explain(fmt.Sprintf("read the log of execution %s", id), err)
		}
		in = within(id, all)
	}
	lines, err := e.lines(ctx, top.Root, in, after, limit)
	return lines, e.s.explain(fmt.Sprintf("read the log of execution %s", id), err)
}

// lines reads pages of a tree's log until there are enough lines of those within;
// nil means all of them.
func (e *Executions) lines(ctx context.Context, root engine.ID, in map[engine.ID]bool, after int64, limit int) (lines []LogLine, err error) {
	members := map[engine.ID]*member{}
	for len(lines) < limit {
		page, err := e.sealedLines(ctx, root, after, limit)
		if err != nil {
			return nil, err
		}
		for _, l := range page {
			after = l.Position
			if in != nil && !in[l.Execution] || len(lines) == limit {
				continue
			}
			if members[l.Execution] == nil {
				key, err := e.members.rootKey(ctx, e.s.db, l.key)
				if err != nil {
					return nil, err
				}
				members[l.Execution] = newMember(key, l.key, string(l.Execution), string(root), l.parent, l.owner)
			}
			if err := l.open(members[l.Execution]); err != nil {
				return nil, err
			}
			lines = append(lines, l.LogLine)
		}
		if len(page) < limit {
			break
		}
	}
	return lines, nil
}

type sealedLine struct {
	LogLine
	body          []byte
	parent, owner string
	key           int64
}

func (l *sealedLine) open(m *member) (err error) {
	text, ok := m.open(l.body, "log", l.Number)
	if !ok {
		return damaged("line %d of the log of execution %s", l.Number, l.Execution)
	}
	if l.Event, err = decodeLine(text); err != nil {
		return fail(engine.Permanent, "", "line %d of the log of execution %s: %v", l.Number, l.Execution, err)
	}
	return nil
}

func (e *Executions) sealedLines(ctx context.Context, root engine.ID, after int64, limit int) ([]sealedLine, error) {
	rows, err := e.s.db.QueryContext(ctx, listLines, string(root), after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var lines []sealedLine
	for rows.Next() {
		var l sealedLine
		if err := rows.Scan(&l.Position, (*string)(&l.Execution), &l.Number, &l.Ordinal, &l.body, &l.parent, &l.owner, &l.key); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}
