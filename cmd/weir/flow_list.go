package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newFlowList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the flows of the store",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flows, err := a.flows(cmd.Context(), false)
			if err != nil {
				return err
			}
			all, err := flows.ListFlows(cmd.Context())
			if err != nil {
				return err
			}
			return a.printFlows(all)
		},
	}
}

// printFlows lists flows, or versions of one.
func (a *app) printFlows(all api.Flows) error {
	return a.print(plainList(all.Flows), func(t *table) {
		t.row("NAME", "VERSION", "CHANGED", "TEXT", "FROM")
		for _, f := range all.Flows {
			t.row(f.Name, f.Version, clock(f.Changed), f.Digest[:min(len(f.Digest), 12)], orDash(f.Origin))
		}
	})
}
