package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/journal"
)

func newExecutionResume(a *app) *cobra.Command {
	return ordering{
		verb:  journal.VerbResume,
		usage: cobra.Command{Use: "resume ID...", Short: "Have paused executions go on"},
	}.command(a)
}
