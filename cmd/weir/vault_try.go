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
	"github.com/weir-engine/weir/engine/api"
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
			if done, err := a.onServer(func(c *api.Client) error { return a.testVaultRemote(cmd.Context(), c, firstArgument(args), path) }); done {
				return err
			}
			source, err := a.secretSource(cmd.Context(), firstArgument(args))
			if err != nil {
				return err
			}
			if err := a.tried(cmd.Context(), localOwner, source.name, path); err != nil {
				return err
			}
			report := newStages(a)
			err = source.try(cmd.Context(), path, report.add)
			if failed := report.end(); failed != nil {
				return failed
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "a secret to read, such as secret/data/oracle")
	return cmd
}

// addStage reports a stage of a test.
type addStage func(name, detail string, took time.Duration, err error)

func (s secretSource) try(ctx context.Context, path string, add addStage) error {
	if s.file != "" {
		return s.tryFile(ctx, path, add)
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
		add(stage.Name, stage.Detail, stage.Took, why)
	})
}

func (s secretSource) tryFile(ctx context.Context, path string, add addStage) error {
	start := time.Now()
	err := checkSecretFile(ctx, s.file)
	add("file", s.file, time.Since(start), err)
	if err != nil || path == "" {
		return err
	}
	start = time.Now()
	data, err := connections.OpenFileSecrets(s.file).ReadSecret(ctx, secret.Ref{Path: path})
	keys := slices.Sorted(maps.Keys(data.Keys))
	add("read", fmt.Sprintf("%d keys: %s", len(keys), strings.Join(keys, ", ")), time.Since(start), err)
	return err
}

// noteUnread keeps in mind which secret a source kept back, if that is due to the
// source and not to the secret.
func (a *app) noteUnread(failed *secret.ReadError) {
	switch failed.Reason {
	case secret.Denied, secret.LoginFailed, secret.Sealed, secret.Unreachable, secret.TimedOut:
	default:
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unread == nil {
		a.unread = map[string]secret.Ref{}
	}
	a.unread[firstOf(failed.Ref.Vault, vaultint.DefaultName)] = failed.Ref
}

// tryUnread tries the Vaults that kept a secret back, to see at which stage.
func (a *app) tryUnread(ctx context.Context, report *stages) {
	a.mu.Lock()
	unread := maps.Clone(a.unread)
	a.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(unread)) {
		source, err := a.secretSource(ctx, name)
		if err != nil || source.file != "" {
			continue
		}
		path := strings.Trim(unread[name].Mount+"/"+unread[name].Path, "/")
		// Why it fails is told already: where is what it is for.
		_ = source.try(ctx, path, func(stage, detail string, took time.Duration, err error) {
			report.add("vault "+name+" "+stage, detail, took, err)
		})
	}
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
