package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newScheduleDelete(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a schedule; what it started goes on",
		Args:              exactly(1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			found, err := services.Schedules.Schedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.sure(cmd.Context(), yes, fmt.Sprintf("delete schedule %q", found.Name)); err != nil {
				return err
			}
			deleted, err := services.Schedules.DeleteSchedule(cmd.Context(), found.Name)
			if err != nil {
				return err
			}
			return a.print(plain(deleted), func(t *table) { t.row("deleted", deleted.Name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
