package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newScheduleEnable(a *app) *cobra.Command {
	return a.scheduleSwitch("enable NAME", "Have a disabled schedule run again, from now on", true)
}

func newScheduleDisable(a *app) *cobra.Command {
	return a.scheduleSwitch("disable NAME", "Keep a schedule from running; what it started goes on", false)
}

func (a *app) scheduleSwitch(use, short string, enabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               use,
		Short:             short,
		Args:              exactly(1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, args []string) error {
			changed, err := a.changeSchedule(cmd.Context(), args[0], api.ScheduleChange{Enabled: &enabled})
			if err != nil {
				return err
			}
			return a.printChanged(map[bool]string{true: "enabled", false: "disabled"}[changed.Enabled], changed)
		},
	}
}
