package main

import (
	"time"

	"github.com/spf13/cobra"
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
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			detail, err := services.Executions.Timeline(cmd.Context(), args[0], "", 0)
			if err != nil {
				return err
			}
			return a.print(plain(detail), func(t *table) { newTimeline(detail, time.Now()).show(t) })
		},
	}
}
