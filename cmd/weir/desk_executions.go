package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// ListExecutions implements httpapi.Executions.
func (d *desk) ListExecutions(ctx context.Context, f api.ExecutionFilter) (api.Executions, error) {
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	rows, next, err := d.store.Executions().List(ctx, store.Filter{
		Owner: d.owner, Status: engine.Status(f.Status), Name: f.Flow, Children: f.Children, Limit: f.Limit, Before: f.After,
	})
	return api.Executions{Executions: executionsOf(rows), Next: next}, err
}

// defaultPage is how many executions a list has at most unless it is said.
const defaultPage = 50

// Execution implements httpapi.Executions.
func (d *desk) Execution(ctx context.Context, id string) (api.Execution, error) {
	row, err := d.row(ctx, id)
	return executionOf(row), err
}

// ExecutionTree implements httpapi.Executions.
func (d *desk) ExecutionTree(ctx context.Context, id, after string, limit int) (api.Executions, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Executions{}, err
	}
	rows, err := d.store.Executions().Tree(ctx, row.ID)
	if err != nil {
		return api.Executions{}, err
	}
	if after != "" {
		at := slices.IndexFunc(rows, func(r journal.Row) bool { return string(r.ID) == after })
		if at < 0 {
			return api.Executions{}, &engine.Error{
				Kind: engine.Invalid, Message: fmt.Sprintf("%q is no cursor of this tree of executions", after), Hint: "it is what the page before gave",
			}
		}
		rows = rows[at+1:]
	}
	next := ""
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
		next = string(rows[limit-1].ID)
	}
	return api.Executions{Executions: executionsOf(rows), Next: next}, nil
}

// Log implements httpapi.Executions.
func (d *desk) Log(ctx context.Context, id string, after int64, limit int) (api.Log, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Log{}, err
	}
	lines, err := d.store.Executions().Lines(ctx, row.ID, after, limit)
	log := api.Log{Lines: []api.Line{}, Next: after, More: len(lines) == limit}
	for _, l := range lines {
		log.Lines = append(log.Lines, lineOf(l))
		log.Next = l.Position
	}
	return log, err
}

// OwnerLines implements httpapi.OwnerLog.
func (d *desk) OwnerLines(ctx context.Context, after int64, limit int) ([]api.Line, error) {
	found, err := d.store.Executions().News(ctx, &d.owner, after, limit)
	lines := []api.Line{}
	for _, l := range found {
		lines = append(lines, lineOf(l.LogLine))
	}
	return lines, err
}

func lineOf(l store.LogLine) api.Line {
	e := l.Event
	return api.Line{
		Position: l.Position, Time: e.Time, Level: string(e.Level), Message: e.Message, Fields: e.Fields,
		Execution: string(e.Execution), Where: e.Where,
	}
}

// Timeline implements httpapi.Executions.
func (d *desk) Timeline(ctx context.Context, id, after string, limit int) (api.Detail, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Detail{}, err
	}
	s, err := newShown(ctx, d.store.Executions(), row.ID)
	if err != nil {
		return api.Detail{}, err
	}
	if limit > 0 {
		s.steps, s.bytes = limit, maxTimeline
	}
	detail, err := s.detail(ctx, row.ID, after)
	if err != nil {
		return api.Detail{}, err
	}
	return *detail, nil
}

// loadMasked reads an execution, and makes the scope that masks what is shown of its
// tree.
func loadMasked(ctx context.Context, executions *store.Executions, id engine.ID) (journal.History, *dispatch.Scope, error) {
	h, err := executions.Load(ctx, id)
	if err != nil {
		return h, nil, err
	}
	scope := dispatch.NewScope(h.TraceKey)
	if err := scope.AddTraces(h.Traces); err != nil {
		return h, nil, &engine.Error{Kind: engine.Permanent, Message: fmt.Sprintf("read execution %s: %v", id, err)}
	}
	return h, scope, nil
}
