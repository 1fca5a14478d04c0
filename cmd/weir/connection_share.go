package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
)

func newConnectionShare(a *app) *cobra.Command {
	var with, right string
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
			if with == "" {
				return withWhom(cmd)
			}
			if err := a.usersAreLocal(); err != nil {
				return err
			}
			_, c, err := a.stored(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			if c.Shared != "" {
				return elsewhere(c)
			}
			share := connections.Share{Owner: localOwner, Connection: c.Name, Right: connections.Right(right)}
			if share.With, err = ownerOf(cmd.Context(), opened, with); err != nil {
				return err
			}
			if err := opened.Shares().Grant(cmd.Context(), localActor(), share); err != nil {
				return err
			}
			data := map[string]any{"name": c.Name, "with": with, "right": right, "result": "shared"}
			if err := a.print(data, func(t *table) { t.row("shared", c.Name, "with "+with, "for "+right) }); err != nil {
				return err
			}
			names, err := a.ownerNames(cmd.Context())
			if err == nil {
				a.say("note: %s calls it %s", with, connections.SharedName(names[localOwner], c.Name))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "the user")
	cmd.Flags().StringVar(&right, "for", string(connections.RightUse), "what for: use or manage")
	a.shareFlags(cmd)
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
			if with == "" {
				return withWhom(cmd)
			}
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			owner, err := ownerOf(cmd.Context(), opened, with)
			if err != nil {
				return err
			}
			if err := opened.Shares().Revoke(cmd.Context(), localActor(), localOwner, args[0], owner); err != nil {
				return err
			}
			data := map[string]any{"name": args[0], "with": with, "result": "unshared"}
			return a.print(data, func(t *table) { t.row("unshared", args[0], "with "+with) })
		},
	}
	cmd.Flags().StringVar(&with, "with", "", "the user")
	a.shareFlags(cmd)
	return cmd
}

func withWhom(cmd *cobra.Command) error {
	return &usageError{fmt.Errorf("--with USER is missing\nsee: %s --help", cmd.CommandPath())}
}

func (a *app) shareFlags(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("with", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.userNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
}

func newConnectionShares(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "shares [NAME]",
		Short:             "List with whom connections are shared",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.usersAreLocal(); err != nil {
				return err
			}
			opened, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			var shares []connections.Share
			if opened != nil {
				name := ""
				if len(args) > 0 {
					name = args[0]
					if _, _, err := a.stored(cmd.Context(), name); err != nil {
						return err
					}
				}
				if shares, err = opened.Shares().Of(cmd.Context(), localOwner, name); err != nil {
					return err
				}
			}
			names, err := a.ownerNames(cmd.Context())
			if err != nil {
				return err
			}
			data := []any{}
			for _, s := range shares {
				data = append(data, map[string]any{"name": s.Connection, "with": names[s.With], "right": string(s.Right), "since": instant(s.Since)})
			}
			return a.print(data, func(t *table) {
				t.row("NAME", "WITH", "FOR", "SINCE")
				for _, s := range shares {
					t.row(s.Connection, names[s.With], string(s.Right), dateTime(s.Since))
				}
			})
		},
	}
}
