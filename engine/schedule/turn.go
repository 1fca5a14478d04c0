package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weir-engine/weir/engine"
)

// MaxMissed is how many missed runs are made up for at most.
const MaxMissed = 100

// A start that failed is tried again after firstRetry, and then less and less often.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// turn is what becomes of a schedule that is due.
type turn struct {
	run    engine.ScheduleRun
	result Result
	noted  bool // run is to be noted
	later  bool // it is to be looked at again soon
}

// turn decides on a schedule that is due, and starts its execution. Whatever it does
// may be done again: nothing of it is known until it is noted.
func (l *Loop) turn(ctx context.Context, s engine.Schedule, now time.Time) turn {
	if l.puts(s) {
		return turn{later: true}
	}
	cron, err := l.cron(s)
	if err != nil {
		return l.gone(s, now, Failed, told(err), time.Time{})
	}
	t := &due{loop: l, schedule: s, cron: cron, now: now, id: RunID(s.Owner, s.Name, s.NextRun)}
	t.missed = s.NextRun.Before(l.present.Add(-lateness))
	t.each = t.missed && s.Missed == engine.MissedAll
	decided, err := t.decide(ctx)
	switch {
	case ctx.Err() != nil:
		return turn{}
	case err != nil:
		return l.putOff(s, now, err)
	}
	l.forget(s)
	return decided
}

// due is a schedule that is due.
type due struct {
	loop     *Loop
	schedule engine.Schedule
	cron     *Cron
	now      time.Time
	id       engine.ID
	missed   bool // nobody was there when it was due
	each     bool // and each missed run is made up for
}

// decide tells what becomes of it, and starts it. An error is for what may be so only
// for now.
func (d *due) decide(ctx context.Context) (turn, error) {
	instead, err := d.instead(ctx)
	if err != nil {
		return turn{}, err
	}
	if instead == nil {
		return d.start(ctx)
	}
	if is, err := d.exists(ctx); err != nil || is { // whoever started it did not come to note it
		return d.started(), err
	}
	return instead(), nil
}

// instead gives what is to be done in place of a start; nil if it is to be started.
func (d *due) instead(ctx context.Context) (func() turn, error) {
	l, s := d.loop, d.schedule
	if d.missed && s.Missed == engine.MissedSkip && !s.Waiting {
		next := d.cron.Next(l.present.Add(-lateness - time.Nanosecond))
		return d.gone(Missed, next, "it was due at %s, when no engine was there", when(s.NextRun)), nil
	}
	if d.each {
		if from := d.cron.newest(s.NextRun, l.present, MaxMissed); from.After(s.NextRun) {
			return d.gone(Missed, from, "more than %d runs were missed: those before %s are gone", MaxMissed, when(from)), nil
		}
	}
	disabled, err := l.config.Starter.Disabled(ctx, s.Owner)
	if err != nil {
		return nil, err
	}
	if disabled {
		return d.gone(Disabled, d.cron.Next(d.now), "its owner is disabled"), nil
	}
	if s.Overlap == engine.OverlapAllow || s.LastExecution == "" {
		return nil, nil
	}
	status, err := l.config.Starter.Status(ctx, s.LastExecution)
	switch {
	case kindOf(err) == engine.NotFound || err == nil && status.Ended():
		return nil, nil
	case err != nil:
		return nil, err
	case s.Overlap == engine.OverlapQueue || d.each:
		return func() turn {
			return l.wait(s, d.now, fmt.Sprintf("the run of %s waits for the end of execution %s", when(s.NextRun), s.LastExecution))
		}, nil
	}
	return d.gone(Skipped, d.next(), "execution %s was at work at %s", s.LastExecution, when(s.NextRun)), nil
}

func (d *due) gone(result Result, next time.Time, format string, args ...any) func() turn {
	return func() turn { return d.loop.gone(d.schedule, d.now, result, fmt.Sprintf(format, args...), next) }
}

// exists tells whether the execution is there.
func (d *due) exists(ctx context.Context) (bool, error) {
	_, err := d.loop.config.Starter.Status(ctx, d.id)
	if kindOf(err) == engine.NotFound {
		return false, nil
	}
	return err == nil, err
}

// start starts the execution.
func (d *due) start(ctx context.Context) (turn, error) {
	err := d.loop.config.Starter.Start(ctx, d.schedule, d.id)
	switch kindOf(err) {
	case engine.Unavailable, engine.Timeout:
		return turn{}, err
	}
	if err == nil {
		return d.started(), nil
	}
	is, other := d.exists(ctx)
	switch {
	case other != nil || is: // it was started before
		return d.started(), other
	case kindOf(err) == engine.Conflict:
		return turn{}, err
	}
	return d.loop.gone(d.schedule, d.now, Failed, told(err), d.next()), nil
}

func (d *due) started() turn {
	run := engine.ScheduleRun{Schedule: d.schedule, Execution: d.id, At: d.now, Next: d.next()}
	return turn{run: run, result: Started, noted: true}
}

// next gives when the schedule is due after this run. One run makes up for all that
// were missed, and all that came while it waited, unless each is to be made up for.
func (d *due) next() time.Time {
	if !d.each && (d.missed || d.schedule.Overlap == engine.OverlapQueue) {
		return d.cron.Next(d.now)
	}
	return d.cron.Next(d.schedule.NextRun)
}

// gone is for a run that does not take place.
func (l *Loop) gone(s engine.Schedule, now time.Time, result Result, problem string, next time.Time) turn {
	level := slog.LevelWarn
	if result == Skipped { // as its overlap policy has it
		level = slog.LevelInfo
	}
	l.config.Log.Log(context.Background(), level, "a run of a schedule does not take place", "owner", s.Owner, "schedule", s.Name, "result", string(result), "reason", problem)
	return turn{run: engine.ScheduleRun{Schedule: s, Problem: problem, At: now, Next: next}, result: result, noted: true}
}

// wait is for a run that takes place later.
func (l *Loop) wait(s engine.Schedule, now time.Time, why string) turn {
	run := engine.ScheduleRun{Schedule: s, Problem: why, At: now, Waiting: true}
	return turn{run: run, noted: !s.Waiting || s.Problem != why, later: true}
}

// putOff has a start that failed be tried again.
func (l *Loop) putOff(s engine.Schedule, now time.Time, err error) turn {
	key := [2]string{s.Owner, s.Name}
	l.mu.Lock()
	r := l.retries[key]
	r.wait = min(max(2*r.wait, firstRetry), lastRetry)
	r.at = time.Now().Add(r.wait)
	l.retries[key] = r
	l.mu.Unlock()
	t := l.wait(s, now, fmt.Sprintf("the run of %s is tried again: %s", when(s.NextRun), told(err)))
	if t.noted {
		l.config.Log.Warn("a run of a schedule cannot be started; trying again", "owner", s.Owner, "schedule", s.Name, "error", err)
	}
	return t
}

// puts tells whether a start that failed is not to be tried again yet.
func (l *Loop) puts(s engine.Schedule) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.retries[[2]string{s.Owner, s.Name}].at)
}

func (l *Loop) forget(s engine.Schedule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.retries, [2]string{s.Owner, s.Name})
}

// newest gives the first of the newest n times from one of them on and before another
// time.
func (c *Cron) newest(from, before time.Time, n int) time.Time {
	for span := time.Duration(n) * time.Minute; ; span *= 2 {
		start := before.Add(-span)
		whole := span <= 0 || !start.After(from)
		if whole {
			start = from
		}
		var times []time.Time
		for t := c.Next(start.Add(-time.Nanosecond)); t.Before(before) && !t.IsZero(); t = c.Next(t) {
			times = append(times, t)
		}
		if len(times) >= n {
			return times[len(times)-n]
		}
		if whole {
			return from
		}
	}
}

// when is a time as problems tell it.
func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// told is an error with its hint as problems tell it.
func told(err error) string {
	text := err.Error()
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Hint != "" {
		text += " (" + failure.Hint + ")"
	}
	return text
}
