package main

import "github.com/spf13/cobra"

func newFlowVersions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "versions NAME",
		Short:             "List the versions of a flow, the newest first",
		Args:              exactly(1),
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			flows, err := a.flows(cmd.Context(), false)
			if err != nil {
				return err
			}
			all, err := flows.FlowVersions(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printFlows(all)
		},
	}
}
