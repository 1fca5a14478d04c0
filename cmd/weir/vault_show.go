package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newVaultShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show the configuration of a Vault, secrets masked",
		Args:              atMost(1),
		ValidArgsFunction: a.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.showVaultRemote(cmd.Context(), c, firstArgument(args)) }); done {
				return err
			}
			source, err := a.secretSource(cmd.Context(), firstArgument(args))
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				a.flags.output = "yaml"
			}
			a.say("from %s", source.origin)
			return a.print(source.tree(), nil)
		},
	}
}

// atMost is cobra.MaximumNArgs with an error that shows the usage.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return &usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
		}
		return nil
	}
}
