package enginetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// crashTests show what an execution is after its engine has ended without a word.
func crashTests() map[string]func(*world) {
	return map[string]func(*world){
		"completed steps are not run again":        testReplay,
		"after many crashes":                       testManyCrashes,
		"the engine stops and starts":              testRestart,
		"grace for steps that run":                 testGrace,
		"the text is pinned":                       testPinnedText,
		"time and randomness":                      testTimeAndRandomness,
		"sleep goes on":                            testSleepGoesOn,
		"sleep that ended meanwhile":               testSleepEndedMeanwhile,
		"retries go on where they were":            testRetriesGoOn,
		"deferred functions in the middle":         testDeferredInTheMiddle,
		"a deadline holds":                         testDeadlineHolds,
		"settings and locks":                       testLocksAfterCrash,
		"a question stays":                         testQuestionStays,
		"sleeps and steps while nobody is serving": testNobodyServes,
	}
}

func testReplay(w *world) {
	id := w.start(`
		local a = task("FAKE", { operation = "count", counter = "a" })
		local b = task("FAKE", { counter = "b", payload = { 1, json.decode("[]"), null } })
		task("FAKE", { counter = "slow", delay = "10s" })
		return { a = a.output.count, b = b.output.inputs.payload, big = json.encode(b.output.inputs.payload) }`)
	w.counted("slow", 1)
	w.crash()
	w.output(id, `{"a":1,"b":[1,[],null],"big":"[1,[],null]"}`)
	w.counters(map[string]int{"a": 1, "b": 1, "slow": 2})
}

func testManyCrashes(w *world) {
	id := w.start(`
		local n = 0
		for i = 1, 5 do
			task("FAKE", { counter = "quick" .. i })
			n = n + task("FAKE", { counter = "slow" .. i, delay = "10s", payload = i }).output.inputs.payload
		end
		return n`)
	want := map[string]int{}
	for i := 1; i <= 5; i++ {
		quick, slow := fmt.Sprint("quick", i), fmt.Sprint("slow", i)
		w.counted(slow, 1)
		w.crash()
		w.counted(slow, 2)
		w.crash()
		want[quick], want[slow] = 1, 3
	}
	w.output(id, `15`)
	w.counters(want)
}

func testRestart(w *world) {
	id := w.start(`
		task("FAKE", { counter = "a" })
		task("FAKE", { counter = "slow", delay = "10s" })
		return 1`)
	w.counted("slow", 1)
	w.restart()
	w.output(id, `1`)
	w.counters(map[string]int{"a": 1, "slow": 2})
}

// testGrace lets a step end that must not run twice, and nothing begin.
func testGrace(w *world) {
	w.setup.Grace = time.Minute
	id := w.start(`
		task("FAKE", { operation = "count", counter = "slow", delay = "10s" })
		task("FAKE", { counter = "next" })
		return 1`)
	w.counted("slow", 1)
	w.on().Close()
	w.engine = nil
	w.counters(map[string]int{"slow": 1})
	w.output(id, `1`)
	w.counters(map[string]int{"slow": 1, "next": 1})
}

func testPinnedText(w *world) {
	w.flow("child", `sleep(10) return require("names").first .. require("others").second`)
	w.flow("names", `return { first = "a" }`)
	w.flow("others", `return { second = "b" }`)
	id := w.start(`
		local names = require("names")
		local child = flow("child", {}, { wait = false })
		sleep(5)
		return names.first .. child:wait().output .. flow("child").output`)
	w.becomes(id, engine.Waiting, "")
	w.flow("child", `return "changed"`)
	w.flow("names", `error("changed")`)
	w.crash()
	// What was loaded stays; what is loaded later is what is there then: the first
	// child had not yet asked for its modules, the second child is a new one.
	w.flow("names", `return { first = "c" }`)
	w.output(id, `"acbchanged"`)
}

func testTimeAndRandomness(w *world) {
	text := `
		local function all() return { time.now(), uuid(), uuid(), math.random(1000000), math.random() } end
		local before = all()
		local branches = parallel{ all, all }
		task("FAKE", { counter = "before", payload = json.encode({ before, branches }) })
		task("FAKE", { counter = "slow", delay = "10s" })
		return json.encode({ before, branches })`
	id := w.start(text)
	w.counted("slow", 1)
	w.pass(time.Minute)
	other := w.start(text)
	w.counted("slow", 2)
	seen := w.payload(id, 8)
	w.crash()
	if e := w.end(id); e.Output != seen {
		w.Errorf("it computed %v before the crash, and %v after it", seen, e.Output)
	}
	if e := w.end(other); e.Output == seen {
		w.Error("another execution computes the same")
	}
}

// payload gives the payload of the step with a number, as the journal has it.
func (w *world) payload(id engine.ID, number int) any {
	w.Helper()
	h, err := w.on().Load(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	for _, event := range h.Events {
		if e, ok := event.(*journal.Returned); ok && e.Number == number || ok && number == 0 {
			return e.Inputs["payload"]
		}
	}
	for _, event := range h.Events {
		if e, ok := event.(*journal.Returned); ok && e.Branch == "" {
			return e.Inputs["payload"]
		}
	}
	w.Fatalf("there is no step %d\n%s", number, w.journal(id))
	return nil
}

func testSleepGoesOn(w *world) {
	before := time.Now()
	id := w.start(`
		sleep("1m")
		sleep_until(` + fmt.Sprint(before.Add(3*time.Minute).Unix()) + `)
		sleep(0.2)
		return 1`)
	w.becomes(id, engine.Waiting, "")
	w.pass(30 * time.Second)
	w.crash()
	w.pass(45 * time.Second)
	w.becomes(id, engine.Waiting, "")
	w.crash()
	w.output(id, `1`)
	w.took(before, 3*time.Minute)
}

// took compares how long something took, which must be exact but for a second.
func (w *world) took(since time.Time, want time.Duration) {
	w.Helper()
	if got := time.Since(since); got < want || got > want+time.Second {
		w.Errorf("it took %s, not %s", got, want)
	}
}

func testSleepEndedMeanwhile(w *world) {
	id := w.start(`sleep("1m") return 1`)
	w.becomes(id, engine.Waiting, "")
	w.on().Abandon()
	w.engine = nil
	w.pass(5 * time.Minute)
	before := time.Now()
	w.output(id, `1`)
	w.took(before, 0)
}

// testRetriesGoOn crashes between the second try, of four, and the third.
func testRetriesGoOn(w *world) {
	before := time.Now()
	id := w.start(`
		local x = task("FAKE", { counter = "a", fail_times = 3 }, { retry = { max_tries = 4, delay = "10s", backoff = 2, max_delay = "10m" } })
		return x.output.count`)
	w.counted("a", 2)
	w.pass(5 * time.Second)
	w.crash()
	w.output(id, `4`)
	w.took(before, 70*time.Second)
	w.counters(map[string]int{"a": 4})
}

// tamperTests show what becomes of an execution whose journal is not its own.
func tamperTests() map[string]func(*world) {
	return map[string]func(*world){
		"the journal does not fit":                testMisfit,
		"the journal does not fit a step in hand": testMisfitInHand,
	}
}

func testMisfit(w *world) {
	id := w.start(`
		task("FAKE", { payload = 1 })
		task("FAKE", { counter = "slow", delay = "10s" })
		return 1`)
	w.counted("slow", 1)
	w.exchange(id, w.start(`
		connect("fake.default", { payload = 1 })
		return 2`))
	w.becomes(id, engine.Paused, journal.WaitsForResume)
	if row := w.row(id); row.Kind != engine.Internal {
		w.Errorf("its kind is %q", row.Kind)
	}
	lines := w.lines(id)
	last := lines[len(lines)-1]
	for _, part := range []string{"does not fit", `task "FAKE"`, `connect "fake.default"`, "main.lua:2"} {
		if !strings.Contains(last, part) {
			w.Errorf("%q does not name %q", last, part)
		}
	}
	w.order(id, journal.VerbResume) // it is taken up again, and does not fit still
	w.until("another line says so", func() bool { return len(w.lines(id)) > len(lines) })
	w.becomes(id, engine.Paused, journal.WaitsForResume)
	w.counters(map[string]int{"slow": 1})
}

// exchange ends the engine without a word, gives an execution the text of another
// one, and opens an engine again.
func (w *world) exchange(id, other engine.ID) {
	w.Helper()
	e := w.on()
	e.Abandon()
	w.engine = nil
	var begun [2]journal.Begun
	for i, id := range []engine.ID{id, other} {
		h, err := e.Load(w.Context(), id)
		if err != nil {
			w.Fatal(err)
		}
		begun[i] = *h.Events[0].(*journal.Begun) //nolint:errcheck,forcetypeassert // the first event
	}
	begun[0].Text = begun[1].Text
	e.Tamper(id, 0, &begun[0])
	w.on()
}

// testMisfitInHand has a script make another call than the one that was under way.
func testMisfitInHand(w *world) {
	id := w.start(`task("FAKE", { counter = "once", operation = "count", delay = "10s" })`)
	w.counted("once", 1)
	other := w.start(`task("FAKE", { counter = "other", operation = "count" })`)
	w.counted("other", 1)
	w.exchange(id, other)
	w.becomes(id, engine.Paused, journal.WaitsForResume)
	w.order(id, journal.VerbCancel) // which needs no script that fits
	_ = w.fails(id, engine.Cancelled, engine.Canceled, "")
	w.counters(map[string]int{"once": 1, "other": 1})
}

func testDeferredInTheMiddle(w *world) {
	id := w.start(`
		defer(function() task("FAKE", { counter = "last" }) end)
		defer(function() task("FAKE", { counter = "slow", delay = "10s" }) end)
		defer(function(err) task("FAKE", { operation = "count", counter = "first" }) log.info("deferred " .. err.message) end)
		error("boom")`)
	w.counted("slow", 1)
	w.crash()
	_ = w.fails(id, engine.Failed, engine.Script, "boom")
	w.counters(map[string]int{"first": 1, "slow": 2, "last": 1})
}

func testDeadlineHolds(w *world) {
	w.flow("slow", `task("FAKE", { counter = "a" }) sleep("10m")`)
	before := time.Now()
	id := w.start(`local ok, e = pcall(flow, "slow", {}, { timeout = "1m" }) return { ok, e.kind }`)
	w.counted("a", 1)
	w.pass(30 * time.Second)
	w.crash()
	w.output(id, `[false,"timeout"]`)
	w.took(before, time.Minute)
	w.counters(map[string]int{"a": 1})
}

func testLocksAfterCrash(w *world) {
	w.flow("waiter", `
		local s = setting("x")
		local fence = s:lock()
		local seen = s:get()
		s:set(seen + 1)
		return { fence = fence, seen = seen }`)
	id := w.start(`
		local s = setting("x")
		s:lock()
		s:set(1)
		local child = flow("waiter", {}, { wait = false })
		task("FAKE", { counter = "slow", delay = "10s" })
		local fence = s.fence
		s:set(s:get() + 1)
		s:unlock()
		return { fence = fence, child = child:wait().output, value = s:get() }`)
	w.counted("slow", 1)
	w.becomes(journal.ChildID(id, journal.Address{Number: 3}), engine.Waiting, journal.WaitsForLock("x"))
	w.crash()
	w.output(id, `{"child":{"fence":2,"seen":2},"fence":1,"value":3}`)
}

func testQuestionStays(w *world) {
	id := w.start(`
		task("FAKE", { counter = "a" })
		local first = ask{ title = "First?" }
		local second = ask{ title = "Second?" }
		return { first, second }`)
	w.becomes(id, engine.Waiting, journal.WaitsForAnswer)
	w.crash()
	w.pass(time.Minute)
	w.becomes(id, engine.Waiting, journal.WaitsForAnswer)
	w.answer(id, "2", map[string]any{"answer": "one"})
	w.until("the second question", func() bool { return strings.Contains(w.journal(id), "Second?") })
	w.crash()
	w.answer(id, "3", map[string]any{"answer": "two"})
	w.output(id, `[{"answer":"one"},{"answer":"two"}]`)
	w.counters(map[string]int{"a": 1})
}

// testNobodyServes gives orders to an engine that is not there.
func testNobodyServes(w *world) {
	first := w.start(`task("FAKE", { counter = "slow", delay = "10s" })`)
	second := w.start(`sleep("10m")`)
	w.counted("slow", 1)
	w.becomes(second, engine.Waiting, "")
	e := w.on()
	e.Abandon()
	for _, id := range []engine.ID{first, second} {
		if err := e.Order(w.Context(), journal.Order{Execution: id, Verb: journal.VerbCancel, At: time.Now()}); err != nil {
			w.Log(err) // a store that was closed takes none
		}
	}
	w.engine = nil
	w.on()
	w.order(first, journal.VerbCancel)
	w.order(second, journal.VerbCancel)
	_ = w.fails(first, engine.Cancelled, engine.Canceled, "")
	_ = w.fails(second, engine.Cancelled, engine.Canceled, "")
}
