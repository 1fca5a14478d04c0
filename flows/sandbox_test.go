package flows_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

func TestWhatReachesTheMachineIsNotThere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"os", "io", "debug", "package", "load", "loadstring", "loadfile", "dofile", "collectgarbage", "module",
		"setfenv", "getfenv", "newproxy", "_G", "channel", "_printregs", "string.dump", "string.gfind", "math.mod",
	} {
		e := fails(t, &host{}, "return "+name+".x")
		if e.Kind != engine.Invalid && e.Kind != engine.Script {
			t.Errorf("%s: got %s: %v", name, e.Kind, e)
		}
	}
}

func TestNothingLeadsOutOfTheSandbox(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`getmetatable("").__index = nil`,
		`getmetatable("").__index.upper = nil`,
		`setmetatable("", {})`,
		`setmetatable(null, {})`,
		`null.x = 1`,
		`getmetatable(null).__index = nil`,
		`setmetatable(setmetatable({}, {__metatable = 1}), {})`,
		`connect("x").output = 5`,
		`connect("x").status = "failed"`,
		`local e = select(2, pcall(connect)) e.kind = "x"`,
		`decimal(1).x = 1`,
		`setting("x").fence = 1`,
		`getmetatable(setting("x")).__index = nil`,
	} {
		if e := fails(t, &host{}, script); e.Kind == engine.Internal {
			t.Errorf("%s: %v", script, e)
		}
	}
	if got := eval(t, `return {getmetatable("") == false, getmetatable(null) == false, getmetatable(array{}) == nil,
		getmetatable(setmetatable({}, {__metatable = "mine"}))}`); !cmp.Equal(got, []any{true, true, true, "mine"}) {
		t.Errorf("got %v", got)
	}
	// One run leaves nothing behind for the next.
	eval(t, `string.upper = nil; connect = nil; x = 1`)
	if got := eval(t, `return ("a"):upper()`); got != "A" {
		t.Errorf("got %v", got)
	}
}

func TestNothingTellsOfAddresses(t *testing.T) {
	t.Parallel()
	script := `
		local t, f, co = {}, function() end, coroutine.create(print)
		local list = array{}
		local function add(v) list[#list + 1] = v end
		for _, v in ipairs{t, f, print, co, connect("x"), null, select(2, pcall(connect))} do
			add(tostring(v)) add(("%s"):format(v)) add(type(v))
		end
		local function caught(f, ...) add(tostring(select(2, pcall(f, ...)))) end
		caught(function() local z; return z[t] end)
		caught(function() local z; return z[f] end)
		caught(function() local z; z[co] = 1 end)
		caught(function() return t < t end)
		caught(function() return {} .. "x" end)
		caught(string.rep, t)
		caught(error, "see table: 0xc000123456")
		return list`
	got := fmt.Sprint(eval(t, script))
	if strings.Contains(got, "0x") {
		t.Errorf("an address shows: %s", got)
	}
	if again := fmt.Sprint(eval(t, script)); again != got {
		t.Errorf("two runs differ:\n%s\n%s", got, again)
	}
}

func TestUndefinedNamesAreErrors(t *testing.T) {
	t.Parallel()
	e := fails(t, &host{}, "local a = 1\nconect('x')")
	want := engine.Error{
		Kind: engine.Invalid, Message: `undefined variable "conect"`, Hint: "did you mean connect?", Where: "flow.lua:2",
		Traceback: "flow.lua:2: in main chunk",
	}
	if d := cmp.Diff(&want, e); d != "" {
		t.Error(d)
	}
	if e := fails(t, &host{}, "counter = 1 return countr"); e.Hint != "did you mean counter?" {
		t.Errorf("got hint %q", e.Hint)
	}
	if e := fails(t, &host{}, "return quite_something_else"); e.Hint != "" {
		t.Errorf("got hint %q", e.Hint)
	}
	if got := eval(t, "x = 5 return x"); got != int64(5) {
		t.Errorf("got %v", got)
	}
}

func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"local x = \nreturn x +":        `flow.lua:2: syntax error near "return"`,
		"x = = 1":                       `flow.lua:1: syntax error near "="`,
		"\n\nif true then\n":            "flow.lua:3: syntax error at the end of the file",
		"return 'abc":                   "",
		"goto nowhere":                  "",
		"break":                         "",
		"local s = [[abc":               "",
		strings.Repeat("(", 1<<12) + "": "",
		strings.Repeat("x", 2<<20):      "flow.lua: the file has 2097152 bytes, at most 1048576 are allowed",
		"\xff\xfe":                      "",
		"return " + strings.Repeat("- ", 5000) + "1":                      "flow.lua:1: the syntax is nested more than 1000 levels deep",
		strings.Repeat("if a then ", 2000) + strings.Repeat("end ", 2000): "flow.lua:1: the syntax is nested more than 1000 levels deep",
		"return " + strings.Repeat("{", 2000) + strings.Repeat("}", 2000): "flow.lua:1: the syntax is nested more than 1000 levels deep",
		"local " + strings.TrimSuffix(strings.Repeat("a,", 300), ","):     "",
	} {
		_, err := flows.Compile("flow.lua", []byte(text))
		var e *engine.Error
		if !errors.As(err, &e) || e.Kind != engine.Invalid || !strings.HasPrefix(e.Where, "flow.lua") {
			t.Errorf("%.30q: got %v", text, err)
			continue
		}
		if want != "" && e.Error() != want {
			t.Errorf("%.30q: got %q, want %q", text, e.Error(), want)
		}
	}
	for _, text := range []string{"", "#!/usr/bin/env weir\nreturn 1", "\xef\xbb\xbfreturn 1", "-- only a comment"} {
		if _, err := flows.Compile("flow.lua", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	names := make([]string, 70)
	for i := range names {
		names[i] = fmt.Sprintf("v%d", i)
	}
	list := strings.Join(names, ",")
	_, err := flows.Compile("flow.lua", []byte("local "+list+"\nreturn function() return "+list+" end"))
	if err == nil || err.Error() != "flow.lua:2: the function uses more than 60 outer local variables" {
		t.Errorf("got %v", err)
	}
}

// What the rewriter changes must mean what it meant before.
func TestAssignmentsAndConstructors(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`local t = {1, 2, 3} local i = 1 i, t[i] = i + 1, 20 return t`:                             []any{int64(20), int64(2), int64(3)},
		`local a = {1, 2} local i, j = 1, 2 a[i], a[j] = a[j], a[i] return a`:                      []any{int64(2), int64(1)},
		`local function f() return 1, 2, 3 end local t, k = {}, "x" t[k], t.b, t.c = f() return t`: map[string]any{"x": int64(1), "b": int64(2), "c": int64(3)},
		`local function f() return 1, 2 end local t, k = {}, "x" t[k] = f() return t`:              map[string]any{"x": int64(1)},
		`local function f(...) local t, k = {}, "x" t[k] = ... return t end return f(7, 8)`:        map[string]any{"x": int64(7)},
		`local t, k = {}, "x" t[k], t.y = 1 return t`:                                              map[string]any{"x": int64(1)},
		`local k = "x" return {1, [k] = nil, 2}`:                                                   []any{int64(1), int64(2)},
		`local k = "x" return {[k] = 1, y = 2, [k .. k] = 3}`:                                      map[string]any{"x": int64(1), "y": int64(2), "xx": int64(3)},
		`local function f() return 1, 2 end local k = "x" return {[k] = f(), z = f()}`:             map[string]any{"x": int64(1), "z": int64(1)},
		`local function f() return 1, 2 end return {f(), f()}`:                                     []any{int64(1), int64(1), int64(2)},
		`return "a" .. 1 .. 2.5 .. "b" .. -3`:                                                      "a12.5b-3",
		`local m = setmetatable({}, {__concat = function(a, b) return (type(a) == "table" and "M" or a) .. (type(b) == "table" and "M" or b) end}) return "a" .. 1 .. m .. "b" .. 2`: "a1Mb2",
		`local s = {} for i = 1, 120 do s[i] = "x" .. i end return #(s[1]..s[2]..s[3]..s[4]..s[5])`:                                                                                  int64(10),
		`return #(` + strings.Repeat(`"ab" .. tostring(1) .. `, 130) + `"")`:                                                                                                         int64(390),
		`return ("a" .. "b") .. ("c" .. "d")`: "abcd",
		`local log = array{} local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v * 2) end}) local k = 1 t[k] = 5 return t`: []any{int64(10)},
		`local u = {} local t = setmetatable({}, {__newindex = u}) local k = "a" t[k] = 5 return {rawget(t, "a") == nil, u.a}`:                   []any{true, int64(5)},
		`local t = {} for i = 3, 1, -1 do t[i] = i end return t`:                                                                                 []any{int64(1), int64(2), int64(3)},
		`for i = 1, 3 do if i == 2 then goto continue end x = i ::continue:: end return x`:                                                       int64(3),
		`local t = {} t[1.5] = "a" t[true] = "b" local k = -1 t[k] = "c" return t[1.5] .. t[true] .. t[-1]`:                                      "abc",
		`local ok, e = pcall(function() local t, k = {}, nil t[k] = 1 end) return e`:                                                             "flow.lua:1: table index is nil",
		`local ok, e = pcall(function() local t, k = {}, 0/0 t[k] = 1 end) return e`:                                                             "flow.lua:1: table index is NaN",
		`local ok, e = pcall(function() local t, k = nil, 1 t[k] = 1 end) return e`:                                                              "flow.lua:1: attempt to index a nil value with the key 1",
		`local ok, e = pcall(function() return "a" .. {} end) return e`:                                                                          "flow.lua:1: attempt to concatenate a table value",
		`local ok, e = pcall(function() return nil .. "a" end) return e`:                                                                         "flow.lua:1: attempt to concatenate a nil value",
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
}

func TestBaseFunctions(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local t = setmetatable({}, {__tostring = function() return "T" end})
		return {
			tostring(1), tostring(1.5), tostring(2^53), tostring(-0.0), tostring(1e100), tostring(0/0), tostring(1/0), tostring(nil), tostring(t),
			tonumber("10"), tonumber(" 0x1F "), tonumber("1e2"), tonumber("z", 36), tonumber("1_000") == nil, tonumber("inf") == nil,
			tonumber("") == nil, tonumber({}) == nil, tonumber("0x") == nil,
			select("#"), select(-1, "a", "b"), (select(2, "a", "b", "c")), rawequal(t, t), next({}) == nil, rawget(t, "x") == nil,
			(function(...) return select("#", ...) end)(nil, nil), unpack({1, 2, 3}, 2, 2), type(print),
		}`)
	want := []any{
		"1", "1.5", "9007199254740992", "0", "1e+100", "nan", "inf", "nil", "T",
		int64(10), int64(31), int64(100), int64(35), true, true, true, true, true,
		int64(0), "b", "b", true, true, true, int64(2), int64(2), "function",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	h := &host{}
	if _, err := run(t, h, `print("a", 1, nil, {}) print()`); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"info: a\t1\tnil\ttable", "info: "}, h.logged()); d != "" {
		t.Error(d)
	}
}

func TestRandomnessComesFromTheSeed(t *testing.T) {
	t.Parallel()
	script := `
		local t = {math.random(), math.random(10), math.random(5, 7), uuid()}
		local p = parallel{function() return uuid() end, function() sleep(1) return math.random(1e9) end}
		math.randomseed(7)
		t[5], t[6], t[7] = p[1], p[2], math.random(1e9)
		return t`
	with := func(seed byte) []any {
		out, err := run(t, &host{}, script, func(c *flows.Config) { c.Seed[0] = seed })
		if err != nil {
			t.Fatal(err)
		}
		return out.([]any)
	}
	a, b, c := with(1), with(1), with(2)
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("the same seed gives something else: %s", d)
	}
	for _, i := range []int{0, 3, 4, 5, 6} {
		if a[i] == c[i] {
			t.Errorf("another seed gives the same %v", a[i])
		}
	}
	if u := a[3].(string); len(u) != 36 || u[14] != '4' {
		t.Errorf("%q is no UUID of version 4", u)
	}
	for _, script := range []string{`math.random(0)`, `math.random(3, 1)`, `math.random(1.5)`, `math.random(0/0)`} {
		if e := fails(t, &host{}, script); e.Kind != engine.Invalid {
			t.Errorf("%s: %v", script, e)
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	h := &host{sources: map[string]string{
		"util":   "local M = {n = 0}\nfunction M.next() M.n = M.n + 1 return M.n end\nreturn M",
		"a":      `return require("b")`,
		"b":      `return require("a")`,
		"broken": "return +",
		"raises": "\nerror('boom')",
		"none":   "shared = 5",
	}}
	got, err := run(t, h, `
		local util = require("util")
		util.next()
		assert(require("util") == util)
		parallel{function() require("util").next() end, function() require("none") end}
		return {util.next(), require("none")}`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{int64(3), true}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"source util", "1.2 source none", "source none"}, h.called()); d != "" {
		t.Error(d)
	}
	for script, want := range map[string]string{
		`require("a")`:       `b.lua:1: require "a": the modules need each other: a -> b -> a`,
		`require("broken")`:  `broken.lua:1: syntax error near "+"`,
		`require("raises")`:  "raises.lua:2: boom",
		`require("missing")`: `flow.lua:1: require "missing": there is no such module`,
	} {
		if e := fails(t, h, script); e.Error() != want {
			t.Errorf("%s: got %q, want %q", script, e.Error(), want)
		}
	}
}
