package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	schedules := s.Schedules()
	at := func(hours int) time.Time { return now().Truncate(time.Hour).Add(time.Duration(hours) * time.Hour) }
	first := engine.Schedule{
		Owner: "ann", Name: "nightly", Flow: "report", Inputs: map[string]any{"n": int64(1), "x": json.Number("12345678901234567890"), "l": []any{nil, 1.5}},
		Cron: "0 2 * * *", TimeZone: "Europe/Vienna", Overlap: engine.OverlapQueue, Missed: engine.MissedAll, Enabled: true, NextRun: at(1),
	}
	second := engine.Schedule{Owner: "", Name: "nightly", Flow: "mine", Cron: "@daily", Enabled: true, NextRun: at(3)}
	off := engine.Schedule{Owner: "ann", Name: "off", Flow: "report", Cron: "@daily", NextRun: at(1)}
	for _, schedule := range []engine.Schedule{first, second, off} {
		if err := schedules.Create(t.Context(), schedule); err != nil {
			t.Fatal(err)
		}
	}
	wantFailure(t, schedules.Create(t.Context(), first), engine.Conflict, `there is a schedule "nightly" already`, "")
	wantFailure(t, schedules.Create(t.Context(), engine.Schedule{Name: "a/b"}), engine.Invalid, "a name is", "")
	wantFailure(t, schedules.Update(t.Context(), engine.Schedule{Owner: "bob", Name: "nightly"}), engine.NotFound, `no such schedule: "nightly"`, "")
	wantFailure(t, schedules.Delete(t.Context(), "bob", "nightly"), engine.NotFound, "no such schedule", "")
	_, err := schedules.Get(t.Context(), "bob", "nightly")
	wantFailure(t, err, engine.NotFound, "no such schedule", "")
	first.Changed = now().Truncate(time.Microsecond)
	got, err := open(t, dir).Schedules().Get(t.Context(), "ann", "nightly")
	if diff := cmp.Diff(first, got); err != nil || diff != "" {
		t.Errorf("read again (-want +got):\n%s%v", diff, err)
	}
	list, err := schedules.List(t.Context(), "ann")
	if err != nil || len(list) != 2 || list[1].Name != "off" || !list[1].NextRun.IsZero() {
		t.Errorf("ann has %+v, %v", list, err)
	}
	if err := schedules.Delete(t.Context(), "ann", "nightly"); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, `UPDATE schedule SET owner = 'bob' WHERE owner = 'ann'`)
	if list, err := schedules.List(t.Context(), "bob"); len(list) > 0 || err == nil {
		t.Errorf("bob has %+v, %v", list, err)
	}
}

// TestScheduleRuns has schedules run when they are due.
func TestScheduleRuns(t *testing.T) {
	t.Parallel()
	schedules := open(t, t.TempDir()).Schedules()
	at := func(hours int) time.Time { return now().Truncate(time.Hour).Add(time.Duration(hours) * time.Hour) }
	first := engine.Schedule{Owner: "ann", Name: "nightly", Flow: "report", Cron: "0 2 * * *", Enabled: true, NextRun: at(1)}
	for _, schedule := range []engine.Schedule{
		first, {Owner: "", Name: "nightly", Flow: "mine", Cron: "@daily", Enabled: true, NextRun: at(3)}, {Owner: "ann", Name: "off", NextRun: at(1)},
	} {
		if err := schedules.Create(t.Context(), schedule); err != nil {
			t.Fatal(err)
		}
	}
	due := func(hour, want int, next time.Time) []engine.Schedule {
		t.Helper()
		due, at, err := schedules.Due(t.Context(), at(hour), 10)
		if err != nil || len(due) != want || !at.Equal(next) {
			t.Errorf("in hour %d %d are due, the next at %s; want %d, %s; %v", hour, len(due), at, want, next, err)
		}
		return due
	}
	due(0, 0, at(1))
	ready := due(2, 1, at(3))
	// Of two engines that see it due, one has it run.
	if err := schedules.Ran(t.Context(), ready[0], "e1", at(25)); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, schedules.Ran(t.Context(), ready[0], "e2", at(25)), engine.Conflict, "has run or was changed", "")
	got, err := schedules.Get(t.Context(), "ann", "nightly")
	if err != nil || !got.NextRun.Equal(at(25)) || !got.LastRun.Equal(at(1)) || got.LastExecution != "e1" {
		t.Errorf("after a run it is %+v, %v", got, err)
	}
	if due(3, 1, at(25))[0].Owner != "" {
		t.Error("another is due")
	}
	// A run that did not take place leaves the last execution; an update the last run.
	if err := schedules.Ran(t.Context(), got, "", at(49)); err != nil {
		t.Fatal(err)
	}
	first.Cron, first.NextRun = "@hourly", at(26)
	if err := schedules.Update(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	got, err = schedules.Get(t.Context(), "ann", "nightly")
	if err != nil || got.LastExecution != "e1" || !got.LastRun.Equal(at(25)) || !got.NextRun.Equal(at(26)) || got.Cron != "@hourly" {
		t.Errorf("after an update it is %+v, %v", got, err)
	}
}
