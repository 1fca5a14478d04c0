package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

// roomTests show how executions share memory and the places of tasks.
func roomTests() map[string]func(*world) {
	return map[string]func(*world){
		"steps of another tree of the same owner":       testTreesInTurn,
		"another tree beside one with many child flows": testTreesShareMemory,
		"sleepers leave memory":                         testSleepers,
		"more flows than have room":                     testMoreThanRoom,
		"children of more flows than have room":         testChildrenWithoutRoom,
		"owners have their turn in memory":              testOwnersInMemory,
		"owners have their turn at tasks":               testOwnersAtTasks,
		"a limit of one type leaves room for others":    testTaskLimits,
		"a step between tries leaves room":              testBackoffRoom,
		"many flows are taken up after a crash":         testManyAfterCrash,
		"new flows do not go before those that wait":    testNobodyBarges,
	}
}

func testSleepers(w *world) {
	var ids []engine.ID
	for range 300 {
		ids = append(ids, w.start(`sleep(60) return task("FAKE", { counter = "n" }).status`))
	}
	w.until("all leave memory", func() bool { return w.on().Resident() == 0 })
	w.crash()
	for _, id := range ids {
		w.output(id, `"succeeded"`)
	}
	w.counters(map[string]int{"n": 300})
}

func testMoreThanRoom(w *world) {
	w.setup.MaxResident = 10
	var ids []engine.ID
	for i := range 100 {
		ids = append(ids, w.start(fmt.Sprintf(`
			task("FAKE", { delay = "%dms" })
			sleep(2)
			parallel{ function() sleep(0.05) end, function() task("FAKE", { delay = "100ms" }) end }
			return task("FAKE", { counter = "n" }).status`, i%7)))
	}
	most := 0
	w.until("all have ended", func() bool {
		most = max(most, w.on().Resident())
		return !slices.ContainsFunc(ids, func(id engine.ID) bool { return !w.row(id).Status.Ended() })
	})
	for _, id := range ids {
		w.output(id, `"succeeded"`)
	}
	w.counters(map[string]int{"n": 100})
	if most > 10 {
		w.Errorf("%d executions were in memory, not 10", most)
	}
}

// testChildrenWithoutRoom has parents wait for children that have no room beside them.
func testChildrenWithoutRoom(w *world) {
	w.setup.MaxResident = 3
	w.flow("leaf", `return task("FAKE", { counter = "n", delay = "5ms" }).output.count > 0`)
	w.flow("branch", `return { flow("leaf").output, flow("leaf").output }`)
	var ids []engine.ID
	for range 12 {
		ids = append(ids, w.start(`
			local a, b = flow("branch", {}, { wait = false }), flow("branch", {}, { wait = false })
			return { a:wait().output, b:wait().output }`))
	}
	for _, id := range ids {
		w.output(id, `[[true,true],[true,true]]`)
	}
	w.counters(map[string]int{"n": 48})
}

// order gives who came to their end, in its order.
func (w *world) endings(ids map[engine.ID]string) (order []string) {
	w.Helper()
	type ending struct {
		at  time.Time
		who string
	}
	var all []ending
	for id, who := range ids {
		w.end(id)
		all = append(all, ending{w.row(id).Ended, who})
	}
	slices.SortStableFunc(all, func(a, b ending) int { return a.at.Compare(b.at) })
	for _, e := range all {
		order = append(order, e.who)
	}
	return order
}

// fair checks that one owner's few executions are not behind all of another's many.
func (w *world) fair(ids map[engine.ID]string) {
	w.Helper()
	order := w.endings(ids)
	last := 0
	for i, who := range order {
		if who == "few" {
			last = i
		}
	}
	if last > len(order)/2 {
		w.Errorf("they ended in the order %v", order)
	}
}

func testOwnersInMemory(w *world) {
	w.setup.MaxResident = 4
	ids := map[engine.ID]string{}
	for range 60 {
		ids[w.startAs(engine.Request{Owner: "abe", Text: []byte(`task("FAKE", { delay = "1s" })`)})] = "many"
	}
	for range 5 {
		ids[w.startAs(engine.Request{Owner: "zoe", Text: []byte(`task("FAKE", { delay = "1s" })`)})] = "few"
	}
	w.fair(ids)
}

func testOwnersAtTasks(w *world) {
	w.setup.MaxParallel = 2
	ids := map[engine.ID]string{}
	for range 40 {
		ids[w.startAs(engine.Request{Owner: "abe", Text: []byte(`task("FAKE", { delay = "1s" })`)})] = "many"
	}
	for range 4 {
		ids[w.startAs(engine.Request{Owner: "zoe", Text: []byte(`task("FAKE", { delay = "1s" })`)})] = "few"
	}
	w.fair(ids)
}

// testTaskLimits fills the places of one type with what waits for its limit.
func testTaskLimits(w *world) {
	w.setup.MaxParallel = 4
	w.setup.TaskLimits = map[string]int{"FAKE": 1}
	var ids []engine.ID
	for range 12 {
		ids = append(ids, w.start(`task("FAKE", { delay = "10s", counter = "fake" })`))
	}
	w.counted("fake", 1)
	before := time.Now()
	w.output(w.start(`return task("OTHER", {}).status`), `"succeeded"`)
	w.took(before, 0)
	for _, id := range ids {
		w.end(id)
	}
	w.took(before, 2*time.Minute-time.Second)
}

func testBackoffRoom(w *world) {
	w.setup.MaxParallel = 1
	id := w.start(`return task("FAKE", { counter = "a", fail_times = 1 }, { retry = { max_tries = 2, delay = 60 } }).output.count`)
	w.counted("a", 1)
	w.pass(time.Second)
	before := time.Now()
	w.output(w.start(`return task("FAKE", { payload = 1 }).output.inputs.payload`), `1`)
	w.took(before, 0)
	w.output(id, `2`)
}

// testManyAfterCrash takes up more executions of long steps than are taken up at a
// time, and others behind them.
func testManyAfterCrash(w *world) {
	w.setup.MaxParallel = 400
	var ids []engine.ID
	for range 250 {
		ids = append(ids, w.start(`task("FAKE", { counter = "long", delay = "10m" })`))
	}
	w.counted("long", 250)
	for range 50 {
		ids = append(ids, w.start(`sleep(5) task("FAKE", { counter = "short" })`))
	}
	w.becomes(ids[len(ids)-1], engine.Waiting, "")
	w.crash()
	before := time.Now()
	w.counted("short", 50)
	if took := time.Since(before); took > time.Minute {
		w.Errorf("those behind the long ones were taken up after %s", took)
	}
	w.counted("long", 500)
	for _, id := range ids[:250] {
		w.order(id, journal.VerbCancel)
	}
	for _, id := range ids[:250] {
		_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	}
}

// testNobodyBarges starts flows all the time, while others wait for their turn.
func testNobodyBarges(w *world) {
	w.setup.MaxResident = 2
	first := map[engine.ID]string{}
	for range 10 {
		first[w.start(`task("FAKE", { delay = "100ms" })`)] = "first"
	}
	late := map[engine.ID]string{}
	for range 40 {
		late[w.start(`task("FAKE", { delay = "100ms" })`)] = "late"
		w.pass(10 * time.Millisecond)
	}
	w.endings(first)
	ended := 0
	for id := range late {
		if w.row(id).Status.Ended() {
			ended++
		}
	}
	w.endings(late)
	if ended > 10 {
		w.Errorf("%d of those that came later ended before all of the first had", ended)
	}
}

// testTreesInTurn has one flow with many steps that wait for a place, and another one of
// the same owner.
func testTreesInTurn(w *world) {
	w.setup.MaxParallel = 2
	big := w.start(`for i = 1, 100 do task("FAKE", { delay = "1s" }, { wait = false }) end`)
	w.pass(1500 * time.Millisecond)
	before := time.Now()
	w.output(w.start(`task("FAKE", { delay = "1s" }) return "done"`), `"done"`)
	w.took(before, 1500*time.Millisecond)
	w.output(big, `null`)
}

// testTreesShareMemory has one flow with more child flows than have room in memory, and
// another one, which finds room and keeps it.
func testTreesShareMemory(w *world) {
	w.setup.MaxResident = 8
	w.flow("child", `task("FAKE", { delay = "1s" })`)
	big := w.start(`for i = 1, 60 do flow("child", {}, { wait = false }) end`)
	w.pass(2500 * time.Millisecond)
	before := time.Now()
	w.output(w.start(`for i = 1, 5 do task("FAKE", {}) sleep(0.01) end return "done"`), `"done"`)
	w.took(before, 50*time.Millisecond)
	w.output(w.start(`sleep(2) return "slept"`), `"slept"`)
	w.took(before, 2*time.Second)
	w.output(big, `null`)
}

// limitTests show that what a flow may do has limits that it is told of, and that
// others do not notice.
func limitTests() map[string]func(*world) {
	return map[string]func(*world){
		"instructions":           testLimit(`while true do end`, "exceeded its budget of instructions"),
		"memory":                 testLimit(`local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end`, "memory"),
		"caught limits":          testLimit(`while true do pcall(function() while true do end end) end`, "exceeded its budget of instructions"),
		"children":               testLimit(`for i = 1, 20000 do task("FAKE", {}, { wait = false }) end`, "a flow may start at most 10000 executions"),
		"a step's output":        testLimit(`task("FAKE", { size = 50000000 })`, "the output is 47 MiB; at most 32 MiB can be recorded"),
		"a flow's output":        testLimit(`local s = ("x"):rep(20 * 1024 * 1024) return { s, s }`, ""),
		"a caught output":        testCaughtOutput,
		"instructions after it":  testLimitAfterCrash,
		"deferred functions run": testLimitDefers,
		"panicking tasks":        testPanic,
	}
}

// testLimit gives a flow that exceeds a limit, beside one that does not.
func testLimit(script, message string) func(*world) {
	return func(w *world) {
		w.setup.Limits = flows.Limits{Instructions: 4_000_000, Memory: 16 << 20}
		other := w.start(`for i = 1, 5 do task("FAKE", { counter = "other", delay = "1s" }) end return "unharmed"`)
		_ = w.fails(w.start(script), engine.Failed, engine.Limit, message)
		w.output(other, `"unharmed"`)
	}
}

func testCaughtOutput(w *world) {
	w.output(w.start(`
		local ok, e = pcall(task, "FAKE", { size = 50000000 })
		return { ok, e.kind, #task("FAKE", { size = 1000000 }).output.data }`), `[false,"limit",1000000]`)
}

// testLimitAfterCrash has no more instructions because of a crash, and no fewer.
func testLimitAfterCrash(w *world) {
	w.setup.Limits = flows.Limits{Instructions: 5_000_000}
	id := w.start(`
		for i = 1, 400000 do end
		task("FAKE", { counter = "slow", delay = "10s" })
		for i = 1, 400000 do end
		task("FAKE", { counter = "end" })
		while true do end`)
	for n := 1; n <= 4; n++ {
		w.counted("slow", n)
		w.crash()
	}
	_ = w.fails(id, engine.Failed, engine.Limit, "budget of instructions")
	w.counters(map[string]int{"slow": 5, "end": 1})
}

func testLimitDefers(w *world) {
	w.setup.Limits = flows.Limits{Instructions: 1_000_000}
	id := w.start(`
		defer(function(e) task("FAKE", { counter = "deferred" }) log.info(e.kind) end)
		while true do end`)
	_ = w.fails(id, engine.Failed, engine.Limit, "")
	w.counters(map[string]int{"deferred": 1})
	if lines := strings.Join(w.lines(id), " "); lines != "limit" {
		w.Errorf("it logged %q", lines)
	}
}

func testPanic(w *world) {
	id := w.start(`
		local ok, e = pcall(task, "FAKE", { panic = true, counter = "a" })
		return { ok, e.kind }`)
	w.output(id, `[false,"internal"]`)
	w.counters(map[string]int{"a": 1})
}
