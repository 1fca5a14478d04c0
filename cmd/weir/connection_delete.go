package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newConnectionDelete(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a stored connection and its revisions",
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.deleteRemote(cmd.Context(), c, args[0], yes) }); done {
				return err
			}
			name := args[0]
			store, c, err := a.stored(cmd.Context(), name)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("delete connection %q (%s, revision %d)", name, c.Type, c.Revision)
			if err := a.sure(cmd.Context(), yes, what); err != nil {
				return err
			}
			if err := store.Delete(cmd.Context(), a.owner, name); err != nil {
				return fmt.Errorf("delete connection %q: %w", name, err)
			}
			return a.print(map[string]any{"name": name, "result": "deleted"}, func(t *table) { t.row("deleted", name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
