package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newScheduleEdit(a *app) *cobra.Command {
	var given scheduleFlags
	var unset []string
	cmd := &cobra.Command{
		Use:   "edit NAME",
		Short: "Change when a schedule runs, its flow or its inputs",
		Long: `Change a schedule: what is not given stays, inputs as well. A new expression or time zone counts from now on; without
one, a run that is due takes place.`,
		Example:           "  weir schedule edit nightly --cron \"0 3 * * *\" -i days=2 --unset verbose",
		Args:              exactly(1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, args []string) error {
			change := api.ScheduleChange{Unset: unset}
			for name, field := range map[string]struct {
				to   **string
				from *string
			}{
				"flow": {&change.Flow, &given.flow}, "cron": {&change.Cron, &given.cron}, "time-zone": {&change.TimeZone, &given.zone},
				"overlap": {&change.Overlap, &given.overlap}, "missed": {&change.Missed, &given.missed},
			} {
				if cmd.Flags().Changed(name) {
					*field.to = field.from
				}
			}
			var err error
			if change.Inputs, err = given.sentInputs(a); err != nil {
				return err
			}
			if cmd.Flags().NFlag() == 0 {
				return &usageError{fmt.Errorf("nothing is to be changed\nsee: %s --help", cmd.CommandPath())}
			}
			changed, err := a.changeSchedule(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			return a.printChanged("changed", changed)
		},
	}
	given.add(a, cmd)
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "an input that is taken away; repeatable")
	return cmd
}
