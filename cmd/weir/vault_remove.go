package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newVaultRemove(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "remove NAME",
		Short:             "Remove the stored configuration of a Vault",
		Args:              exactly(1),
		ValidArgsFunction: a.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.removeVaultRemote(cmd.Context(), c, args[0], yes) }); done {
				return err
			}
			name := args[0]
			store, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			if store != nil {
				_, err = store.Documents(vaultDocuments).Get(cmd.Context(), a.owner, name)
			}
			if store == nil || exitCode(err) == exitNotFound {
				return a.notStored(cmd.Context(), name)
			}
			// One that cannot be read can still be removed.
			if err := a.sure(cmd.Context(), yes, fmt.Sprintf("remove Vault configuration %q", name)); err != nil {
				return err
			}
			if err := store.Documents(vaultDocuments).Delete(cmd.Context(), a.owner, name); err != nil {
				return err
			}
			return a.print(map[string]any{"name": name, "result": "removed"}, func(t *table) { t.row("removed", name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// notStored says where a configuration is that the store does not have.
func (a *app) notStored(ctx context.Context, name string) error {
	source, err := a.secretSource(ctx, name)
	if err != nil {
		return err
	}
	return &engine.Error{
		Kind:    engine.Invalid,
		Message: fmt.Sprintf("Vault configuration %q is not in the store", name), Hint: "it comes from " + source.origin,
	}
}
