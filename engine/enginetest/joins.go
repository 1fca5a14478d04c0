package enginetest

import (
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// joinTests show what runs side by side.
func joinTests() map[string]func(*world) {
	return map[string]func(*world){
		"wait_all and wait_any":           testWaits,
		"wait_any after a crash":          testWaitAnyAfterCrash,
		"branches share what they change": testSharedUpvalues,
		"branches within branches":        testNestedBranches,
		"a branch fails":                  testBranchFails,
		"sleeping branches":               testSleepingBranches,
		"a step nobody waits for":         testNoWait,
		"many steps at a time":            testManySteps,
	}
}

func testWaits(w *world) {
	w.output(w.start(`
		local slow = task("FAKE", { delay = "30s", payload = "slow" }, { wait = false })
		local quick = task("FAKE", { delay = "10s", payload = "quick" }, { wait = false, name = "quick" })
		local first, at = wait_any{ slow, quick }
		local all = wait_all{ slow, quick }
		return { first.name, at, all[1].output.inputs.payload, all[2].status, #wait_all{} }`), `["quick",2,"slow","succeeded",0]`)
}

// testWaitAnyAfterCrash has the other one end first when the engine is there again.
func testWaitAnyAfterCrash(w *world) {
	id := w.start(`
		local long = task("FAKE", { counter = "long", delay = "20s", payload = "long" }, { wait = false })
		local short = task("FAKE", { counter = "short", delay = "10s", payload = "short" }, { wait = false })
		local first = wait_any{ long, short }
		task("FAKE", { counter = "after", delay = "30s" })
		return first.output.inputs.payload .. wait_any{ long, short }.output.inputs.payload`)
	w.counted("after", 1)
	w.pass(15 * time.Second)
	w.crash()
	w.output(id, `"shortshort"`)
	w.counters(map[string]int{"long": 1, "short": 1, "after": 2})
}

// testSharedUpvalues has branches end in another order than that of their list, and
// what they do depends on it.
func testSharedUpvalues(w *world) {
	id := w.start(`
		local order, sum = {}, 0
		local function branch(name, first, second)
			return function()
				task("FAKE", { counter = name, delay = first })
				order[#order + 1] = name .. "1"
				sum = sum * 2 + #order
				if sum % 2 == 1 then sleep(0.001) end
				task("FAKE", { counter = name .. sum, delay = second })
				order[#order + 1] = name .. "2"
				sum = sum * 2 + #order
				return sum
			end
		end
		local sums = parallel{ branch("a", "30s", "5s"), branch("b", "10s", "40s"), branch("c", "20s", "1s") }
		task("FAKE", { counter = "between", delay = "10s" })
		return { table.concat(order, " "), sums, sum }`)
	const want = `["b1 c1 c2 a1 a2 b2",[57,120,11],120]`
	w.counted("between", 1)
	before := w.counts()
	w.crash()
	w.output(id, want)
	before["between"]++
	w.counters(before)
}

func testNestedBranches(w *world) {
	id := w.start(`
		local function leaf(name, delay)
			return function() return task("FAKE", { counter = name, delay = delay, payload = name }).output.inputs.payload end
		end
		local function pair(name, first, second)
			return function() return parallel{ leaf(name .. "1", first), leaf(name .. "2", second) } end
		end
		local all = parallel{ pair("a", "20s", "10s"), leaf("b", "15s"), function() return parallel{ pair("c", "1s", "40s") } end }
		return all`)
	w.counted("c2", 1)
	w.pass(30 * time.Second)
	w.crash()
	w.output(id, `[["a1","a2"],"b",[["c1","c2"]]]`)
	w.counters(map[string]int{"a1": 1, "a2": 1, "b": 1, "c1": 1, "c2": 2})
}

func testBranchFails(w *world) {
	id := w.start(`
		local ok, err = pcall(parallel, {
			function() task("FAKE", { counter = "slow", delay = "20s" }) end,
			function() task("FAKE", { fail_times = -1, fail_kind = "conflict" }) end,
		})
		task("FAKE", { counter = "after", delay = "10s" })
		return { ok, err.kind, err.message:find("branch 2", 1, true) == 1 }`)
	w.counted("after", 1)
	w.crash()
	w.output(id, `[false,"conflict",true]`)
	w.counters(map[string]int{"slow": 1, "after": 2})
}

func testSleepingBranches(w *world) {
	before := time.Now()
	id := w.start(`
		local t = {}
		parallel{
			function() sleep(30) t[#t + 1] = "a" sleep(30) t[#t + 1] = "b" end,
			function() sleep(40) t[#t + 1] = "c" task("FAKE", { counter = "x" }) sleep(0.5) t[#t + 1] = "d" end,
			function() for i = 1, 10 do sleep(5) end t[#t + 1] = "e" end,
		}
		return table.concat(t)`)
	for range 5 {
		w.pass(7 * time.Second)
		w.becomes(id, engine.Waiting, "")
		w.crash()
	}
	w.output(id, `"acdeb"`)
	w.took(before, time.Minute)
	w.counters(map[string]int{"x": 1})
}

func testNoWait(w *world) {
	id := w.start(`task("FAKE", { counter = "a", delay = "10s" }, { wait = false }) return 1`)
	w.counted("a", 1)
	w.becomes(id, engine.Running, "")
	w.crash()
	w.output(id, `1`)
	w.counters(map[string]int{"a": 2})
}

func testManySteps(w *world) {
	id := w.start(`
		local all = {}
		for i = 1, 300 do all[i] = task("FAKE", { counter = "n" .. i % 10, payload = i }, { wait = false }) end
		wait_all(all)
		task("FAKE", { counter = "slow", delay = "10s" })
		local sum = 0
		for i = 1, 300 do sum = sum + all[i].output.inputs.payload end
		return sum`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `45150`)
	want := map[string]int{"slow": 2}
	for i := range 10 {
		want[fmt.Sprint("n", i)] = 30
	}
	w.counters(want)
	if steps := journal.ChildID(id, journal.Address{Number: 301}); steps == id {
		w.Error("the last step has the flow's own id")
	}
}
