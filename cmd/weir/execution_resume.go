package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

func newExecutionResume(a *app) *cobra.Command {
	return ordering{
		verb:  journal.VerbResume,
		usage: cobra.Command{Use: "resume ID...", Short: "Have paused executions go on"},
		already: func(r journal.Row) (bool, error) {
			switch {
			case r.Status.Ended():
				return false, ended(r, fmt.Sprintf("to go on from the step that failed: weir execution retry %s", r.ID))
			case r.Waits == journal.WaitsForDecision:
				return false, &engine.Error{
					Kind: engine.Conflict, Message: fmt.Sprintf("execution %s waits for a decision on what is to become of a step", r.ID),
					Hint: fmt.Sprintf("weir execution show %s tells which, and how to answer", r.ID),
				}
			}
			return false, nil
		},
	}.command(a)
}
