package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newSchedule(a *app) *cobra.Command {
	cmd := group("schedule", "Manage schedules, which start flows at given times",
		newScheduleCreate(a),
		newScheduleList(a),
		newScheduleShow(a),
		newScheduleEdit(a),
		newScheduleEnable(a),
		newScheduleDisable(a),
		newScheduleRun(a),
		newScheduleDelete(a),
	)
	cmd.Long = `Manage schedules. "weir serve" starts a schedule's flow, as its owner, whenever a cron expression says: minute, hour,
day of the month, month, day of the week, or one of @hourly, @daily, @weekly, @monthly, @yearly. If both days are given,
either is enough. A run that is due becomes one execution, however often the engine is killed and restarted.

Times are those of the schedule's time zone. One that does not exist because clocks go forward runs right after the
gap; one that exists twice because they go back runs once, the first time. What runs every hour or more often goes
on evenly. If the machine's clock is set back by less than three hours, nothing runs twice; if by more, it counts as
put right, and what has an execution already is not started again.

If the last execution is at work when it is time, --overlap says what happens:
  skip   this run does not take place; the default
  queue  it takes place when the other has ended; at most one waits
  allow  it starts beside the other
What was due while no engine was there, longer than a minute ago, is missed, and --missed says what happens:
  skip   it is gone
  once   one run makes up for all; the default
  all    each is made up for, one after the other unless overlap is allow; of more than 100, the newest 100

A run does not take place while its owner is disabled, nor if its flow is gone: "show" then says so. If something
is in the way for a while, such as a full disk, it takes place later.`
	return cmd
}

// scheduleFlags are what can be said of a schedule on the command line.
type scheduleFlags struct {
	flow, cron, zone, overlap, missed string
	inputs                            []string
	inputFile                         string
}

func (f *scheduleFlags) add(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.flow, "flow", "", "the stored flow that it starts")
	flags.StringVar(&f.cron, "cron", "", `when: five fields such as "30 2 * * MON-FRI", or @hourly, @daily, ...`)
	flags.StringVar(&f.zone, "time-zone", "", "in which the times are meant, such as Europe/Vienna; UTC if not given")
	flags.StringVar(&f.overlap, "overlap", "", "if the last execution is at work: skip (if not given), queue or allow")
	flags.StringVar(&f.missed, "missed", "", "runs that were due while no engine was there: skip, once (if not given) or all")
	flags.StringArrayVarP(&f.inputs, "input", "i", nil, "an input of the flow, key=value; repeatable; the value is JSON or plain text")
	flags.StringVar(&f.inputFile, "input-file", "", "file with a YAML mapping of inputs; - for stdin")
	_ = cmd.RegisterFlagCompletionFunc("overlap", cobra.FixedCompletions(
		[]string{string(engine.OverlapSkip), string(engine.OverlapQueue), string(engine.OverlapAllow)}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("missed", cobra.FixedCompletions(
		[]string{string(engine.MissedSkip), string(engine.MissedOnce), string(engine.MissedAll)}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("flow", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return a.completeFlows(cmd, nil, typed)
	})
}

// sentInputs reads the inputs as they are sent; nil for none.
func (f *scheduleFlags) sentInputs(a *app) (json.RawMessage, error) {
	if f.inputFile == "" && len(f.inputs) == 0 {
		return nil, nil
	}
	inputs, err := a.readInputs(f.inputFile, f.inputs)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(inputs)
	if err != nil {
		return nil, hintedInvalid("", "the inputs cannot be sent: %v", err)
	}
	return text, nil
}

func scheduleState(s api.Schedule) string {
	switch {
	case !s.Enabled:
		return "disabled"
	case s.Problem != "":
		return "problem"
	}
	return "enabled"
}

// inZone is a moment as it is shown to people in a schedule's time zone.
func inZone(s api.Schedule, t *time.Time) string {
	if t == nil {
		return "-"
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

// printSchedule prints all of a schedule.
func (a *app) printSchedule(s api.ScheduleDetail) error {
	return a.print(plain(s), func(t *table) {
		t.row("name", s.Name)
		t.row("flow", s.Flow)
		t.row("cron", s.Cron)
		t.row("time zone", s.TimeZone)
		t.row("overlap", s.Overlap)
		t.row("missed", s.Missed)
		t.row("state", map[bool]string{true: "enabled", false: "disabled"}[s.Enabled])
		t.row("last run", inZone(s.Schedule, s.LastRun))
		t.row("last execution", orDash(s.LastExecution))
		if s.Problem != "" {
			t.row("problem", s.Problem)
		}
		t.row("changed", dateTime(s.Changed))
		for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
			text, err := json.Marshal(s.Inputs[key])
			if err != nil {
				text = []byte("?")
			}
			t.row("input "+key, string(text))
		}
		for i, next := range s.NextRuns {
			t.row(map[bool]string{true: "next", false: ""}[i == 0], inZone(s.Schedule, &next.UTC), next.UTC.UTC().Format(time.RFC3339))
		}
	})
}

// printChanged prints what became of a schedule, and when it is due.
func (a *app) printChanged(result string, s api.ScheduleDetail) error {
	tree, _ := plain(s).(map[string]any)
	tree["result"] = result
	return a.print(tree, func(t *table) {
		t.row(result, s.Name)
		if s.Enabled {
			t.row("next", inZone(s.Schedule, s.NextRun))
		}
	})
}

// completeSchedules completes the name of a schedule as the first word.
func (a *app) completeSchedules(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.scheduleNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) scheduleNames(ctx context.Context) []string {
	services, err := a.services(ctx)
	if err != nil {
		return nil
	}
	list, _ := services.Schedules.ListSchedules(ctx)
	var names []string
	for _, s := range list.Schedules {
		names = append(names, s.Name)
	}
	return names
}

// changeSchedule makes a change to a schedule, and gives it.
func (a *app) changeSchedule(ctx context.Context, name string, change api.ScheduleChange) (api.ScheduleDetail, error) {
	services, err := a.services(ctx)
	if err != nil {
		return api.ScheduleDetail{}, err
	}
	return services.Schedules.ChangeSchedule(ctx, name, change)
}

// missingFlag says that a flag must be given.
func missingFlag(cmd *cobra.Command, flag string) error {
	return &usageError{fmt.Errorf("%s is missing\nsee: %s --help", flag, cmd.CommandPath())}
}
