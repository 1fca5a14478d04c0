package enginetest

// sweptFlows are flows whose result does not depend on how long anything takes, or on
// the output of steps that must not run twice.
func sweptFlows() map[string]sweptFlow { //nolint:funlen // a table
	return map[string]sweptFlow{
		"steps in a row": {text: `
			log.info("begin")
			local a = task("FAKE", { counter = "a", payload = { n = 1, list = json.decode("[]"), none = null, big = decimal("12345678901234567890.5") } })
			log.info("between", { n = a.output.inputs.payload.n })
			task("FAKE", { operation = "count", counter = "once1" })
			local b = connect("fake.default", { counter = "b", payload = a.output.inputs.payload })
			task("FAKE", { operation = "count", counter = "once2" })
			log.info("end")
			return json.encode(b.output.inputs.payload)`},

		"sleeps": {text: `
			sleep(0.01)
			sleep(0.5)
			sleep(2)
			local t = time.now()
			sleep_until(t + 3)
			local late = time.now() - t
			task("FAKE", { counter = "a" })
			sleep(5)
			return late >= 3`},

		"time and randomness": {text: `
			local a, b, c = time.now(), uuid(), math.random()
			task("FAKE", { counter = "a", payload = a .. b .. c })
			local d = task("FAKE", { counter = "b", payload = a .. b .. c }).output.inputs.payload
			return d == a .. b .. c and a <= time.now()`},

		"branches": {text: `
			local sum, order = 0, {}
			local function branch(name, delay)
				return function()
					for i = 1, 3 do
						local n = task("FAKE", { counter = name .. i, delay = delay, payload = i }).output.inputs.payload
						sum = sum + n
						order[#order + 1] = name
						sleep(0.001)
					end
					log.info(name)
					return name
				end
			end
			local names = parallel{ branch("a", "3ms"), branch("b", "1ms"), branch("c", "2ms") }
			return { sum, #order, names }`},

		"branches within branches": {text: `
			local function leaf(name)
				return function()
					task("FAKE", { operation = "count", counter = "once" .. name })
					return task("FAKE", { counter = name, payload = name }).output.inputs.payload
				end
			end
			local function pair(name) return function() return parallel{ leaf(name .. 1), leaf(name .. 2) } end end
			return parallel{ pair("a"), leaf("b"), pair("c") }`},

		"joins": {text: `
			local all = {}
			for i = 1, 4 do all[i] = task("FAKE", { counter = "n" .. i, delay = i .. "ms", payload = i }, { wait = false }) end
			wait_any(all)
			local sum = 0
			for _, e in ipairs(wait_all(all)) do sum = sum + e.output.inputs.payload end
			task("FAKE", { counter = "alone", delay = "5ms" }, { wait = false })
			return sum`},

		"child flows": {
			text: `
				local m = require("module")
				local a = flow("outer", { n = 3 })
				local b = flow("outer", { n = 2 }, { wait = false, name = "second" })
				log.info("waits")
				return { m.name, a.output, b:wait().output, b.name }`,
			files: map[string]string{
				"outer": `
					local m = require("module")
					log.info("outer " .. input.n)
					local sum = 0
					for i = 1, input.n do sum = sum + flow("inner", { n = i, of = input.n }).output end
					return m.name .. sum`,
				"inner": `
					log.info("inner " .. input.n)
					task("FAKE", { operation = "count", counter = "once" .. input.of .. "-" .. input.n })
					return task("FAKE", { payload = input.n, counter = "n" .. input.of .. "-" .. input.n }).output.inputs.payload`,
				"module": `return { name = "module" }`,
			},
		},

		"children that sleep": {
			text: `
				local all = {}
				for i = 1, 3 do all[i] = flow("child", { n = i }, { wait = false }) end
				local sum = 0
				for i = 3, 1, -1 do sum = sum + all[i]:wait().output end
				return sum`,
			files: map[string]string{"child": `sleep(input.n * 2) task("FAKE", { counter = "n" .. input.n }) sleep(2) return input.n`},
		},

		"retries": {
			text: `
				local a = task("FAKE", { counter = "a", fail_times = 2 }, { retry = { max_tries = 9, delay = 0.01 } })
				local b = flow("flaky", {}, { retry = { max_tries = 9, delay = 2 } })
				local c = retry(function(n) if n < 3 then error("not yet") end return n end, { max_tries = 5, delay = 0.01 })
				return { a.status, b.output, c }`,
			files: map[string]string{"flaky": `
				log.info("flaky")
				local x = task("FAKE", { counter = "b", fail_times = 0 })
				if setting("tries"):get() == null or (setting("tries"):get() or 0) < 2 then
					setting("tries"):set((setting("tries"):get() or 0) + 1)
					task("FAKE", { fail_times = -1 })
				end
				return "well"`},
		},

		"errors": {text: `
			defer(function(e) log.info("deferred " .. (e and e.kind or "none")) task("FAKE", { counter = "deferred" }) end)
			defer(function() task("FAKE", { operation = "count", counter = "once" }) end)
			local ok, e = pcall(task, "FAKE", { counter = "a", fail_times = -1, fail_kind = "denied" })
			log.info("caught " .. e.kind)
			local ok2, e2 = pcall(function() error({ code = 7 }) end)
			local x = task("FAKE", { fail_times = -1, fail_kind = "conflict" }, { on_error = "return" })
			parallel{ function() sleep(0.01) end, function() error("from " .. e2.code .. x.error.kind) end }`},

		"fails beside others": {
			text: `
				flow("child", {}, { wait = false })
				task("FAKE", { counter = "blocked", block = true }, { wait = false })
				task("FAKE", { counter = "a" })
				sleep(0.3)
				error("boom")`,
			files: map[string]string{"child": `
				defer(function() task("FAKE", { counter = "deferred" }) end)
				sleep("1h")`},
		},

		"settings": {
			text: `
				local all = {}
				for i = 1, 3 do all[i] = flow("child", { n = i }, { wait = false }) end
				wait_all(all)
				local s = setting("sum")
				parallel{
					function() s:lock() s:set(s:get() + 10) sleep(0.01) s:unlock() end,
					function() s:lock() s:set(s:get() + 10) s:unlock() end,
				}
				return s:get()`,
			files: map[string]string{"child": `
				local s = setting("sum")
				local fence = s:lock()
				local n = s:get() or 0
				task("FAKE", { counter = "n" .. input.n })
				sleep(0.01)
				s:set(n + 1)
				s:unlock()
				return fence > 0`},
		},

		"settings on a full disk": {
			text: `
				local function count(name)
					return function()
						local s, n = setting(name), 0
						for i = 1, 3 do
							n = n + task("FAKE", { counter = name, payload = i }).output.inputs.payload
							s:set(n)
							time.now()
							n = n + s:get()
						end
						return n
					end
				end
				return json.encode(parallel{ count("a"), count("b"), function() for i = 1, 6 do setting("c"):set(i) end return setting("c"):get() end })`,
			refuse: 3,
		},

		"questions": {text: `
			local a = ask{ title = "one" }
			local both = parallel{ function() return ask{ title = "two" }.answer end, function() return ask{ title = "three" }.answer end }
			task("FAKE", { counter = "a" })
			return { a.answer, both }`},

		"time is up": {
			text: `
				local x = flow("slow", {}, { timeout = "2s", on_error = "return" })
				local y = task("FAKE", { block = true }, { timeout = "50ms", on_error = "return" })
				return { x.status, x.error.kind, y.error.kind }`,
			files: map[string]string{"slow": `
				defer(function() task("FAKE", { counter = "deferred" }) end)
				task("FAKE", { counter = "a" })
				sleep("1h")`},
		},

		"cancels what it started": {
			text: `
				local a = task("FAKE", { block = true, counter = "any" }, { wait = false, on_error = "return" })
				local b = flow("child", {}, { wait = false, on_error = "return" })
				task("FAKE", { counter = "between" })
				a:cancel()
				b:cancel()
				return { a.status, b.status }`,
			files: map[string]string{"child": `sleep("1h")`},
		},

		"is cancelled": {
			cancel: "begun",
			text: `
				defer(function(e) task("FAKE", { operation = "count", counter = "once" }) log.info(e.kind) end)
				task("FAKE", { counter = "begun" })
				parallel{
					function() flow("child") end,
					function() sleep("1h") end,
					function() while true do time.now() sleep(0.01) end end,
					function() task("FAKE", { counter = "any1", block = true }) end,
				}`,
			files: map[string]string{"child": `
				defer(function() task("FAKE", { counter = "any3" }) end)
				task("FAKE", { counter = "any2", block = true })`},
		},

		"secrets": {
			text: `
				local x = task("FAKE", { counter = "a", password = secret("secret/x#password"), leak = "output" }).output.leaked
				log.info("it is " .. x)
				flow("child", { text = x })
				sleep(2)
				log.info("it is still " .. x)
				error("bad " .. x)`,
			files: map[string]string{"child": `task("FAKE", {}) log.info("child " .. input.text)`},
		},

		"is retried": {
			retry: true,
			text: `
				log.info("begin")
				task("FAKE", { counter = "a" })
				local x = parallel{
					function() return flow("child").output end,
					function() task("FAKE", { counter = "b" }) return "b" end,
				}
				log.info("end")
				return x`,
			files: map[string]string{"child": `
				log.info("child")
				task("FAKE", { operation = "count", counter = "once" })
				task("FAKE", { counter = "flaky", fail_times = 1, fail_kind = "permanent" })
				return "child"`},
		},
	}
}
