package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newFlowDelete(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a flow and its versions; executions keep their texts",
		Args:              exactly(1),
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			flows, err := a.flows(cmd.Context(), false)
			if err != nil {
				return err
			}
			found, err := flows.Flow(cmd.Context(), args[0], 0)
			if err != nil {
				return err
			}
			if err := a.sure(cmd.Context(), yes, fmt.Sprintf("delete flow %q (version %d)", found.Name, found.Version)); err != nil {
				return err
			}
			deleted, err := flows.DeleteFlow(cmd.Context(), found.Name)
			if err != nil {
				return err
			}
			return a.print(plain(deleted), func(t *table) { t.row("deleted", deleted.Name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
