package enginetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// cancelTests show how executions are cancelled, by others and by themselves.
func cancelTests() map[string]func(*world) {
	return map[string]func(*world){
		"everything that waits":                testCancelWaits,
		"a tree":                               testCancelTree,
		"a tree that is not in memory":         testCancelTreeOnDisk,
		"children that are being started":      testCancelAtOnce,
		"it has only children to wait for":     testCancelLateChildren,
		"deferred functions run":               testCancelDefers,
		"a crash after the cancellation":       testCrashAfterCancel,
		"cancelled once":                       testCancelledOnce,
		"what has ended":                       testCancelEnded,
		"a step that is cancelled by its flow": testCancelStep,
		"a child that is cancelled by another": testCancelChild,
		"a child between two tries":            testCancelBetweenTries,
		"calls that were under way":            testCancelCallsUnderWay,
	}
}

// testCancelWaits cancels while everything that can block does.
func testCancelWaits(w *world) {
	w.flow("child", `sleep("1h")`)
	w.flow("holder", `setting("x"):lock() sleep("1h")`)
	holder := w.start(`flow("holder")`)
	w.becomes(journal.ChildID(holder, journal.Address{Number: 1}), engine.Waiting, "")
	var ids []engine.ID
	for _, text := range []string{
		`task("FAKE", { block = true })`,
		`sleep("1h")`,
		`wait_all{ task("FAKE", { block = true }, { wait = false }) }`,
		`while true do pcall(function() task("FAKE", { block = true }) end) end`,
		`parallel{ function() sleep("1h") end, function() task("FAKE", { block = true }) end, function() while true do sleep(0.001) end end }`,
		`flow("child")`,
		`task("FAKE", { fail_times = -1 }, { retry = { max_tries = 9, delay = "1h" } })`,
		`ask{ title = "?" }`,
		`setting("x"):lock()`,
		`task("FAKE", { operation = "count", counter = "once", block = true })`,
	} {
		ids = append(ids, w.start(text))
	}
	w.counted("once", 1)
	w.pass(3 * time.Second)
	// The holder of the lock last: who waits for it would get it.
	for _, id := range ids {
		w.order(id, journal.VerbCancel)
	}
	for _, id := range ids {
		_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	}
	w.order(holder, journal.VerbCancel)
	_ = w.fails(holder, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"once": 1})
}

func (w *world) tree() engine.ID {
	w.Helper()
	w.flow("leaf", `defer(function() task("FAKE", { counter = "deferred" .. input.n }) end) sleep("1h")`)
	w.flow("branch", `
		defer(function() task("FAKE", { counter = "deferred" }) end)
		wait_all{ flow("leaf", { n = 1 }, { wait = false }), flow("leaf", { n = 2 }, { wait = false }) }`)
	return w.start(`parallel{ function() flow("branch") end, function() sleep("2h") end }`)
}

func (w *world) isCancelled(root engine.ID) {
	w.Helper()
	branch := journal.ChildID(root, journal.Address{Branch: "1.1", Number: 1})
	for _, id := range []engine.ID{
		root, branch, journal.ChildID(branch, journal.Address{Number: 1}), journal.ChildID(branch, journal.Address{Number: 2}),
	} {
		if row := w.row(id); row.Status != engine.Cancelled || row.Kind != engine.Canceled {
			w.Errorf("%s is %+v", id, row.State)
		}
	}
	w.counters(map[string]int{"deferred": 1, "deferred1": 1, "deferred2": 1})
}

func testCancelTree(w *world) {
	id := w.tree()
	w.pass(100 * time.Millisecond)
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.isCancelled(id)
}

func testCancelTreeOnDisk(w *world) {
	id := w.tree()
	w.pass(5 * time.Second)
	w.until("all leave memory", func() bool { return w.on().Resident() == 0 })
	w.crash()
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.isCancelled(id)
}

// testCancelAtOnce cancels flows at any moment of their first milliseconds.
func testCancelAtOnce(w *world) {
	w.flow("child", `sleep("1h")`)
	var ids []engine.ID
	for i := range 40 {
		id := w.start(`
			local all = {}
			for i = 1, 5 do all[i] = flow("child", {}, { wait = false }) end
			sleep(0.02)
			wait_all(all)`)
		w.pass(time.Duration(i) * time.Millisecond)
		w.order(id, journal.VerbCancel)
		ids = append(ids, id)
	}
	for _, id := range ids {
		_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
		for n := 1; n <= 5; n++ {
			child := w.row(journal.ChildID(id, journal.Address{Number: n}))
			if !child.Status.Ended() && !child.Created.IsZero() {
				w.Errorf("%s is %s", child.ID, child.Status)
			}
		}
	}
}

func testCancelLateChildren(w *world) {
	w.flow("child", `sleep("1h")`)
	first := w.start(`task("FAKE", { block = true }, { wait = false }) return 1`)
	second := w.start(`flow("child", {}, { wait = false }) return 1`)
	w.pass(5 * time.Second)
	w.order(first, journal.VerbCancel)
	w.order(second, journal.VerbCancel)
	for _, id := range []engine.ID{first, second} {
		_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
		if e := w.end(id); e.Output != nil {
			w.Errorf("it has the output %v", e.Output)
		}
	}
}

func testCancelDefers(w *world) {
	w.flow("child", `return task("FAKE", { counter = "child" }).output.count`)
	w.flow("module", `return { n = 3 }`)
	id := w.start(`
		defer(function(e)
			task("FAKE", { counter = "first" })
			sleep(2)
			log.info("child " .. flow("child").output .. " " .. require("module").n .. " " .. e.kind .. " " .. time.now())
		end)
		sleep("1h")`)
	w.becomes(id, engine.Waiting, "")
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"first": 1, "child": 1})
	if lines := w.lines(id); len(lines) != 1 || !strings.HasPrefix(lines[0], "child 1 3 cancelled") {
		w.Errorf("it logged %q", lines)
	}
}

// testCrashAfterCancel crashes in a deferred function of a flow that was cancelled
// while several lines of it were at work.
func testCrashAfterCancel(w *world) {
	w.flow("module", `return { n = 3 }`)
	id := w.start(`
		defer(function()
			task("FAKE", { operation = "count", counter = "first" })
			local n = require("module").n
			task("FAKE", { counter = "slow" .. n, delay = "10s" })
		end)
		parallel{
			function() task("FAKE", { counter = "a", block = true }) end,
			function() while true do sleep(0.01) end end,
			function() while true do time.now() sleep(0.001) end end,
			function() sleep("1h") end,
		}`)
	w.counted("a", 1)
	w.pass(time.Second)
	w.order(id, journal.VerbCancel)
	w.counted("slow3", 1)
	w.crash()
	w.counted("slow3", 2)
	w.crash()
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"a": 1, "first": 1, "slow3": 3})
}

// testCancelledOnce orders it again and again, also while its time is up.
func testCancelledOnce(w *world) {
	w.flow("slow", `
		defer(function() task("FAKE", { counter = "slow", delay = "20s" }) end)
		sleep("1h")`)
	id := w.start(`local x = flow("slow", {}, { timeout = "10s", on_error = "return" }) return { x.status, x.error.kind }`)
	child := journal.ChildID(id, journal.Address{Number: 1})
	w.becomes(child, engine.Waiting, "")
	w.order(child, journal.VerbCancel)
	w.counted("slow", 1)
	w.pass(15 * time.Second)
	w.order(child, journal.VerbCancel)
	w.crash()
	w.order(child, journal.VerbCancel)
	w.output(id, `["cancelled","cancelled"]`)
}

func testCancelEnded(w *world) {
	id := w.start(`return 1`)
	w.output(id, `1`)
	for _, verb := range []journal.Verb{journal.VerbCancel, journal.VerbPause, journal.VerbResume, journal.VerbAnswer} {
		w.order(id, verb)
	}
	w.until("the orders are dropped", func() bool { return w.pending() == 0 })
	w.output(id, `1`)
	w.until("nothing of it is in memory", func() bool { return w.on().Resident() == 0 })
}

// pending tells how many orders have not been carried out.
func (w *world) pending() int {
	w.Helper()
	orders, err := w.on().Orders(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return len(orders)
}

func testCancelStep(w *world) {
	w.flow("child", `sleep("1h")`)
	id := w.start(`
		local a = task("FAKE", { block = true, counter = "a" }, { wait = false, on_error = "return" })
		local b = flow("child", {}, { wait = false, on_error = "return" })
		sleep(5)
		a:cancel()
		b:cancel()
		task("FAKE", { counter = "slow", delay = "10s" })
		return { a.status, b.status, a.error.kind }`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `["cancelled","cancelled","cancelled"]`)
	w.counters(map[string]int{"a": 1, "slow": 2})
}

func testCancelChild(w *world) {
	w.flow("child", `sleep("1h")`)
	id := w.start(`local ok, e = pcall(flow, "child") return { ok, e.kind }`)
	child := journal.ChildID(id, journal.Address{Number: 1})
	w.becomes(child, engine.Waiting, "")
	w.order(child, journal.VerbCancel)
	w.output(id, `[false,"cancelled"]`)
}

func testCancelBetweenTries(w *world) {
	w.flow("flaky", `task("FAKE", { counter = "a", fail_times = 9 })`)
	id := w.start(`flow("flaky", {}, { retry = { max_tries = 5, delay = "1h" } })`)
	w.counted("a", 1)
	w.pass(10 * time.Second)
	before := time.Now()
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.took(before, 0)
	w.counters(map[string]int{"a": 1})
}

// testCancelCallsUnderWay cancels flows that make short calls all the time, and
// crashes them while they run their deferred functions.
func testCancelCallsUnderWay(w *world) {
	w.flow("module", `return 1`)
	var ids []engine.ID
	for i := range 20 {
		id := w.start(fmt.Sprintf(`
			defer(function() time.now() task("FAKE", { counter = "d%d", delay = "10s" }) end)
			while true do
				time.now()
				sleep(0.001)
				setting("s"):get()
				task("FAKE", {})
			end`, i))
		w.pass(time.Duration(i) * 777 * time.Microsecond)
		w.order(id, journal.VerbCancel)
		ids = append(ids, id)
	}
	for i := range ids {
		w.counted(fmt.Sprint("d", i), 1)
	}
	w.crash()
	for _, id := range ids {
		_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	}
}
