package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
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
			services, err := a.services(ctx)
			if err != nil {
				return err
			}
			if fromStart {
				started, err := services.Orders.Repeat(ctx, args[0])
				if err != nil {
					return err
				}
				return watching.watch(ctx, a, services, started.ID)
			}
			ordered, err := services.Orders.Order(ctx, args[0], api.Order{Verb: string(journal.VerbRetry)})
			if err != nil {
				return err
			}
			if err := a.sayTaken(ctx, ordered.Taken); err != nil {
				return err
			}
			watching.order = &ordered
			return watching.watch(ctx, a, services, ordered.Execution.ID)
		},
	}
	cmd.Flags().BoolVar(&fromStart, "from-start", false, "start a new execution of the same text and inputs")
	watching.flags(cmd)
	return cmd
}
