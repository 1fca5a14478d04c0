package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newFlowShow(a *app) *cobra.Command {
	var version int
	cmd := &cobra.Command{
		Use:               "show NAME",
		Short:             "Print the text of a flow",
		Args:              exactly(1),
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, named, err := flowVersion(args[0])
			if err != nil {
				return err
			}
			if version < 0 || (named != 0 && version != 0) {
				return &usageError{fmt.Errorf("--version is a number from 1, and the name has none then")}
			}
			flows, err := a.flows(cmd.Context(), false)
			if err != nil {
				return err
			}
			found, err := flows.Flow(cmd.Context(), name, named+version)
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				_, err := io.WriteString(a.out, found.Text)
				return err
			}
			return a.print(plain(found), nil)
		},
	}
	cmd.Flags().IntVar(&version, "version", 0, "an older version than the newest")
	return cmd
}
