package flows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

func TestCallsCarryWhatTheScriptSays(t *testing.T) {
	t.Parallel()
	h := &host{}
	_, err := run(t, h, `
connect("oracle")
connect("oracle", {port = 1521, list = {1, null}}, {
  timeout = "5m", retry = {max_tries = 3, delay = "1.5s", backoff = 1.5, max_delay = "2d"},
  name = "rows", idempotency_key = "k", on_error = "return" })
task("GIT", nil, {wait = false, timeout = 90})
flow("child", {x = 1})
sleep("1h30m")
sleep(0.25)
sleep_until("2026-01-02T03:04:05Z")
sleep_until(1767323045.5)`)
	if err != nil {
		t.Fatal(err)
	}
	at := func(line string) engine.Call { return engine.Call{From: "flow.lua", Where: "flow.lua:" + line} }
	with := func(c engine.Call, f func(*engine.Call)) engine.Call { f(&c); return c }
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []engine.Call{
		with(at("2"), func(c *engine.Call) { c.Kind, c.Name = engine.CallConnect, "oracle" }),
		with(at("3"), func(c *engine.Call) {
			c.Kind, c.Name = engine.CallConnect, "oracle"
			c.Inputs = map[string]any{"port": int64(1521), "list": []any{int64(1), nil}}
			c.Options = engine.Options{
				Timeout: 5 * time.Minute, Name: "rows", IdempotencyKey: "k",
				Retry: engine.Retry{MaxTries: 3, Delay: 1500 * time.Millisecond, Backoff: 1.5, MaxDelay: 48 * time.Hour},
			}
		}),
		with(at("6"), func(c *engine.Call) {
			c.Kind, c.Name, c.Options = engine.CallTask, "GIT", engine.Options{NoWait: true, Timeout: 90 * time.Second}
		}),
		with(at("7"), func(c *engine.Call) {
			c.Kind, c.Name, c.Inputs = engine.CallFlow, "child", map[string]any{"x": int64(1)}
		}),
		with(at("8"), func(c *engine.Call) { c.Kind, c.Duration = engine.CallSleep, 90*time.Minute }),
		with(at("9"), func(c *engine.Call) { c.Kind, c.Duration = engine.CallSleep, 250*time.Millisecond }),
		with(at("10"), func(c *engine.Call) { c.Kind, c.Until = engine.CallSleep, date }),
		with(at("11"), func(c *engine.Call) { c.Kind, c.Until = engine.CallSleep, date.Add(500*time.Millisecond) }),
	}
	if d := cmp.Diff(want, h.calls); d != "" {
		t.Error(d)
	}
}

func TestWrongCallsSayWhatIsRight(t *testing.T) {
	t.Parallel()
	for script, want := range map[string][2]string{
		`connect("x", {}, {timout = 5})`:              {`connect "x": there is no option "timout"`, "did you mean timeout?"},
		`connect("x", {}, {nonsense = 5})`:            {`connect "x": there is no option "nonsense"`, "the options are idempotency_key, name, on_error, retry, timeout, wait"},
		`connect("x", {}, {5})`:                       {`connect "x": there is no option 1`, "the options are idempotency_key, name, on_error, retry, timeout, wait"},
		`connect("x", {}, {retry = {max_tris = 5}})`:  {`connect "x": retry: there is no option "max_tris"`, "did you mean max_tries?"},
		`connect("x", {}, {retry = 5})`:               {`connect "x": retry: {max_tries = n, delay = d, backoff = f, max_delay = d} is needed, not a number`, ""},
		`connect("x", {}, {retry = {max_tries = 0}})`: {`connect "x": retry: max_tries is a whole number from 1, not 0`, ""},
		`connect("x", {}, {retry = {backoff = 0/0}})`: {`connect "x": retry: backoff is a factor from 1, not nan`, ""},
		`connect("x", {}, {wait = 1})`:                {`connect "x": wait is true or false, not a number`, ""},
		`connect("x", {}, {on_error = "ignore"})`:     {`connect "x": on_error is "raise" or "return", not "ignore"`, ""},
		`connect("x", {}, {timeout = "soon"})`:        {`connect "x": timeout: "soon" is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`connect("x", {}, {timeout = -1})`:            {`connect "x": timeout: -1 is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`connect("x", {}, {name = 5})`:                {`connect "x": name is a text, not a number`, ""},
		`connect("x", {}, 5)`:                         {`connect "x": the options must be a table, not a number`, ""},
		`connect("x", {}, {}, 1)`:                     {`connect "x": at most three arguments: name, inputs, options`, ""},
		`connect()`:                                   {`connect: the first argument is a name, not a nil`, ""},
		`connect("")`:                                 {`connect: the first argument is a name, not a string`, ""},
		`task{type = "GIT"}`:                          {`task: the first argument is a name, not a table`, ""},
		`sleep()`:                                     {`sleep: a nil is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`sleep("-5m")`:                                {`sleep: "-5m" is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`sleep(1e300)`:                                {`sleep: 1e+300 is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`sleep_until("tomorrow")`:                     {`sleep_until: "tomorrow" is no time`, `write "2026-01-02T15:04:05Z", or a number such as time.now() + 3600`},
		`return connect("x").outptu`:                  {`an execution has no field "outptu"`, "did you mean output?"},
		`return connect("x"):get("result")`:           {`an execution has no field "result"`, `:get("output_value") gives the output`},
		`wait_all{5}`:                                 {`wait_all: element 1 is a number, not an execution`, ""},
		`wait_any{}`:                                  {`wait_any: there is nothing to wait for`, ""},
		`parallel{5}`:                                 {`parallel: element 1 is a number, not a function`, ""},
		`log.info("x", 5)`:                            {`log: the fields must be a table such as {name = value}`, ""},
		`log.info("x", {f = print})`:                  {`log: fields.f is a function, which is no JSON value`, ""},
		`progress("x")`:                               {`progress: done and total are numbers from 0, not "x"`, ""},
		`output(5)`:                                   {`output: a table such as {name = value} is needed, not a number`, ""},
		`output{5}`:                                   {`output: the key 1 is no text`, ""},
		`yaml.encode{}`:                               {`yaml is not available here`, ""},
		`json.encode({}, {indnt = 1})`:                {`json.encode: there is no option "indnt"`, "did you mean indent?"},
	} {
		e := fails(t, &host{}, script)
		if e.Kind != engine.Invalid || e.Where != "flow.lua:1" {
			t.Errorf("%s: got %s at %s", script, e.Kind, e.Where)
		}
		if d := cmp.Diff(want, [2]string{e.Message, e.Hint}); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
}

// failing answers every call with a failed execution.
func failing() *host {
	return &host{reply: func(context.Context, engine.Call) (any, error) {
		return nil, &engine.Error{Kind: engine.Denied, Message: "ORA-01017: wrong password", Hint: "check the secret", Where: "child.lua:3"}
	}}
}

func TestAFailedChildRaises(t *testing.T) {
	t.Parallel()
	e := fails(t, failing(), "local function f()\n  return connect('oracle')\nend\nlocal x = f()\nreturn x")
	want := &engine.Error{
		Kind: engine.Denied, Message: `connect "oracle": child.lua:3: ORA-01017: wrong password`, Hint: "check the secret",
		Where: "flow.lua:2", Execution: "e1", Traceback: "flow.lua:2: in function f\nflow.lua:4: in main chunk",
		Cause: &engine.Error{Kind: engine.Denied, Message: "ORA-01017: wrong password", Hint: "check the secret", Where: "child.lua:3"},
	}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
	got, err := run(t, failing(), `
		local ok, e = pcall(connect, "oracle", nil, {name = "n"})
		local x = connect("oracle", nil, {on_error = "return"})
		local ok2, e2 = pcall(x.wait, x)
		return {
			ok = ok, type = type(e), text = tostring(e), joined = "failed: " .. e, kind = e.kind, message = e.message,
			execution = e.execution, hint = e.hint, where = e.where, cause = e.cause.message, tree = e, value = e.value == nil,
			status = x.status, succeeded = x:ok(), output = x.output == nil, error = x.error.kind, waited = ok2,
			wrong = pcall(function() return e.nonsense end),
		}`)
	if err != nil {
		t.Fatal(err)
	}
	text := `flow.lua:2: connect "oracle": child.lua:3: ORA-01017: wrong password`
	message := `connect "oracle": child.lua:3: ORA-01017: wrong password`
	wantOut := map[string]any{
		"ok": false, "type": "error", "text": text, "joined": "failed: " + text, "kind": "denied", "message": message,
		"execution": "e1", "hint": "check the secret", "where": "flow.lua:2", "cause": "ORA-01017: wrong password",
		"tree": map[string]any{
			"kind": "denied", "message": message, "hint": "check the secret", "where": "flow.lua:2", "execution": "e1",
		},
		"value": true, "status": "failed", "succeeded": false, "output": true, "error": "denied", "waited": true, "wrong": false,
	}
	if d := cmp.Diff(wantOut, got); d != "" {
		t.Error(d)
	}
}

func TestExecutionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	h := &host{}
	got, err := run(t, h, `
		local a = connect("a", {n = 1}, {wait = false})
		local b = task("b", {n = 2}, {wait = false})
		local before = {a.status, a.output == nil, a.id ~= b.id, a.name, a.type}
		local first, i = wait_any{a, b}
		local all = wait_all{a, b}
		assert(all[1] == a and first == b)
		wait_all(a, b)
		a:wait()
		local c = connect("c", {}, {wait = false})
		c:cancel()
		local ok, e = pcall(c.wait, c)
		local d = flow("d", {n = 4}, {wait = false}):wait()
		return {before = before, i = i, a = a.output.n, b = b:get("output_value").n, cancelled = c.status, kind = e.kind, d = d.output.n,
			text = tostring(a), ok = a:ok()}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"before": []any{"running", true, true, "a", "FAKE"}, "i": int64(2), "a": int64(1), "b": int64(2),
		"cancelled": "cancelled", "kind": "cancelled", "d": int64(4), "text": `execution(connect "a", succeeded)`, "ok": true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	calls := []string{"connect a", "task b", "wait_any", "wait_all", "connect c", "cancel", "flow d", "wait_all"}
	if d := cmp.Diff(calls, h.called()); d != "" {
		t.Error(d)
	}
	e := fails(t, failing(), `local a = connect("a", {}, {wait = false}) wait_all{a}`)
	if e.Kind != engine.Denied {
		t.Errorf("got %v", e)
	}
	if _, err := run(t, failing(), `local a = connect("a", {}, {wait = false, on_error = "return"}) assert(not wait_all{a}[1]:ok())`); err != nil {
		t.Error(err)
	}
}

func TestEventsSayWhere(t *testing.T) {
	t.Parallel()
	h := &host{}
	_, err := run(t, h, `
log.debug("d") log.warn("w", {n = 1}) log.error({})
progress(1, 10, "loading")
progress(2)
local function f() log.info("in f") end
f()
pcall(log.info, "\255")`)
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Event{
		{Kind: engine.EventLog, Level: engine.Debug, Message: "d", Where: "flow.lua:2"},
		{Kind: engine.EventLog, Level: engine.Warn, Message: "w", Where: "flow.lua:2", Fields: map[string]any{"n": int64(1)}},
		{Kind: engine.EventLog, Level: engine.Fault, Message: "table", Where: "flow.lua:2"},
		{Kind: engine.EventProgress, Done: 1, Total: 10, Message: "loading", Where: "flow.lua:3"},
		{Kind: engine.EventProgress, Done: 2, Where: "flow.lua:4"},
		{Kind: engine.EventLog, Level: engine.Info, Message: "in f", Where: "flow.lua:5"},
		{Kind: engine.EventLog, Level: engine.Info, Message: "\uFFFD", Where: "flow.lua:7"},
	}
	if d := cmp.Diff(want, h.events); d != "" {
		t.Error(d)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	h := &host{}
	got, err := run(t, h, `
		local tries = array{}
		local a, b = retry(function(try)
			tries[#tries + 1] = try
			if try < 4 then error("not yet") end
			return "done", try
		end, {max_tries = 5, delay = 10, backoff = 3, max_delay = "1m"})
		local ok, e = pcall(retry, function() error({code = 1}) end, {max_tries = 2, delay = 1})
		local n = 0
		pcall(retry, function() n = n + 1 error("x") end)
		return {tries = tries, a = a, b = b, code = e.code, n = n}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"tries": []any{int64(1), int64(2), int64(3), int64(4)}, "a": "done", "b": int64(4), "code": int64(1), "n": int64(3)}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var slept []time.Duration
	for _, c := range h.calls {
		slept = append(slept, c.Duration/time.Second)
	}
	if d := cmp.Diff([]time.Duration{10, 30, 60, 1, 1, 2}, slept); d != "" {
		t.Error(d)
	}
}

func TestDeferredFunctionsRunAtTheEnd(t *testing.T) {
	t.Parallel()
	script := `
		defer(function(e) log.info("first, " .. (e and e.kind or "no error")) connect("clean") end)
		defer(function() error("broken") end)
		parallel{function() defer(function() log.info("of branch 1") end) end, function() defer(function() log.info("of branch 2") end) end}
		defer(function() defer(function() log.info("nested") end) log.info("last") end)
		`
	common := []string{"info: last", "info: nested", "info: of branch 2", "info: of branch 1", "error: deferred function failed: broken"}
	for name, test := range map[string]struct {
		end, first string
		kind       engine.Kind
		change     func(*flows.Config)
	}{
		"return": {end: "return 1", first: "no error", kind: engine.Script},
		"error":  {end: "error('x')", first: "script", kind: engine.Script},
		"limit":  {end: "while true do end", first: "limit", kind: engine.Limit, change: small},
		"memory": {end: "kept = {} while true do kept = {kept} end", first: "limit", kind: engine.Limit, change: small},
		"depth":  {end: "local function f() return 1 + f() end f()", first: "limit", kind: engine.Limit},
	} {
		h := &host{}
		if test.change == nil {
			test.change = func(*flows.Config) {}
		}
		e := fails(t, h, script+test.end, test.change)
		if e.Kind != test.kind {
			t.Errorf("%s: got %s: %v", name, e.Kind, e)
		}
		if d := cmp.Diff(append(common[:len(common):len(common)], "info: first, "+test.first), h.logged()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if d := cmp.Diff([]string{"defer connect clean"}, h.called()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDeferredFunctionsRunAfterCancellation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{reply: func(ctx context.Context, c engine.Call) (any, error) {
		if c.Name == "clean" {
			deadline, ok := ctx.Deadline()
			return !deadline.IsZero() && ok, ctx.Err()
		}
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	p, err := flows.Compile("flow.lua", []byte(`defer(function(e) log.info(e.kind .. tostring(connect("clean").output)) end) connect("slow")`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = flows.Run(ctx, p, flows.Config{Host: h})
	if e := asError(t, err); e.Kind != engine.Canceled {
		t.Errorf("got %v", err)
	}
	if d := cmp.Diff([]string{"info: cancelledtrue"}, h.logged()); d != "" {
		t.Error(d)
	}
	h = &host{}
	if e := fails(t, h, `defer(function() local s = ("x"):rep(1e6) while true do s:rep(1) end end) defer(function() log.info("other") end) return 1`); e.Kind != engine.Limit {
		t.Errorf("got %v", e)
	}
	if d := cmp.Diff([]string{"info: other", "error: deferred function failed: " + outOfInstructions}, h.logged()); d != "" {
		t.Error(d)
	}
}

func TestADeadlineIsATimeout(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	p, err := flows.Compile("flow.lua", []byte(`while true do pcall(function() while true do end end) end`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = flows.Run(ctx, p, flows.Config{Host: &host{}})
	if e := asError(t, err); e.Kind != engine.Timeout {
		t.Errorf("got %v", err)
	}
}
