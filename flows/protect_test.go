package flows_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// After an error was caught, a captured local variable of a function that is still
// running must stay one variable for all who captured it. In the library alone it
// splits (gopher-lua issue 448).
func TestCapturedLocalsSurviveACaughtError(t *testing.T) {
	t.Parallel()
	probes := map[string]string{
		"outer writes, closure reads": `
			local n = 0
			local function get() return n end
			pcall(error, "x")
			n = 1
			return get()`,
		"closure writes, outer reads": `
			local n = 0
			local function set() n = 1 end
			pcall(error, "x")
			set()
			return n`,
		"two closures": `
			local n = 0
			local function get() return n end
			local function set() n = 1 end
			pcall(function() error({}) end)
			set()
			return get()`,
		"in a loop": `
			local sum = 0
			local function add(i) sum = sum + i end
			for i = 1, 3 do
				pcall(function() if i == 2 then error("x") end end)
				sum = sum + 0
				if i == 3 then add(1) end
			end
			return sum`,
		"xpcall and its handler": `
			local n = 0
			local function get() return n end
			xpcall(function() local z = nil; return z.field end, function() n = n + 0 end)
			n = 1
			return get()`,
		"nested": `
			local n = 0
			local function get() return n end
			pcall(function()
				local ok = pcall(function() local z = nil; z() end)
				n = 5
				if not ok then error("again") end
			end)
			n = 1
			return get()`,
		"through a coroutine": `
			local n = 0
			local function get() return n end
			local co = coroutine.create(function() n = 7; error("x") end)
			coroutine.resume(co)
			n = 1
			return get()`,
		"through a callback of the library": `
			local n = 0
			local function get() return n end
			pcall(function() return ("a"):gsub(".", function() error("x") end) end)
			pcall(table.sort, {2, 1}, function() error("x") end)
			n = 1
			return get()`,
		"retry": `
			local n = 0
			local function get() return n end
			pcall(retry, function() error("x") end, {max_tries = 2})
			n = 1
			return get()`,
		"parallel": `
			local n = 0
			local function get() return n end
			pcall(parallel, function() error("x") end, function() n = 7 end)
			n = 1
			return get()`,
	}
	for name, script := range probes {
		if got := eval(t, script); got != int64(1) {
			t.Errorf("%s: got %v, want 1", name, got)
		}
	}
}

func TestPcallGivesAnyValueBack(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local list = array{}
		local function try(v) local ok, e = pcall(error, v); list[#list + 1] = {ok = ok, type = type(e)} return e end
		local t = {code = 7}
		assert(try(t) == t)
		assert(try(nil) == nil)
		assert(try(12) == 12)
		assert(try(false) == false)
		local ok, a, b = pcall(function(...) return ... end, 1, nil)
		assert(ok and a == 1 and b == nil)
		assert(select("#", pcall(function() return nil, nil end)) == 3)
		assert(select(2, pcall(nil)) ~= nil)
		local _, e = pcall(assert, false, t)
		assert(e == t)
		local ok, e, trace = xpcall(function() error("deep") end, function(e, trace) return e, trace end)
		return {types = list, e = e, trace = trace}`)
	want := map[string]any{
		"types": []any{
			map[string]any{"ok": false, "type": "table"}, map[string]any{"ok": false, "type": "nil"},
			map[string]any{"ok": false, "type": "number"}, map[string]any{"ok": false, "type": "boolean"},
		},
		"e": "flow.lua:15: deep", "trace": "flow.lua:15: in function <flow.lua:15>",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnErrorThatNobodyCatches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		want   engine.Error
	}{
		"text": {"\nlocal function f()\n  error('boom')\nend\nf()", engine.Error{
			Kind: engine.Script, Where: "flow.lua:3", Message: "boom",
			Traceback: "flow.lua:3: in function f\nflow.lua:5: in main chunk",
		}},
		"below a tail call": {"local function h() error('x') end\nlocal function g() h() end\nlocal function f() return g() end\nf()", engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "x",
			Traceback: "flow.lua:1: in function h\nflow.lua:2: in function <flow.lua:2>\nflow.lua:4: in main chunk",
		}},
		"text without place": {`error("boom", 0)`, engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "boom", Traceback: "flow.lua:1: in main chunk",
		}},
		"table": {`error({code = 5, list = {1, null}})`, engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "the flow raised a table",
			Traceback: "flow.lua:1: in main chunk",
			Value:     map[string]any{"code": int64(5), "list": []any{int64(1), nil}},
		}},
		"table with a message": {`error({message = "no rows"})`, engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "no rows", Traceback: "flow.lua:1: in main chunk",
			Value: map[string]any{"message": "no rows"},
		}},
		"nil": {`error()`, engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "the flow raised nil", Traceback: "flow.lua:1: in main chunk",
		}},
		"number": {`error(42)`, engine.Error{
			Kind: engine.Script, Where: "flow.lua:1", Message: "the flow raised 42", Value: int64(42),
			Traceback: "flow.lua:1: in main chunk",
		}},
		"the machine's own": {"local t\nreturn t.x.y", engine.Error{
			Kind: engine.Script, Where: "flow.lua:2", Message: "attempt to index a non-table object(nil) with key 'x'",
			Traceback: "flow.lua:2: in main chunk",
		}},
	}
	for name, test := range tests {
		got := fails(t, &host{}, test.script)
		if d := cmp.Diff(&test.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestCancellationCannotBeCaught(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"pcall":     `while true do pcall(connect, "slow") end`,
		"xpcall":    `while true do xpcall(function() connect("slow") end, function() return connect("more") end) end`,
		"coroutine": `while true do coroutine.resume(coroutine.create(function() connect("slow") end)) end`,
		"wrap":      `while true do pcall(coroutine.wrap(function() connect("slow") end)) end`,
		"retry":     `while true do pcall(retry, function() connect("slow") end, {max_tries = 99}) end`,
		"parallel":  `while true do pcall(parallel, function() connect("slow") end, function() connect("slow") end) end`,
		"metatable": `local t = setmetatable({}, {__index = function() connect("slow") end}) while true do pcall(function() return t.x end) end`,
		"computing": `connect("quick") while true do pcall(function() while true do end end) end`,
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			h := &host{reply: func(ctx context.Context, c engine.Call) (any, error) {
				cancel()
				if c.Name == "quick" {
					return nil, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			p, err := flows.Compile("flow.lua", []byte(script))
			if err != nil {
				t.Fatal(err)
			}
			_, err = flows.Run(ctx, p, flows.Config{Host: h})
			e := asError(t, err)
			if e.Kind != engine.Canceled {
				t.Fatalf("got %v, want kind cancelled", err)
			}
			if e.Where != "flow.lua:1" {
				t.Errorf("where is %q", e.Where)
			}
		})
	}
}

func TestAPanicOfTheHostCannotBeCaught(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`pcall(connect, "x") return 1`,
		`coroutine.resume(coroutine.create(connect), "x") return 1`,
		`pcall(parallel, function() connect("x") end) return 1`,
		`pcall(("x").gsub, "x", "x", function() connect("x") end) return 1`,
	} {
		h := &host{reply: func(context.Context, engine.Call) (any, error) { panic("defect") }}
		if e := fails(t, h, script); e.Kind != engine.Internal || !strings.Contains(e.Message, "defect") {
			t.Errorf("%s: got %v %v, want kind internal", script, e.Kind, e)
		}
	}
}

// A host may end the goroutine of a call that it will never answer.
func TestAHostMayEndTheGoroutine(t *testing.T) {
	t.Parallel()
	ended := make(chan bool)
	go func() {
		defer close(ended)
		h := &host{reply: func(context.Context, engine.Call) (any, error) { runtime.Goexit(); return nil, nil }}
		_, _ = run(t, h, `pcall(connect, "x") return 1`)
		t.Error("the run went on")
	}()
	<-ended
	h := &host{reply: func(_ context.Context, c engine.Call) (any, error) {
		if c.Branch != "" {
			runtime.Goexit()
		}
		return nil, nil
	}}
	if e := fails(t, h, `return parallel{function() connect("x") end}`); e.Kind != engine.Internal {
		t.Errorf("got %v, want kind internal", e)
	}
}

func TestAnInternalErrorOfACallCannotBeCaught(t *testing.T) {
	t.Parallel()
	h := &host{reply: func(context.Context, engine.Call) (any, error) {
		return nil, &engine.Error{Kind: engine.Internal, Message: "the journal does not fit the flow"}
	}}
	e := fails(t, h, "pcall(connect, 'x')\nreturn 1")
	if e.Kind != engine.Internal || e.Error() != `flow.lua:1: connect "x": the journal does not fit the flow` {
		t.Errorf("got %v %v", e.Kind, e)
	}
}

func TestCoroutines(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local r = {}
		local co = coroutine.create(function(a, b)
			local c = coroutine.yield(a + b)
			local d, e = coroutine.yield(c * 2)
			return d + e
		end)
		r.status1 = coroutine.status(co)
		r.first = {coroutine.resume(co, 1, 2)}
		r.second = {coroutine.resume(co, 10)}
		r.third = {coroutine.resume(co, 3, 4)}
		r.status2 = coroutine.status(co)
		r.dead = {coroutine.resume(co)}
		local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
		r.list = array{}
		for i in gen do r.list[#r.list + 1] = i end
		local co2
		co2 = coroutine.create(function()
			r.inside = coroutine.status(co2)
			assert(coroutine.running() == co2)
			r.again = {coroutine.resume(co2)}
			local inner = coroutine.create(function() return coroutine.status(co2) end)
			r.outer = select(2, coroutine.resume(inner))
			pcall(function() r.viapcall = {coroutine.resume(co2)} end)
		end)
		assert(coroutine.resume(co2))
		r.raised = {coroutine.resume(coroutine.create(function() error({code = 1}) end))}
		r.wrapped = {pcall(coroutine.wrap(function() error("w", 0) end))}
		r.running = coroutine.running() == nil
		r.type = type(co)
		-- a function that is tail-called may yield, and yield may be tail-called
		local function helper(x) coroutine.yield(x) return "end" end
		local tail = coroutine.wrap(function(x) return helper(x) end)
		r.tail = {tail("a"), tail()}
		local tail2 = coroutine.wrap(function(x) return coroutine.yield(x) end)
		r.tail2 = {tail2("a"), tail2("b")}
		r.over = pcall(tail2)
		local function ask(x) return coroutine.yield(x) end
		local tail3 = coroutine.wrap(function(x) local y, z = ask(x) local w = ask(y + z) return w .. x end)
		r.tail3 = {tail3("a"), tail3(1, 2), tail3("b")}
		return r`)
	refused := []any{false, "cannot resume non-suspended coroutine"}
	want := map[string]any{
		"status1": "suspended", "first": []any{true, int64(3)}, "second": []any{true, int64(20)},
		"third": []any{true, int64(7)}, "status2": "dead", "dead": []any{false, "cannot resume dead coroutine"},
		"list": []any{int64(1), int64(2), int64(3)}, "inside": "running", "again": refused, "outer": "normal",
		"viapcall": refused, "raised": []any{false, map[string]any{"code": int64(1)}},
		"wrapped": []any{false, "w"}, "running": true, "type": "thread",
		"tail": []any{"a", "end"}, "tail2": []any{"a", "b"},
		"over": false, "tail3": []any{"a", int64(3), "ba"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Yielding across Go code breaks the library's stack without a word, so it must be
// an error.
func TestYieldingWhereItCannotWork(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"pcall":      `pcall(coroutine.yield, 1) error("not reached" .. select(2, pcall(coroutine.yield, 1)).message)`,
		"metatable":  `local t = setmetatable({}, {__index = function() coroutine.yield(1) return 2 end}) return t.x`,
		"iterator":   `for i in function() coroutine.yield(1) return nil end do end`,
		"sort":       `table.sort({3, 2, 1}, function(a, b) coroutine.yield(1) return a < b end)`,
		"gsub":       `return (("abc"):gsub(".", function(c) coroutine.yield(1) return c end))`,
		"concat":     `return setmetatable({}, {__concat = function() coroutine.yield(1) return "" end}) .. "x"`,
		"tostring":   `return tostring(setmetatable({}, {__tostring = function() coroutine.yield(1) return "" end}))`,
		"comparison": `local m = {__lt = function() coroutine.yield(1) return true end} return setmetatable({}, m) < setmetatable({}, m)`,
		"tail call":  `local t = setmetatable({}, {__index = function() return coroutine.yield(1) end}) return t.x`,
	} {
		got := eval(t, `local co = coroutine.create(function() `+body+` end)
			local ok, e = coroutine.resume(co)
			return {ok = ok, e = tostring(e), status = coroutine.status(co)}`).(map[string]any)
		if got["ok"] != false || !strings.Contains(got["e"].(string), "cannot yield across") || got["status"] != "dead" {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if e := fails(t, &host{}, `coroutine.yield(1)`); !strings.Contains(e.Message, "not inside of a coroutine") {
		t.Error(e)
	}
}
