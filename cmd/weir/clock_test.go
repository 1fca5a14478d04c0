package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/enginetest"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// onAClock is weir by a clock that is set while it runs: the file $WEIR_TEST_CLOCK says
// by how much it differs from the machine's, or the time at which it stands still.
func onAClock() {
	var offset atomic.Int64
	var still atomic.Pointer[time.Time]
	read := func() {
		raw, _ := os.ReadFile(os.Getenv("WEIR_TEST_CLOCK"))
		text := strings.TrimSpace(string(raw))
		if by, err := time.ParseDuration(text); err == nil {
			offset.Store(int64(by))
			still.Store(nil)
		} else if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			still.Store(&at)
		}
	}
	read()
	go func() {
		for range time.Tick(2 * time.Millisecond) {
			read()
		}
	}()
	os.Exit(runOn(func() time.Time {
		if at := still.Load(); at != nil {
			return *at
		}
		return time.Now().Round(0).Add(time.Duration(offset.Load()))
	}))
}

// clockFlows are on their way while the clock is set.
var clockFlows = map[string]string{ //nolint:gochecknoglobals // read only
	// It sleeps, in memory and on disk.
	"sleeps": `
		local u = uuid()
		for i, time in ipairs{0.3, 1.5, "90m", 0.01} do
			task("FAKE", { operation = "count", counter = u .. "before" .. i })
			sleep(time)
			task("FAKE", { operation = "count", counter = u .. "after" .. i })
		end
		return "woke"`,
	// It is in a critical section, for longer than the lease if the clock is set, and
	// counts how often it was.
	"locks": `
		local s, lost = setting("n"), 0
		for i = 1, 3 do
			repeat
				local fence = s:lock()
				local n = s:get() or 0
				sleep(0.2)
				local ok, err = pcall(s.set, s, n + 1)
				if not ok then lost = lost + 1 end
				s:unlock()
			until ok
		end
		return lost`,
	// Its steps and child flows are tried again, and have a time that must not be up.
	"retries": `
		local u = uuid()
		task("FAKE", { counter = u, fail_times = 2 }, { timeout = "1m", retry = { max_tries = 5, delay = 0.4 } })
		local x = task("FAKE", { block = true }, { timeout = 1, on_error = "return" })
		return flow("waits", { u = u .. "child" }, { retry = { max_tries = 9, delay = 0.5 } }).output .. x.error.kind`,
	"waits": `task("FAKE", { counter = input.u, fail_times = 2 }) return "waited "`,
	// It takes long beside a sleep of which nothing is in memory when that has ended.
	"both": `
		local parts = parallel{
			function() sleep("30m") return "slept" end,
			function() return task("FAKE", { delay = "2s" }).status end,
		}
		return parts[1] .. parts[2]`,
}

// TestClockIsSet sets the clock by hours, forwards and backwards, under an engine whose
// flows sleep, hold locks, are tried again and have timeouts, and starts another engine
// now and then. All come to their ends, no step is run twice, no two hold a lock.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	s := &crashSite{t: t, user: u, asked: map[string]bool{}}
	var err error
	if s.store, err = store.Open(t.Context(), store.Config{Dir: filepath.Join(u.dir, "data")}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.store.Close() }()
	u.write("clock", "0s")
	for name, text := range clockFlows {
		u.write(name+".lua", text)
	}
	s.serve(u.onAClock())
	defer func() { _ = s.engine.Process.Kill(); _ = s.engine.Wait() }()
	wants := map[string]string{"sleeps": `"woke"`, "locks": "", "retries": `"waited timeout"`, "both": `"sleptsucceeded"`}
	want := map[engine.ID]string{}
	for n, offset := range []string{"3h", "-5h", "1h", "-90m", "-26h", "40m", "2h", "-1h"} {
		for name, output := range wants {
			cmd := u.onAClock()
			cmd.Args = append(cmd.Args, "execution", "start", name+".lua", "--files", ".")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			want[engine.ID(strings.TrimSpace(string(out)))] = output
		}
		u.write("clock", offset)
		s.pass(400 * time.Millisecond)
		if n%3 == 2 {
			if err := s.engine.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if err := s.engine.Wait(); err != nil {
				t.Fatalf("the engine ended with %v:\n%s", err, s.log.String())
			}
			s.serve(u.onAClock())
		}
	}
	for n := 3; !s.ended(); n += 3 { // so that all sleeps end
		u.write("clock", fmt.Sprint(n, "h"))
		s.until("a while", s.after(4*time.Second))
		if n > 60 {
			t.Fatalf("it does not end; open are%s\n%s", s.open(), s.log.String())
		}
	}
	s.clockResults(want)
	if err := s.engine.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.Wait(); err != nil {
		t.Errorf("the engine ended with %v:\n%s", err, s.log.String())
	}
	u.weir("store", "check")
}

// clockResults looks at what has come of everything.
func (s *crashSite) clockResults(want map[engine.ID]string) {
	s.t.Helper()
	lost := 0
	for id, output := range want {
		h := s.load(id)
		end, _ := h.Events[len(h.Events)-1].(*journal.Finished)
		if end == nil || end.Status != engine.Succeeded {
			s.t.Fatalf("%s ended as %+v", h.Name, end)
		}
		if got := fmt.Sprintf("%q", end.Output); output != "" && got != output {
			s.t.Errorf("%s gave %s, not %s", h.Name, got, output)
		}
		if n, ok := end.Output.(int64); ok && output == "" {
			lost += int(n)
		}
		if err := enginetest.Consistent(s.t.Context(), s.store.Executions(), id); err != nil {
			s.t.Error(err)
		}
	}
	entries, err := os.ReadDir(s.user.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	once := 0
	for _, e := range entries {
		if strings.Contains(e.Name(), "before") || strings.Contains(e.Name(), "after") {
			once++
			if n := s.steps(e.Name()); n != 1 {
				s.t.Errorf("%s was run %d times", e.Name(), n)
			}
		}
	}
	if want := 8 * 8; once != want {
		s.t.Errorf("%d steps were run, not %d", once, want)
	}
	s.user.write("n.lua", `return setting("n"):get()`)
	if got, want := s.user.weir("execution", "start", "n.lua", "--wait"), "24"; got != want {
		s.t.Errorf("the critical section was passed %s times, not %s", got, want)
	}
	s.t.Logf("%d executions, %d locks were lost to the clock", len(want), lost)
}

// steps gives how often a step was run that counts in a file.
func (s *crashSite) steps(counter string) int {
	info, err := os.Stat(filepath.Join(s.user.dir, counter))
	if err != nil {
		s.t.Fatal(err)
	}
	return int(info.Size())
}

func (s *crashSite) pass(d time.Duration) { <-time.After(d) }

func (s *crashSite) after(d time.Duration) func() bool {
	start := time.Now()
	return func() bool { return s.ended() || time.Since(start) > d }
}

func (u userOf) onAClock() *exec.Cmd {
	u.t.Helper()
	program, err := exec.LookPath("weir-on-a-clock") // as TestMain has put it there
	if err != nil {
		u.t.Fatal(err)
	}
	cmd := u.command()
	cmd.Path, cmd.Args[0] = program, program
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0", "WEIR_TEST_CLOCK="+filepath.Join(u.dir, "clock"))
	return cmd
}
