package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// logTests show what is kept of what a flow says.
func logTests() map[string]func(*world) {
	return map[string]func(*world){
		"each line is there once":          testLogOnce,
		"lines of branches":                testLogBranches,
		"lines that nothing follows":       testLogLast,
		"lines of tasks":                   testLogTask,
		"secrets are masked after a crash": testMaskedAfterCrash,
		"secrets are masked in the tree":   testMaskedInTree,
		"secrets are masked after a sleep": testMaskedAfterSleep,
	}
}

// testLogOnce crashes at every commit of a flow that writes lines between its calls.
func testLogOnce(w *world) {
	const script = `
		log.info("0")
		for i = 1, 4 do
			log.info(i .. "a")
			task("FAKE", {})
			log.info(i .. "b")
			sleep(0.15)
			log.info(i .. "c")
		end`
	want := []string{"0"}
	for i := 1; i <= 4; i++ {
		for _, c := range "abc" {
			want = append(want, fmt.Sprint(i, string(c)))
		}
	}
	for n := 1; ; n++ {
		w.setup.DieAfter = n
		e := w.on()
		id := w.start(script)
		w.until("it ends or the engine does", func() bool { return died(e) || w.row(id).Status.Ended() })
		over := !died(e)
		w.setup.DieAfter = 0
		w.crash()
		w.end(id)
		w.until("all lines are there", func() bool { return len(w.lines(id)) >= len(want) })
		if diff := cmp.Diff(want, w.lines(id)); diff != "" {
			w.Errorf("log after a crash at commit %d (-want +got):\n%s", n, diff)
		}
		w.on().Close()
		w.engine = nil
		if over {
			return
		}
	}
}

func died(e Engine) bool {
	select {
	case <-e.Died():
		return true
	default:
		return false
	}
}

func testLogBranches(w *world) {
	id := w.start(`
		local function branch(name, delay)
			return function()
				for i = 1, 5 do log.info(name .. i) task("FAKE", { delay = delay }) end
			end
		end
		parallel{ branch("a", "70ms"), branch("b", "90ms"), branch("c", "110ms") }
		task("FAKE", { counter = "slow", delay = "10s" })
		log.info("end")`)
	w.counted("slow", 1)
	w.pass(time.Second)
	before := w.lines(id)
	w.crash()
	w.end(id)
	if diff := cmp.Diff(append(slices.Clone(before), "end"), w.lines(id)); diff != "" || len(before) != 15 {
		w.Errorf("log (-want +got):\n%s", diff)
	}
}

func testLogLast(w *world) {
	id := w.start(`log.info("a") log.warn("b", { n = 1 }) return 1`)
	w.output(id, `1`)
	lines, err := w.on().Lines(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	if len(lines) != 2 || lines[1].Event.Level != engine.Warn || text(w.T, lines[1].Event.Fields) != `{"n":1}` || lines[1].Event.Time.IsZero() {
		w.Errorf("the log is %+v", lines)
	}
}

func testLogTask(w *world) {
	id := w.start(`task("FAKE", { password = secret("secret/x#password"), leak = "warning" }) log.info("own")`)
	w.end(id)
	lines, err := w.on().Lines(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	if len(lines) != 2 || lines[0].Event.Execution != journal.ChildID(id, journal.Address{Number: 1}) || lines[0].Ordinal != 0 {
		w.Errorf("the log is %+v", lines)
	}
	w.masked(id)
}

// masked looks for the secret in what is kept to be shown.
func (w *world) masked(id engine.ID) {
	w.Helper()
	lines := strings.Join(w.lines(id), "\n")
	shown := lines
	if e := w.end(id); e.Error != nil {
		shown += text(w.T, e.Error)
	}
	if strings.Contains(shown, "5ecret") {
		w.Errorf("the secret is shown: %s", shown)
	}
	if !strings.Contains(lines, "***") {
		w.Errorf("nothing is masked: %s", shown)
	}
}

const leaking = `local leaked = task("FAKE", { password = secret("secret/x#password"), leak = "output" }).output.leaked `

func testMaskedAfterCrash(w *world) {
	id := w.start(leaking + `
		task("FAKE", { counter = "slow", delay = "10s" })
		log.info("it is " .. leaked)
		error("bad " .. leaked)`)
	w.counted("slow", 1)
	w.crash()
	_ = w.fails(id, engine.Failed, engine.Script, "bad")
	w.masked(id)
}

// testMaskedInTree has one flow show what another one has learned.
func testMaskedInTree(w *world) {
	w.flow("learns", leaking+`return leaked`)
	w.flow("shows", `sleep(10) log.info("it is " .. input.text) error("bad " .. input.text)`)
	id := w.start(`
		local leaked = flow("learns").output
		local shows = flow("shows", { text = leaked }, { wait = false })
		sleep(20)
		shows:wait()`)
	w.becomes(journal.ChildID(id, journal.Address{Number: 2}), engine.Waiting, "")
	w.crash()
	_ = w.fails(id, engine.Failed, engine.Script, "bad")
	w.masked(id)
}

func testMaskedAfterSleep(w *world) {
	id := w.start(leaking + `sleep(60) log.info("it is " .. leaked) error({ leaked = leaked })`)
	w.becomes(id, engine.Waiting, "")
	w.until("it leaves memory", func() bool { return w.on().Resident() == 0 })
	_ = w.fails(id, engine.Failed, engine.Script, "")
	w.masked(id)
}
