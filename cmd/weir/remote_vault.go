package main

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/engine/api"
)

func (a *app) listVaultsRemote(ctx context.Context, c *api.Client) error {
	list, err := c.ListVaults(ctx)
	if err != nil {
		return err
	}
	if len(list.Vaults) == 0 {
		a.say(noVault)
	}
	return a.print(plainList(list.Vaults), func(t *table) {
		t.row("NAME", "ADDRESS", "AUTH", "FROM")
		for _, v := range list.Vaults {
			if file, ok := v["file"]; ok {
				t.row(v["name"], "file "+fmt.Sprint(file), "-", v["from"])
				continue
			}
			t.row(v["name"], textOf(v["address"]), textOf(v["auth"]), v["from"])
		}
	})
}

// textOf is a text of a tree; empty if there is none.
func textOf(v any) string {
	text, _ := v.(string)
	return text
}

func (a *app) showVaultRemote(ctx context.Context, c *api.Client, name string) error {
	shown, err := c.Vault(ctx, name)
	if err != nil {
		return err
	}
	if a.flags.output == "table" {
		a.flags.output = "yaml"
	}
	a.say("from %s", shown["from"])
	delete(shown, "from")
	return a.print(plain(shown), nil)
}

func (a *app) addVaultRemote(ctx context.Context, c *api.Client, name string, added vaultConfig, replace bool) error {
	tree, _ := plain(added.tree).(map[string]any)
	delete(tree, "name")
	done, err := c.PutVault(ctx, name, api.VaultConfiguration{Configuration: tree, Replace: replace})
	if err != nil {
		return err
	}
	a.say("try it: weir vault test %s --path secret/...", name)
	return a.print(plain(done), func(t *table) { t.row(done.Result, done.Name) })
}

func (a *app) removeVaultRemote(ctx context.Context, c *api.Client, name string, yes bool) error {
	if _, err := c.Vault(ctx, name); err != nil {
		return err
	}
	if err := a.sure(ctx, yes, fmt.Sprintf("remove Vault configuration %q", name)); err != nil {
		return err
	}
	done, err := c.RemoveVault(ctx, name)
	if err != nil {
		return err
	}
	return a.print(plain(done), func(t *table) { t.row(done.Result, done.Name) })
}

func (a *app) testVaultRemote(ctx context.Context, c *api.Client, name, path string) error {
	tested, err := c.TestVault(ctx, name, api.VaultTrial{Path: path})
	if err != nil {
		return err
	}
	return a.printTested(tested)
}
