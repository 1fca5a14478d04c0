package main

import "github.com/spf13/cobra"

func newScheduleShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a schedule: its inputs, what became of the last run, and the next five times",
		Long: `Show a schedule: its inputs, masked as those of its executions are; what became of the last run; and the next five
times, in the schedule's time zone and in UTC.`,
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
			return a.printSchedule(found)
		},
	}
}
