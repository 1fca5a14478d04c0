package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newConnectionRevisions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revisions NAME",
		Short: "List the revisions of a stored connection, and what each one changed",
		Long: `List the revisions of a stored connection, newest first. To go back to one:
  weir connection export NAME --revision N --reveal | weir connection apply -`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.remote()
			if err != nil {
				return err
			}
			var found api.Revisions
			if client != nil {
				found, err = client.ConnectionRevisions(cmd.Context(), args[0])
			} else {
				found, err = (&desk{app: a, owner: a.owner}).ConnectionRevisions(cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			return a.printRevisions(found.Revisions)
		},
	}
}
