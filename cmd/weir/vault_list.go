package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

const noVault = `note: no Vault is configured; add one with "weir vault add", set VAULT_ADDR, or try with a file: --secrets FILE`

func newVaultList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the configured Vaults",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.listVaultsRemote(cmd.Context(), c) }); done {
				return err
			}
			sources, err := a.secretSources(cmd.Context(), a.owner)
			if err != nil {
				return err
			}
			data := []any{}
			for _, source := range sources {
				tree := source.tree()
				tree["from"] = source.origin
				data = append(data, tree)
			}
			if len(sources) == 0 {
				a.say(noVault)
			}
			return a.print(data, func(t *table) {
				t.row("NAME", "ADDRESS", "AUTH", "FROM")
				for _, source := range sources {
					if source.file != "" {
						t.row(source.name, "file "+source.file, "-", source.origin)
						continue
					}
					t.row(source.name, source.vault.Address, source.vault.Auth.Method, source.origin)
				}
			})
		},
	}
}
