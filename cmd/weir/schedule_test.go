package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/schedule"
)

// clockSite is a server by a clock of its own, which does not live long.
type clockSite struct {
	t       *testing.T
	dir     string
	address string
	daemon  *runningDaemon
	client  *api.Client
	ctx     context.Context
	now     time.Time // what the clock shows, or showed when it was set

	want    map[string]bool // the executions that schedules are to start
	running []string        // the schedules
}

func newClockSite(t *testing.T) *clockSite {
	t.Helper()
	const patience = 8 * time.Minute // of a machine with other work to do
	s := &clockSite{t: t, dir: t.TempDir(), address: freeAddress(t), want: map[string]bool{}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s.ctx = ctx
	s.set(time.Date(2027, 3, 27, 21, 50, 0, 0, time.UTC))
	s.start()
	t.Cleanup(func() { _ = s.daemon.cmd.Process.Kill() })
	var err error
	if s.client, err = api.NewClient(s.daemon.address, s.daemon.token); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	return s
}

func (s *clockSite) start() {
	s.t.Helper()
	clock := "WEIR_TEST_CLOCK=" + filepath.Join(s.dir, "clock")
	var err error
	if s.daemon, err = startDaemon(s.t, s.dir, filepath.Join(s.dir, "data"), clock, "--listen", s.address, "--grace", "100ms"); err != nil {
		s.t.Fatal(err)
	}
}

// write sets the clock.
func (s *clockSite) write(text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, "clock")
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.t.Fatal(err)
	}
}

// set has the clock go on from a time, and stop has it stand still at one.
func (s *clockSite) set(at time.Time) {
	s.now = at
	s.write(time.Until(at).String())
}

func (s *clockSite) stop(at time.Time) {
	s.now = at
	s.write(at.Format(time.RFC3339Nano))
}

// restart ends the server, without a word or in order, and starts it again; the clock
// goes on by so much while there is none.
func (s *clockSite) restart(kill bool, meanwhile time.Duration) {
	s.t.Helper()
	if kill {
		_ = s.daemon.cmd.Process.Kill()
		<-s.daemon.read
		_ = s.daemon.cmd.Wait()
	} else {
		s.daemon.stop()
	}
	s.set(s.now.Add(meanwhile))
	s.start()
}

// patiently makes a request again as long as the server has no time for it, because it
// is at work on others of the same user or about to be there again.
func patiently[T any](s *clockSite, request func() (T, error)) T {
	s.t.Helper()
	for {
		answer, err := request()
		var failure *api.Error
		if err == nil {
			return answer
		}
		if !errors.As(err, &failure) || failure.Kind != string(engine.Unavailable) || s.ctx.Err() != nil {
			s.t.Fatal(err)
		}
	}
}

// begin sets the clock, and waits until the server has seen that: what it makes from then
// on is made at that time.
func (s *clockSite) begin(at time.Time) {
	s.t.Helper()
	s.set(at)
	const name = "clock"
	if s.running == nil && len(s.want) == 0 {
		patiently(s, func() (api.ScheduleDetail, error) {
			return s.client.CreateSchedule(s.ctx, api.NewSchedule{Name: name, Flow: "tick", Cron: "@yearly", Disabled: true})
		})
	}
	for seen := false; !seen; {
		changed := patiently(s, func() (api.ScheduleDetail, error) { return s.client.ChangeSchedule(s.ctx, name, api.ScheduleChange{}) })
		seen = !changed.Changed.Before(at.Truncate(time.Millisecond))
	}
}

// schedule makes a schedule that loses no run, and starts each beside others.
func (s *clockSite) schedule(name, cron, zone string) {
	s.t.Helper()
	patiently(s, func() (api.ScheduleDetail, error) {
		return s.client.CreateSchedule(s.ctx, api.NewSchedule{
			Name: name, Flow: "tick", Cron: cron, TimeZone: zone, Missed: string(engine.MissedAll), Overlap: string(engine.OverlapAllow),
		})
	})
	s.running = append(s.running, name)
}

// settled waits until all that is due has been started, and notes what that must be.
func (s *clockSite) settled(began time.Time) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		list := patiently(s, func() (api.Schedules, error) { return s.client.ListSchedules(s.ctx) })
		due := 0
		for _, one := range list.Schedules {
			if slices.Contains(s.running, one.Name) && !one.NextRun.After(s.now) {
				due++
			}
		}
		if due == 0 {
			s.expect(list.Schedules, began)
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("%d schedules stay due: %+v", due, list.Schedules)
		}
	}
}

// expect notes each time of each schedule from when it was made to when it is due next.
func (s *clockSite) expect(all []api.Schedule, began time.Time) {
	s.t.Helper()
	for _, one := range all {
		if !slices.Contains(s.running, one.Name) {
			continue
		}
		times, err := schedule.Parse(one.Cron, one.TimeZone)
		if err != nil {
			s.t.Fatal(err)
		}
		for at := times.Next(began); at.Before(*one.NextRun); at = times.Next(at) {
			s.want[string(schedule.RunID("", one.Name, at))] = true
		}
	}
}

// retire keeps the schedules from running.
func (s *clockSite) retire() {
	s.t.Helper()
	off := false
	for _, name := range s.running {
		patiently(s, func() (api.ScheduleDetail, error) {
			return s.client.ChangeSchedule(s.ctx, name, api.ScheduleChange{Enabled: &off})
		})
	}
	s.running = nil
}

// ended gives the executions of a name, all of which must have ended well.
func (s *clockSite) ended(name string) (ids []string) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ids = nil
		open := 0
		for after := ""; ; {
			page := patiently(s, func() (api.Executions, error) {
				return s.client.ListExecutions(s.ctx, api.ExecutionFilter{Flow: name, Limit: 1000, After: after})
			})
			for _, e := range page.Executions {
				ids = append(ids, e.ID)
				switch {
				case !e.HasEnded():
					open++
				case e.Status != "succeeded":
					s.t.Errorf("execution %s has %s", e.ID, e.Status)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if open == 0 {
			return ids
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("%d executions do not end", open)
		}
	}
}

// TestRestartsOnAClock drains, kills and starts a server again while 500 flows are
// started through its API and watched, and its schedules are due; and sets its clock over
// changes of clocks in four zones, stops it, sets it back and forth, with a server and
// without. Each flow is there once and ends once, each line of each comes once and in
// order, and each run of each schedule took place, and once.
func TestRestartsOnAClock(t *testing.T) {
	t.Parallel()
	const watchers, lines, restarts = 500, 5, 10
	s := newClockSite(t)
	if _, err := s.client.ApplyFlows(s.ctx, []api.FlowText{{Name: "tick", Text: `return task("FAKE", { delay = "10ms" }).status`}}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan struct{}, watchers*lines)
	outcomes := make(chan error, watchers)
	for i := range watchers {
		go func() { outcomes <- watchOne(s.ctx, s.client, i, lines, seen) }()
	}
	nights := []struct {
		begins    time.Time
		step      time.Duration
		schedules []string
	}{
		{ // clocks go forward, in one of them at midnight
			time.Date(2027, 3, 27, 21, 50, 0, 0, time.UTC), 40 * time.Minute,
			[]string{"Europe/Vienna */10 * * * *", "Europe/Vienna 30 2 * * *", "Asia/Beirut @daily", "Asia/Beirut */15 0-3 * * *"},
		},
		{ // clocks go back, in one of them by half an hour
			time.Date(2027, 4, 3, 14, 20, 0, 0, time.UTC), 80 * time.Minute,
			[]string{"Australia/Lord_Howe */10 * * * *", "Australia/Lord_Howe 45 1 * * *", "America/Santiago 30 23 * * *", "America/Santiago 15 * * * *"},
		},
	}
	for n, night := range nights {
		s.begin(night.begins)
		for i, text := range night.schedules {
			zone, cron, _ := strings.Cut(text, " ")
			s.schedule(fmt.Sprintf("s%d-%d", n, i), cron, zone)
		}
		for i := range restarts / len(nights) {
			for range watchers * lines / (restarts + 2) {
				select {
				case <-seen:
				case <-s.ctx.Done():
					t.Fatal("nothing goes on any more")
				}
			}
			s.unsettle(i, night.step)
			s.restart(i%2 == 0, night.step)
		}
		s.set(s.now.Add(2 * night.step))
		s.settled(night.begins)
		s.retire()
	}
	for range watchers {
		if err := <-outcomes; err != nil {
			t.Error(err)
		}
	}
	s.compare(s.ended("tick"))
	if all := s.ended(""); len(all) != watchers+len(s.want) {
		t.Errorf("there are %d executions, not %d and %d", len(all), watchers, len(s.want))
	}
	s.daemon.stop()
}

// unsettle does something to the clock while schedules are due, and goes on before the
// server has come to do all.
func (s *clockSite) unsettle(round int, step time.Duration) {
	switch round {
	case 1:
		s.stop(s.now.Add(step / 2))
	case 2:
		s.set(s.now.Add(step))
		<-time.After(time.Duration(rand.IntN(40)) * time.Millisecond)
		s.set(s.now.Add(-step / 2))
	default:
		s.set(s.now.Add(step))
	}
	<-time.After(time.Duration(rand.IntN(1200)) * time.Millisecond) // any moment is as good
}

// compare tells what was started that was not to be, and the other way round.
func (s *clockSite) compare(ids []string) {
	s.t.Helper()
	got := map[string]bool{}
	for _, id := range ids {
		got[id] = true
		if !s.want[id] {
			s.t.Errorf("%s was not to be started", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.want)) {
		if !got[id] {
			s.t.Errorf("%s was not started", id)
		}
	}
	s.t.Logf("schedules started %d executions", len(ids))
}

// command runs a command on the store that the server serves, in a process of its own.
func (s *clockSite) command(args ...string) string {
	s.t.Helper()
	program, err := exec.LookPath("weir-on-a-clock")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.ctx, program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "WEIR_DATA_DIR=" + s.daemon.data, "WEIR_TEST_CLOCK=" + filepath.Join(s.dir, "clock"), "GORACE=atexit_sleep_ms=0"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("weir %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// shows waits until "schedule show" of a schedule has a text.
func (s *clockSite) shows(name, text string) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		shown := s.command("schedule", "show", name)
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("it does not come to show %q:\n%s", text, shown)
		}
	}
}

// TestSchedulesOfAnotherProcess makes, changes and deletes schedules, flows and users on
// the command line beside the server, which does not look away.
func TestSchedulesOfAnotherProcess(t *testing.T) {
	t.Parallel()
	s := newClockSite(t)
	if err := os.WriteFile(filepath.Join(s.dir, "tick.lua"), []byte(`task("FAKE", { password = input.word }) return input.n`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.command("flow", "apply", "tick.lua")
	s.command("schedule", "create", "a", "--flow", "tick", "--cron", "0 * * * *", "-i", "n=1", "-i", "word=a-secret-word", "-i", "other=not-a-secret")
	s.shows("a", `"a-secret-word"`)
	at := time.Date(2027, 3, 27, 22, 0, 0, 0, time.UTC)
	s.set(at.Add(time.Second))
	s.shows("a", string(schedule.RunID("", "a", at)))
	s.command("schedule", "edit", "a", "--cron", "0,30 * * * *", "-i", "n=2")
	s.set(at.Add(30*time.Minute + time.Second))
	s.shows("a", string(schedule.RunID("", "a", at.Add(30*time.Minute))))
	if got := s.command("execution", "list", "-o", "json"); strings.Count(got, `"id"`) != 2 {
		t.Errorf("got %s", got)
	}
	// What a task took for a secret is masked from then on.
	if got := s.command("schedule", "show", "a"); strings.Contains(got, "a-secret-word") || !strings.Contains(got, `"not-a-secret"`) {
		t.Errorf("got %s", got)
	}
	s.command("flow", "delete", "tick", "--yes")
	s.set(at.Add(time.Hour + time.Second))
	s.shows("a", `no such flow: "tick"`)
	s.command("flow", "apply", "tick.lua")
	s.anothers(at.Add(time.Hour))
	if got := s.command("execution", "list", "-o", "json"); strings.Count(got, `"id"`) != 4 {
		t.Errorf("what was deleted ran: %s", got)
	}
	if got := s.metric("weir_schedule_runs_total{result=\"failed\"}"); got != "1" {
		t.Errorf("%s runs failed", got)
	}
	if got := s.metric("weir_schedule_runs_total{result=\"started\"}"); got != "5" {
		t.Errorf("%s runs were started", got)
	}
	s.daemon.stop()
	if !strings.Contains(s.daemon.said.String(), `"msg":"a run of a schedule does not take place"`) {
		t.Errorf("the log has %s", s.daemon.said)
	}
}

// anothers has a user with a schedule and a flow of the same names, who is disabled for
// a time: while her tokens are refused nothing of hers is started.
func (s *clockSite) anothers(at time.Time) {
	s.t.Helper()
	ann := s.command("user", "create", "ann")
	client, err := api.NewClient(s.daemon.address, strings.TrimSpace(s.command("user", "token", "create", "ann", "--expires", "0")))
	if err != nil {
		s.t.Fatal(err, ann)
	}
	defer client.Close()
	if _, err := client.ApplyFlows(s.ctx, []api.FlowText{{Name: "tick", Text: "return 2"}}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := client.CreateSchedule(s.ctx, api.NewSchedule{Name: "a", Flow: "tick", Cron: "30 * * * *"}); err != nil {
		s.t.Fatal(err)
	}
	s.command("user", "disable", "ann")
	s.set(at.Add(30*time.Minute + time.Second))
	s.shows("a", string(schedule.RunID("", "a", at.Add(30*time.Minute))))
	s.set(at.Add(time.Hour + time.Second))
	s.shows("a", string(schedule.RunID("", "a", at.Add(time.Hour))))
	s.command("user", "enable", "ann")
	hers, err := client.Schedule(s.ctx, "a")
	if err != nil || hers.Problem != "its owner is disabled" || hers.LastExecution != "" || !hers.NextRun.Equal(at.Add(90*time.Minute)) {
		s.t.Errorf("got %+v, %v", hers, err)
	}
	s.command("schedule", "delete", "a", "--yes")
	s.set(at.Add(90*time.Minute + time.Second))
	for hers.LastExecution == "" && s.ctx.Err() == nil {
		if hers, err = client.Schedule(s.ctx, "a"); err != nil {
			s.t.Fatal(err)
		}
	}
	// It was her flow of that name.
	for ran := (api.Detail{}); ran.Output == nil && s.ctx.Err() == nil; {
		if ran, err = client.Timeline(s.ctx, hers.LastExecution, "", 0); err != nil || ran.HasEnded() && fmt.Sprint(ran.Output) != "2" {
			s.t.Fatalf("hers gave %v, %v", ran.Output, err)
		}
	}
}

// metric gives a figure of the server.
func (s *clockSite) metric(name string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.daemon.address+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.daemon.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}
