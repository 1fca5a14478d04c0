package schedule_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/schedule"
	"github.com/weir-engine/weir/engine/store"
)

// world has a clock, a store, and executions that end when they are told to.
type world struct {
	t     testing.TB
	store *store.Store
	loop  *schedule.Loop

	mu       sync.Mutex
	dir      string
	clock    time.Time
	runs     map[engine.ID]engine.Status
	started  []string // "schedule time"
	ends     bool     // executions end at once
	disabled string   // an owner
	fail     func(engine.Schedule) error
	deaf     error // why nothing can be noted
}

func newWorld(t testing.TB, start string) *world {
	t.Helper()
	clock, err := time.Parse(time.RFC3339, start)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), clock: clock.UTC(), runs: map[engine.ID]engine.Status{}, ends: true}
	if w.store, err = store.Open(t.Context(), store.Config{Dir: w.dir, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	w.restart()
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// restart gives the world a new engine.
func (w *world) restart() {
	w.t.Helper()
	var err error
	w.loop, err = schedule.NewLoop(schedule.Config{Store: noted{w.store.Schedules(), w}, Starter: w, Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
}

// noted is a store that may be deaf.
type noted struct {
	*store.Schedules
	w *world
}

func (n noted) Ran(ctx context.Context, runs ...engine.ScheduleRun) error {
	n.w.mu.Lock()
	deaf := n.w.deaf
	n.w.mu.Unlock()
	if deaf != nil {
		return deaf
	}
	return n.Schedules.Ran(ctx, runs...)
}

// Start implements schedule.Starter.
func (w *world) Start(_ context.Context, s engine.Schedule, id engine.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		if err := w.fail(s); err != nil {
			return err
		}
	}
	if _, ok := w.runs[id]; ok {
		return &engine.Error{Kind: engine.Conflict, Message: "there is one"}
	}
	w.runs[id] = engine.Running
	if w.ends {
		w.runs[id] = engine.Succeeded
	}
	w.started = append(w.started, s.Name+" "+s.NextRun.Format("2 15:04"))
	return nil
}

// Status implements schedule.Starter.
func (w *world) Status(_ context.Context, id engine.ID) (engine.Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status, ok := w.runs[id]; ok {
		return status, nil
	}
	return "", &engine.Error{Kind: engine.NotFound, Message: "there is none"}
}

// Disabled implements schedule.Starter.
func (w *world) Disabled(_ context.Context, owner string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return owner == w.disabled && owner != "", nil
}

// finish ends all executions.
func (w *world) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.runs {
		w.runs[id] = engine.Succeeded
	}
}

// add stores a schedule.
func (w *world) add(s engine.Schedule) {
	w.t.Helper()
	cron, err := schedule.Parse(s.Cron, s.TimeZone)
	if err == nil {
		s.Flow, s.Enabled, s.NextRun = "flow", true, cron.Next(w.now())
		err = w.store.Schedules().Create(w.t.Context(), engine.Actor{}, s)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string) engine.Schedule {
	w.t.Helper()
	s, err := w.store.Schedules().Get(w.t.Context(), "", name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// look has the loop look until nothing more is to be done at once.
func (w *world) look() {
	w.t.Helper()
	for range 1000 {
		next, err := w.loop.Look(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if next.IsZero() || next.After(w.now()) {
			return
		}
	}
	w.t.Fatal("it does not come to rest")
}

// pass lets time pass, in steps of which each is looked at.
func (w *world) pass(d, step time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= step {
		w.set(w.now().Add(min(d, step)))
		w.look()
	}
}

func (w *world) set(clock time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = clock
}

// ran tells what was started since the last call, in whatever order.
func (w *world) ran(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.started)
	slices.Sort(want)
	if !slices.Equal(w.started, want) {
		w.t.Errorf("at %s got %q, want %q", w.clock.Format("2 15:04:05"), w.started, want)
	}
	w.started = nil
}

func TestRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-03-28T22:59:30Z")
	w.add(engine.Schedule{Name: "hourly", Cron: "@hourly"})
	w.add(engine.Schedule{Name: "night", Cron: "30 2 * * *", TimeZone: "Europe/Vienna"})
	w.look()
	w.ran()
	w.pass(3*time.Hour, 20*time.Second)
	w.ran("hourly 28 23:00", "hourly 29 00:00", "night 29 01:00", "hourly 29 01:00")
	s := w.get("night")
	if s.LastExecution != schedule.RunID("", "night", s.LastRun) || s.Problem != "" || s.NextRun.Format(time.RFC3339) != "2026-03-30T00:30:00Z" {
		t.Errorf("got %+v", s)
	}
	if stats := w.loop.Stats(); stats.Runs[schedule.Started] != 4 || stats.Late != 10*time.Second {
		t.Errorf("got %+v", stats)
	}
	if next, err := w.loop.Look(t.Context()); err != nil || next.Format(time.RFC3339) != "2026-03-29T02:00:00Z" {
		t.Errorf("it looks again at %s, %v", next, err)
	}
}

// TestMissedRuns has no engine for a while, with each way to deal with it.
func TestMissedRuns(t *testing.T) {
	t.Parallel()
	for what, back := range map[string]func(w *world){
		"the engine was stopped": (*world).restart,
		"the machine slept":      func(*world) {},
	} {
		w := newWorld(t, "2026-06-01T09:30:00Z")
		for _, missed := range []engine.Missed{engine.MissedSkip, engine.MissedOnce, engine.MissedAll, ""} {
			w.add(engine.Schedule{Name: "m" + string(missed), Cron: "@hourly", Missed: missed})
		}
		w.pass(40*time.Minute, 20*time.Second)
		w.ran("mskip 1 10:00", "monce 1 10:00", "mall 1 10:00", "m 1 10:00")
		w.set(w.now().Add(3 * time.Hour)) // 13:10
		back(w)
		w.look()
		w.ran("m 1 11:00", "mall 1 11:00", "mall 1 12:00", "mall 1 13:00", "monce 1 11:00")
		if s := w.get("mskip"); !strings.Contains(s.Problem, "it was due at 2026-06-01 11:00:00Z, when no engine was there") || s.NextRun.Hour() != 14 {
			t.Errorf("%s: got %+v", what, s)
		}
		w.look()
		w.ran()
		// One that is just late is not missed.
		w.set(w.now().Add(50*time.Minute + 30*time.Second)) // 14:00:30
		back(w)
		w.look()
		w.ran("m 1 14:00", "mall 1 14:00", "monce 1 14:00", "mskip 1 14:00")
		if s := w.get("mskip"); s.Problem != "" {
			t.Errorf("%s: got %+v", what, s)
		}
	}
}

// TestManyMissedRuns makes up for the newest only.
func TestManyMissedRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T00:00:30Z")
	w.add(engine.Schedule{Name: "a", Cron: "*/5 * * * *", Missed: engine.MissedAll, Overlap: engine.OverlapAllow})
	w.add(engine.Schedule{Name: "b", Cron: "* 3 * * *", Missed: engine.MissedAll, Overlap: engine.OverlapAllow})
	w.add(engine.Schedule{Name: "c", Cron: "0 0 29 2 *", Missed: engine.MissedAll, Overlap: engine.OverlapAllow})
	w.set(w.now().AddDate(10, 0, 0))
	w.look()
	byName := map[string][]string{}
	for _, run := range w.started {
		name, at, _ := strings.Cut(run, " ")
		byName[name] = append(byName[name], at)
	}
	for name, want := range map[string][]string{"a": {"31 15:45", "1 00:00"}, "b": {"30 03:20", "31 03:59"}} {
		got := byName[name]
		if len(got) != schedule.MaxMissed || got[0] != want[0] || got[len(got)-1] != want[1] {
			t.Errorf("%s: %d runs, %q to %q", name, len(got), got[0], got[len(got)-1])
		}
	}
	if len(byName["c"]) != 3 {
		t.Errorf("c: %q", byName["c"])
	}
}

// TestOverlap has executions that take longer than the time between them.
func TestOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T09:59:30Z")
	w.ends = false
	for _, overlap := range []engine.Overlap{engine.OverlapSkip, engine.OverlapQueue, engine.OverlapAllow} {
		w.add(engine.Schedule{Name: "o" + string(overlap), Cron: "@hourly", Overlap: overlap})
	}
	w.pass(time.Minute, 20*time.Second)
	w.ran("oallow 1 10:00", "oqueue 1 10:00", "oskip 1 10:00")
	w.pass(2*time.Hour, 20*time.Second) // 12:00:30
	w.ran("oallow 1 11:00", "oallow 1 12:00")
	if s := w.get("oskip"); !strings.HasSuffix(s.Problem, " was at work at 2026-06-01 12:00:00Z") || s.Waiting || s.NextRun.Hour() != 13 {
		t.Errorf("skip: got %+v", s)
	}
	s := w.get("oqueue")
	if !strings.HasPrefix(s.Problem, "the run of 2026-06-01 11:00:00Z waits for the end of execution ") || !s.Waiting || s.NextRun.Hour() != 11 {
		t.Errorf("queue: got %+v", s)
	}
	// Whoever waits has not been missed.
	w.restart()
	w.look()
	w.ran()
	w.finish()
	w.pass(time.Minute, 20*time.Second)
	w.ran("oqueue 1 11:00")
	if s := w.get("oqueue"); s.Problem != "" || s.Waiting || s.NextRun.Hour() != 13 {
		t.Errorf("queue: got %+v", s)
	}
	w.finish()
	w.pass(time.Hour, 20*time.Second)
	w.ran("oallow 1 13:00", "oqueue 1 13:00", "oskip 1 13:00")
}

// TestMissedOneByOne makes up for missed runs that may not overlap.
func TestMissedOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T09:59:30Z")
	w.add(engine.Schedule{Name: "a", Cron: "@hourly", Missed: engine.MissedAll})
	w.pass(time.Minute, 20*time.Second)
	w.ran("a 1 10:00")
	w.ends = false
	w.set(w.now().Add(3*time.Hour + 10*time.Minute)) // 13:10
	w.restart()
	for _, want := range []string{"a 1 11:00", "a 1 12:00", "a 1 13:00"} {
		w.pass(time.Minute, 20*time.Second)
		w.ran(want)
		w.restart()
		w.finish()
	}
	w.pass(40*time.Minute, 20*time.Second)
	w.ran()
}

// TestClockIsSet sets the clock by a little and by much, and stops it.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T09:59:30Z")
	w.add(engine.Schedule{Name: "a", Cron: "@hourly"})
	w.pass(2*time.Hour+time.Minute, 20*time.Second)
	w.ran("a 1 10:00", "a 1 11:00", "a 1 12:00") // it is 12:00:30
	w.set(w.now().Add(-90 * time.Minute))
	w.pass(91*time.Minute, 20*time.Second)
	w.ran()
	for range 100 { // it stands still
		w.look()
	}
	w.ran()
	w.pass(time.Hour, 20*time.Second)
	w.ran("a 1 13:00")
	// It was wrong by years, also when the schedule was made.
	w.set(w.now().AddDate(12, 0, 0))
	w.look()
	w.ran("a 1 14:00") // which makes up for all
	w.pass(time.Hour, 20*time.Second)
	w.ran("a 1 14:00")
	w.add(engine.Schedule{Name: "b", Cron: "@hourly"})
	w.set(w.now().AddDate(-12, 0, 0)) // 14:01 again
	w.restart()
	w.pass(2*time.Hour, 20*time.Second)
	w.ran("a 1 15:00", "a 1 16:00", "b 1 15:00", "b 1 16:00")
	// By as much into the past: what ran does not run again.
	w.set(w.now().Add(-6 * time.Hour))
	w.pass(6*time.Hour+time.Minute, 20*time.Second)
	w.ran("b 1 11:00", "b 1 12:00", "b 1 13:00", "b 1 14:00")
}

// TestStartsThatFail has runs that cannot be started, beside one that can.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T09:59:30Z")
	for _, name := range []string{"a-missing", "b-busy", "c"} {
		w.add(engine.Schedule{Name: name, Cron: "@hourly"})
	}
	w.add(engine.Schedule{Owner: "ann", Name: "hers", Cron: "@hourly"})
	w.disabled = "ann"
	w.fail = func(s engine.Schedule) error {
		switch s.Name {
		case "a-missing":
			return &engine.Error{Kind: engine.NotFound, Message: `no such flow: "flow"`, Hint: "store one"}
		case "b-busy":
			return &engine.Error{Kind: engine.Unavailable, Message: "the disk is full"}
		}
		return nil
	}
	w.pass(2*time.Hour, 20*time.Second)
	w.ran("c 1 10:00", "c 1 11:00")
	if s := w.get("a-missing"); s.Problem != `no such flow: "flow" (store one)` || s.NextRun.Hour() != 12 || s.LastExecution != "" {
		t.Errorf("got %+v", s)
	}
	if s := w.get("b-busy"); s.Problem != "the run of 2026-06-01 10:00:00Z is tried again: the disk is full" || s.NextRun.Hour() != 10 || !s.Waiting {
		t.Errorf("got %+v", s)
	}
	w.mu.Lock()
	w.fail, w.disabled = nil, ""
	w.mu.Unlock()
	w.restart() // which forgets how long it would wait
	w.look()
	w.ran("b-busy 1 10:00")
	w.pass(time.Hour, 20*time.Second)
	w.ran("a-missing 1 12:00", "b-busy 1 12:00", "c 1 12:00", "hers 1 12:00")
	if s := w.get("b-busy"); s.Problem != "" || s.Waiting {
		t.Errorf("got %+v", s)
	}
}

// TestDamagedSchedule has one that cannot be read among others.
func TestDamagedSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "2026-06-01T09:59:30Z")
	for _, name := range []string{"a", "b", "c"} {
		w.add(engine.Schedule{Name: name, Cron: "@hourly"})
	}
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "weir.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), `UPDATE schedule SET body = x'00', changed = changed + 100000000000 WHERE name = 'b'`)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.set(w.now().Add(time.Minute))
		if _, err := w.loop.Look(t.Context()); err == nil || !strings.Contains(err.Error(), `schedule "b"`) {
			t.Errorf("got %v", err)
		}
	}
	w.ran("a 1 10:00", "c 1 10:00")
}

// TestStartedBefore ends the engine between the start of a run and its note; whatever
// would be decided afterwards, the run has taken place.
func TestStartedBefore(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(w *world){
		"nothing has changed":   func(*world) {},
		"it is missed now":      func(w *world) { w.set(w.now().Add(30 * time.Minute)) },
		"its owner is disabled": func(w *world) { w.disabled = "ann" },
		"its flow is gone": func(w *world) {
			w.fail = func(engine.Schedule) error { return &engine.Error{Kind: engine.NotFound, Message: "no such flow"} }
		},
	} {
		w := newWorld(t, "2026-06-01T09:59:30Z")
		w.add(engine.Schedule{Owner: "ann", Name: "a", Cron: "@hourly", Missed: engine.MissedSkip})
		w.set(w.now().Add(time.Minute))
		w.deaf = errors.New("it has crashed")
		if _, err := w.loop.Look(t.Context()); err == nil {
			t.Error("nothing was noted, and that is no error")
		}
		w.deaf = nil
		change(w)
		w.restart()
		w.look()
		w.ran("a 1 10:00")
		s, err := w.store.Schedules().Get(t.Context(), "ann", "a")
		if err != nil || s.LastExecution != schedule.RunID("ann", "a", s.LastRun) || s.Problem != "" || s.NextRun.Hour() != 11 {
			t.Errorf("%s: got %+v, %v", what, s, err)
		}
	}
}

// TestCrashes ends the engine at any moment, while clocks change, stand still and are
// set: what was due is started once.
func TestCrashes(t *testing.T) {
	t.Parallel()
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, "2026-03-28T20:00:00Z")
	zones := []string{"Europe/Vienna", "Asia/Beirut", "", "America/Havana"}
	begin := w.now()
	for i, cron := range []string{"*/10 * * * *", "30 2 * * *", "0 0 * * *", "*/30 */2 * * *", "15 * * * *", "@daily", "45 1-3 * * *"} {
		w.add(engine.Schedule{Name: fmt.Sprint("s", i), Cron: cron, TimeZone: zones[i%len(zones)], Missed: engine.MissedAll, Overlap: engine.OverlapAllow})
	}
	crashes := 0
	for w.now().Before(begin.Add(12 * time.Hour)) {
		step := time.Duration(r.IntN(600)) * time.Second
		switch r.IntN(6) {
		case 0:
			step = 0
		case 1:
			step = -step
		}
		w.set(w.now().Add(step))
		// Nothing is noted, or some executions cannot be started, and then it ends.
		crash := r.IntN(3) > 0
		w.mu.Lock()
		if crash {
			w.deaf = errors.New("it has crashed")
			w.fail = func(engine.Schedule) error {
				if r.IntN(2) == 0 {
					return &engine.Error{Kind: engine.Unavailable, Message: "it has crashed"}
				}
				return nil
			}
		}
		w.mu.Unlock()
		_, _ = w.loop.Look(t.Context())
		w.mu.Lock()
		w.deaf, w.fail = nil, nil
		w.mu.Unlock()
		if crash {
			crashes++
			w.restart()
		}
	}
	w.restart()
	w.look()
	want := map[string]bool{}
	for i := range 7 {
		s := w.get(fmt.Sprint("s", i))
		cron, err := schedule.Parse(s.Cron, s.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		for at := cron.Next(begin); !at.After(w.now()); at = cron.Next(at) {
			want[s.Name+" "+at.Format("2 15:04")] = true
		}
	}
	got := slices.Sorted(slices.Values(w.started))
	if missing := slices.Sorted(maps.Keys(want)); !slices.Equal(got, missing) {
		t.Errorf("got %q\nwant %q", got, missing)
	}
	t.Logf("%d runs, %d crashes", len(got), crashes)
}

func TestRunIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)
	seen := map[engine.ID]bool{}
	for _, id := range []engine.ID{
		schedule.RunID("", "a", at), schedule.RunID("a", "", at), schedule.RunID("", "b", at), schedule.RunID("a", "b", at),
		schedule.RunID("a b", "c", at), schedule.RunID("a", "b c", at), schedule.RunID("", "a", at.Add(time.Minute)),
	} {
		if len(id) != 23 || seen[id] || strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("got %q", id)
		}
		seen[id] = true
	}
	if got := schedule.RunID("", "a", at.In(time.FixedZone("", 3600))); !seen[got] {
		t.Error("the id depends on the zone that the time is told in")
	}
}
