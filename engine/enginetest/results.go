package enginetest

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// resultTests show what calls give, without any crash.
func resultTests() map[string]func(*world) {
	return map[string]func(*world){
		"a step's output":                testStep,
		"a step that fails":              testFailedStep,
		"child flow and module":          testChildAndModule,
		"settings":                       testSettings,
		"a question":                     testQuestion,
		"a lock that is awaited on disk": testLockAwaitedOnDisk,
	}
}

func testStep(w *world) {
	w.output(w.start(`
		local x = connect("fake.default", { port = 99 })
		return { port = x.output.inputs.port, status = x.status, type = x.type, same = x:get("output_value").inputs.port }`),
		`{"port":99,"same":99,"status":"succeeded","type":"FAKE"}`)
}

func testFailedStep(w *world) {
	id := w.start("local a = 1\nconnect('fake.default', { fail_times = -1, fail_kind = 'denied' })")
	failure := w.fails(id, engine.Failed, engine.Denied, `main.lua:2: connect "fake.default": `)
	if failure.Traceback == "" || failure.Execution == "" {
		w.Errorf("traceback %q, execution %q", failure.Traceback, failure.Execution)
	}
	if row := w.row(id); row.Status != engine.Failed || row.Kind != engine.Denied || row.Ended.IsZero() {
		w.Errorf("it is listed as %+v", row)
	}
}

func testChildAndModule(w *world) {
	w.flow("child", `return { doubled = input.n * 2, from = require("names").here }`)
	w.flow("names", `return { here = "beside" }`)
	w.output(w.start(`return flow("child", { n = 21 }).output`), `{"doubled":42,"from":"beside"}`)
}

// testSettings has flows share a value, and nobody lose an update.
func testSettings(w *world) {
	w.flow("count", `
		local s = setting("counter")
		s:lock()
		local n = s:get() or 0
		sleep(0.01)
		s:set(n + 1)
		s:unlock()`)
	w.output(w.start(`
		local all = {}
		for i = 1, 5 do all[i] = flow("count", {}, { wait = false }) end
		wait_all(all)
		return setting("counter"):get()`), `5`)
}

func testQuestion(w *world) {
	id := w.start(`return ask{ title = "Deploy?", schema = { go = "boolean" } }`)
	w.becomes(id, engine.Waiting, "answer")
	w.answer(id, "", map[string]any{"go": true})
	w.output(id, `{"go":true}`)
}

// testLockAwaitedOnDisk frees a lock while the one who waits for it is not in memory,
// and nothing else happens.
func testLockAwaitedOnDisk(w *world) {
	holder := w.start(`
		local s = setting("x")
		s:lock()
		task("FAKE", { counter = "held", delay = "30s" })
		s:unlock()
		task("FAKE", { delay = "10m" })`)
	w.counted("held", 1)
	waiter := w.start(`return setting("x"):lock()`)
	w.becomes(waiter, engine.Waiting, "lock x")
	w.until("it leaves memory", func() bool { return w.on().Resident() == 1 })
	before := time.Now()
	w.output(waiter, `2`)
	if took := time.Since(before); took > 31*time.Second {
		w.Errorf("it had the lock after %s", took)
	}
	w.end(holder)
}
