package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/journal"
)

func newExecutionPause(a *app) *cobra.Command {
	return ordering{
		verb: journal.VerbPause,
		usage: cobra.Command{
			Use:   "pause ID...",
			Short: "Keep executions from going on, until they are resumed",
			Long: `Keep executions, and the flows that they started, from going on until they are resumed. Tasks that run
come to their end first.`,
		},
	}.command(a)
}
