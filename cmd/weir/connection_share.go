package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

// people gives what commands manage users and shares with: the server that WEIR_ADDR
// names, or the local store, which must be there unless make is set.
func (a *app) people(ctx context.Context, create bool) (httpapi.Services, error) {
	client, err := a.remote()
	if err != nil {
		return httpapi.Services{}, err
	}
	if client != nil {
		return httpapi.Services{Users: client, Tokens: client, Audit: client, Shares: client}, nil
	}
	opened, err := a.existingStore(ctx)
	if opened == nil && err == nil {
		if err = a.noStore(); create {
			opened, err = a.store(ctx)
		}
	}
	if err != nil {
		return httpapi.Services{}, err
	}
	return a.desk(opened).services(), nil
}

func newConnectionShare(a *app) *cobra.Command {
	var with string
	var share api.NewShare
	cmd := &cobra.Command{
		Use:   "share NAME --with USER [--for use|manage]",
		Short: "Let another user use or manage a stored connection",
		Long: `Let another user use or manage a stored connection. They call it OWNER/NAME. For use, they run tasks with it,
which go where you send them, and see nothing of it but its name, type and description. For manage, they see and
edit it too, but for what is secret, and who changes where its credentials are sent has to give them again.
What is shared twice has the last right. Each use of its secrets is in "weir audit".`,
		Example:           "  weir connection share oracle --with ann\n  weir connection unshare oracle --with ann",
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := withWhom(cmd, with); err != nil {
				return err
			}
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			done, err := services.Shares.ShareConnection(cmd.Context(), args[0], with, share)
			if err != nil {
				return err
			}
			if err := a.print(plain(done), func(t *table) { t.row(done.Result, done.Connection, "with "+with, "for "+done.Right) }); err != nil {
				return err
			}
			a.say("note: %s calls it %s", with, done.Called)
			return nil
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "the user")
	cmd.Flags().StringVar(&share.Right, "for", string(connections.RightUse), "what for: use or manage")
	a.completeWith(cmd)
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{string(connections.RightUse), string(connections.RightManage)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newConnectionUnshare(a *app) *cobra.Command {
	var with string
	cmd := &cobra.Command{
		Use:               "unshare NAME --with USER",
		Short:             "Take a share of a connection back",
		Long:              `Take a share of a connection back. The next step that asks for it does not find it, also of what runs already.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := withWhom(cmd, with); err != nil {
				return err
			}
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			done, err := services.Shares.UnshareConnection(cmd.Context(), args[0], with)
			if err != nil {
				return err
			}
			return a.print(plain(done), func(t *table) { t.row(done.Result, done.Connection, "with "+with) })
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "the user")
	a.completeWith(cmd)
	return cmd
}

func withWhom(cmd *cobra.Command, with string) error {
	if with != "" {
		return nil
	}
	return &usageError{fmt.Errorf("--with USER is missing\nsee: %s --help", cmd.CommandPath())}
}

func (a *app) completeWith(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("with", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.userNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
}

func newConnectionShares(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "shares [NAME]",
		Short:             "List with whom connections are shared",
		Args:              atMost(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			list, err := services.Shares.ListShares(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			return a.print(plainList(list.Shares), func(t *table) {
				t.row("NAME", "WITH", "FOR", "SINCE")
				for _, s := range list.Shares {
					t.row(s.Connection, s.With, s.Right, dateTime(s.Since))
				}
			})
		},
	}
}
