package main

import "github.com/spf13/cobra"

func newFlowVersions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "versions NAME",
		Short:             "List the versions of a flow, the newest first",
		Args:              exactly(1),
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := a.storedFlow(cmd.Context(), args[0], 0); err != nil {
				return err
			}
			opened, err := a.store(cmd.Context())
			if err != nil {
				return err
			}
			all, err := opened.Flows().Versions(cmd.Context(), localOwner, args[0])
			if err != nil {
				return err
			}
			return a.printFlows(all)
		},
	}
}
