package enginetest

import (
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// childTests show flows that call flows.
func childTests() map[string]func(*world) {
	return map[string]func(*world){
		"a child that runs":                                    testChildRuns,
		"a child that has ended":                               testChildHasEnded,
		"a child that ends while its parent is not in memory":  testChildEndsAlone,
		"a child that fails while its parent is not in memory": testChildFailsAlone,
		"a child that was not written":                         testChildNotWritten,
		"a child is tried again":                               testChildTriedAgain,
		"a child's time is up":                                 testChildTimesOut,
		"a step's time is up":                                  testStepTimesOut,
		"a flow is paused while a later try of its child runs": testPausedAtALaterTry,
		"children of children":                                 testDeepChildren,
		"a child that does not exist":                          testNoSuchFlow,
		"a child that nobody waits for":                        testChildNobodyWaitsFor,
	}
}

func testChildRuns(w *world) {
	w.flow("child", `task("FAKE", { counter = "quick" }) task("FAKE", { counter = "slow", delay = "10s" }) return input.n`)
	id := w.start(`local x = flow("child", { n = 7 }) return { x.output, x.type, x.name, x.status }`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `[7,"FLOW","child","succeeded"]`)
	w.counters(map[string]int{"quick": 1, "slow": 2})
}

func testChildHasEnded(w *world) {
	w.flow("child", `return task("FAKE", { operation = "count", counter = "a" }).output.count`)
	id := w.start(`
		local x = flow("child")
		task("FAKE", { counter = "slow", delay = "10s" })
		return { x.output, flow("child").output }`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `[1,2]`)
	w.counters(map[string]int{"a": 2, "slow": 2})
}

func testChildEndsAlone(w *world) {
	w.flow("child", `sleep(60) task("FAKE", { counter = "a" }) return "woke"`)
	id := w.start(`return flow("child").output`)
	w.becomes(id, engine.Waiting, "")
	w.until("both leave memory", func() bool { return w.on().Resident() == 0 })
	before := time.Now()
	w.output(id, `"woke"`)
	if took := time.Since(before); took > time.Minute {
		w.Errorf("it took %s", took)
	}
	w.counters(map[string]int{"a": 1})
}

func testChildFailsAlone(w *world) {
	w.flow("child", `sleep(60) error("boom")`)
	id := w.start(`local ok, e = pcall(flow, "child") return { ok, e.kind, e.cause.message }`)
	w.becomes(id, engine.Waiting, "")
	w.until("both leave memory", func() bool { return w.on().Resident() == 0 })
	w.output(id, `[false,"script","boom"]`)
}

// testChildNotWritten crashes at every commit around the start of a child.
func testChildNotWritten(w *world) {
	w.flow("child", `return task("FAKE", { counter = "a" }).output.count`)
	for n := 1; n <= 8; n++ {
		w.setup.DieAfter = n
		e := w.on()
		id, err := e.Start(w.Context(), engine.Request{File: w.dir + "/main.lua", Text: []byte(`
			local x = flow("child", {}, { wait = false })
			return x:wait().status`), Files: w.files})
		if err != nil {
			w.Fatal(err)
		}
		w.until("it ends or the engine does", func() bool {
			select {
			case <-e.Died():
				return true
			default:
				return w.row(id).Status.Ended()
			}
		})
		w.setup.DieAfter = 0
		w.crash()
		w.output(id, `"succeeded"`)
		w.on().Close()
		w.engine = nil
	}
}

func testChildTriedAgain(w *world) {
	w.flow("flaky", `return task("FAKE", { fail_times = 3, counter = "tries" }).output.count`)
	before := time.Now()
	id := w.start(`return flow("flaky", {}, { retry = { max_tries = 4, delay = "10s", backoff = 2 } }).output`)
	w.counted("tries", 2)
	w.pass(5 * time.Second)
	w.becomes(id, engine.Waiting, "") // for the time of the next try
	w.crash()
	w.output(id, `4`)
	w.took(before, 70*time.Second)
	child := journal.ChildID(id, journal.Address{Number: 1})
	for try, want := range map[int]engine.Status{1: engine.Failed, 2: engine.Failed, 3: engine.Failed, 4: engine.Succeeded} {
		if row := w.row(journal.TryID(child, try)); row.Status != want || row.Parent != id {
			w.Errorf("try %d is %+v", try, row)
		}
	}
}

func testPausedAtALaterTry(w *world) {
	w.flow("flaky", `task("FAKE", { fail_times = 1, counter = "tries" }) return task("FAKE", { counter = "slow", delay = "10s" }).status`)
	id := w.start(`return flow("flaky", {}, { retry = { max_tries = 4, delay = "2s" } }).output`)
	w.counted("slow", 1)
	w.crash()
	w.counted("slow", 2)
	w.order(id, journal.VerbPause)
	w.becomes(id, engine.Paused, "")
	w.order(id, journal.VerbResume)
	w.output(id, `"succeeded"`)
	w.counters(map[string]int{"tries": 2, "slow": 2})
}

func testChildTimesOut(w *world) {
	w.flow("slow", `
		defer(function() task("FAKE", { counter = "deferred" }) end)
		task("FAKE", { counter = "a" })
		sleep("10m")
		task("FAKE", { counter = "never" })`)
	before := time.Now()
	id := w.start(`
		local x = flow("slow", {}, { timeout = "1m", on_error = "return" })
		return { x.status, x.error.kind, x.error.message }`)
	w.becomes(journal.ChildID(id, journal.Address{Number: 1}), engine.Waiting, "")
	w.until("all leave memory", func() bool { return w.on().Resident() == 0 })
	w.output(id, `["failed","timeout","flow \"slow\": not done within 1m0s"]`)
	w.took(before, time.Minute)
	w.counters(map[string]int{"a": 1, "deferred": 1})
}

func testStepTimesOut(w *world) {
	before := time.Now()
	id := w.start(`
		local x = task("FAKE", { block = true, counter = "a" }, { timeout = "10s", on_error = "return", retry = { max_tries = 3, delay = 1 } })
		return { x.status, x.error.kind }`)
	w.output(id, `["failed","timeout"]`)
	w.took(before, 10*time.Second)
	w.counters(map[string]int{"a": 1})
}

func testDeepChildren(w *world) {
	w.flow("deep", `
		task("FAKE", { counter = "n" .. input.n })
		if input.n == 10 then task("FAKE", { counter = "slow", delay = "10s" }) return 10 end
		return flow("deep", { n = input.n + 1 }).output + input.n`)
	w.flow("endless", `return flow("endless").output`)
	id := w.start(`return flow("deep", { n = 1 }).output`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `55`)
	want := map[string]int{"slow": 2}
	for _, n := range []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"} {
		want[n] = 1
	}
	w.counters(want)
	_ = w.fails(w.start(`return flow("endless").output`), engine.Failed, engine.Limit, "deep")
}

func testNoSuchFlow(w *world) {
	w.flow("deploy", `return 1`)
	failure := w.fails(w.start(`flow("deplyo")`), engine.Failed, engine.NotFound, `flow "deplyo": not found in `)
	if failure.Hint != "there are deploy" {
		w.Errorf("the hint is %q", failure.Hint)
	}
	w.flow("broken", "return =")
	_ = w.fails(w.start(`flow("broken")`), engine.Failed, engine.Invalid, "broken.lua:1")
}

func testChildNobodyWaitsFor(w *world) {
	w.flow("child", `task("FAKE", { counter = "a", delay = "10s" })`)
	id := w.start(`flow("child", {}, { wait = false }) return 1`)
	w.counted("a", 1)
	w.crash()
	w.output(id, `1`)
	if row := w.row(journal.ChildID(id, journal.Address{Number: 1})); row.Status != engine.Succeeded {
		w.Errorf("the child is %s", row.Status)
	}
	w.counters(map[string]int{"a": 2})
}
