package flows

import (
	"encoding/json"
	"slices"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// askPerson is ask{title = ..., schema = ...}: it puts a form to a person and gives
// the answer, a table with the fields that were filled in.
//
// The call's inputs are the fields by name, each an object with type (string, int,
// number or bool, as package schema has them), required, order (from 1, as the
// script wrote them), and where they were given default, enum (a list of texts)
// and description.
func (r *runtime) askPerson(L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok || L.GetTop() > 1 {
		r.raise(L, withHint(newError(engine.Invalid, "ask: one table is the only argument"),
			`write ask{title = "Deploy to production?", schema = {approve = "boolean"}}`))
	}
	c := engine.Call{Kind: engine.CallAsk}
	schema := lua.LNil
	r.readFields(L, t, "ask", map[string]func(lua.LValue){
		"title":  func(v lua.LValue) { c.Name = r.name(L, v, "ask", "title") },
		"schema": func(v lua.LValue) { schema = v },
	})
	if c.Name == "" {
		r.raise(L, withHint(newError(engine.Invalid, "ask: a title is needed"), `write ask{title = "Deploy to production?"}`))
	}
	c.Inputs = r.form(L, schema, describeCall(c))
	defer r.hold(c.Inputs)()
	answer, ok := r.call(L, c).Value.(map[string]any)
	if !ok {
		r.wrongReply(L, c)
	}
	answer = filledIn(c.Inputs, answer)
	r.take(L, int(treeSize(answer)))
	defer r.hold(answer)()
	L.Push(r.toLua(L, answer))
	return 1
}

// hold has the census count a tree that Go code has in hand; the function that it
// gives ends that.
func (r *runtime) hold(tree map[string]any) (release func()) {
	bytes := treeSize(tree)
	r.held += bytes
	return func() { r.held -= bytes }
}

// filledIn is an answer in which fields that were left empty have their default,
// or are not there: a null would count as true in a condition.
func filledIn(form, answer map[string]any) map[string]any {
	filled := make(map[string]any, len(form))
	for name, field := range form {
		if standard, ok := field.(map[string]any)["default"]; ok {
			filled[name] = standard
		}
	}
	for name, v := range answer {
		if v != nil {
			filled[name] = v
		}
	}
	return filled
}

// form reads a schema. Without one the form has a single text.
func (r *runtime) form(L *lua.LState, schema lua.LValue, what string) map[string]any {
	if schema == lua.LNil {
		return map[string]any{"answer": map[string]any{"type": "string", "required": false, "order": int64(1)}}
	}
	t, ok := schema.(*lua.LTable)
	if !ok {
		r.fail(L, "%s: the schema must be a table such as {approve = \"boolean\"}, not a %s", what, typeName(schema))
	}
	form := map[string]any{}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok || !isIdentifier(string(name)) {
			r.raise(L, withHint(newError(engine.Invalid, "%s: %s cannot be the name of a field", what, quoteKey(k)),
				"the name of a field has letters, digits and _, such as approve"))
		}
		r.take(L, 4*keyBytes)
		form[string(name)] = r.formField(L, v, what+": field "+string(name), len(form)+1)
	}
	return form
}

// formField reads what a schema says of one field: a type, or a table.
func (r *runtime) formField(L *lua.LState, v lua.LValue, what string, order int) map[string]any {
	field := map[string]any{"type": "string", "required": false, "order": int64(order)}
	standard := lua.LNil
	switch v := v.(type) {
	case lua.LString:
		field["type"] = r.fieldType(L, v, what)
	case *lua.LTable:
		r.readFields(L, v, what, map[string]func(lua.LValue){
			"type":        func(v lua.LValue) { field["type"] = r.fieldType(L, v, what) },
			"required":    func(v lua.LValue) { field["required"] = r.boolean(L, v, what, "required") },
			"default":     func(v lua.LValue) { standard = v },
			"enum":        func(v lua.LValue) { field["enum"] = r.choices(L, v, what) },
			"description": func(v lua.LValue) { field["description"] = r.name(L, v, what, "description") },
		})
	default:
		r.fail(L, "%s: a type such as \"boolean\", or a table such as {type = \"boolean\"}, is needed, not a %s",
			what, typeName(v))
	}
	choices, chosen := field["enum"].([]any)
	if chosen && field["type"] != "string" {
		r.fail(L, "%s: only a field of type string has an enum", what)
	}
	if standard == lua.LNil {
		return field
	}
	field["default"] = r.fieldDefault(L, standard, field["type"], what)
	if chosen && !slices.Contains(choices, field["default"]) {
		r.fail(L, "%s: the default %s is none of the enum", what, quoteKey(standard))
	}
	return field
}

// fieldType gives the type's name in the words of package schema, which are also
// those of the inputs of tasks.
func (r *runtime) fieldType(L *lua.LState, v lua.LValue, what string) string {
	switch v {
	case lua.LString("string"), lua.LString("number"):
		return v.String()
	case lua.LString("integer"):
		return "int"
	case lua.LString("boolean"):
		return "bool"
	}
	e := withHint(newError(engine.Invalid, "%s: there is no type %s", what, quoteKey(v)),
		"the types are boolean, integer, number, string")
	if name, ok := v.(lua.LString); ok {
		if near := nearest(string(name), []string{"boolean", "integer", "number", "string"}); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
	}
	r.raise(L, e)
	return ""
}

func (r *runtime) choices(L *lua.LState, v lua.LValue, what string) []any {
	tree, err := r.fromLua(v, "enum")
	if err != nil {
		r.refuseValue(L, what, err)
	}
	list, _ := tree.([]any)
	for i, choice := range list {
		if text, ok := choice.(string); !ok || text == "" || slices.Contains(list[:i], choice) {
			list = nil
			break
		}
	}
	if len(list) == 0 {
		r.fail(L, "%s: enum is a list of different texts such as {\"blue\", \"green\"}", what)
	}
	return list
}

func (r *runtime) fieldDefault(L *lua.LState, v lua.LValue, kind any, what string) any {
	tree, err := r.fromLua(v, "default")
	if err != nil {
		r.refuseValue(L, what, err)
	}
	fits, wanted := false, ""
	switch kind {
	case "string":
		_, fits = tree.(string)
		wanted = "a text"
	case "bool":
		_, fits = tree.(bool)
		wanted = "true or false"
	case "int":
		_, fits = tree.(int64)
		wanted = "a whole number"
	case "number":
		switch tree.(type) {
		case int64, float64, json.Number:
			fits = true
		}
		wanted = "a number"
	}
	if !fits {
		r.fail(L, "%s: default is %s, not %s", what, wanted, quoteKey(v))
	}
	return tree
}
