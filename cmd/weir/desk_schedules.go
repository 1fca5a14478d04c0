package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/schedule"
)

var _ httpapi.Schedules = (*desk)(nil)

// nextRuns is how many of a schedule's next times are shown.
const nextRuns = 5

func scheduleOf(s engine.Schedule) api.Schedule {
	return api.Schedule{
		Name: s.Name, Flow: s.Flow, Cron: s.Cron, TimeZone: cmp.Or(s.TimeZone, "UTC"), Enabled: s.Enabled, Changed: s.Changed.UTC(),
		Overlap: string(cmp.Or(s.Overlap, engine.OverlapSkip)), Missed: string(cmp.Or(s.Missed, engine.MissedOnce)),
		NextRun: moment(s.NextRun), LastRun: moment(s.LastRun), LastExecution: string(s.LastExecution),
		Problem: s.Problem, ProblemAt: moment(s.ProblemAt),
	}
}

// scheduleDetail shows a schedule. An input counts as a secret once a task of its last
// execution has taken it as one.
func (d *desk) scheduleDetail(ctx context.Context, s engine.Schedule) (api.ScheduleDetail, error) {
	detail := api.ScheduleDetail{Schedule: scheduleOf(s), Inputs: map[string]any{}, NextRuns: []api.ScheduleTime{}}
	if len(s.Inputs) > 0 {
		detail.Inputs = s.Inputs
	}
	if s.LastExecution != "" && len(s.Inputs) > 0 {
		_, scope, err := loadMasked(ctx, d.store.Executions(), s.LastExecution)
		switch {
		case err == nil:
			detail.Inputs, _ = scope.Mask(s.Inputs).(map[string]any)
		case exitCode(err) != exitNotFound:
			return api.ScheduleDetail{}, err
		}
	}
	times, err := schedule.Parse(s.Cron, s.TimeZone)
	if err != nil || !s.Enabled {
		return detail, nil // one that has become unreadable says so as its problem
	}
	for at := s.NextRun; !at.IsZero() && len(detail.NextRuns) < nextRuns; at = times.Next(at) {
		detail.NextRuns = append(detail.NextRuns, api.ScheduleTime{UTC: at.UTC(), Local: at.In(times.Zone()).Format(time.RFC3339)})
	}
	return detail, nil
}

// ListSchedules implements httpapi.Schedules.
func (d *desk) ListSchedules(ctx context.Context) (api.Schedules, error) {
	found, err := d.store.Schedules().List(ctx, d.owner)
	all := api.Schedules{Schedules: []api.Schedule{}}
	for _, s := range found {
		all.Schedules = append(all.Schedules, scheduleOf(s))
	}
	return all, err
}

// Schedule implements httpapi.Schedules.
func (d *desk) Schedule(ctx context.Context, name string) (api.ScheduleDetail, error) {
	s, err := d.store.Schedules().Get(ctx, d.owner, name)
	if err != nil {
		return api.ScheduleDetail{}, err
	}
	return d.scheduleDetail(ctx, s)
}

// CreateSchedule implements httpapi.Schedules. The flow must be there.
func (d *desk) CreateSchedule(ctx context.Context, asked api.NewSchedule) (api.ScheduleDetail, error) {
	s := engine.Schedule{
		Owner: d.owner, Name: asked.Name, Flow: asked.Flow, Cron: strings.TrimSpace(asked.Cron), TimeZone: asked.TimeZone,
		Overlap: engine.Overlap(asked.Overlap), Missed: engine.Missed(asked.Missed), Enabled: !asked.Disabled,
	}
	times, err := checkSchedule(s)
	if err != nil {
		return api.ScheduleDetail{}, err
	}
	if s.Inputs, err = sentObject("inputs", asked.Inputs); err != nil {
		return api.ScheduleDetail{}, err
	}
	if _, _, err := d.flow(ctx, s.Flow, 0); err != nil {
		return api.ScheduleDetail{}, err
	}
	s.NextRun = times.Next(d.app.clock())
	if err := d.store.Schedules().Create(ctx, d.actor, s); err != nil {
		return api.ScheduleDetail{}, err
	}
	return d.Schedule(ctx, s.Name)
}

// checkSchedule checks what people typed of a schedule, but for its name and inputs,
// and gives its times.
func checkSchedule(s engine.Schedule) (*schedule.Cron, error) {
	switch s.Overlap {
	case "", engine.OverlapSkip, engine.OverlapQueue, engine.OverlapAllow:
	default:
		return nil, hintedInvalid("", "schedule %q: overlap is skip, queue or allow, not %q", s.Name, s.Overlap)
	}
	switch s.Missed {
	case "", engine.MissedSkip, engine.MissedOnce, engine.MissedAll:
	default:
		return nil, hintedInvalid("", "schedule %q: missed is skip, once or all, not %q", s.Name, s.Missed)
	}
	if s.Flow == "" {
		return nil, &usageError{fmt.Errorf("schedule %q: it needs a flow", s.Name)}
	}
	return schedule.Parse(s.Cron, s.TimeZone)
}

// ChangeSchedule implements httpapi.Schedules. If somebody else changes the schedule at
// the same time, what both of them said holds.
func (d *desk) ChangeSchedule(ctx context.Context, name string, change api.ScheduleChange) (api.ScheduleDetail, error) {
	const tries = 5
	for try := 1; ; try++ {
		s, err := d.store.Schedules().Get(ctx, d.owner, name)
		if err == nil {
			err = d.change(ctx, &s, change)
		}
		if err == nil {
			err = d.store.Schedules().Update(ctx, s)
		}
		if err == nil {
			return d.Schedule(ctx, name)
		}
		if exitCode(err) != exitConflict || try == tries {
			return api.ScheduleDetail{}, err
		}
	}
}

// change makes a change to a schedule that was read. When it is due stays as it is,
// unless that is what is changed: a run that is due already is not lost.
func (d *desk) change(ctx context.Context, s *engine.Schedule, change api.ScheduleChange) error {
	before := *s
	set(&s.Flow, change.Flow)
	set(&s.Cron, change.Cron)
	set(&s.TimeZone, change.TimeZone)
	set((*string)(&s.Overlap), change.Overlap)
	set((*string)(&s.Missed), change.Missed)
	set(&s.Enabled, change.Enabled)
	s.Cron = strings.TrimSpace(s.Cron)
	inputs, err := sentObject("inputs", change.Inputs)
	if err != nil {
		return err
	}
	all := maps.Clone(s.Inputs)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, inputs)
	for _, key := range change.Unset {
		delete(all, key)
	}
	s.Inputs = all
	off := change.Enabled != nil && !*change.Enabled
	times, err := checkSchedule(*s)
	if err == nil {
		_, _, err = d.flow(ctx, s.Flow, 0)
	}
	if err != nil && (!off || times == nil && s.Cron != before.Cron) { // it can be disabled, whatever is wrong with it
		return err
	}
	if s.Cron == before.Cron && s.TimeZone == before.TimeZone && s.Enabled == before.Enabled && !s.NextRun.IsZero() {
		s.NextRun = time.Time{} // as it is
		return nil
	}
	s.NextRun = time.Time{}
	if s.Enabled {
		s.NextRun = times.Next(d.app.clock())
	}
	return nil
}

// DeleteSchedule implements httpapi.Schedules.
func (d *desk) DeleteSchedule(ctx context.Context, name string) (api.Deleted, error) {
	return api.Deleted{Name: name, Result: "deleted"}, d.store.Schedules().Delete(ctx, d.actor, d.owner, name)
}

// RunSchedule implements httpapi.Schedules. What it starts is not the schedule's last
// execution: its runs take place as if nothing had been started.
func (d *desk) RunSchedule(ctx context.Context, name, key string) (api.Execution, error) {
	s, err := d.store.Schedules().Get(ctx, d.owner, name)
	if err != nil {
		return api.Execution{}, err
	}
	request, err := d.scheduled(ctx, s)
	if err != nil {
		return api.Execution{}, err
	}
	if key != "" {
		return d.startOnce(ctx, request, "schedule "+name+"\x00"+key)
	}
	return d.start(ctx, request)
}

// scheduled is what a schedule starts, as the engine takes it.
func (d *desk) scheduled(ctx context.Context, s engine.Schedule) (engine.Request, error) {
	found, text, err := d.flow(ctx, s.Flow, 0)
	inputs := s.Inputs
	if inputs == nil {
		inputs = map[string]any{}
	}
	return engine.Request{Owner: d.owner, File: local.StoredFile(found.Name, found.Version), Text: text, Name: found.Name, Inputs: inputs}, err
}

// scheduleStarter starts the executions of all owners' schedules.
type scheduleStarter struct {
	desk *desk // of nobody
}

// Start implements schedule.Starter.
func (st scheduleStarter) Start(ctx context.Context, s engine.Schedule, id engine.ID) error {
	d := *st.desk
	d.owner = s.Owner
	request, err := d.scheduled(ctx, s)
	if err != nil {
		return err
	}
	runner, err := d.engine(ctx)
	if err != nil {
		return err
	}
	request.ID = id
	_, err = runner.Start(ctx, request)
	return err
}

// Status implements schedule.Starter.
func (st scheduleStarter) Status(ctx context.Context, id engine.ID) (engine.Status, error) {
	var row journal.Row
	row, err := st.desk.store.Executions().Row(ctx, id)
	return row.Status, err
}

// Disabled implements schedule.Starter.
func (st scheduleStarter) Disabled(ctx context.Context, owner string) (bool, error) {
	user, err := st.desk.store.Users().Owner(ctx, owner)
	if exitCode(err) == exitNotFound { // as on a store without users
		return false, nil
	}
	return user.Disabled, err
}
