package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/store"
)

func newFlowList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the flows of the store",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			var all []store.Flow
			if opened != nil {
				if all, err = opened.Flows().List(cmd.Context(), localOwner); err != nil {
					return err
				}
			}
			return a.printFlows(all)
		},
	}
}

// printFlows lists flows, or versions of one.
func (a *app) printFlows(all []store.Flow) error {
	data := []any{}
	for _, f := range all {
		data = append(data, flowTree(f))
	}
	return a.print(data, func(t *table) {
		t.row("NAME", "VERSION", "CHANGED", "TEXT")
		for _, f := range all {
			t.row(f.Name, f.Version, clock(f.Changed), f.Digest[:min(len(f.Digest), 12)])
		}
	})
}
