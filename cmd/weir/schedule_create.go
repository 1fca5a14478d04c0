package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newScheduleCreate(a *app) *cobra.Command {
	var given scheduleFlags
	var disabled bool
	cmd := &cobra.Command{
		Use:   "create NAME --flow FLOW --cron EXPRESSION",
		Short: "Make a schedule for a stored flow",
		Long:  `Make a schedule for a stored flow, whose newest version is run each time. See "weir help schedule".`,
		Example: `  weir schedule create nightly --flow report --cron "30 2 * * *" --time-zone Europe/Vienna -i days=1
  weir schedule create poll --flow poll --cron "*/5 * * * *" --overlap queue --missed skip`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case given.flow == "":
				return missingFlag(cmd, "--flow FLOW")
			case given.cron == "":
				return missingFlag(cmd, "--cron EXPRESSION")
			}
			inputs, err := given.sentInputs(a)
			if err != nil {
				return err
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			made, err := services.Schedules.CreateSchedule(cmd.Context(), api.NewSchedule{
				Name: args[0], Flow: given.flow, Cron: given.cron, TimeZone: given.zone, Overlap: given.overlap, Missed: given.missed,
				Disabled: disabled, Inputs: inputs,
			})
			if err != nil {
				return err
			}
			return a.printChanged("created", made)
		},
	}
	given.add(a, cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "it does not run until it is enabled")
	return cmd
}
