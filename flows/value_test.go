package flows_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// through sends a value into a script and out again.
func through(t testing.TB, v any) (any, *engine.Error) {
	t.Helper()
	return run(t, &host{}, `return { v = input.v }`, func(c *flows.Config) { c.Input = map[string]any{"v": v} })
}

func TestValuesSurviveTheWayThroughLua(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"null": nil, "true": true, "empty text": "", "text": "a\x00ü\u2028", "zero": int64(0), "negative": int64(-5),
		"fraction": 0.1, "small": 5e-324, "large": math.MaxFloat64, "whole float": 1e300,
		"largest exact": int64(1 << 53), "beyond": json.Number("9007199254740993"),
		"uint64": json.Number("18446744073709551615"), "oracle": json.Number("123456789012345678901234567890.123456789"),
		"tiny": json.Number("0.1234567890123456789012345"), "empty list": []any{}, "empty object": map[string]any{},
		"list of null": []any{nil, nil}, "nested": []any{[]any{}, map[string]any{"a": []any{}}, map[string]any{}},
		"object": map[string]any{"": int64(1), "a b": nil, "1": "x", "null": nil}, "secret": engine.SecretRef("a#b"),
	} {
		got, err := through(t, v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(map[string]any{"v": v}, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestNumbersThatFloatsHoldBecomeNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1": "number", "0.1": "number", "1.50": "number", "1e3": "number", "9007199254740992": "number",
		"9007199254740993": "decimal", "0.12345678901234567890": "decimal", "1e400": "decimal", "-0": "number",
	} {
		got, err := run(t, &host{}, `return type(input.v)`, func(c *flows.Config) { c.Input = map[string]any{"v": json.Number(text)} })
		if err != nil || got != want {
			t.Errorf("%s: got %v %v, want %s", text, got, err, want)
		}
	}
	if got := eval(t, `return 2 ^ 53`); got != int64(1<<53) {
		t.Errorf("got %v", got)
	}
}

func TestListsAndObjectsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local decoded = json.decode('{"list": [1], "object": {"a": 1}, "order": {"z": 1, "a": 2}}')
		table.remove(decoded.list)
		decoded.object.a = nil
		local order = array{}
		for k in pairs(decoded.order) do order[#order + 1] = k end
		return {emptied = decoded.list, cleared = decoded.object, order = order,
			bare = {}, array = array{}, object = object{}, marked = array{1, 2}, null = null,
			is = {null == decoded.nothing, null == json.decode("null"), type(null), tostring(null)}}`)
	want := map[string]any{
		"emptied": []any{}, "cleared": map[string]any{}, "order": []any{"z", "a"},
		"bare": map[string]any{}, "array": []any{}, "object": map[string]any{}, "marked": []any{int64(1), int64(2)},
		"null": nil, "is": []any{false, true, "null", "null"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoJSONIsRefusedByItsPath(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`return {a = {b = {1, 0/0}}}`:                         "output.a.b[2] is NaN, which is no JSON value",
		`return {["a b"] = -math.huge}`:                       `output["a b"] is infinite, which is no JSON value`,
		`local t = {} t.self = {t} return t`:                  "output.self[1] contains itself",
		`return {f = {print}}`:                                "output.f[1] is a function, which is no JSON value",
		`return {c = coroutine.create(print)}`:                "output.c is a thread, which is no JSON value",
		`return {e = connect("x")}`:                           "output.e is an execution; use its .output",
		`return {s = "\255"}`:                                 "output.s is a text that is not valid UTF-8; use base64.encode for binary data",
		`return {["\255"] = 1}`:                               "output has a key that is not valid UTF-8",
		`return {1, 2, x = 3}`:                                `output has list elements and the key "x"; it can be either a list or an object`,
		`return {x = 3, [1] = 1}`:                             `output has list elements and the key "x"; it can be either a list or an object`,
		`return {1, nil, 3}`:                                  "output is a list without element 2; put null there, or use texts as keys",
		`return {[0.5] = 1}`:                                  "output has the key 0.5; keys are texts, or 1, 2, 3 ... for a list",
		`return {x = {[true] = 1}}`:                           "output.x has the key true; the keys of an object are texts (use tostring)",
		`return array{x = 1}`:                                 `output has list elements and the key "x"; it can be either a list or an object`,
		`local t = {} for i = 1, 200 do t = {t} end return t`: "",
		`return 1, 2`:                                         "the flow returned 2 values; return one table instead",
		`output{a = 1} return 5`:                              "the flow called output{} and returned something else than an object",
		`output{f = print}`:                                   "output: output.f is a function, which is no JSON value",
		`connect("x", {p = {f = print}})`:                     `connect "x": inputs.p.f is a function, which is no JSON value`,
		`connect("x", {p = {1, {s = "\255"}}})`:               `connect "x": inputs.p[2].s is a text that is not valid UTF-8; use base64.encode for binary data`,
		`connect("x", {1, 2})`:                                `connect "x": the inputs are a list; they must be an object such as {name = value}`,
		`connect("x", 5)`:                                     `connect "x": the inputs must be a table, not a number`,
	} {
		e := fails(t, &host{}, script)
		if e.Kind != engine.Invalid || want != "" && e.Message != want || !strings.HasPrefix(e.Where, "flow.lua") {
			t.Errorf("%s: got %s at %s: %s", script, e.Kind, e.Where, e.Message)
		}
		if want == "" && !strings.HasSuffix(e.Message, "is nested more than 128 levels deep") {
			t.Errorf("%s: got %s", script, e.Message)
		}
	}
}

func TestOutputIsMerged(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		``:                                    nil,
		`return nil`:                          nil,
		`return 5`:                            int64(5),
		`return null`:                         nil,
		`output{}`:                            map[string]any{},
		`output{a = 1, b = 1} output{b = 2}`:  map[string]any{"a": int64(1), "b": int64(2)},
		`output{a = 1, b = 1} return {b = 2}`: map[string]any{"a": int64(1), "b": int64(2)},
		`output{a = 1} return {}`:             map[string]any{"a": int64(1)},
		`output{a = {x = 1}} return {a = {y = 2}}`: map[string]any{"a": map[string]any{"y": int64(2)}},
	} {
		if d := cmp.Diff(want, eval(t, script)); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
}

func TestDecimals(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]any{
		`return decimal("0.1") + decimal("0.2")`:                                             json.Number("0.3"),
		`return decimal("9007199254740993") + 1`:                                             json.Number("9007199254740994"),
		`return 1 - decimal("0.9")`:                                                          json.Number("0.1"),
		`return decimal("1.10") * "2"`:                                                       json.Number("2.20"),
		`return decimal(1) / 3`:                                                              json.Number("0.3333333333333333333333333333333333333333"),
		`return decimal(7) % 4`:                                                              json.Number("3"),
		`return -decimal("1.5")`:                                                             json.Number("-1.5"),
		`return decimal("1.0") == decimal(1)`:                                                true,
		`return decimal("1e30") > decimal(5) and decimal(5) <= decimal(5)`:                   true,
		`return tostring(decimal("1.10"))`:                                                   "1.10",
		`return "n=" .. decimal("18446744073709551615")`:                                     "n=18446744073709551615",
		`return tonumber(decimal("2.5")) + 1`:                                                3.5,
		`return json.encode{d = decimal("1.10"), big = json.decode("12345678901234567890")}`: `{"big":12345678901234567890,"d":1.10}`,
		`return string.format("%s", decimal("1E+3"))`:                                        "1e+3",
		`local t = {decimal(3), decimal(1), decimal(2)} table.sort(t) return tostring(t[1]) .. tostring(t[3])`: "13",
	} {
		if got := eval(t, script); got != want {
			t.Errorf("%s: got %v (%T), want %v", script, got, got, want)
		}
	}
	for script, want := range map[string]string{
		`decimal("x")`:                                   `decimal: "x" is not a decimal number`,
		`decimal("NaN")`:                                 `decimal: "NaN" is not a decimal number`,
		`decimal("Infinity")`:                            `decimal: "Infinity" is not a decimal number`,
		`decimal("1e100000000")`:                         `decimal: "1e100000000" is not a decimal number`,
		`decimal({})`:                                    `decimal: a decimal, a number or a text is needed, not a table`,
		`return decimal(1) / 0`:                          `decimal: the result of / is not a decimal of at most 400 digits (division by zero)`,
		`return decimal(1) + {}`:                         `decimal: a decimal, a number or a text is needed, not a table`,
		`return decimal(1).x`:                            `a decimal has no field "x"; use tonumber() or tostring()`,
		`decimal(("9"):rep(500))`:                        "",
		`local d = decimal(("9"):rep(300)) return d * d`: "",
	} {
		if e := fails(t, &host{}, script); e.Kind != engine.Invalid || want != "" && e.Message != want {
			t.Errorf("%s: got %s: %s", script, e.Kind, e.Message)
		}
	}
}

func TestSecretsShowTheirNameOnly(t *testing.T) {
	t.Parallel()
	h := &host{}
	got, err := run(t, h, `
		local s = secret("secret/oracle#password")
		connect("x", {password = s, nested = {s}})
		log.info(s, {s = s})
		return {tostring(s), "" .. s .. "!", json.encode{s}, ("%s"):format(s), type(s), s == secret("secret/oracle#password")}`)
	if err != nil {
		t.Fatal(err)
	}
	const name = "secret(secret/oracle#password)"
	if d := cmp.Diff([]any{name, name + "!", `["` + name + `"]`, name, "secret", false}, got); d != "" {
		t.Error(d)
	}
	ref := engine.SecretRef("secret/oracle#password")
	if d := cmp.Diff(map[string]any{"password": ref, "nested": []any{ref}}, h.calls[0].Inputs); d != "" {
		t.Error(d)
	}
	for _, script := range []string{`secret("x")`, `secret("#k")`, `secret("p#")`, `secret(5)`, `secret("a#b").x = 1`, `return secret("a#b").x`, `return #secret("a#b")`} {
		if e := fails(t, &host{}, script); e.Kind != engine.Invalid && e.Kind != engine.Script {
			t.Errorf("%s: got %s: %v", script, e.Kind, e)
		}
	}
}

func FuzzValuesSurviveTheWayThroughLua(f *testing.F) {
	for _, seed := range []string{
		`null`, `[[],{},null]`, `{"a":[1,2.5,-0.0,1e999,12345678901234567890.12345]}`, `{"":{"":[]}}`, `"\u0000\ud800"`,
		`[1e-400, 0.1, 100000000000000000000, 9007199254740993]`, `{"1":1,"2":2}`,
	} {
		f.Add(seed)
	}
	p, err := flows.Compile("flow.lua", []byte(`
		local again = json.decode(json.encode(input.v))
		return { plain = input.v, json = again }`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil || !utf8.ValidString(text) {
			return // no JSON
		}
		out, err := flows.Run(t.Context(), p, flows.Config{Host: &host{}, Input: map[string]any{"v": v}})
		if err != nil {
			e := asError(t, err)
			if e.Kind == engine.Internal {
				t.Fatalf("%q: %v\n%s", text, e, e.Traceback)
			}
			return // too deep, or a number out of range
		}
		want := normal(v)
		for k, got := range out.(map[string]any) {
			if d := cmp.Diff(want, normal(got)); d != "" {
				t.Errorf("%q, %s: %s", text, k, d)
			}
		}
	})
}

// normal writes numbers in one way, so that 1.0 and 1 are the same.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case int64:
		return number(string(must(json.Marshal(v))))
	case float64:
		return number(string(must(json.Marshal(v))))
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, normal(e))
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for k, e := range v {
			object[k] = normal(e)
		}
		return object
	}
	return v
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// number writes a JSON number as its digits and the power of ten of the last one.
func number(text string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	sign := strings.HasPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	power := 0
	if exponent != "" {
		_ = json.Unmarshal([]byte(strings.TrimLeft(strings.TrimPrefix(exponent, "+"), "0")), &power)
		if strings.HasPrefix(exponent, "-") {
			power = 0
			_ = json.Unmarshal([]byte("-"+strings.TrimLeft(exponent[1:], "0")), &power)
		}
	}
	power -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	for strings.HasSuffix(digits, "0") {
		digits, power = digits[:len(digits)-1], power+1
	}
	if digits == "" {
		return "0"
	}
	if sign {
		digits = "-" + digits
	}
	return digits + "e" + string(must(json.Marshal(power)))
}
