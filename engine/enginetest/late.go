package enginetest

import (
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// lateTests show engines that learn late that something was written.
func lateTests() map[string]func(*world) {
	return map[string]func(*world){
		"a child that is on disk before the engine knows":     testChildKnownLate,
		"a setting has its turn beside steps without end":     testSettingHasItsTurn,
		"a setting's call that is given up at the flow's end": testSettingGivenUp,
		"a child that ends as its flow leaves memory":         testChildEndsAsItsFlowRests,
	}
}

func testChildKnownLate(w *world) {
	w.setup.Late = 200 * time.Millisecond
	w.flow("child", `return task("FAKE", { counter = "a" }).output.count`)
	w.output(w.start(`
		local all = {}
		for i = 1, 3 do all[i] = flow("child", {}, { wait = false }) end
		wait_all(all)
		return flow("child").output`), `4`)
	w.counters(map[string]int{"a": 4})
}

func testSettingHasItsTurn(w *world) {
	w.setup.Late = 10 * time.Millisecond
	id := w.start(`
		local done = false
		local function busy()
			while not done do task("FAKE", { delay = "7ms" }) end
		end
		parallel{busy, busy, busy, busy, function() setting("n"):set(1) done = true end}
		return "done"`)
	before := time.Now()
	w.output(id, `"done"`)
	w.took(before, 0)
}

// testSettingGivenUp cancels a flow just when it uses a setting, while other things are
// being written.
func testSettingGivenUp(w *world) {
	w.setup.Late = 100 * time.Millisecond
	for after := range 12 {
		id := w.start(`
			local function busy() for i = 1, 100 do time.now() end end
			local function set() for i = 1, 100 do setting("n"):set(i) end end
			parallel{busy, busy, set, set, set}`)
		w.pass(time.Duration(after) * 50 * time.Millisecond)
		w.order(id, journal.VerbCancel)
		if e := w.end(id); e.Status != engine.Cancelled {
			w.Errorf("it is %s", e.Status)
		}
		w.pass(time.Second) // for what comes after the end
		if err := Consistent(w.Context(), w.on(), id); err != nil {
			w.Errorf("cancelled after %d: %v\n%s", after, err, w.journal(id))
		}
	}
}

// testChildEndsAsItsFlowRests has flows that leave memory just as their children end,
// and engines that end after each commit: a child's end is heard of by the next one.
func testChildEndsAsItsFlowRests(w *world) {
	w.setup.Late = 100 * time.Millisecond
	w.flow("child", `task("FAKE", { counter = "a", delay = input.delay })`)
	for n := 6; n <= 9; n++ {
		for delay := range 4 {
			w.setup.DieAfter = n
			e, before := w.on(), time.Now()
			site := fmt.Sprint(n, "-", delay)
			id := w.startAs(engine.Request{Inputs: map[string]any{"delay": fmt.Sprint(20*delay, "ms"), "site": site}, Text: []byte(`
				local child = flow("child", input, { wait = false })
				parallel{
					function() child:wait() task("FAKE", { counter = "heard" .. input.site }) end,
					function() task("FAKE", { delay = "30ms" }) sleep("20m") end,
				}`)})
			w.until("the engine dies, or the flow hears", func() bool { return died(e) || w.count("heard"+site) > 0 })
			w.setup.DieAfter = 0
			w.crash()
			w.counted("heard"+site, 1)
			if took := time.Since(before); took > time.Minute {
				w.Errorf("dead after %d, child %d: it took %s\n%s", n, delay, took, w.journal(id))
			}
			w.order(id, journal.VerbCancel)
			w.end(id)
			w.on().Close()
			w.engine = nil
		}
	}
}
