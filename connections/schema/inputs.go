package schema

import (
	"fmt"
	"io"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// Inputs are decoded, valid inputs: what a driver works with. Asking for an
// input that the Object does not declare, or as another type than it declares,
// is a defect of the driver and panics.
type Inputs struct {
	object Object
	values map[string]any // by name; Go types as Type says, secret.Value if sensitive
	given  map[string]Input
}

// Format shows no inputs: some hold secrets in plain, because their driver asked
// for them so.
func (in Inputs) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "schema.Inputs") }

// Has tells whether the input was given or has a default.
func (in Inputs) Has(name string) bool { _, ok := in.values[name]; return ok }

// Given tells whether the input was given, so that it is not its default.
func (in Inputs) Given(name string) bool {
	input, ok := in.given[name]
	return ok && !IsNull(input.Value)
}

// String gives a String input, "" if absent.
func (in Inputs) String(name string) string { return get[string](in, name) }

// Int gives an Int input, 0 if absent.
func (in Inputs) Int(name string) int64 { return get[int64](in, name) }

// Number gives a Number input, 0 if absent.
func (in Inputs) Number(name string) float64 { return get[float64](in, name) }

// Bool gives a Bool input, false if absent.
func (in Inputs) Bool(name string) bool { return get[bool](in, name) }

// Duration gives a Duration input, 0 if absent.
func (in Inputs) Duration(name string) time.Duration { return get[time.Duration](in, name) }

// Secret gives a sensitive input, the zero Value if absent.
func (in Inputs) Secret(name string) secret.Value { return get[secret.Value](in, name) }

// List gives a List input, nil if absent.
func (in Inputs) List(name string) []any { return get[[]any](in, name) }

// Strings gives a List input whose Elem is String, nil if absent.
func (in Inputs) Strings(name string) []string {
	list := in.List(name)
	if list == nil {
		return nil
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.(string)
	}
	return texts
}

// Map gives a Map input, nil if absent.
func (in Inputs) Map(name string) map[string]any { return get[map[string]any](in, name) }

// Any gives an input of any type as its Go value, nil if absent.
func (in Inputs) Any(name string) any { return in.values[name] }

func get[T any](in Inputs, name string) T {
	var zero T
	v, ok := in.values[name]
	if !ok {
		if _, declared := in.object.Field(name); !declared {
			panic(fmt.Sprintf("schema: input %q is not declared", name))
		}
		return zero
	}
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("schema: input %q is a %T, asked for as %T", name, v, zero))
	}
	return t
}
