package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
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
		if err := schedules.Create(t.Context(), engine.Actor{}, schedule); err != nil {
			t.Fatal(err)
		}
	}
	wantFailure(t, schedules.Create(t.Context(), engine.Actor{}, first), engine.Conflict, `there is a schedule "nightly" already`, "")
	wantFailure(t, schedules.Create(t.Context(), engine.Actor{}, engine.Schedule{Name: "a/b"}), engine.Invalid, "a name is", "")
	wantFailure(t, schedules.Update(t.Context(), engine.Schedule{Owner: "bob", Name: "nightly"}), engine.NotFound, `no such schedule: "nightly"`, "")
	wantFailure(t, schedules.Delete(t.Context(), engine.Actor{}, "bob", "nightly"), engine.NotFound, "no such schedule", "")
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
	if err := schedules.Delete(t.Context(), engine.Actor{}, "ann", "nightly"); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, `UPDATE schedule SET owner = 'bob' WHERE owner = 'ann'`)
	if list, err := schedules.List(t.Context(), "bob"); len(list) > 0 || err == nil {
		t.Errorf("bob has %+v, %v", list, err)
	}
}

// inHour gives a time so many hours after what the clock of the tests says.
func inHour(n int) time.Time { return now().Truncate(time.Hour).Add(time.Duration(n) * time.Hour) }

// withSchedule gives a store by a clock, with a schedule that is due in hour 1.
func withSchedule(t *testing.T, clock func() time.Time) (*store.Schedules, engine.Schedule) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	one := engine.Schedule{Owner: "ann", Name: "nightly", Flow: "report", Cron: "0 2 * * *", Enabled: true, NextRun: inHour(1)}
	if err := s.Schedules().Create(t.Context(), engine.Actor{}, one); err != nil {
		t.Fatal(err)
	}
	return s.Schedules(), nightly(t, s.Schedules())
}

func nightly(t *testing.T, schedules *store.Schedules) engine.Schedule {
	t.Helper()
	got, err := schedules.Get(t.Context(), "ann", "nightly")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func works(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestScheduleRuns has schedules run when they are due.
func TestScheduleRuns(t *testing.T) {
	t.Parallel()
	schedules, read := withSchedule(t, now)
	works(t, schedules.Create(t.Context(), engine.Actor{}, engine.Schedule{Owner: "", Name: "nightly", Flow: "mine", Cron: "@daily", Enabled: true, NextRun: inHour(3)}))
	works(t, schedules.Create(t.Context(), engine.Actor{}, engine.Schedule{Owner: "ann", Name: "off", NextRun: inHour(1)}))
	due := func(hour, want int, next time.Time) []engine.Schedule {
		t.Helper()
		due, err := schedules.Due(t.Context(), inHour(hour), engine.Schedule{}, 10)
		at, failed := schedules.NextDue(t.Context(), inHour(hour))
		if err = errors.Join(err, failed); err != nil || len(due) != want || !at.Equal(next) {
			t.Errorf("in hour %d %d are due, the next at %s; want %d, %s; %v", hour, len(due), at, want, next, err)
		}
		return due
	}
	due(0, 0, inHour(1))
	if ready := due(2, 1, inHour(3)); cmp.Diff(ready, []engine.Schedule{read}) != "" {
		t.Errorf("due is %+v", ready)
	}
	// Of two engines that see it due, one has it run.
	works(t, schedules.Ran(t.Context(), engine.ScheduleRun{Schedule: read, Execution: "e1", Next: inHour(25)}))
	again := engine.ScheduleRun{Schedule: read, Execution: "e2", Next: inHour(25)}
	wantFailure(t, schedules.Ran(t.Context(), again), engine.Conflict, "has run or was changed", "")
	want := read
	want.NextRun, want.LastRun, want.LastExecution = inHour(25), inHour(1), "e1"
	if diff := cmp.Diff(want, nightly(t, schedules)); diff != "" {
		t.Errorf("after a run (-want +got):\n%s", diff)
	}
	due(3, 1, inHour(25))
	// One that did not take place leaves the last execution. One that is not noted is
	// no harm to others.
	skipped := engine.ScheduleRun{Schedule: want, Problem: "the last one is at work", At: inHour(25), Next: inHour(49)}
	wantFailure(t, schedules.Ran(t.Context(), again, skipped), engine.Conflict, "has run or was changed", "")
	want.Problem, want.ProblemAt, want.LastRun, want.NextRun = skipped.Problem, inHour(25), inHour(25), inHour(49)
	if diff := cmp.Diff(want, nightly(t, schedules)); diff != "" {
		t.Errorf("after a run that did not take place (-want +got):\n%s", diff)
	}
	// An update leaves what has been; without a time, what comes, too.
	want.Cron, want.NextRun = "@hourly", inHour(26)
	works(t, schedules.Update(t.Context(), want))
	want.Problem, want.ProblemAt = "", time.Time{}
	if diff := cmp.Diff(want, nightly(t, schedules)); diff != "" {
		t.Errorf("after an update (-want +got):\n%s", diff)
	}
	kept := want
	kept.Flow, kept.NextRun = "other", time.Time{}
	works(t, schedules.Update(t.Context(), kept))
	if got := nightly(t, schedules); !got.NextRun.Equal(inHour(26)) || got.Flow != "other" {
		t.Errorf("after an update without a time it is %+v", got)
	}
}

// TestScheduleIsChangedMeanwhile has people and the engine change a schedule at once.
func TestScheduleIsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	clock := now()
	schedules, read := withSchedule(t, func() time.Time { return clock })
	clock = clock.Add(time.Second)
	edited := read
	edited.Flow = "g"
	works(t, schedules.Update(t.Context(), edited))
	wantFailure(t, schedules.Update(t.Context(), edited), engine.Conflict, "somebody else has changed", "")
	waits := engine.ScheduleRun{Schedule: read, Waiting: true, Problem: "it waits", At: inHour(1)}
	wantFailure(t, schedules.Ran(t.Context(), waits), engine.Conflict, "was changed meanwhile", "")
	works(t, schedules.Move(t.Context(), read, inHour(5)))
	got := nightly(t, schedules)
	if got.Flow != "g" || got.Waiting || !got.NextRun.Equal(inHour(1)) {
		t.Errorf("got %+v", got)
	}
	waits.Schedule = got
	works(t, schedules.Ran(t.Context(), waits))
	if got := nightly(t, schedules); !got.Waiting || got.Problem != "it waits" || !got.NextRun.Equal(inHour(1)) || !got.LastRun.IsZero() {
		t.Errorf("got %+v", got)
	}
	if ahead, err := schedules.Ahead(t.Context(), inHour(-24)); err != nil || len(ahead) != 1 {
		t.Errorf("ahead of yesterday: %+v, %v", ahead, err)
	}
	if ahead, err := schedules.Ahead(t.Context(), clock); err != nil || len(ahead) != 0 {
		t.Errorf("ahead of now: %+v, %v", ahead, err)
	}
	works(t, schedules.Move(t.Context(), got, inHour(-5)))
	if next, err := schedules.NextDue(t.Context(), inHour(-6)); err != nil || !next.Equal(inHour(-5)) {
		t.Errorf("it is due at %s, %v", next, err)
	}
}

// TestDueSchedulesInPages reads many that are due at once, some of which cannot be
// read.
func TestDueSchedulesInPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	schedules := open(t, dir).Schedules()
	const n = 25
	for i := range n {
		s := engine.Schedule{Name: fmt.Sprintf("s%02d", n-i), Flow: "f", Cron: "@hourly", Enabled: true, NextRun: now().Add(time.Duration(i/10) * time.Hour)}
		if err := schedules.Create(t.Context(), engine.Actor{}, s); err != nil {
			t.Fatal(err)
		}
	}
	edit(t, dir, `UPDATE schedule SET body = x'00' WHERE name IN ('s25', 's24', 's23', 's22', 's21')`)
	var names []string
	for behind := (engine.Schedule{}); ; {
		page, err := schedules.Due(t.Context(), now().Add(24*time.Hour), behind, 4)
		if len(page) == 0 {
			break
		}
		if len(names) == 0 && (err == nil || len(page) != 4) {
			t.Errorf("the first page: %d, %v", len(page), err)
		}
		for _, s := range page {
			names = append(names, s.Name)
		}
		behind = page[len(page)-1]
	}
	if len(names) != n-5 || !slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("got %q", names)
	}
}

const manySchedules = 10_000

func benchSchedules(b *testing.B, next time.Time) *store.Schedules {
	b.Helper()
	dir := b.TempDir()
	schedules := open(b, dir).Schedules()
	for i := range 100 {
		s := engine.Schedule{
			Name: fmt.Sprintf("s%05d", i), Flow: "report", Cron: "*/5 * * * *", TimeZone: "Europe/Vienna", Enabled: true, NextRun: next,
			Inputs: map[string]any{"n": int64(i), "text": "of some length"},
		}
		if err := schedules.Create(b.Context(), engine.Actor{}, s); err != nil {
			b.Fatal(err)
		}
	}
	// The others have the same bodies: they are read, not opened.
	for n := 100; n < manySchedules; n *= 10 {
		edit(b, dir, fmt.Sprintf(`WITH RECURSIVE c(k) AS (VALUES(1) UNION ALL SELECT k+1 FROM c WHERE k < 9)
			INSERT INTO schedule (owner, name, next, last_execution, changed, body) SELECT 'o%d-' || k || owner, name, next, '', changed, body FROM schedule, c LIMIT %d`, n, manySchedules-n))
	}
	return schedules
}

// BenchmarkNoneDue looks at 10,000 schedules, none of which is due.
func BenchmarkNoneDue(b *testing.B) {
	schedules := benchSchedules(b, now().Add(time.Hour))
	for b.Loop() {
		due, err := schedules.Due(b.Context(), now(), engine.Schedule{}, 256)
		if err != nil || len(due) > 0 {
			b.Fatal(len(due), err)
		}
		if next, err := schedules.NextDue(b.Context(), now()); err != nil || next.IsZero() {
			b.Fatal(next, err)
		}
	}
}
