package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
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
	sources, err := a.secretSources(ctx)
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
	sources, err := a.secretSources(cmd.Context())
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
	tree := map[string]any{"name": s.name}
	if s.file != "" {
		tree["file"] = s.file
		return tree
	}
	put := func(key, text string) {
		if text != "" {
			tree[key] = text
		}
	}
	auth := s.vault.Auth
	put("address", s.vault.Address)
	put("namespace", s.vault.Namespace)
	put("login_namespace", s.vault.LoginNamespace)
	put("ca_cert", s.vault.CACert)
	put("tls_server_name", s.vault.TLSServerName)
	put("auth", string(auth.Method))
	put("auth_mount", auth.Mount)
	put("token_file", auth.TokenFile)
	put("role_id", auth.RoleID)
	put("username", auth.Username)
	put("role", auth.Role)
	put("jwt_file", auth.JWTFile)
	putDuration := func(key string, d time.Duration) {
		if d != 0 {
			tree[key] = max(d, 0).String()
		}
	}
	putDuration("timeout", s.vault.Timeout)
	putDuration("cache_ttl", s.vault.CacheTTL) // below 0, for none, is shown as it was given
	putDuration("tolerate", s.vault.Tolerate)
	if s.vault.RateLimit != 0 {
		tree["rate_limit"] = max(s.vault.RateLimit, 0)
	}
	if !auth.Token.IsZero() {
		tree["token"] = secret.Mask
	}
	if !auth.SecretID.IsZero() {
		tree["secret_id"] = secret.Mask
	}
	if !auth.Password.IsZero() {
		tree["password"] = secret.Mask
	}
	if len(s.vault.Mounts) > 0 {
		mounts := map[string]any{}
		for path, version := range s.vault.Mounts {
			mounts[path] = version
		}
		tree["mounts"] = mounts
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
