package flows_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/flows"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		// the examples of the Lua manual and of "Programming in Lua", chapter 20
		`return {("hello world"):find("wor")}`:                                   []any{int64(7), int64(9)},
		`return {("hello world"):find("l", 5)}`:                                  []any{int64(10), int64(10)},
		`return {("hello"):find("")}`:                                            []any{int64(1), int64(0)},
		`return {("hello"):find("", 6)}`:                                         []any{int64(6), int64(5)},
		`return ("hello"):find("", 10)`:                                          nil,
		`return {("a.b"):find(".", 2, true)}`:                                    []any{int64(2), int64(2)},
		`return {("hello"):find("l+")}`:                                          []any{int64(3), int64(4)},
		`return {("hello"):find("(l)(l)")}`:                                      []any{int64(3), int64(4), "l", "l"},
		`return {("hello"):find("()ll()")}`:                                      []any{int64(3), int64(4), int64(3), int64(5)},
		`return ("hello"):find("xyz")`:                                           nil,
		`return {("hello"):find("l", -2)}`:                                       []any{int64(4), int64(4)},
		`return {("abc"):find("b", -10)}`:                                        []any{int64(2), int64(2)},
		`return ("Today is 17/7/1990"):match("%d+/%d+/%d+")`:                     "17/7/1990",
		`return {("key = value"):match("^(%w+)%s*=%s*(%w+)$")}`:                  []any{"key", "value"},
		`return ("  trim  "):match("^%s*(.-)%s*$")`:                              "trim",
		`return ("[[x]]"):match("%[%[(.-)%]%]")`:                                 "x",
		`return {([[then he said: "it's all right"!]]):match([[(["'])(.-)%1]])}`: []any{`"`, "it's all right"},
		`return ("a (enclosed (in) parentheses) line"):gsub("%b()", "") and (("a (enclosed (in) parentheses) line"):gsub("%b()", ""))`: "a  line",
		`return {("THE (quick) fox"):find("%f[%a]%a+%f[%A]")}`:                                                                         []any{int64(1), int64(3)},
		`return (("THE (quick) fox"):gsub("%f[%a]%a+", "w"))`:                                                                          "w (w) w",
		`return {("hello world"):gsub("o", "0")}`:                                                                                      []any{"hell0 w0rld", int64(2)},
		`return {("hello world"):gsub("o", "0", 1)}`:                                                                                   []any{"hell0 world", int64(1)},
		`return (("hello world"):gsub("(%w+) (%w+)", "%2 %1"))`:                                                                        "world hello",
		`return (("hello"):gsub("", "-"))`:                                                                                             "-h-e-l-l-o-",
		`return (("abc"):gsub("%w", "%0%0"))`:                                                                                          "aabbcc",
		`return (("abc"):gsub("%w", "%%"))`:                                                                                            "%%%",
		`return (("$name is $what"):gsub("%$(%w+)", {name = "Lua", what = 5}))`:                                                        "Lua is 5",
		`return (("$a $b"):gsub("%$(%w)", function(c) if c == "a" then return "x" end end))`:                                           "x $b",
		`return (("abc"):gsub("b", false or "%0"))`:                                                                                    "abc",
		`return (("a,b,,c"):gsub(",", ";"))`:                                                                                           "a;b;;c",
		`return (("abc abc"):gsub("^abc", "x"))`:                                                                                       "x abc",
		`local r = array{} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do r[#r + 1] = k .. v end return r`:                          []any{"a1", "b2"},
		`local r = array{} for w in ("one two"):gmatch("%a+") do r[#r + 1] = w end return r`:                                           []any{"one", "two"},
		`local r = array{} for p in ("abc"):gmatch("()") do r[#r + 1] = p end return r`:                                                []any{int64(1), int64(2), int64(3), int64(4)},
		`return ("x^y"):match("[%^x]+")`:                                                                                               "x^",
		`return ("a-z"):match("[a%-z]+")`:                                                                                              "a-z",
		`return ("]x"):match("[]]")`:                                                                                                   "]",
		`return ("abc]"):match("[^]]+")`:                                                                                               "abc",
		`return ("a-"):match("[a-]+")`:                                                                                                 "a-",
		`return ("0x1F"):match("%x+", 3)`:                                                                                              "1F",
		`return ("a\0b"):match("%z")`:                                                                                                  "\x00",
		`return ("äö"):match("[\128-\255]+")`:                                                                                          "äö",
		`return ("aaa"):match("a-b") == nil`:                                                                                           true,
		`return ("aaab"):match("a-b")`:                                                                                                 "aaab",
		`return ("a"):match("a?a?a")`:                                                                                                  "a",
		`return ("abab"):match("(ab)%1")`:                                                                                              "ab",
		`return ("x"):rep(3) .. ("ab"):rep(0) .. ("ab"):rep(-1) .. ("ab"):rep(2)`:                                                      "xxxabab",
		`return ("$"):match("$") .. ("a$b"):match("a$b")`:                                                                              "a$b",
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	for script, want := range map[string]string{
		`("a"):find("[a")`:                            "malformed pattern (missing ']')",
		`("a"):find("%")`:                             "malformed pattern (it ends with '%')",
		`("a"):find("(a")`:                            "malformed pattern (unfinished capture)",
		`("a"):match("a)")`:                           "malformed pattern (invalid pattern capture)",
		`("a"):find("%1")`:                            "malformed pattern (invalid capture index)",
		`("a"):find("(%1)")`:                          "malformed pattern (invalid capture index)",
		`("a"):find("%b")`:                            "malformed pattern (missing arguments to '%b')",
		`("a"):find("%f")`:                            "malformed pattern (missing '[' after '%f')",
		`("a"):find(("()"):rep(40))`:                  "malformed pattern (too many captures)",
		`("a"):gsub("a", "%2")`:                       "malformed pattern (invalid capture index)",
		`("a"):gsub("a", "%x")`:                       "string.gsub: invalid use of '%' in the replacement",
		`("a"):gsub("a", "%")`:                        "string.gsub: invalid use of '%' in the replacement",
		`("a"):gsub("a", function() return {} end)`:   "string.gsub: invalid replacement value (a table)",
		`("a"):rep(500):find(("a?"):rep(500) .. "b")`: "the pattern is too complex",
	} {
		if e := fails(t, &host{}, script); e.Message != want {
			t.Errorf("%s: got %q, want %q", script, e.Message, want)
		}
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`return ("hello"):sub(2, 3) .. ("hello"):sub(-3) .. ("hello"):sub(0) .. ("hello"):sub(4, 2) .. ("hello"):sub(-100, 100)`: "elllohellohello",
		`return {("abc"):byte(), ("abc"):byte(-1), (select("#", ("abc"):byte(10)))}`:                                             []any{int64(97), int64(99), int64(0)},
		`return {("abc"):byte(1, -1)}`:                                                                    []any{int64(97), int64(98), int64(99)},
		`return string.char(72, 105) .. string.char()`:                                                    "Hi",
		`return ("aBcÄ"):upper() .. ("aBcÄ"):lower()`:                                                     "ABCÄabcÄ",
		`return ("abc"):reverse() .. ("abc"):len() .. #"abc"`:                                             "cba33",
		`return string.format("%d|%5d|%-5d|%05d|%+d", 3.7, 42, 42, 42, 42)`:                               "3|   42|42   |00042|+42",
		`return string.format("%x|%X|%#x|%o", 255, 255, 255, 8)`:                                          "ff|FF|0xff|10",
		`return string.format("%f|%.2f|%e|%g|%g|%g|%G", 1.5, 1.005, 12345.678, 0.1, 1e20, 100000, 1e-10)`: "1.500000|1.00|1.234568e+04|0.1|1e+20|100000|1E-10",
		`return string.format("%s|%10s|%-10s|%.2s|%s|%s", "a", "b", "c", "def", nil, true)`:               "a|         b|c         |de|nil|true",
		`return string.format("%q", 'a "b"\n\\\0')`:                                                       "\"a \\\"b\\\"\\\n\\\\\\000\"",
		`return string.format("%c%c%%", 72, 105)`:                                                         "Hi%",
		`return string.format("%5.1f|%i|%u", 3.14159, 5, 7)`:                                              "  3.1|5|7",
		`return string.format("%d %s", "10", 5)`:                                                          "10 5",
		`return string.format("%.3f %s", 1/0, 0/0)`:                                                       "inf nan",
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	for _, script := range []string{
		`string.format("%100d", 1)`, `string.format("%.100f", 1)`, `string.format("%y", 1)`, `string.format("%d")`,
		`string.format("%d", "x")`, `string.format("%d", 1e300)`, `string.format("%")`, `string.format("%*d", 1, 2)`, `string.format("%p", {})`,
		`string.char(256)`, `string.rep()`, `string.rep("x", {})`, `("x"):bad()`,
	} {
		fails(t, &host{}, script)
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.insert(t, 5, 4) return t`:                                               []any{int64(0), int64(1), int64(2), int64(3), int64(4)},
		`local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), #t, table.remove({}) == nil, table.remove(t, 9) == nil}`:               []any{int64(3), int64(1), int64(1), true, true},
		`return table.concat({1, "b", 2.5}, "-") .. table.concat({}) .. table.concat({"a", "b", "c"}, ",", 2, 3) .. table.concat({"a"}, ",", 2)`: "1-b-2.5b,c",
		`local t = {3, 1, 2} table.sort(t) return t`:                                                                                       []any{int64(1), int64(2), int64(3)},
		`local t = {"b", "a"} table.sort(t, function(a, b) return a > b end) return t`:                                                     []any{"b", "a"},
		`local t = {} for i = 1, 500 do t[i] = (i * 7919) % 500 end table.sort(t) for i = 2, 500 do assert(t[i - 1] <= t[i]) end return 1`: int64(1),
		`local t = {5, 3, 8, 1} table.sort(t, function() return true end) return #t`:                                                       int64(4),
		`return {table.getn({1, 2}), table.maxn({1, 2, [10] = 1}), #{1, 2, nil}}`:                                                          []any{int64(2), int64(10), int64(2)},
		`local r = array{} for k, v in pairs({10, 20, x = 1, y = 2}) do r[#r + 1] = tostring(k) .. v end return r`:                         []any{"110", "220", "x1", "y2"},
		`local r = array{} for i, v in ipairs({"a", "b", nil, "d"}) do r[#r + 1] = i .. v end return r`:                                    []any{"1a", "2b"},
		`local t = {a = 1, b = 2, c = 3} for k in pairs(t) do t[k] = nil end return next(t) == nil`:                                        true,
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	for script, want := range map[string]string{
		`table.concat({1, {}, 3})`:                           "table.concat: element 2 is a table",
		`table.insert({}, 5, 1)`:                             "table.insert: position 5 is not in 1 to 1",
		`table.sort({1, "x"})`:                               "attempt to compare string with number",
		`table.sort({1, 2}, function() error("cmp", 0) end)`: "cmp",
		`table.insert({}, 1, 2, 3)`:                          "table.insert: two or three arguments are needed",
	} {
		if e := fails(t, &host{}, script); e.Message != want && want != "attempt to compare string with number" {
			t.Errorf("%s: got %q, want %q", script, e.Message, want)
		}
	}
}

func TestMath(t *testing.T) {
	t.Parallel()
	got := eval(t, `return {math.abs(-1), math.ceil(1.2), math.floor(-1.2), math.max(1, 3, 2), math.min(3, 1), math.fmod(7, 3), math.pow(2, 10),
		math.sqrt(16), math.huge == 1/0, math.floor(math.pi * 100), math.modf(3.7) == 3, (select(2, math.frexp(8))), math.ldexp(1, 3), 7 % -3, 2 ^ 0.5 > 1.41}`)
	want := []any{
		int64(1), int64(2), int64(-2), int64(3), int64(1), int64(1), int64(1024), int64(4), true, int64(314), true, int64(4), int64(8), int64(-2), true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`return json.encode({b = {1, null, true, "ü<>\n"}, a = array{}, c = {}})`:                                           `{"a":[],"b":[1,null,true,"ü<>\n"],"c":{}}`,
		`return json.encode({a = 1}, {indent = 2})`:                                                                         "{\n  \"a\": 1\n}",
		`return json.encode("x") .. json.encode(nil) .. json.encode(1.5)`:                                                   `"x"null1.5`,
		`return json.decode('[1, 2.5, "a", null, {"k": false}]')`:                                                           []any{int64(1), 2.5, "a", nil, map[string]any{"k": false}},
		`return json.decode(' "\\u00fc" ')`:                                                                                 "ü",
		`return base64.encode("a\0\255") .. base64.encode("")`:                                                              "YQD/",
		`return base64.decode("aGVsbG8=") .. base64.decode("aGVs\nbG8") .. #base64.decode("__-_")`:                          "hellohello3",
		`return hash.md5("") .. hash.sha1("abc"):sub(1, 8) .. hash.sha256("abc"):sub(1, 8) .. hash.sha512("abc"):sub(1, 8)`: "d41d8cd98f00b204e9800998ecf8427ea9993e36ba7816bfddaf35a1",
		`return hash.hmac("sha256", "key", "The quick brown fox jumps over the lazy dog"):sub(1, 8)`:                        "f7bc83f4",
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	for script, want := range map[string]string{
		`json.decode("[1,\n2,,]")`:    "json.decode: line 2, byte 6: invalid character ',' looking for beginning of value",
		`json.decode("")`:             "json.decode: line 1, byte 0: the text ends before the value does",
		`json.decode("[1")`:           "json.decode: line 1, byte 2: the text ends before the value does",
		`json.decode("1 2")`:          "json.decode: line 1, byte 3: there is more after the end of the value",
		`json.decode("\255")`:         "json.decode: the text is not valid UTF-8",
		`json.decode(("["):rep(200))`: "json.decode: line 1, byte 129: nested more than 128 levels deep",
		`json.encode(print)`:          "json.encode: value is a function, which is no JSON value",
		`base64.decode("!")`:          "base64.decode: the text is not base64",
		`hash.hmac("crc", "k", "t")`:  `hash.hmac: "crc" is no hash; there are md5, sha1, sha256 and sha512`,
	} {
		if e := fails(t, &host{}, script); e.Message != want {
			t.Errorf("%s: got %q, want %q", script, e.Message, want)
		}
	}
}

// codec stands in for YAML: JSON is a part of it.
type codec struct{}

func (codec) Encode(v any) ([]byte, error) { return json.Marshal(v) }

func (codec) Decode(text []byte) (v any, err error) {
	if string(text) == "bad" {
		return nil, errors.New("line 1: it is bad")
	}
	err = json.Unmarshal(text, &v)
	return v, err
}

func TestYAMLGoesThroughTheCodec(t *testing.T) {
	t.Parallel()
	use := func(c *flows.Config) { c.YAML = codec{} }
	got, err := run(t, &host{}, `return {yaml.encode{a = {1, null}}, yaml.decode('{"x": [1, 2.5, null]}')}`, use)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{`{"a":[1,null]}`, map[string]any{"x": []any{int64(1), 2.5, nil}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if e := fails(t, &host{}, `yaml.decode("bad")`, use); e.Message != "yaml.decode: line 1: it is bad" {
		t.Errorf("got %v", e)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	h := &host{now: time.Date(2026, 11, 21, 10, 20, 30, 123456789, time.UTC)}
	got, err := run(t, h, `
		local now = time.now()
		return {
			now, time.format(now), time.format(0), time.format(now, "%Y-%m-%d %H:%M:%S %a %b %j %s %%"),
			time.parse("2026-11-21T10:20:30Z"), time.parse("2026-11-21T11:20:30.5+01:00"), time.parse("2026-11-21"), time.parse("2026-11-21 10:20:30"),
			time.format("2026-11-21T11:20:30+01:00"),
		}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		1795256430.123456, "2026-11-21T10:20:30.123456Z", "1970-01-01T00:00:00Z", "2026-11-21 10:20:30 Sat Nov 325 1795256430 %",
		int64(1795256430), 1795256430.5, int64(1795219200), int64(1795256430), "2026-11-21T10:20:30Z",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, script := range []string{`time.format("x")`, `time.format(1e300)`, `time.format(0/0)`, `time.format(0, "%Q")`, `time.format(0, "%")`, `time.parse()`} {
		fails(t, &host{}, script)
	}
}

// Any script ends with an output or an error that is the script's own.
func FuzzScripts(f *testing.F) {
	for _, seed := range []string{
		`local t = {} for i = 1, 10 do t[i] = i .. "" end return t`, `return pcall(error, {1})`, `return ("x"):rep(10):gsub("(x)", "%1%1")`,
		`local co = coroutine.wrap(function(...) for i = 1, 3 do coroutine.yield(i, ...) end end) return {co(1), co(2)}`,
		`return parallel{function() return connect("a", {x = 1}).output end, function() error() end}`,
		`return json.decode(json.encode{1, {2, null}, decimal("1.5") * 2})`, `goto a ::a:: return select(-1, unpack{1, 2})`,
		`local t = setmetatable({}, {__index = function(t, k) return k end, __newindex = rawset}) t[t.x], t.y = 1 return t`,
		`defer(function() error("x") end) return string.format("%5.2f %q", 1, "x")`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		p, err := flows.Compile("flow.lua", []byte(script))
		if err != nil {
			return
		}
		_, err = flows.Run(t.Context(), p, flows.Config{Host: &host{}, Limits: flows.Limits{Instructions: 100_000, Memory: 8 << 20}})
		if err != nil && asError(t, err).Kind == "internal" {
			t.Fatalf("%q: %v\n%s", script, err, asError(t, err).Traceback)
		}
	})
}
