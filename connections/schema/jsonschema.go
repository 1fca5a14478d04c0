package schema

import "time"

// JSONSchema gives the JSON Schema (draft 2020-12) of a complete set of inputs,
// made for editors and forms: it takes what Decode takes in the types' own forms,
// though not the texts that Decode also reads as numbers or truth values.
func (o Object) JSONSchema() map[string]any {
	properties := make(map[string]any, len(o.Fields))
	required := []any{}
	for i := range o.Fields {
		f := &o.Fields[i]
		properties[f.Name] = f.jsonSchema()
		if f.Required && f.Default == nil {
			required = append(required, f.Name)
		}
	}
	s := map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}
	if len(required) > 0 {
		s["required"] = required
	}
	var exclude []any
	for _, group := range o.Conflicts {
		for i, a := range group {
			for _, b := range group[i+1:] {
				exclude = append(exclude, map[string]any{"not": map[string]any{"required": []any{a, b}}})
			}
		}
	}
	if len(exclude) > 0 {
		s["allOf"] = exclude
	}
	return s
}

func (f *Field) jsonSchema() map[string]any {
	s := typeSchema(f.Type, f.Elem)
	if f.Doc != "" {
		s["description"] = f.Doc
	}
	if f.Default != nil {
		s["default"] = jsonDefault(f.Default)
	}
	if len(f.Enum) > 0 {
		s["enum"] = stringsAsAny(f.Enum)
	}
	if len(f.Examples) > 0 && f.Type == String {
		s["examples"] = stringsAsAny(f.Examples)
	}
	if f.Sensitive {
		s["format"] = "password"
		s["writeOnly"] = true
	}
	return s
}

func typeSchema(t, elem Type) map[string]any {
	switch t {
	case String:
		return map[string]any{"type": "string"}
	case Int:
		return map[string]any{"type": "integer"}
	case Number:
		return map[string]any{"type": "number"}
	case Bool:
		return map[string]any{"type": "boolean"}
	case Duration:
		return map[string]any{
			"type":    []any{"string", "number"},
			"pattern": `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`,
			"minimum": 0,
		}
	case List:
		return map[string]any{"type": "array", "items": typeSchema(elem, Any)}
	case Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(elem, Any)}
	}
	return map[string]any{}
}

func jsonDefault(v any) any {
	if d, ok := v.(time.Duration); ok {
		return d.String()
	}
	return clone(v)
}

func stringsAsAny(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}
