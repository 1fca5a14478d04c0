package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/vaultint"
)

func newVault(a *app) *cobra.Command {
	cmd := group("vault", "Manage the Vaults that secrets are read from",
		newVaultList(a),
		newVaultAdd(a),
		newVaultShow(a),
		newVaultRemove(a),
		newVaultTry(a),
	)
	cmd.Long = vaultGuide
	return cmd
}

// secretSource gives the configured source of secrets of that name.
func (a *app) secretSource(ctx context.Context, name string) (secretSource, error) {
	sources, err := a.secretSources(ctx, a.owner)
	if err != nil {
		return secretSource{}, err
	}
	var known []string
	for _, source := range sources {
		if source.name == name {
			return source, nil
		}
		known = append(known, source.name)
	}
	hint := schema.DidYouMean(name, known)
	if hint == "" {
		hint = "see: weir vault list; add one with: weir vault add"
	}
	return secretSource{}, &engine.Error{Kind: engine.NotFound, Message: fmt.Sprintf("no Vault configuration %q", name), Hint: hint}
}

func (a *app) completeVaults(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	sources, err := a.secretSources(cmd.Context(), a.owner)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, source := range sources {
		names = append(names, source.name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// tree gives the configuration as a file of Vault configurations holds it, its
// secrets masked.
func (s secretSource) tree() map[string]any {
	tree := map[string]any{}
	for _, setting := range s.settings() {
		if value := setting.shown(); value != nil {
			tree[setting.Name] = value
		}
	}
	return tree
}

// firstArgument gives the name that a command was given, else "default".
func firstArgument(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return vaultint.DefaultName
}
