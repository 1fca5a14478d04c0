package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

func newExecutionShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show an execution: its steps, what they used, what it waits for, and when all that was",
		Long: `Show an execution and the flows it started: states, times, tries, the connections' revisions and the secrets'
versions that its steps used, what it asks and how to answer, and a time line. With -o json there are the
inputs and outputs of all steps, too. Secrets are masked.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeExecutions,
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			row, err := find(cmd.Context(), opened.Executions(), args[0])
			if err != nil {
				return err
			}
			s, err := newShown(cmd.Context(), opened.Executions(), row.ID)
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				lines, err := s.lines(cmd.Context(), row.ID)
				if err != nil {
					return err
				}
				return a.print(nil, func(t *table) { s.print(t, lines) })
			}
			tree, err := s.tree(cmd.Context(), row.ID)
			if err != nil {
				return err
			}
			return a.print(s.scope.Mask(tree), nil)
		},
	}
}

// shown is a tree of executions that is to be shown.
type shown struct {
	executions *store.Executions
	id         engine.ID // of the top
	rows       map[engine.ID]journal.Row
	scope      *dispatch.Scope
	outlines   map[engine.ID]journal.Outline
	questions  []question
	now        time.Time
}

func newShown(ctx context.Context, executions *store.Executions, id engine.ID) (*shown, error) {
	s := &shown{
		executions: executions, id: id, rows: map[engine.ID]journal.Row{}, outlines: map[engine.ID]journal.Outline{}, now: time.Now(),
	}
	rows, err := executions.Tree(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		s.rows[r.ID] = r
	}
	h, scope, err := loadMasked(ctx, executions, id)
	if err != nil {
		return nil, err
	}
	s.rows[id], s.outlines[id], s.scope = h.Row, journal.NewOutline(h), scope
	s.questions, err = questions(ctx, executions, id)
	return s, err
}

// outline reads an execution of the tree. ok is false if it is not there.
func (s *shown) outline(ctx context.Context, id engine.ID) (o journal.Outline, ok bool, err error) {
	if o, ok := s.outlines[id]; ok {
		return o, true, nil
	}
	if _, ok := s.rows[id]; !ok {
		return o, false, nil
	}
	h, err := s.executions.Load(ctx, id)
	if err != nil {
		return o, false, err
	}
	s.rows[id], s.outlines[id] = h.Row, journal.NewOutline(h)
	return s.outlines[id], true, nil
}

// tree is an execution with all that is known of it, for programs; not masked.
func (s *shown) tree(ctx context.Context, id engine.ID) (map[string]any, error) {
	o, _, err := s.outline(ctx, id)
	if err != nil {
		return nil, err
	}
	tree := rowTree(s.rows[id])
	if b := o.Begun; b != nil {
		tree["file"], tree["files"], tree["inputs"] = b.File, b.Files, object(b.Inputs)
		tree["again"], tree["deadline"] = string(b.Again), instant(b.Deadline)
	}
	if end := o.Finished; end != nil {
		tree["output"], tree["error"] = end.Output, errorTree(end.Error)
	}
	steps := []any{}
	for _, step := range o.Steps {
		shown := stepTree(step)
		if step.Child != "" {
			if _, ok := s.rows[step.Child]; ok {
				if shown["flow"], err = s.tree(ctx, step.Child); err != nil {
					return nil, err
				}
			}
		}
		steps = append(steps, shown)
	}
	notes := []any{}
	for _, n := range o.Notes {
		notes = append(notes, map[string]any{"time": instant(n.At), "what": string(n.What), "step": n.Step, "by": n.By})
	}
	asked := []any{}
	for _, q := range s.questions {
		if q.execution == id {
			asked = append(asked, q.tree())
		}
	}
	tree["steps"], tree["notes"], tree["questions"] = steps, notes, asked
	return tree, nil
}

// object gives an empty object for none, so that programs find one.
func object(tree map[string]any) map[string]any {
	if tree == nil {
		return map[string]any{}
	}
	return tree
}

func stepTree(s journal.Step) map[string]any {
	failures := []any{}
	for _, f := range s.Failures {
		failures = append(failures, map[string]any{"ended": instant(f.Ended), "error": errorTree(f.Error), "execution": string(f.Child)})
	}
	return map[string]any{
		"step": s.Address.String(), "id": string(s.ID), "kind": string(s.Kind), "name": s.Name, "type": s.Type, "where": s.Where,
		"status": string(s.Status), "started": instant(s.Started), "ended": instant(s.Ended), "until": instant(s.Until),
		"tries": s.Tries, "failures": failures, "next_try": instant(s.Next), "error": errorTree(s.Error),
		"inputs": object(s.Inputs), "output": s.Output, "uses": usesTree(s.Uses), "by": s.By, "execution": string(s.Child),
	}
}

func usesTree(u engine.Uses) map[string]any {
	secrets := []any{}
	for _, used := range u.Secrets {
		secrets = append(secrets, map[string]any{
			"path": used.Path, "version": used.Version, "created": instant(used.Created), "metadata": labelTree(used.Metadata),
		})
	}
	return map[string]any{"connection": u.Connection, "revision": u.Revision, "secrets": secrets}
}

func errorTree(e *engine.Error) any {
	if e == nil {
		return nil
	}
	return map[string]any{
		"kind": string(e.Kind), "message": e.Message, "hint": e.Hint, "where": e.Where, "execution": string(e.Execution),
		"traceback": e.Traceback, "cause": errorTree(e.Cause), "value": e.Value,
	}
}
