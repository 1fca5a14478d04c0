package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/journal"
)

func newExecutionCancel(a *app) *cobra.Command {
	return ordering{
		verb: journal.VerbCancel,
		usage: cobra.Command{
			Use:   "cancel ID...",
			Short: "Cancel executions and all that they started",
			Long: `Cancel executions and all that they started. Tasks that run are stopped, and the flow's deferred functions
run. "weir execution logs -f ID" shows the end of it.`,
		},
	}.command(a)
}
