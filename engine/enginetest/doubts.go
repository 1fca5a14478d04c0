package enginetest

import (
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// doubtTests show what becomes of a step that was under way when the engine ended,
// and of which it is not known whether it took effect.
func doubtTests() map[string]func(*world) {
	return map[string]func(*world){
		"an answer repeats the step":                        testRepeat,
		"an answer takes it as failed":                      testTakenAsFailed,
		"an answer takes it as done":                        testTakenAsDone,
		"a wrong answer changes nothing":                    testWrongAnswer,
		"the question outlives crashes":                     testQuestionOutlives,
		"a question of a flow that is taken up for nothing": testTakenUpForNothing,
		"one answer allows one repetition":                  testOneRepetition,
		"retries allow repetition":                          testRetryAllows,
		"an idempotency key allows it":                      testKeyAllows,
		"nothing was sent":                                  testNothingWasSent,
		"two doubts in branches":                            testTwoDoubts,
		"others go on beside a doubt":                       testBesideADoubt,
		"a doubt in a child flow":                           testDoubtInChild,
		"cancelled while in doubt":                          testCancelledInDoubt,
		"cancelled in doubt after it left":                  testCancelledInDoubtLater,
		"a doubt in a deferred function":                    testDoubtInDeferred,
		"an answer that comes while it loads":               testAnswerAtOnce,
	}
}

// doubtful is a flow whose second step must not run twice; it is crashed in it.
func (w *world) doubtful() engine.ID {
	w.Helper()
	id := w.start(`
		task("FAKE", { counter = "before" })
		local ok, x = pcall(task, "FAKE", { operation = "count", counter = "once", delay = "10s" })
		task("FAKE", { counter = "after" })
		if ok then return x.output end
		return x.kind .. ": " .. x.message`)
	w.counted("once", 1)
	w.crash()
	return id
}

func testRepeat(w *world) {
	id := w.doubtful()
	w.decide(id, journal.DecisionRepeat)
	if e := w.end(id); !strings.Contains(text(w.T, e.Output), `"count":2`) {
		w.Errorf("the output is %v", e.Output)
	}
	w.counters(map[string]int{"before": 1, "once": 2, "after": 1})
}

func testTakenAsFailed(w *world) {
	id := w.doubtful()
	w.decide(id, journal.DecisionFailed)
	e := w.end(id)
	if got, _ := e.Output.(string); !strings.HasPrefix(got, "unavailable: ") || !strings.Contains(got, "not known whether it took effect") {
		w.Errorf("the flow saw %q", got)
	}
	w.counters(map[string]int{"before": 1, "once": 1, "after": 1})
}

func testTakenAsDone(w *world) {
	id := w.doubtful()
	w.decide(id, journal.DecisionDone)
	w.output(id, `{}`)
	w.counters(map[string]int{"before": 1, "once": 1, "after": 1})
}

func testWrongAnswer(w *world) {
	id := w.doubtful()
	w.decide(id, "perhaps")
	w.orders(journal.Order{Execution: id, Verb: journal.VerbAnswer, Step: string(id) + ".7", Value: journal.DecisionRepeat})
	w.order(id, journal.VerbResume)
	w.pass(time.Minute)
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.counters(map[string]int{"before": 1, "once": 1})
	w.decide(id, journal.DecisionDone)
	w.output(id, `{}`)
}

func testQuestionOutlives(w *world) {
	id := w.doubtful()
	for range 3 {
		w.becomes(id, engine.Paused, journal.WaitsForDecision)
		w.crash()
		w.pass(time.Minute)
	}
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.counters(map[string]int{"before": 1, "once": 1})
	w.decide(id, journal.DecisionRepeat)
	w.counted("once", 2)
	w.end(id)
	w.counters(map[string]int{"before": 1, "once": 2, "after": 1})
}

// testTakenUpForNothing has the engine take up again, from a list that is older than
// that, a flow that has come to wait for a decision.
func testTakenUpForNothing(w *world) {
	w.setup.Stale = true
	id := w.doubtful()
	for range 5 {
		w.start(`return 1`) // the engine looks
		w.pass(time.Minute)
		w.becomes(id, engine.Paused, journal.WaitsForDecision)
	}
	w.decide(id, journal.DecisionDone)
	w.output(id, `{}`)
	w.counters(map[string]int{"before": 1, "once": 1, "after": 1})
}

// testOneRepetition crashes again in the step that was allowed to repeat.
func testOneRepetition(w *world) {
	id := w.doubtful()
	w.decide(id, journal.DecisionRepeat)
	w.counted("once", 2)
	w.crash()
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.counters(map[string]int{"before": 1, "once": 2})
	w.decide(id, journal.DecisionDone)
	w.output(id, `{}`)
	w.counters(map[string]int{"before": 1, "once": 2, "after": 1})
}

func testRetryAllows(w *world) {
	id := w.start(`return task("FAKE", { operation = "count", counter = "a", delay = "10s" }, { retry = { max_tries = 2 } }).output.count`)
	w.counted("a", 1)
	w.crash()
	w.output(id, `2`)
}

func testKeyAllows(w *world) {
	id := w.start(`return task("FAKE", { operation = "count", counter = "a", delay = "10s" }, { idempotency_key = "k" }).output.count`)
	w.counted("a", 1)
	w.crash()
	w.output(id, `2`)
}

// testNothingWasSent crashes while a step that must not run twice waits for its turn.
func testNothingWasSent(w *world) {
	w.setup.TaskLimits = map[string]int{"FAKE": 1}
	first := w.start(`task("FAKE", { counter = "slow", delay = "10s" })`)
	w.counted("slow", 1)
	second := w.start(`return task("FAKE", { operation = "count", counter = "once" }).output.count`)
	w.pass(time.Second)
	w.crash()
	w.output(second, `1`)
	w.end(first)
	w.counters(map[string]int{"slow": 2, "once": 1})
}

func testTwoDoubts(w *world) {
	id := w.start(`
		local function step(name)
			return function() return task("FAKE", { operation = "count", counter = name, delay = "10s" }).output.count or name end
		end
		return parallel{ step("a"), step("b") }`)
	w.counted("a", 1)
	w.counted("b", 1)
	w.crash()
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	a := journal.ChildID(id, journal.Address{Branch: "1.1", Number: 1})
	b := journal.ChildID(id, journal.Address{Branch: "1.2", Number: 1})
	w.answer(id, string(b), journal.DecisionDone)
	w.until("one answer is known", func() bool {
		return strings.Contains(w.journal(id), `"Branch":"1.2","Number":1,"Kind":"task","Name":"FAKE"`)
	})
	w.crash()
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.answer(id, string(a), journal.DecisionRepeat)
	w.output(id, `[2,"b"]`)
	w.counters(map[string]int{"a": 2, "b": 1})
}

func testBesideADoubt(w *world) {
	id := w.start(`
		return parallel{
			function() return task("FAKE", { operation = "count", counter = "once", delay = "10s" }).output.count or "done" end,
			function() task("FAKE", { counter = "slow", delay = "10s" }) task("FAKE", { counter = "next" }) return 2 end,
		}`)
	w.counted("once", 1)
	w.counted("slow", 1)
	w.crash()
	w.counted("slow", 2)
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.decide(id, journal.DecisionDone)
	w.output(id, `["done",2]`)
	w.counters(map[string]int{"once": 1, "slow": 2, "next": 1})
}

func testDoubtInChild(w *world) {
	w.flow("child", `task("FAKE", { operation = "count", counter = "once", delay = "10s" }) return "child"`)
	id := w.start(`return flow("child").output`)
	w.counted("once", 1)
	w.crash()
	child := journal.ChildID(id, journal.Address{Number: 1})
	w.becomes(child, engine.Paused, journal.WaitsForDecision)
	w.becomes(id, engine.Waiting, "")
	w.decide(child, journal.DecisionDone)
	w.output(id, `"child"`)
	w.counters(map[string]int{"once": 1})
}

func testCancelledInDoubt(w *world) {
	id := w.doubtful()
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"before": 1, "once": 1})
}

func testCancelledInDoubtLater(w *world) {
	id := w.doubtful()
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.until("it leaves memory", func() bool { return w.on().Resident() == 0 })
	w.order(id, journal.VerbCancel)
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"before": 1, "once": 1})
}

func testDoubtInDeferred(w *world) {
	id := w.start(`
		defer(function() task("FAKE", { operation = "count", counter = "once", delay = "10s" }) end)
		return 1`)
	w.counted("once", 1)
	w.crash()
	w.decide(id, journal.DecisionDone)
	w.output(id, `1`)
	w.counters(map[string]int{"once": 1})
}

// testAnswerAtOnce answers before anybody could have asked.
func testAnswerAtOnce(w *world) {
	id := w.start(`return task("FAKE", { operation = "count", counter = "once", delay = "10s" }).output.count`)
	w.counted("once", 1)
	w.on().Abandon()
	w.engine = nil
	w.on()
	w.answer(id, "", journal.DecisionRepeat)
	w.output(id, `2`)
}
