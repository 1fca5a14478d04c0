package main

import (
	"context"

	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/schedule"
)

// serves takes the engine that the daemon works with, and makes what starts schedules.
func (d *daemon) serves(runner *local.Runner) (err error) {
	d.runner = runner
	nobody := &desk{app: d.app, store: d.store, engine: func(context.Context) (*local.Runner, error) { return runner, nil }}
	d.schedules, err = schedule.NewLoop(schedule.Config{
		Store: d.store.Schedules(), Starter: scheduleStarter{nobody}, Log: d.log, Now: d.app.clock,
	})
	return err
}

// scheduleMeasures are the figures of schedules.
func (d *daemon) scheduleMeasures() (all []httpapi.Measure) {
	stats := d.schedules.Stats()
	for _, result := range schedule.Results() {
		all = append(all, httpapi.Measure{
			Name: "weir_schedule_runs_total", Help: "Runs of schedules, by what became of them.", Counter: true,
			Labels: map[string]string{"result": string(result)}, Value: float64(stats.Runs[result]),
		})
	}
	return append(all,
		httpapi.Measure{
			Name: "weir_schedule_late_seconds", Help: "How long after its time the last run of a schedule was started.", Value: stats.Late.Seconds(),
		},
		httpapi.Measure{
			Name: "weir_schedule_late_seconds_total", Help: "The same for all runs together.", Counter: true, Value: stats.LateSum.Seconds(),
		})
}
