package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newConnectionImport(a *app) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Store the connections of an export",
		Long: `Store the connections of a file that "weir connection export" wrote. All are stored, or none: a name
that is taken by another connection is refused unless --replace is given.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.applyRemote(cmd.Context(), c, args, !replace) }); done {
				return err
			}
			changes, err := a.applyFile(cmd.Context(), args[0], func(planned []change) error {
				if replace {
					return nil
				}
				return refuseUpdates(planned)
			})
			if err != nil {
				return err
			}
			return a.printChanges(cmd.Context(), changes)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace connections of the same name; their revisions are kept")
	return cmd
}

func refuseUpdates(planned []change) error {
	var taken []error
	for _, c := range planned {
		if c.result == resultUpdated {
			taken = append(taken, exists(c.old, differences(c.old, c.wanted)))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return hinted("give --replace to replace them; their revisions are kept", "nothing was imported: %w", errors.Join(taken...))
}
