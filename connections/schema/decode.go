package schema

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/connections/secret"
)

// Decode turns merged inputs into the typed inputs that a driver works with, and
// tells everything that is wrong with them at once: missing, unknown and
// conflicting inputs, wrong types, texts outside of an enum. No problem holds a
// value. An input whose value is nil counts as absent. The Inputs keep given, which
// must not change any more.
//
// If there are problems, the Inputs hold those inputs only that are not at fault.
func (o Object) Decode(given map[string]Input) (Inputs, []Problem) {
	in := Inputs{object: o, values: make(map[string]any, len(o.Fields)), given: given}
	var problems []Problem
	known := 0
	for i := range o.Fields {
		f := &o.Fields[i]
		input, ok := given[f.Name]
		if ok {
			known++
		}
		if !ok || IsNull(input.Value) {
			switch {
			case f.Default != nil:
				in.values[f.Name] = clone(f.Default)
			case f.Required:
				problems = append(problems, f.missing(input))
			}
			continue
		}
		v, wrong := f.decode(input.Value)
		if wrong != nil {
			problems = append(problems, f.problem(input, wrong))
			continue
		}
		in.values[f.Name] = v
	}
	if known < len(given) {
		problems = append(problems, o.unknown(given)...)
	}
	return in, append(problems, o.conflicts(given)...)
}

func (f *Field) missing(input Input) Problem {
	p := Problem{Pos: input.Origin.Pos, Input: f.Name, Message: fmt.Sprintf("%q is required", f.Name)}
	if input.Origin.Layer != "" {
		p.Message += ", and the null" + from(input.Origin) + " takes it away"
	}
	return p
}

func (f *Field) problem(input Input, w *wrong) Problem {
	p := Problem{
		Pos:     input.Origin.Pos,
		Input:   f.Name,
		Message: fmt.Sprintf("%q%s %s%s", f.Name, w.path, w.message, from(input.Origin)),
		Hint:    w.hint,
	}
	if w.pos.Line > 0 {
		p.Pos = w.pos
	}
	return p
}

// from says where an input came from, unless the problem's place says it.
func from(o Origin) string {
	switch {
	case o.Layer == LayerSecret:
		return " (from " + o.String() + ")"
	case o.Layer == LayerFlow:
		return " (from the flow)"
	case o.Pos == Pos{} && o.Layer != "":
		return " (from the connection's value)"
	}
	return ""
}

func (o Object) unknown(given map[string]Input) []Problem {
	var problems []Problem
	names := o.names()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := slices.BinarySearch(names, name); ok {
			continue
		}
		hint := DidYouMean(name, names)
		if hint == "" {
			hint = "known are " + strings.Join(names, ", ")
		}
		origin := given[name].Origin
		problems = append(problems, Problem{
			Pos:     origin.Pos,
			Input:   name,
			Message: "unknown " + cmp.Or(o.Noun, "input") + " " + strconv.Quote(name) + from(origin),
			Hint:    hint,
		})
	}
	return problems
}

func (o Object) conflicts(given map[string]Input) []Problem {
	var problems []Problem
	for _, group := range o.Conflicts {
		var set []string
		for _, name := range group {
			if input, ok := given[name]; ok && !IsNull(input.Value) {
				set = append(set, name)
			}
		}
		if len(set) < 2 {
			continue
		}
		last := given[set[len(set)-1]].Origin
		p := Problem{Pos: last.Pos, Input: set[len(set)-1], Hint: "give one of them; a null in the flow takes an input away"}
		texts := make([]string, len(set))
		for i, name := range set {
			texts[i] = fmt.Sprintf("%q (%s)", name, given[name].Origin)
		}
		p.Message = strings.Join(texts[:len(texts)-1], ", ") + " and " + texts[len(texts)-1] + " exclude each other"
		problems = append(problems, p)
	}
	return problems
}

// decode gives the value as the Go type that the field says.
func (f *Field) decode(v any) (any, *wrong) {
	if f.Sensitive {
		return seal(v)
	}
	d, w := convert(f.Type, f.Elem, v)
	if w != nil || len(f.Enum) == 0 {
		return d, w
	}
	text, ok := d.(string)
	if !ok || slices.Contains(f.Enum, text) {
		return d, nil
	}
	w = &wrong{message: "must be one of " + strings.Join(f.Enum, ", ")}
	if _, isSecret := v.(secret.Value); !isSecret { // a hint would tell about it
		w.hint = DidYouMean(text, f.Enum)
	}
	return nil, w
}

// What follows is all that looks into secrets, here and in package connections.

// reveal gives what an input that is not sensitive holds in plain: the driver
// asked for it so.
func reveal(v any) any {
	if s, ok := v.(secret.Value); ok {
		return s.RevealAny()
	}
	return v
}

// IsNull tells whether a value takes its input away: nil, a YAML null, or a
// secret that is a JSON null.
func IsNull(v any) bool {
	v = reveal(v)
	if s, ok := v.(Scalar); ok {
		v = s.Value
	}
	return v == nil
}

// Join gives the secret text that strings and secrets make in this order.
// Anything else among them is a defect of the caller and panics.
func Join(parts ...any) secret.Value {
	var text strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			text.WriteString(part)
		case secret.Value:
			text.WriteString(part.Reveal())
		default:
			panic(fmt.Sprintf("schema: Join(%T)", part))
		}
	}
	return secret.New(text.String())
}
