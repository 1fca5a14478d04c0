package main

import "github.com/spf13/cobra"

func newScheduleList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the schedules",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			list, err := services.Schedules.ListSchedules(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(plainList(list.Schedules), func(t *table) {
				t.row("NAME", "FLOW", "CRON", "STATE", "NEXT", "LAST")
				for _, s := range list.Schedules {
					t.row(s.Name, s.Flow, s.Cron, scheduleState(s), inZone(s, s.NextRun), inZone(s, s.LastRun))
				}
			})
		},
	}
}
