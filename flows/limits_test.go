package flows_test

import (
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// small limits make the tests quick; what they prove does not depend on the size.
func small(c *flows.Config) {
	c.Limits = flows.Limits{Instructions: 1_000_000, Memory: 4 << 20}
}

const (
	outOfInstructions = "the flow exceeded its budget of instructions"
	outOfMemory       = "the flow needs more than its 4 MiB of memory"
	overflow          = "stack overflow: calls are nested too deeply or pass too many values"
	longText          = "a text of more than 32 MiB"
	longList          = "a list of more than 1048575 elements"
)

func TestWhatNeverEndsIsStopped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ script, want string }{
		"loop":                 {`while true do end`, outOfInstructions},
		"loop of pcall":        {`while true do pcall(error) end`, outOfInstructions},
		"loop in a coroutine":  {`coroutine.resume(coroutine.create(function() while true do end end)) return 1`, outOfInstructions},
		"loop in a comparison": {`table.sort({2, 1}, function() while true do end end)`, outOfInstructions},
		"loop in a metamethod": {`return pcall(function() return setmetatable({}, {__index = function() while true do end end}).x end)`, outOfInstructions},
		"loop in a branch":     {`pcall(parallel, function() while true do end end) return 1`, outOfInstructions},
		"log lines":            {`while true do log.info("x") end`, outOfInstructions},
		"long texts":           {`local s = ("x"):rep(1e6) while true do s = s:upper() end`, outOfInstructions},
		"pattern":              {`return (("a"):rep(600)):find(".-.-.-.-b")`, outOfInstructions},
		"pattern in match":     {`return (("a"):rep(600)):match(".-.-.-.-b")`, outOfInstructions},
		"pattern in gsub":      {`return (("a"):rep(600)):gsub(".-.-.-.-b", "")`, outOfInstructions},
		"pattern in gmatch":    {`for _ in (("a"):rep(600)):gmatch(".-.-.-.-b") do end`, outOfInstructions},
		"pattern of choices":   {`return (("a"):rep(3000)):find(("a?"):rep(190) .. ("a"):rep(190) .. "b")`, outOfInstructions},
		"balanced pattern":     {`return (("("):rep(30000)):find("%b()")`, outOfInstructions},
		"tail recursion":       {`local function f() return f() end f()`, outOfInstructions},
		"caught tail calls":    {`local function f() return f() end pcall(f) return 1`, outOfInstructions},
		"recursion":            {`local function f() return 1 + f() end f()`, overflow},
		"caught recursion":     {`local function f() pcall(f) pcall(f) end f() return 1`, overflow},
		"xpcall recursion":     {`local function f() xpcall(f, f) end f() return 1`, overflow},
		"through a metamethod": {`local t = setmetatable({}, {__index = function(t, k) return t[k .. "x"] end}) return t.x`, overflow},
		"through gsub":         {`local function f() return (("x"):gsub("x", f)) end f()`, overflow},
		"through sort":         {`local function f() table.sort({1, 2, 3}, function() f() end) end f()`, overflow},
		"through coroutines":   {`local function f() coroutine.wrap(f)() end f()`, overflow},
		"through tostring":     {`local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) tostring(t)`, overflow},
		"through concat":       {`local t t = setmetatable({}, {__concat = function() return t .. t end}) return t .. t`, overflow},
		"through retry":        {`local function f() retry(f, {max_tries = 1}) end f()`, overflow},
		"through parallel":     {`local function f() parallel{f} end f()`, overflow},
		"many branches":        {`local f f = function() parallel{f, f} end f()`, ""},
		"defer":                {`while true do defer(function() end) end`, "defer: more than 1000 functions"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fails(t, &host{}, test.script, small)
			if e.Kind != engine.Limit && name != "defer" {
				t.Errorf("got kind %q, want limit", e.Kind)
			}
			if !strings.HasPrefix(e.Message, test.want) {
				t.Errorf("got %q, want %q", e.Message, test.want)
			}
			if e.Where != "flow.lua:1" {
				t.Errorf("where is %q", e.Where)
			}
			if e.Hint == "" && name != "defer" {
				t.Error("no hint")
			}
		})
	}
}

func TestWhatTakesTooMuchMemoryIsStopped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ script, want string }{
		"rep":                  {`return ("x"):rep(1e9)`, longText},
		"rep of texts":         {`local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e5) .. i end`, outOfMemory},
		"doubling":             {`local s = "x" while true do s = s .. s end`, ""},
		"doubling, caught":     {`local s = "x" pcall(function() while true do s = s .. s end end) return 1`, ""},
		"wide format":          {`local t = {} for i = 1, 1e9 do t[i] = ("%099d%099d%099d%099d"):format(1, 2, 3, i) end`, outOfMemory},
		"table.concat":         {`local t = {} for i = 1, 1000 do t[i] = ("x"):rep(1e4) end local u = {} for i = 1, 1000 do u[i] = table.concat(t) end`, ""},
		"gsub":                 {`local s = ("x"):rep(1e5) return #(s:gsub("x", s))`, ""},
		"parts of long texts":  {`local t = {} for i = 1, 1000 do t[i] = (("x"):rep(1e5) .. i):sub(1, 50000) end`, outOfMemory},
		"iterators":            {`local t = {} for i = 1, 1e9 do t[i] = (("x"):rep(1e5) .. i):gmatch(".") end`, outOfMemory},
		"far elements":         {`local t = {} for i = 1, 1e9 do local u = {} u[1000000] = 1 t[i] = u end`, outOfMemory},
		"far, then removed":    {`local t = {} for i = 1, 1e9 do local u = {} u[1000000] = 1 u[1000000] = nil t[i] = u end`, outOfMemory},
		"far, constructed":     {`local t = {} for i = 1, 1e9 do t[i] = {[1000000] = 1} end`, outOfMemory},
		"far, rawset":          {`local t = {} for i = 1, 1e9 do t[i] = rawset({}, 1000000, 1) end`, outOfMemory},
		"far, several":         {`local t = {} for i = 1, 1e9 do local u = {} u[1000000], u.x = 1, 2 t[i] = u end`, outOfMemory},
		"far, by metatable":    {`local t = {} for i = 1, 1e9 do local u = {} setmetatable({}, {__newindex = u})[1000000] = 1 t[i] = u end`, outOfMemory},
		"tables":               {`local t = {} for i = 1, 1e9 do t[i] = {} end`, outOfMemory},
		"linked tables":        {`local t while true do local u = {} u.t = t t = u end`, outOfMemory},
		"keys":                 {`local t = {} for i = 1, 1e9 do t["k" .. i] = i end`, outOfMemory},
		"tables as keys":       {`local t = {} for i = 1, 1e9 do t[{}] = i end`, outOfMemory},
		"closures":             {`local t = {} for i = 1, 1e9 do t[i] = function() return i end end`, outOfMemory},
		"metatables":           {`local t = {} while true do t = setmetatable({}, {__index = t}) end`, outOfMemory},
		"coroutines":           {`local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end`, outOfMemory},
		"texts in coroutines":  {`local t = {} for i = 1, 1e9 do local co = coroutine.create(function() local s = ("x"):rep(1e5) coroutine.yield() return s end) coroutine.resume(co) t[i] = co end`, outOfMemory},
		"coroutines not run":   {`local t = {} for i = 1, 1e9 do local s = ("x"):rep(1e5) .. i t[i] = coroutine.wrap(function() return s end) end`, outOfMemory},
		"arguments":            {`local function f(...) return 1 + f(("x"):rep(1e6), ...) end f()`, outOfMemory},
		"tail calls":           {`local function f(...) return f(("x"):rep(1e5) .. select("#", ...), ...) end f()`, outOfMemory},
		"branches":             {`local t = {} for i = 1, 5000 do t[i] = function() local s = ("x"):rep(1e5) sleep(1) return s end end parallel(t)`, outOfMemory},
		"globals":              {`x = 1 while true do x = {x} end`, outOfMemory},
		"output":               {`for i = 1, 1e9 do output{["k" .. i] = ("x"):rep(1e5)} end`, outOfMemory},
		"json":                 {`return #json.decode("[" .. ("[],"):rep(1e6) .. "1]")`, outOfMemory},
		"nested sort":          {`local function f(n) local t = {("x"):rep(1e6) .. n, "a"} table.sort(t, function() t[1], t[2] = nil, nil f(n + 1) end) end f(1)`, outOfMemory},
		"nested gsub":          {`local function f(n) local s, i = ("x"):rep(1e5), 0 return (("xy"):gsub(".", function(c) if c == "x" then return s .. n end f(n + 1) end)) end f(1)`, outOfMemory},
		"inputs of branches":   {`local t, s = {}, ("x"):rep(1e5) for i = 1, 1000 do t[i] = function() connect("wait", {s = s .. i}) end end parallel(t)`, outOfMemory},
		"errors of branches":   {`local t, s = {}, ("x"):rep(1e5) for i = 1, 1000 do t[i] = function() error(s .. i) end end t[1001] = function() connect("x") while true do end end parallel(t)`, ""},
		"stacks":               {`local function f(n, ...) if n == 0 then return pcall(f, 50, ...) end return 1, f(n - 1, ...) end f(50, unpack({}, 1, 2000)) return 1`, ""},
		"stacks of coroutines": {`local t = {} local function f(n, ...) if n == 0 then coroutine.yield() end return 1, f(n - 1, ...) end for i = 1, 1e9 do t[i] = coroutine.create(f) coroutine.resume(t[i], 5, unpack({}, 1, 1000)) end`, outOfMemory},
		"json of shared":       {`local t = {} for i = 1, 60 do t = {t, t} end return json.encode(t)`, "a value of more than 2 MiB"},
		"output of shared":     {`local t = {} for i = 1, 60 do t = {t, t} end return t`, "a value of more than 2 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fails(t, &host{}, test.script, small)
			if e.Kind != engine.Limit || !strings.HasPrefix(e.Message, test.want) {
				t.Errorf("got %s: %q, want limit: %q", e.Kind, e.Message, test.want)
			}
		})
	}
}

func TestListsHaveAnEnd(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`local t = {} t[1048570] = true for i = 1048571, 1e9 do t[i] = true end`,
		`local t = {} t[1048570] = true while true do table.insert(t, true) end`,
		`local t = {} t[1048570] = true while true do t[#t + 1] = true end`,
	} {
		if e := fails(t, &host{}, script); e.Kind != engine.Limit || e.Message != longList {
			t.Errorf("%s: got %s: %v", script, e.Kind, e)
		}
	}
	// Beyond the end of lists a number is a key like any other, and a list cannot
	// grow into it unnoticed.
	got := eval(t, `local t = {} t[67108863] = 1 t[5e6] = 2 return #t + t[67108863] + t[5e6]`)
	if got != int64(3) {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsLargeButAllowed(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`local t = {("a"):rep(300000):byte(1, -1)}
		local function last(...) return (select(300000, ...)) end
		return {#t, #table.concat(t, ","), (select("#", unpack(t))), last(unpack(t))}`: []any{int64(300000), int64(899999), int64(300000), int64(97)},
		`local t = {} for i = 1, 6000 do t[i] = i end return (select("#", pcall(unpack, t)))`:                                          int64(6001),
		`local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(1900)`:                                       int64(1900),
		`local function f(n) if n == 0 then return 0 end return f(n - 1) end return f(1e4)`:                                            int64(0),
		`local t = {} for i = 1, 1e4 do t["k" .. i] = 1 t["k" .. i] = nil end local n = 0 for _ in pairs(t) do n = n + 1 end return n`: int64(0),
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	// What is not kept does not count: three times the limit in all.
	got, err := run(t, &host{}, `local n = 0 for i = 1, 120 do n = n + #(("x"):rep(1e5)) end return n`, small)
	if err != nil || got != int64(12_000_000) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Removed keys must not keep their place, and rebuilding a table must not disturb
// an iteration that removes as it goes.
func TestRemovedKeysAreForgotten(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local t = {}
		for i = 1, 20000 do t["k" .. i] = i end
		local seen = 0
		for k in pairs(t) do seen = seen + 1 t[k] = nil end
		for i = 1, 20000 do t["n" .. i] = i end
		local sum, first = 0
		for k, v in pairs(t) do first = first or k sum = sum + v end
		return {seen = seen, sum = sum, first = first, gone = t.k1 == nil}`)
	want := map[string]any{"seen": int64(20000), "sum": int64(200010000), "first": "n1", "gone": true}
	for k, v := range want {
		if got.(map[string]any)[k] != v {
			t.Errorf("%s: got %v, want %v", k, got.(map[string]any)[k], v)
		}
	}
}

// The limit of memory holds for the process, too: what the flow has in hand,
// garbage included, stays below twice the limit.
func TestTheProcessStaysSmall(t *testing.T) { //nolint:paralleltest // it measures the whole process
	const limit = 48 << 20
	for name, script := range map[string]string{
		"doubling":      `local t = {} for i = 1, 1e9 do t[i] = "x" while #t[i] < 2.5e6 do t[i] = t[i] .. t[i] end end`,
		"far elements":  `local t = {} for i = 1, 1e9 do local u = {} u[250000] = 1 t[i] = u end`,
		"linked tables": `local t while true do local u = {} u.t = t t = u end`,
		"arguments":     `local function f(...) return f(("x"):rep(25000) .. select("#", ...), ...) end f()`,
	} {
		runtime.GC()
		before, stop, peak := heap(), make(chan bool), make(chan uint64)
		go func() {
			highest, tick := uint64(0), time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					peak <- highest
					return
				case <-tick.C:
					highest = max(highest, heap())
				}
			}
		}()
		e := fails(t, &host{}, script, func(c *flows.Config) { c.Limits.Memory = limit })
		stop <- true
		if e.Kind != engine.Limit {
			t.Errorf("%s: got %s: %v", name, e.Kind, e)
		}
		if taken := int64(<-peak) - int64(before); taken > 2*limit {
			t.Errorf("%s took %d MiB", name, taken>>20)
		}
	}
}

func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}

func TestLimitsAreTheSameInEveryRun(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		"local n = 0\nwhile true do\n n = n + 1\n if n % 1000 == 0 then log.info(tostring(n)) end\nend",
		"local t = {}\nfor i = 1, 1e9 do\n t[i] = {x = i, y = {i}}\n if i % 1000 == 0 then log.info(tostring(i)) end\nend",
	} {
		var first []string
		for range 2 {
			h := &host{}
			e := fails(t, h, script, func(c *flows.Config) { c.Limits = flows.Limits{Instructions: 500_000, Memory: 4 << 20} })
			got := append(h.logged(), e.Error())
			if first == nil {
				first = got
			}
			if strings.Join(got, "\n") != strings.Join(first, "\n") {
				t.Errorf("%q ended differently: %q", script, got[len(got)-2:])
			}
		}
	}
}
