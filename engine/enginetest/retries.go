package enginetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// retryTests show how an execution goes on from the step that failed it.
func retryTests() map[string]func(*world) {
	return map[string]func(*world){
		"from the failed step":                    testRetryStep,
		"again and again, with crashes":           testRetryOften,
		"in a child flow":                         testRetryInChild,
		"in a child flow's last try":              testRetryInLastTry,
		"a child that failed by itself":           testRetryChildItself,
		"children that were cancelled with it":    testRetryCancelledChildren,
		"in a branch":                             testRetryInBranch,
		"after a caught error":                    testRetryAfterCaught,
		"a step that may have taken effect":       testRetryOnce,
		"deferred functions run again":            testRetryDeferred,
		"a flow that failed by itself":            testRetryScript,
		"a flow that was cancelled":               testRetryCancelled,
		"a flow whose time was up":                testRetryTimedOut,
		"the log goes on":                         testRetryLog,
		"what has not ended":                      testRetryRunning,
		"with the text that it had":               testRetryText,
		"with everything that it had seen before": testRetryObservations,
	}
}

// fixed is a file that has a step fail until the n-th try.
const flaky = `task("FAKE", { counter = "flaky", fail_times = 1, fail_kind = "permanent" })`

func testRetryStep(w *world) {
	id := w.start(`
		local n = task("FAKE", { operation = "count", counter = "before" }).output.count
		local x = ` + flaky + `
		task("FAKE", { counter = "after" })
		return { n, x.output.count }`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "told to fail")
	w.order(id, journal.VerbRetry)
	w.until("it goes on", func() bool { return w.row(id).Status == engine.Succeeded })
	w.output(id, `[1,2]`)
	w.counters(map[string]int{"before": 1, "flaky": 2, "after": 1})
}

// retry retries an execution, and waits until it has ended once more.
func (w *world) retry(id engine.ID) engine.Execution {
	w.Helper()
	before := w.ends(id)
	w.order(id, journal.VerbRetry)
	w.until("it goes on and ends", func() bool { return w.ends(id) > before && w.row(id).Status.Ended() })
	return w.end(id)
}

// ends counts the ends of an execution.
func (w *world) ends(id engine.ID) (n int) {
	w.Helper()
	h, err := w.on().Load(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	for _, event := range h.Events {
		if _, ok := event.(*journal.Finished); ok {
			n++
		}
	}
	return n
}

// succeeds retries an execution, which must come to this.
func (w *world) succeeds(id engine.ID, want string) {
	w.Helper()
	if e := w.retry(id); e.Status != engine.Succeeded {
		w.Fatalf("it is %s: %v\n%s", e.Status, e.Error, w.journal(id))
	}
	w.output(id, want)
}

func testRetryOften(w *world) {
	id := w.start(`
		task("FAKE", { counter = "a" })
		task("FAKE", { counter = "one", fail_times = 2, fail_kind = "permanent" })
		task("FAKE", { counter = "b" })
		task("FAKE", { counter = "two", fail_times = 1, fail_kind = "denied" })
		task("FAKE", { counter = "slow", delay = "10s" })
		return 1`)
	w.end(id)
	for range 2 {
		w.crash()
		if e := w.retry(id); e.Status != engine.Failed {
			w.Fatalf("it is %s", e.Status)
		}
	}
	w.order(id, journal.VerbRetry)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `1`)
	w.counters(map[string]int{"a": 1, "one": 3, "b": 1, "two": 2, "slow": 2})
}

func testRetryInChild(w *world) {
	w.flow("inner", `task("FAKE", { counter = "inner" }) return `+flaky+`.output.count`)
	w.flow("outer", `task("FAKE", { counter = "outer" }) return flow("inner").output`)
	id := w.start(`task("FAKE", { counter = "main" }) return flow("outer").output`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.crash()
	w.succeeds(id, `2`)
	w.counters(map[string]int{"main": 1, "outer": 1, "inner": 1, "flaky": 2})
}

func testRetryInLastTry(w *world) {
	w.flow("child", `task("FAKE", { counter = "a" }) return task("FAKE", { counter = "b", fail_times = 3 }).output.count`)
	id := w.start(`return flow("child", {}, { retry = { max_tries = 2, delay = 1 } }).output`)
	_ = w.fails(id, engine.Failed, engine.Unavailable, "")
	w.counters(map[string]int{"a": 2, "b": 2})
	w.retry(id)
	w.counters(map[string]int{"a": 2, "b": 3})
	w.succeeds(id, `4`)
	w.counters(map[string]int{"a": 2, "b": 4})
}

// testRetryChildItself has no step to go on from in the child: it is tried anew.
func testRetryChildItself(w *world) {
	w.flow("child", `
		if task("FAKE", { operation = "count", counter = "child" }).output.count < 3 then error("boom") end
		return "well"`)
	id := w.start(`task("FAKE", { counter = "main" }) return flow("child").output`)
	_ = w.fails(id, engine.Failed, engine.Script, "boom")
	w.retry(id)
	w.crash()
	w.succeeds(id, `"well"`)
	w.counters(map[string]int{"main": 1, "child": 3})
}

func testRetryCancelledChildren(w *world) {
	w.flow("long", `task("FAKE", { counter = "quick" }) task("FAKE", { counter = "slow", delay = "20s" }) return "long"`)
	id := w.start(`
		local child = flow("long", {}, { wait = false })
		local step = task("FAKE", { counter = "step", delay = "20s" }, { wait = false })
		sleep(5)
		` + flaky + `
		return { child:wait().output, step:wait().status }`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	if row := w.row(journal.ChildID(id, journal.Address{Number: 1})); row.Status != engine.Cancelled {
		w.Errorf("the child is %s", row.Status)
	}
	w.succeeds(id, `["long","succeeded"]`)
	w.counters(map[string]int{"quick": 1, "slow": 2, "step": 2, "flaky": 2})
}

func testRetryInBranch(w *world) {
	id := w.start(`
		local n = 0
		local all = parallel{
			function() task("FAKE", { counter = "a1" }) n = n + 1 ` + flaky + ` n = n * 2 task("FAKE", { counter = "a2" }) return n end,
			function() for i = 1, 3 do task("FAKE", { operation = "count", counter = "b" .. i, delay = "1s" }) n = n + 10 end return n end,
		}
		return { all, n }`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "branch 1")
	w.counters(map[string]int{"a1": 1, "flaky": 1, "b1": 1, "b2": 1, "b3": 1})
	w.order(id, journal.VerbRetry)
	w.counted("a2", 1)
	w.output(id, `[[62,31],62]`)
	w.counters(map[string]int{"a1": 1, "flaky": 2, "a2": 1, "b1": 1, "b2": 1, "b3": 1})
}

func testRetryAfterCaught(w *world) {
	id := w.start(`
		local ok = pcall(task, "FAKE", { counter = "caught", fail_times = 1, fail_kind = "permanent" })
		task("FAKE", { counter = "between" })
		local ok2, e = pcall(function() ` + flaky + ` end)
		if not ok2 then error(e) end
		return { ok, ok2 }`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.succeeds(id, `[false,true]`)
	w.counters(map[string]int{"caught": 1, "between": 1, "flaky": 2})
}

// testRetryOnce retries a step that failed and must not run twice by itself.
func testRetryOnce(w *world) {
	id := w.start(`return task("FAKE", { operation = "count", counter = "once", fail_times = 1, delay = "10s" }).output.count`)
	_ = w.fails(id, engine.Failed, engine.Unavailable, "")
	w.order(id, journal.VerbRetry)
	w.counted("once", 2)
	w.crash()
	w.decide(id, journal.DecisionRepeat)
	w.output(id, `3`)
}

func testRetryDeferred(w *world) {
	id := w.start(`
		defer(function(e) task("FAKE", { operation = "count", counter = "deferred" }) log.info(e and e.kind or "well") end)
		` + flaky + `
		return 1`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.succeeds(id, `1`)
	w.counters(map[string]int{"deferred": 2, "flaky": 2})
	if diff := cmp.Diff([]string{"permanent", "well"}, w.lines(id)); diff != "" {
		w.Errorf("log (-want +got):\n%s", diff)
	}
}

func testRetryScript(w *world) {
	id := w.start(`task("FAKE", { counter = "a" }) error("boom")`)
	_ = w.fails(id, engine.Failed, engine.Script, "boom")
	w.order(id, journal.VerbRetry)
	w.until("the order is dropped", func() bool { return w.pending() == 0 })
	_ = w.fails(id, engine.Failed, engine.Script, "boom")
	w.counters(map[string]int{"a": 1})
}

func testRetryCancelled(w *world) {
	w.flow("child", `task("FAKE", { counter = "child" }) task("FAKE", { counter = "slow", delay = "20s" }) return "child"`)
	id := w.start(`task("FAKE", { counter = "main" }) return flow("child").output`)
	w.counted("slow", 1)
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.succeeds(id, `"child"`)
	w.counters(map[string]int{"main": 1, "child": 1, "slow": 2})
}

func testRetryTimedOut(w *world) {
	w.flow("slow", `
		task("FAKE", { counter = "a" })
		if task("FAKE", { operation = "count", counter = "b" }).output.count > 0 then sleep(30) end
		task("FAKE", { counter = "c" })
		return "done"`)
	id := w.start(`return flow("slow", {}, { timeout = "20s" }).output`)
	_ = w.fails(id, engine.Failed, engine.Timeout, "not done within 20s")
	w.pass(time.Minute)
	w.succeeds(id, `"done"`)
	w.counters(map[string]int{"a": 1, "b": 1, "c": 1})
}

func testRetryLog(w *world) {
	id := w.start(`
		defer(function() log.info("deferred") end)
		log.info("one")
		task("FAKE", {})
		log.info("two")
		` + flaky + `
		log.info("three")
		task("FAKE", { counter = "slow", delay = "10s" })
		log.info("four")`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.order(id, journal.VerbRetry)
	w.counted("slow", 1)
	w.pass(time.Second)
	w.crash()
	w.end(id)
	if diff := cmp.Diff([]string{"one", "two", "deferred", "three", "four", "deferred"}, w.lines(id)); diff != "" {
		w.Errorf("log (-want +got):\n%s", diff)
	}
}

func testRetryRunning(w *world) {
	id := w.start(`task("FAKE", { counter = "slow", delay = "10s" }) return 1`)
	w.counted("slow", 1)
	w.order(id, journal.VerbRetry)
	w.until("the order is dropped", func() bool { return w.pending() == 0 })
	w.output(id, `1`)
	w.order(id, journal.VerbRetry)
	w.until("the order is dropped", func() bool { return w.pending() == 0 })
	w.output(id, `1`)
	w.counters(map[string]int{"slow": 1})
}

func testRetryText(w *world) {
	w.flow("child", flaky+` return "as it was"`)
	id := w.start(`return flow("child").output`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.flow("child", `return "changed"`)
	w.succeeds(id, `"as it was"`)
}

func testRetryObservations(w *world) {
	w.flow("module", `return "module"`)
	id := w.start(`
		local now, random, s = time.now(), math.random(), setting("s")
		s:lock()
		s:set((s:get() or 0) + 1)
		s:unlock()
		local m = require("module")
		local before = json.encode{ now, random, m }
		` + flaky + `
		task("FAKE", { counter = "slow", delay = "10s" })
		return { s:get(), before == json.encode{ now, random, m } }`)
	_ = w.fails(id, engine.Failed, engine.Permanent, "")
	w.flow("module", `return "changed"`)
	w.order(id, journal.VerbRetry)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `[1,true]`)
}
