package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionDetach(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "detach-secret NAME PATH",
		Short:             "Take an attached secret away from a stored connection",
		Args:              exactly(2),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			unwanted, err := parseAttached(args[1])
			if err != nil {
				return err
			}
			if done, err := a.onServer(func(c *api.Client) error { return a.changeSecretRemote(cmd.Context(), c, args[0], unwanted, true) }); done {
				return err
			}
			return a.amend(cmd.Context(), args[0], detach(unwanted))
		},
	}
}

// detach takes a secret away from a connection.
func detach(unwanted connections.AttachedSecret) func(*connections.Connection) error {
	return func(c *connections.Connection) error {
		at := attachedIndex(*c, unwanted)
		if at < 0 {
			return notAttached(*c, unwanted)
		}
		c.Secrets = slices.Delete(c.Secrets, at, at+1)
		return nil
	}
}

func notAttached(c connections.Connection, unwanted connections.AttachedSecret) error {
	var paths []string
	for _, s := range c.Secrets {
		paths = append(paths, s.Ref().String())
	}
	hint := "no secret is attached to it"
	if len(paths) > 0 {
		hint = "attached are " + strings.Join(paths, ", ")
		if near := schema.DidYouMean(unwanted.Ref().String(), paths); near != "" {
			hint = near
		}
	}
	return &engine.Error{
		Kind:    engine.NotFound,
		Message: fmt.Sprintf("secret %q is not attached to connection %q", unwanted.Ref(), c.Name), Hint: hint,
	}
}
