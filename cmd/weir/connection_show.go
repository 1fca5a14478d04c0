package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionShow(a *app) *cobra.Command {
	var revision int64
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a connection as it was written, secrets masked",
		Long: `Show a connection as a document of a connection file. Sensitive inputs that it holds in plain text
are shown as ***; "weir connection export --reveal" writes them.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.showRemote(cmd.Context(), c, args[0], revision) }); done {
				return err
			}
			c, err := a.connectionAt(cmd.Context(), args[0], revision)
			if err != nil {
				return err
			}
			value, keys := a.maskedText(c)
			text, err := connections.Format(withValue(c, value))
			if err != nil {
				return err
			}
			if a.flags.output == "json" {
				err = a.printJSON(connectionTree(c, value))
			} else {
				_, err = a.out.Write(text)
			}
			if err == nil {
				a.sayMasked(c.Name, keys)
			}
			return err
		},
	}
	cmd.Flags().Int64Var(&revision, "revision", 0, "an earlier revision of a stored connection")
	return cmd
}

func (a *app) sayMasked(name string, keys []string) {
	if len(keys) > 0 {
		a.say("note: masked: %s; to get the secrets too: weir connection export %s --reveal --to FILE", strings.Join(keys, ", "), name)
	}
}

// connectionAt gives a connection of any source, or a revision of a stored one; 0
// means the newest.
func (a *app) connectionAt(ctx context.Context, name string, revision int64) (connections.Connection, error) {
	if revision == 0 {
		resolver, err := a.resolver()
		if err != nil {
			return connections.Connection{}, err
		}
		return resolver.Get(ctx, a.owner, name)
	}
	revisions, err := a.revisions(ctx, name)
	if err != nil {
		return connections.Connection{}, err
	}
	for _, c := range revisions {
		if c.Revision == revision {
			return c, nil
		}
	}
	return connections.Connection{}, &engine.Error{
		Kind:    engine.NotFound,
		Message: fmt.Sprintf("connection %q has no revision %d", name, revision),
		Hint:    fmt.Sprintf("see: weir connection revisions %s", name),
	}
}

func (a *app) revisions(ctx context.Context, name string) ([]connections.Connection, error) {
	store, _, err := a.stored(ctx, name)
	if err != nil {
		return nil, err
	}
	return store.Revisions(ctx, a.owner, name)
}
