package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/vaultint"
)

// newVaultTry is "vault test"; a file name that ends in _test.go is taken.
func newVaultTry(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "test [NAME] [--path PATH]",
		Short: "Try a Vault stage by stage: name, connection, TLS, login, and reading one secret",
		Long: `Try a Vault with a login of its own. Of the secret of --path, version and names of keys are shown,
never a value.`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := a.secretSource(cmd.Context(), firstArgument(args))
			if err != nil {
				return err
			}
			report := newStages(a)
			err = source.try(cmd.Context(), path, report)
			if failed := report.end(); failed != nil {
				return failed
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "a secret to read, such as secret/data/oracle")
	return cmd
}

func (s secretSource) try(ctx context.Context, path string, report *stages) error {
	if s.file != "" {
		return s.tryFile(ctx, path, report)
	}
	client, err := vaultint.New(s.vault)
	if err != nil {
		return &engine.Error{Kind: engine.Invalid, Message: err.Error(), Hint: "mend the configuration from " + s.origin}
	}
	defer client.Close()
	return client.Test(ctx, path, func(stage vaultint.Stage) {
		why := stage.Err
		var read *secret.ReadError
		if errors.As(why, &read) {
			why = fmt.Errorf("%s: %s", read.Reason, read.Detail)
		}
		report.add(stage.Name, stage.Detail, stage.Took, why)
	})
}

func (s secretSource) tryFile(ctx context.Context, path string, report *stages) error {
	start := time.Now()
	err := checkSecretFile(ctx, s.file)
	report.add("file", s.file, time.Since(start), err)
	if err != nil || path == "" {
		return err
	}
	start = time.Now()
	data, err := connections.OpenFileSecrets(s.file).ReadSecret(ctx, secret.Ref{Path: path})
	keys := slices.Sorted(maps.Keys(data.Keys))
	report.add("read", fmt.Sprintf("%d keys: %s", len(keys), strings.Join(keys, ", ")), time.Since(start), err)
	return err
}

// checkSecretFile tells what is wrong with a file of secrets, by asking it for one
// that it does not have.
func checkSecretFile(ctx context.Context, file string) error {
	_, err := connections.OpenFileSecrets(file).ReadSecret(ctx, secret.Ref{Path: "-"})
	var read *secret.ReadError
	if errors.As(err, &read) && read.Reason == secret.NotFound {
		if _, missing := os.Stat(file); missing == nil {
			return nil
		}
	}
	return err
}
