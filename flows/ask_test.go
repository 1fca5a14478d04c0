package flows_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
)

func TestAskCarriesTheForm(t *testing.T) {
	t.Parallel()
	h := &host{answer: func(engine.Call) any { return map[string]any{} }}
	_, err := run(t, h, `
ask{
  title = "Deploy to production?",
  schema = {
    zone = {enum = {"blue", "green"}, default = "blue", required = false},
    approve = {type = "boolean", required = true, description = "go ahead?"},
    note = "string",
    tries = {type = "integer", default = 3},
    share = {type = "number", default = 0.5},
    sure = {type = "boolean", default = false},
    all_null = {type = null, required = null, default = null, enum = null, description = null},
  },
}
ask{title = "And now?"}
ask{title = "Go on?", schema = {}}`)
	if err != nil {
		t.Fatal(err)
	}
	field := func(order int64, kind string, more map[string]any) map[string]any {
		f := map[string]any{"order": order, "type": kind, "required": false}
		maps.Copy(f, more)
		return f
	}
	call := func(where, title string, fields map[string]any) engine.Call {
		return engine.Call{Kind: engine.CallAsk, Name: title, Inputs: fields, From: "flow.lua", Where: where}
	}
	want := []engine.Call{
		call("flow.lua:2", "Deploy to production?", map[string]any{
			"zone":     field(1, "string", map[string]any{"enum": []any{"blue", "green"}, "default": "blue"}),
			"approve":  field(2, "bool", map[string]any{"required": true, "description": "go ahead?"}),
			"note":     field(3, "string", nil),
			"tries":    field(4, "int", map[string]any{"default": int64(3)}),
			"share":    field(5, "number", map[string]any{"default": 0.5}),
			"sure":     field(6, "bool", map[string]any{"default": false}),
			"all_null": field(7, "string", nil),
		}),
		call("flow.lua:14", "And now?", map[string]any{"answer": field(1, "string", nil)}),
		call("flow.lua:15", "Go on?", map[string]any{}),
	}
	if d := cmp.Diff(want, h.calls); d != "" {
		t.Error(d)
	}
}

// formOf makes of a call what a command line or a form needs to check an answer.
func formOf(c engine.Call) schema.Object {
	var o schema.Object
	for name, field := range c.Inputs {
		f := field.(map[string]any)
		s := schema.Field{Name: name, Type: schema.Type(f["type"].(string)), Required: f["required"].(bool), Default: f["default"]}
		s.Doc, _ = f["description"].(string)
		choices, _ := f["enum"].([]any)
		for _, choice := range choices {
			s.Enum = append(s.Enum, choice.(string))
		}
		o.Fields = append(o.Fields, s)
	}
	slices.SortFunc(o.Fields, func(a, b schema.Field) int {
		order := func(f schema.Field) int64 { return c.Inputs[f.Name].(map[string]any)["order"].(int64) }
		return int(order(a) - order(b))
	})
	return o
}

// typedIn answers a form with texts, as they come from a command line.
func typedIn(t *testing.T, texts map[string]string) func(engine.Call) any {
	t.Helper()
	return func(c engine.Call) any {
		form, given := formOf(c), map[string]schema.Input{}
		for name, text := range texts {
			given[name] = schema.Input{Value: text}
		}
		decoded, problems := form.Decode(given)
		if len(problems) > 0 {
			t.Errorf("the answer does not fit the form: %v", problems)
		}
		answer := map[string]any{}
		for _, f := range form.Fields {
			answer[f.Name] = decoded.Any(f.Name)
		}
		return answer
	}
}

func TestAskGivesTheAnswer(t *testing.T) {
	t.Parallel()
	h := &host{answer: typedIn(t, map[string]string{"approve": "true", "tries": "5", "zone": "green"})}
	got, err := run(t, h, `
		local answer = ask{title = "Deploy?", schema = {
			approve = "boolean", tries = "integer", zone = {enum = {"blue", "green"}, default = "blue"},
			color = {default = "red"}, note = "string", sure = {type = "boolean", default = false},
		}}
		assert(answer.note == nil and not answer.note)
		return answer`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"approve": true, "tries": int64(5), "zone": "green", "color": "red", "sure": false}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// A host may leave out what was left empty, defaults included.
	h = &host{answer: func(engine.Call) any {
		return map[string]any{"huge": json.Number("12345678901234567890"), "note": nil, "given": nil}
	}}
	got, err = run(t, h, `
		local a = ask{title = "?", schema = {huge = "number", note = "string", tries = {type = "integer", default = 3}, given = {default = "x"}}}
		return {huge = tostring(a.huge), tries = a.tries, note = a.note == nil, given = a.given}`)
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]any{"huge": "12345678901234567890", "tries": int64(3), "note": true, "given": "x"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	h = &host{answer: typedIn(t, map[string]string{"answer": "Ada"})}
	if got, err = run(t, h, `return ask{title = "Who are you?"}.answer`); err != nil || got != "Ada" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAskSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	usage := `write ask{title = "Deploy to production?", schema = {approve = "boolean"}}`
	types := "the types are boolean, integer, number, string"
	naming := "the name of a field has letters, digits and _, such as approve"
	for script, want := range map[string][2]string{
		`ask()`:                              {"ask: one table is the only argument", usage},
		`ask("Deploy?")`:                     {"ask: one table is the only argument", usage},
		`ask({title = "x"}, {a = "string"})`: {"ask: one table is the only argument", usage},
		`ask{}`:                              {"ask: a title is needed", `write ask{title = "Deploy to production?"}`},
		`ask{titel = "x"}`:                   {`ask: there is no option "titel"`, "did you mean title?"},
		`ask{title = 5}`:                     {"ask: title is a text, not a number", ""},
		`ask{title = "\255"}`:                {"ask: title is a text that is not valid UTF-8; use base64.encode for binary data", ""},
		`ask{title = "x", schema = 5}`:       {`ask "x": the schema must be a table such as {approve = "boolean"}, not a number`, ""},
		`ask{title = "x", schema = {"a"}}`:   {`ask "x": 1 cannot be the name of a field`, naming},
		`ask{title = "x", schema = {["a b"] = "string"}}`:                     {`ask "x": "a b" cannot be the name of a field`, naming},
		`ask{title = "x", schema = {a = 5}}`:                                  {`ask "x": field a: a type such as "boolean", or a table such as {type = "boolean"}, is needed, not a number`, ""},
		`ask{title = "x", schema = {a = "bolean"}}`:                           {`ask "x": field a: there is no type "bolean"`, "did you mean boolean?"},
		`ask{title = "x", schema = {a = {type = "date"}}}`:                    {`ask "x": field a: there is no type "date"`, types},
		`ask{title = "x", schema = {a = {type = 5}}}`:                         {`ask "x": field a: there is no type 5`, types},
		`ask{title = "x", schema = {a = {requird = true}}}`:                   {`ask "x": field a: there is no option "requird"`, "did you mean required?"},
		`ask{title = "x", schema = {a = {"string"}}}`:                         {`ask "x": field a: there is no option 1`, "the options are default, description, enum, required, type"},
		`ask{title = "x", schema = {a = {required = 1}}}`:                     {`ask "x": field a: required is true or false, not a number`, ""},
		`ask{title = "x", schema = {a = {description = 1}}}`:                  {`ask "x": field a: description is a text, not a number`, ""},
		`ask{title = "x", schema = {a = {enum = {}}}}`:                        {`ask "x": field a: enum is a list of different texts such as {"blue", "green"}`, ""},
		`ask{title = "x", schema = {a = {enum = "b"}}}`:                       {`ask "x": field a: enum is a list of different texts such as {"blue", "green"}`, ""},
		`ask{title = "x", schema = {a = {enum = {1}}}}`:                       {`ask "x": field a: enum is a list of different texts such as {"blue", "green"}`, ""},
		`ask{title = "x", schema = {a = {enum = {"b", "b"}}}}`:                {`ask "x": field a: enum is a list of different texts such as {"blue", "green"}`, ""},
		`ask{title = "x", schema = {a = {enum = {print}}}}`:                   {`ask "x": field a: enum[1] is a function, which is no JSON value`, ""},
		`ask{title = "x", schema = {a = {enum = {"b"}, type = "number"}}}`:    {`ask "x": field a: only a field of type string has an enum`, ""},
		`ask{title = "x", schema = {a = {enum = {"b"}, default = "c"}}}`:      {`ask "x": field a: the default "c" is none of the enum`, ""},
		`ask{title = "x", schema = {a = {default = 1}}}`:                      {`ask "x": field a: default is a text, not 1`, ""},
		`ask{title = "x", schema = {a = {default = secret("a#b")}}}`:          {`ask "x": field a: default is a text, not a secret`, ""},
		`ask{title = "x", schema = {a = {default = 1.5, type = "integer"}}}`:  {`ask "x": field a: default is a whole number, not 1.5`, ""},
		`ask{title = "x", schema = {a = {default = "1", type = "number"}}}`:   {`ask "x": field a: default is a number, not "1"`, ""},
		`ask{title = "x", schema = {a = {default = "no", type = "boolean"}}}`: {`ask "x": field a: default is true or false, not "no"`, ""},
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

func TestAnAnswerCountsAsMemory(t *testing.T) {
	t.Parallel()
	long := func(engine.Call) any { return map[string]any{"answer": strings.Repeat("x", 1<<20)} }
	if e := fails(t, &host{answer: long}, `local t = {} while true do t[#t + 1] = ask{title = "?"} end`, small); e.Kind != engine.Limit || e.Message != outOfMemory {
		t.Errorf("got %s: %v", e.Kind, e)
	}
	if _, err := run(t, &host{answer: long}, `for i = 1, 50 do ask{title = "?"} end`, small); err != nil {
		t.Errorf("answers that are not kept: %v", err)
	}
	huge := func(engine.Call) any { return map[string]any{"answer": strings.Repeat("x", 5<<20)} }
	if e := fails(t, &host{answer: huge}, `ask{title = "?"}`, small); e.Kind != engine.Limit {
		t.Errorf("got %s: %v", e.Kind, e)
	}
	for _, wrong := range []any{nil, "text", []any{}} {
		e := fails(t, &host{answer: func(engine.Call) any { return wrong }}, `pcall(ask, {title = "?"}) return 1`)
		if e.Kind != engine.Internal || e.Message != `ask "?": the host gave a wrong reply` {
			t.Errorf("got %s: %v", e.Kind, e)
		}
	}
}
