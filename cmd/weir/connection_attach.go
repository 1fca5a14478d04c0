package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionAttach(a *app) *cobra.Command {
	var version int
	var keys []string
	var vault, mount string
	cmd := &cobra.Command{
		Use:   "attach-secret NAME PATH",
		Short: "Attach a Vault secret to a stored connection",
		Long: `Attach a Vault secret: when a task starts, each key of the secret is laid over the connection's value.
With --key, only these keys are taken: --key password=db_pw takes the key db_pw for the input password.
A secret that is attached already is changed where it stands; a new one comes last, and last wins.`,
		Example: `  weir connection attach-secret oracle secret/data/oracle
  weir connection attach-secret oracle secret/data/team --version 3 --key password=oracle_password`,
		Args:              exactly(2),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			attached, err := attachedOf(args[1], version, keys, vault)
			if err != nil {
				return err
			}
			attached.Mount = mount
			if done, err := a.onServer(func(c *api.Client) error { return a.changeSecretRemote(cmd.Context(), c, args[0], attached, false) }); done {
				return err
			}
			return a.amend(cmd.Context(), args[0], attach(attached))
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&version, "version", 0, "pin a version; 0 takes the newest at each use")
	flags.StringArrayVar(&keys, "key", nil, "take only this key: input=key, or a name that is both; repeatable")
	flags.StringVar(&mount, "mount", "", "path of the secrets engine, apart from the secret's name in there")
	flags.StringVar(&vault, "vault", "", "name of the Vault configuration, if it is not \"default\"")
	return cmd
}

func attachedOf(path string, version int, keys []string, vault string) (connections.AttachedSecret, error) {
	attached, err := parseAttached(path)
	if err != nil {
		return attached, err
	}
	if version < 0 || version > 0 && attached.Version > 0 && version != attached.Version {
		return attached, &usageError{fmt.Errorf("--version %d: give the version once, a number from 1", version)}
	}
	if version > 0 {
		attached.Version = version
	}
	if vault != "" && attached.Vault != "" && vault != attached.Vault {
		return attached, &usageError{fmt.Errorf("--vault %s: the path names another Vault configuration, %s", vault, attached.Vault)}
	}
	if vault != "" {
		attached.Vault = vault
	}
	for _, pair := range keys {
		input, key, renamed := strings.Cut(pair, "=")
		if !renamed {
			key = input
		}
		if input == "" || key == "" {
			return attached, &usageError{errors.New("--key takes input=key")}
		}
		if attached.Keys == nil {
			attached.Keys = map[string]string{}
		}
		attached.Keys[input] = key
	}
	return attached, nil
}

// attach attaches a secret to a connection, in the place of one of the same path.
func attach(attached connections.AttachedSecret) func(*connections.Connection) error {
	return func(c *connections.Connection) error {
		if at := attachedIndex(*c, attached); at >= 0 {
			c.Secrets[at] = attached
		} else {
			c.Secrets = append(c.Secrets, attached)
		}
		return nil
	}
}

// attachedIndex finds a secret by its configuration and path, whatever its version.
func attachedIndex(c connections.Connection, wanted connections.AttachedSecret) int {
	wanted.Version = 0
	return slices.IndexFunc(c.Secrets, func(s connections.AttachedSecret) bool {
		s.Version = 0
		return s.Ref() == wanted.Ref()
	})
}

// amend changes a stored connection.
func (a *app) amend(ctx context.Context, name string, alter func(*connections.Connection) error) error {
	changes, err := a.amended(ctx, name, alter)
	if err != nil {
		return err
	}
	return a.printChanges(ctx, changes)
}

func (a *app) amended(ctx context.Context, name string, alter func(*connections.Connection) error) ([]change, error) {
	store, c, err := a.stored(ctx, name)
	if err != nil {
		return nil, err
	}
	c.Secrets = slices.Clone(c.Secrets)
	if err := alter(&c); err != nil {
		return nil, err
	}
	changes, err := a.plan(ctx, store, []connections.Connection{c})
	if err != nil {
		return nil, err
	}
	return changes, write(ctx, store, changes)
}
