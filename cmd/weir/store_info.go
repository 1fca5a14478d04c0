package main

import "github.com/spf13/cobra"

func newStoreInfo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Tell where the store is, where its master key comes from, and what it holds",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := a.storeConfig()
			if err != nil {
				return err
			}
			opened, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			if opened == nil {
				return a.noStore()
			}
			stored, err := opened.Connections().List(cmd.Context(), localOwner)
			if err != nil {
				return err
			}
			vaults, err := opened.Documents(vaultDocuments).List(cmd.Context(), localOwner)
			if err != nil {
				return err
			}
			key := config.Key.String()
			data := map[string]any{"directory": config.Dir, "master_key": key, "connections": len(stored), "vaults": len(vaults)}
			return a.print(data, func(t *table) {
				t.row("directory", config.Dir)
				t.row("master key", key)
				t.row("connections", len(stored))
				t.row("vaults", len(vaults))
			})
		},
	}
}
