package main

import (
	"cmp"
	"crypto/rand"

	"github.com/spf13/cobra"
)

func newScheduleRun(a *app) *cobra.Command {
	var watching watching
	var key string
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Start now what a schedule starts",
		Long: `Start now what a schedule starts, with its inputs, and print the execution's id. The schedule itself goes on as if
nothing had been started, and does not wait for it.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			started, err := services.Schedules.RunSchedule(cmd.Context(), args[0], cmp.Or(key, rand.Text()))
			if err != nil {
				return err
			}
			return watching.watch(cmd.Context(), a, services, started.ID)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: for a day, the same one gives the same execution")
	watching.flags(cmd)
	return cmd
}
