package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newConnectionRevisions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revisions NAME",
		Short: "List the revisions of a stored connection, and what each one changed",
		Long: `List the revisions of a stored connection, newest first. To go back to one:
  weir connection export NAME --revision N --reveal | weir connection apply -`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			revisions, err := a.revisions(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			data := []any{}
			changed := make([]string, len(revisions))
			for i, c := range revisions {
				changes := []string{"created"}
				if i+1 < len(revisions) {
					changes = differences(revisions[i+1], c)
				}
				changed[i] = strings.Join(changes, ", ")
				data = append(data, map[string]any{
					"revision": c.Revision, "at": c.Changed.Format(time.RFC3339), "changed": anyList(changes),
				})
			}
			return a.print(data, func(t *table) {
				t.row("REVISION", "AT", "CHANGED")
				for i, c := range revisions {
					t.row(c.Revision, c.Changed.Local().Format(time.DateTime), changed[i])
				}
			})
		},
	}
}
