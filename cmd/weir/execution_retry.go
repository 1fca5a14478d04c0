package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

func newExecutionRetry(a *app) *cobra.Command {
	var fromStart bool
	var watching watching
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Have a failed execution go on from the step that failed",
		Long: `Have a failed execution go on from the step that failed: what succeeded before is not run again. With
--from-start a new execution of the same text and inputs is started, whatever has become of the first one.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeExecutions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			opened, err := a.executionStore(ctx)
			if err != nil {
				return err
			}
			row, err := find(ctx, opened.Executions(), args[0])
			if err != nil {
				return err
			}
			if row.Parent != "" {
				return &engine.Error{
					Kind: engine.Invalid, Message: fmt.Sprintf("execution %s was started by another flow", row.ID),
					Hint: fmt.Sprintf("retry all of it: weir execution retry %s", row.Root),
				}
			}
			if fromStart {
				id, err := a.startAgain(ctx, opened, row.ID)
				if err != nil {
					return err
				}
				return watching.watch(ctx, a, opened, id)
			}
			order, err := a.goOn(ctx, opened, row)
			if err != nil {
				return err
			}
			watching.order = &order
			return watching.watch(ctx, a, opened, row.ID)
		},
	}
	cmd.Flags().BoolVar(&fromStart, "from-start", false, "start a new execution of the same text and inputs")
	watching.flags(cmd)
	return cmd
}

// goOn orders that a failed execution goes on from the step that failed, unless that
// was ordered before.
func (a *app) goOn(ctx context.Context, opened *store.Store, row journal.Row) (journal.Order, error) {
	order := journal.Order{Execution: row.ID, Verb: journal.VerbRetry}
	before, waits, err := waitingOrder(ctx, opened.Executions(), func(o journal.Order) bool { return same(o, order) })
	if err != nil || waits {
		return before, err
	}
	again := fmt.Sprintf("to run it from its beginning: weir execution retry %s --from-start", row.ID)
	switch {
	case !row.Status.Ended():
		return order, &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf("execution %s has not ended: it is %s", row.ID, statusText(row))}
	case row.Status == engine.Succeeded:
		return order, &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf("execution %s succeeded: no step of it failed", row.ID), Hint: again}
	}
	h, err := opened.Executions().Load(ctx, row.ID)
	if err != nil {
		return order, err
	}
	if end := journal.NewOutline(h).Finished; end != nil {
		if _, _, ok := journal.FailedStep(h.Events, end.Error, row.ID); !ok {
			failure := *local.NoFailedStep(row.ID)
			failure.Hint = again
			return order, &failure
		}
	}
	return a.order(ctx, opened, order)
}

// startAgain starts a new execution of the text and inputs of another.
func (a *app) startAgain(ctx context.Context, opened *store.Store, id engine.ID) (engine.ID, error) {
	h, err := opened.Executions().Load(ctx, id)
	if err != nil {
		return "", err
	}
	begun := journal.NewOutline(h).Begun
	if begun == nil {
		return "", &engine.Error{Kind: engine.Permanent, Message: fmt.Sprintf("execution %s has no beginning", id)}
	}
	text, err := opened.Executions().Text(ctx, begun.Text)
	if err != nil {
		return "", err
	}
	runner, err := a.engine(ctx, local.Config{})
	if err != nil {
		return "", err
	}
	request := engine.Request{Owner: h.Owner, File: begun.File, Text: text, Name: h.Name, Inputs: begun.Inputs, Again: id}
	if filepath.Base(begun.Files) != string(id) { // a directory of its own is not for another
		request.Files = begun.Files
	}
	return runner.Start(ctx, request)
}
