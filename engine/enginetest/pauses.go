package enginetest

import (
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// pauseTests show how executions are paused and resumed.
func pauseTests() map[string]func(*world) {
	return map[string]func(*world){
		"what runs comes to its end":    testPauseStep,
		"a sleep ends meanwhile":        testPauseSleep,
		"a sleep has not ended":         testPauseShort,
		"children are paused":           testPauseChildren,
		"cancelled while it is paused":  testCancelPaused,
		"paused before it has begun":    testPauseAtOnce,
		"paused again and again":        testPauseOften,
		"a deadline while it is paused": testPauseDeadline,
	}
}

func testPauseStep(w *world) {
	id := w.start(`task("FAKE", { counter = "a", delay = "10s" }) task("FAKE", { counter = "b" }) return 1`)
	w.counted("a", 1)
	w.order(id, journal.VerbPause)
	w.becomes(id, engine.Paused, "")
	w.pass(time.Minute)
	w.counters(map[string]int{"a": 1})
	w.crash()
	w.pass(time.Minute)
	w.becomes(id, engine.Paused, "")
	w.counters(map[string]int{"a": 1})
	w.order(id, journal.VerbResume)
	w.output(id, `1`)
	w.counters(map[string]int{"a": 1, "b": 1})
}

func testPauseSleep(w *world) {
	before := time.Now()
	id := w.start(`sleep(30) task("FAKE", { counter = "a" }) return 1`)
	w.becomes(id, engine.Waiting, "")
	w.order(id, journal.VerbPause)
	w.becomes(id, engine.Paused, "")
	w.pass(time.Minute)
	w.counters(map[string]int{})
	w.order(id, journal.VerbResume)
	w.output(id, `1`)
	w.took(before, time.Minute)
}

// testPauseShort pauses and resumes a sleep that is spent in memory.
func testPauseShort(w *world) {
	for range 10 {
		id := w.start(`sleep(0.2) sleep(0.2) return 1`)
		w.pass(10 * time.Millisecond)
		w.order(id, journal.VerbPause)
		w.pass(60 * time.Millisecond)
		w.order(id, journal.VerbResume)
		w.pass(60 * time.Millisecond)
		w.order(id, journal.VerbPause)
		w.order(id, journal.VerbResume)
		w.pass(200 * time.Millisecond)
		w.crash()
		w.output(id, `1`)
	}
}

func testPauseChildren(w *world) {
	w.flow("child", `for i = 1, 10 do task("FAKE", { counter = "n", delay = "10s" }) end return "end"`)
	id := w.start(`return flow("child").output`)
	child := journal.ChildID(id, journal.Address{Number: 1})
	w.counted("n", 2)
	w.order(id, journal.VerbPause)
	w.becomes(child, engine.Paused, "")
	w.becomes(id, engine.Paused, "")
	w.pass(time.Minute)
	w.counters(map[string]int{"n": 2})
	w.restart()
	w.order(id, journal.VerbResume)
	w.output(id, `"end"`)
	w.counters(map[string]int{"n": 10})
}

func testCancelPaused(w *world) {
	w.flow("child", `sleep("1h")`)
	id := w.start(`
		defer(function() task("FAKE", { counter = "deferred" }) end)
		parallel{ function() flow("child") end, function() task("FAKE", { counter = "a", delay = "10s" }) end, function() sleep("1h") end }`)
	w.counted("a", 1)
	w.order(id, journal.VerbPause)
	w.pass(time.Minute)
	w.becomes(id, engine.Paused, "")
	w.until("all leave memory", func() bool { return w.on().Resident() == 0 })
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"a": 1, "deferred": 1})
}

func testPauseAtOnce(w *world) {
	var ids []engine.ID
	for i := range 20 {
		id := w.start(`task("FAKE", { counter = "a" }) sleep(0.03) task("FAKE", { counter = "b" }) return 1`)
		w.pass(time.Duration(i) * time.Millisecond)
		w.order(id, journal.VerbPause)
		ids = append(ids, id)
	}
	w.pass(10 * time.Second)
	w.crash()
	for _, id := range ids {
		w.order(id, journal.VerbResume)
		w.output(id, `1`)
	}
	w.counters(map[string]int{"a": 20, "b": 20})
}

func testPauseOften(w *world) {
	id := w.start(`
		for i = 1, 20 do
			parallel{
				function() task("FAKE", { counter = "n" }) end,
				function() sleep(0.005) end,
				function() time.now() end,
			}
		end
		return 1`)
	for range 10 {
		w.order(id, journal.VerbPause)
		w.pass(50 * time.Millisecond)
		w.order(id, journal.VerbResume)
		w.pass(7 * time.Millisecond)
	}
	w.output(id, `1`)
	w.counters(map[string]int{"n": 20})
}

func testPauseDeadline(w *world) {
	w.flow("slow", `sleep(10) sleep("1h")`)
	id := w.start(`local ok, e = pcall(flow, "slow", {}, { timeout = "20s" }) return { ok, e.kind }`)
	child := journal.ChildID(id, journal.Address{Number: 1})
	w.becomes(child, engine.Waiting, "")
	w.order(child, journal.VerbPause)
	w.becomes(child, engine.Paused, "")
	w.pass(time.Minute)
	w.becomes(child, engine.Paused, "")
	w.order(child, journal.VerbResume)
	w.output(id, `[false,"timeout"]`)
}
