package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/enginetest"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/testdata/servers"
)

// kills is how often TestKilledEngine kills the engine. All that is promised, in a
// few minutes:
//
//	go test ./cmd/weir -run TestKilledEngine -v -timeout 20m -kills 200
var kills = flag.Int("kills", 3, "how often TestKilledEngine kills the engine")

const crashFlows = 100

// crashFlow makes all kinds of steps, each of which leaves a trace of each of its
// tries: a byte in a file of its own.
const crashFlow = `
local sum, head = 0, connect("repository").output.commit_sha
for round = 1, input.rounds do
	local p = input.p .. round
	sum = sum + task("FAKE", { counter = p .. "a", payload = round }).output.inputs.payload
	task("FAKE", { operation = "count", counter = p .. "once", delay = "1ms" })
	local parts = parallel{
		function() return task("FAKE", { counter = p .. "b", payload = 1, delay = "5ms" }).output.inputs.payload end,
		function() sleep(0.01) return task("FAKE", { counter = p .. "c", payload = 1 }).output.inputs.payload end,
		function() return flow("part", { p = p }).output end,
	}
	sum = sum + parts[1] + parts[2] + parts[3]
	if round % 3 == input.n % 3 then sleep(1.1) end
end
return { sum = sum, head = #head }
`

const crashPart = `
task("FAKE", { operation = "count", counter = input.p .. "part-once", password = secret("secret/part#password") })
return task("FAKE", { counter = input.p .. "part", payload = 1 }).output.inputs.payload
`

// crashSite is a store with an engine that does not live long.
type crashSite struct {
	t      *testing.T
	user   userOf
	store  *store.Store
	roots  []engine.ID
	rounds int

	engine *exec.Cmd
	log    *crashLog
	// completed has the counters of the steps whose end is in a journal, with how
	// often they had been tried then.
	completed map[string]int
	settled   map[engine.ID]bool // executions that had ended, and were looked at
	asked     map[string]bool    // steps about which the question was answered
	answers   int
}

// crashLog is what an engine says, which is read while it says more.
type crashLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *crashLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *crashLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newCrashSite(t *testing.T, rounds int) *crashSite {
	t.Helper()
	s := &crashSite{
		t: t, user: userOf{t, t.TempDir()}, rounds: rounds,
		completed: map[string]int{}, settled: map[engine.ID]bool{}, asked: map[string]bool{},
	}
	for _, dir := range []string{"files", "conn", "repo"} {
		if err := os.Mkdir(filepath.Join(s.user.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err := newRepository(filepath.Join(s.user.dir, "repo"))
	if err != nil {
		t.Fatal(err)
	}
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: s.user.dir})
	s.user.write("part.lua", crashPart)
	s.user.write("secrets.yaml", "secret/part: {password: hunter22hunter22}\n")
	s.user.write("conn/repository.yaml", fmt.Sprintf("name: repository\ntype: GIT\nvalue: {command: metadata, repository_url: %q}\n", server.URL+"/repo/.git"))
	if s.store, err = store.Open(t.Context(), store.Config{Dir: filepath.Join(s.user.dir, "data")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.engine != nil {
			_ = s.engine.Process.Kill()
			_ = s.engine.Wait()
		}
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.begin()
	return s
}

// begin writes the executions, as somebody does who starts them while no engine runs.
func (s *crashSite) begin() {
	s.t.Helper()
	now := time.Now()
	var changes []journal.Change
	for n := range crashFlows {
		id := engine.ID(fmt.Sprintf("crash%03d", n))
		begun := &journal.Begun{
			At: now, File: filepath.Join(s.user.dir, "crash.lua"), Text: journal.Digest([]byte(crashFlow)), Files: filepath.Join(s.user.dir, "files"),
			Inputs: map[string]any{"n": int64(n), "p": fmt.Sprintf("%03d-", n), "rounds": int64(s.rounds)},
		}
		changes = append(changes, journal.Change{
			ID: id,
			Create: &journal.Row{
				ID: id, Root: id, Name: "crash", Created: now, State: journal.State{Status: engine.Pending, Wake: now},
			},
			Events: []journal.Event{begun}, Texts: map[string][]byte{begun.Text: []byte(crashFlow)},
		})
		s.roots = append(s.roots, id)
	}
	written := make(chan error, 1)
	s.store.Executions().Commit(changes, func(err error) { written <- err })
	if err := <-written; err != nil {
		s.t.Fatal(err)
	}
}

// serve starts an engine by the name of the program that it is.
func (s *crashSite) serve(command *exec.Cmd) {
	s.t.Helper()
	command.Args = append(command.Args, "serve", "--grace", "0s", "--connections", "conn", "--secrets", "secrets.yaml")
	s.log = &crashLog{}
	command.Stderr = s.log
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.engine = command
}

// kill ends the engine as a power cut does, and notes what had been completed.
func (s *crashSite) kill() {
	s.t.Helper()
	_ = s.engine.Process.Kill()
	_ = s.engine.Wait()
	s.engine = nil
	s.look()
	ended := map[engine.ID]engine.Status{}
	rows := s.list("")
	for _, row := range rows {
		if row.Status.Ended() {
			ended[row.ID] = row.Status
		}
	}
	for _, row := range rows {
		if status := ended[row.Parent]; status != "" && ended[row.ID] == "" {
			s.t.Fatalf("%s is %s, and its parent is %s; open are%s", row.ID, row.Status, status, s.open())
		}
	}
}

// tries counts the tries of a step.
func (s *crashSite) tries(counter string) int {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.user.dir, "files", counter))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return int(info.Size())
}

// progress counts the steps that were begun.
func (s *crashSite) progress() int {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.user.dir, "files"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// list gives all executions of a state, children included; "" for all.
func (s *crashSite) list(status engine.Status) []journal.Row {
	s.t.Helper()
	rows, _, err := s.store.Executions().List(s.t.Context(), store.Filter{Status: status, Children: true, Limit: 1 << 20})
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// look reads the journals of what had not ended when it was looked at last.
func (s *crashSite) look() {
	s.t.Helper()
	for _, row := range s.list("") {
		if s.settled[row.ID] {
			continue
		}
		s.settled[row.ID] = row.Status.Ended()
		for _, event := range s.load(row.ID).Events {
			e, ok := event.(*journal.Returned)
			if !ok {
				continue
			}
			counter, _ := e.Inputs["counter"].(string)
			if _, known := s.completed[counter]; counter != "" && !known {
				s.completed[counter] = s.tries(counter)
			}
		}
	}
}

func (s *crashSite) load(id engine.ID) journal.History {
	s.t.Helper()
	h, err := s.store.Executions().Load(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// decide answers what has become of steps that must not run twice: a person looks at
// the other system, which is the counter.
func (s *crashSite) decide() {
	s.t.Helper()
	for _, row := range s.list(engine.Paused) {
		if row.Waits != journal.WaitsForDecision {
			s.t.Fatalf("%s is %+v:\n%s\n%s", row.ID, row.State, s.log.String(), s.open())
		}
		h := s.load(row.ID)
		for _, step := range journal.NewOutline(h).Steps {
			key := fmt.Sprint(step.ID, len(h.Events))
			if step.Status != engine.Paused || s.asked[key] {
				continue
			}
			s.asked[key] = true
			s.answers++
			counter, _ := step.Inputs["counter"].(string)
			decision := journal.DecisionRepeat
			if s.tries(counter) > 0 {
				decision = journal.DecisionDone
			}
			err := s.store.Executions().Order(s.t.Context(), journal.Order{
				Execution: row.ID, Verb: journal.VerbAnswer, Step: string(step.ID), Value: decision, At: time.Now(),
			})
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// until answers questions until something is so.
func (s *crashSite) until(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !is(); <-tick.C {
		s.decide()
		if time.Since(start) > 2*time.Minute {
			s.t.Fatalf("it does not come to %s; open are%s\n%s", what, s.open(), s.log.String())
		}
	}
}

// open tells of the executions that have not ended.
func (s *crashSite) open() string {
	var b strings.Builder
	for _, row := range s.list("") {
		if row.Status.Ended() {
			continue
		}
		fmt.Fprintf(&b, "\n%s %+v", row.ID, row.State)
		for _, event := range s.load(row.ID).Events {
			text, _ := json.Marshal(event)
			fmt.Fprintf(&b, "\n\t%s %s", journal.Name(event), text)
		}
	}
	orders, err := s.store.Executions().Orders(s.t.Context())
	fmt.Fprintf(&b, "\norders: %+v %v", orders, err)
	return b.String()
}

// ended tells whether all executions have ended.
func (s *crashSite) ended() bool {
	counts, err := s.store.Executions().Counts(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, status := range []engine.Status{engine.Pending, engine.Running, engine.Waiting, engine.Paused} {
		if counts[status] > 0 {
			return false
		}
	}
	return true
}

// check looks at what has come of everything.
func (s *crashSite) check() {
	s.t.Helper()
	s.look()
	want := 3*s.rounds + s.rounds*(s.rounds+1)/2
	for _, id := range s.roots {
		h := s.load(id)
		end, ok := h.Events[len(h.Events)-1].(*journal.Finished)
		if !ok || end.Status != engine.Succeeded {
			s.t.Fatalf("%s ended as %+v", id, h.Events[len(h.Events)-1])
		}
		got, _ := end.Output.(map[string]any)
		if sum, _ := got["sum"].(int64); int(sum) != want || got["head"] != int64(40) {
			s.t.Errorf("%s gave %v, not %d", id, got, want)
		}
		if err := enginetest.Consistent(s.t.Context(), s.store.Executions(), id); err != nil {
			s.t.Error(err)
		}
	}
	if got, want := len(s.completed), crashFlows*s.rounds*6; got != want {
		s.t.Errorf("%d steps are in the journals, not %d", got, want)
	}
	for counter, tries := range s.completed {
		got := s.tries(counter)
		if got != tries {
			s.t.Errorf("%s was tried %d times, of which %d after it was completed", counter, got, got-tries)
		}
		if strings.HasSuffix(counter, "once") && got != 1 {
			s.t.Errorf("%s was tried %d times", counter, got)
		}
	}
	orders, err := s.store.Executions().Orders(s.t.Context())
	if err != nil || len(orders) > 0 {
		s.t.Errorf("orders are left: %v, %v", orders, err)
	}
	s.recorded()
}

// recorded looks for the audit event of each step that had a secret.
func (s *crashSite) recorded() {
	s.t.Helper()
	read := map[engine.ID]bool{}
	for before := int64(0); ; {
		events, err := s.store.Audit().List(s.t.Context(), store.AuditFilter{All: true, Before: before})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range events {
			if e.What == engine.AuditSecretRead && e.Path == "secret/part" {
				read[e.Execution] = true
			}
			before = e.Number
		}
		if len(events) == 0 {
			break
		}
	}
	if got, want := len(read), crashFlows*s.rounds; got != want {
		s.t.Errorf("the readings of %d steps are on record, not of %d", got, want)
	}
}

// TestKilledEngine kills a busy engine again and again: 100 flows in flight, with tasks
// that leave traces and a Git server. No execution is lost, no completed step is run
// again, no step that must not run twice has, and no state contradicts another.
func TestKilledEngine(t *testing.T) {
	t.Parallel()
	s := newCrashSite(t, 2+*kills/6)
	steps := crashFlows * s.rounds * 6
	for n := range *kills {
		s.serve(s.user.command())
		next := s.progress() + steps/(*kills+2)/2 + rand.IntN(steps/(*kills+2)+1) //nolint:gosec // any moment is as good
		s.until(fmt.Sprintf("kill %d at step %d of %d", n+1, next, steps), func() bool { return s.progress() >= min(next, steps) })
		s.kill()
	}
	s.serve(s.user.command())
	s.until("the end of all", s.ended)
	s.check()
	if err := s.engine.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.Wait(); err != nil {
		t.Errorf("the engine ended with %v:\n%s", err, s.log.String())
	}
	s.engine = nil
	t.Logf("%d kills, %d steps, %d questions answered", *kills, steps, s.answers)
	s.user.weir("store", "check")
}
