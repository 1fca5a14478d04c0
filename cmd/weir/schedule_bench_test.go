package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/schedule"
)

// BenchmarkDueAtOnce starts 10,000 schedules that are due at the same second, with an
// engine that runs what they start.
func BenchmarkDueAtOnce(b *testing.B) {
	const schedules = 10_000
	dir := b.TempDir()
	a := &app{wired: &wired{}, process: process{
		getenv: func(key string) string { return map[string]string{"WEIR_DATA_DIR": dir}[key] },
		home:   func() (string, error) { return dir, nil },
	}}
	b.Cleanup(func() { _ = a.close() })
	opened, err := a.store(b.Context())
	if err == nil {
		_, _, err = opened.Flows().Apply(b.Context(), "", "tick", []byte("return input.n"))
	}
	clock := time.Now().Truncate(time.Minute)
	for i := 0; i < schedules && err == nil; i++ {
		err = opened.Schedules().Create(b.Context(), engine.Actor{}, engine.Schedule{
			Name: fmt.Sprint("s", i), Flow: "tick", Cron: "* * * * *", TimeZone: "Europe/Vienna", Overlap: engine.OverlapAllow, Enabled: true,
			NextRun: clock.Add(time.Minute), Inputs: map[string]any{"n": int64(i)},
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	runner, err := a.engine(b.Context(), local.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- runner.Serve(ctx) }()
	nobody := &desk{app: a, store: opened, engine: func(context.Context) (*local.Runner, error) { return runner, nil }}
	loop, err := schedule.NewLoop(schedule.Config{
		Store: opened.Schedules(), Starter: scheduleStarter{nobody}, Now: func() time.Time { return clock },
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		clock = clock.Add(time.Minute)
		if _, err := loop.Look(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if got, want := loop.Stats().Runs[schedule.Started], int64(schedules*b.N); got != want {
		b.Errorf("%d were started, not %d", got, want)
	}
	b.ReportMetric(float64(schedules)*float64(b.N)/b.Elapsed().Seconds(), "runs/s")
	stop()
	if err := <-served; err != nil {
		b.Error(err)
	}
}
