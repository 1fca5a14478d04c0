package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// wrong says why a value does not fit; it never holds the value.
type wrong struct {
	path    string // within the input: "[2]", "[key]"
	pos     Pos    // of the very scalar, where known
	message string // "must be a whole number, not a list"
	hint    string
}

// seal gives a sensitive input. Its text is the one that was typed.
func seal(v any) (any, *wrong) {
	if s, ok := v.(secret.Value); ok {
		return s, nil
	}
	text, w := toString(v)
	if w != nil {
		return nil, w
	}
	return secret.New(text), nil
}

// convert gives v as the Go type for t.
func convert(t, elem Type, v any) (any, *wrong) {
	v = reveal(v)
	switch t {
	case String:
		return asAny(toString(v))
	case Int:
		return asAny(toInt(v))
	case Number:
		return asAny(toNumber(v))
	case Bool:
		return asAny(toBool(v))
	case Duration:
		return asAny(toDuration(v))
	case List:
		return toList(elem, v)
	case Map:
		return toMap(elem, v)
	}
	return toAny(v)
}

func asAny[T any](v T, w *wrong) (any, *wrong) {
	if w != nil {
		return nil, w
	}
	return v, nil
}

// must gives the complaint that v is not what is wanted.
func must(want string, v any) *wrong {
	w := &wrong{message: "must be " + want + ", not " + kindOf(v)}
	if s, ok := v.(Scalar); ok {
		w.pos = s.Pos
	}
	return w
}

func kindOf(v any) string {
	if s, ok := v.(Scalar); ok {
		v = s.Value
	}
	switch v.(type) {
	case nil:
		return "empty"
	case string:
		return "this text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	case int, int64, float64, json.Number:
		return "this number"
	}
	return fmt.Sprintf("a %T", v)
}

func toString(v any) (string, *wrong) {
	if s, ok := v.(Scalar); ok {
		return s.Text, nil
	}
	if text, ok := scalarText(v); ok && v != nil {
		return text, nil
	}
	return "", must("a text", v)
}

func toInt(v any) (int64, *wrong) {
	const want = "a whole number"
	switch n := bare(v).(type) {
	case int64:
		return n, nil
	case float64:
		const exact = 1 << 53
		if n == math.Trunc(n) && math.Abs(n) <= exact {
			return int64(n), nil
		}
	}
	return 0, must(want, v)
}

func toNumber(v any) (float64, *wrong) {
	switch n := bare(v).(type) {
	case int64:
		return float64(n), nil
	case float64:
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f, nil
		}
	}
	return 0, must("a number", v)
}

func toBool(v any) (bool, *wrong) {
	if b, ok := bare(v).(bool); ok {
		return b, nil
	}
	w := must("true or false", v)
	w.message = "must be true or false"
	return false, w
}

func toDuration(v any) (time.Duration, *wrong) {
	d, ok := parseDuration(bare(v))
	if ok && d >= 0 {
		return d, nil
	}
	w := must("a duration", v)
	w.hint = "write a number of seconds, or a text such as 30s, 5m or 1h30m"
	if ok {
		w.message = "must not be negative"
	}
	return 0, w
}

func parseDuration(v any) (time.Duration, bool) {
	switch n := v.(type) {
	case int64, float64:
		seconds, _ := toNumber(n)
		if math.Abs(seconds) >= math.MaxInt64/float64(time.Second) {
			return 0, false
		}
		return time.Duration(seconds * float64(time.Second)), true
	case string:
		d, err := time.ParseDuration(strings.TrimSpace(n))
		return d, err == nil
	}
	return 0, false
}

// bare gives the plain value of a scalar. Texts are read as YAML reads them, so
// that a port "1521" from a secret or a command line is a number.
func bare(v any) any {
	if s, ok := v.(Scalar); ok {
		v = s.Value
	}
	switch n := v.(type) {
	case int:
		return int64(n)
	case string:
		if n != "" {
			return resolvePlain(strings.TrimSpace(n))
		}
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
		if f, err := n.Float64(); err == nil && strings.ContainsAny(n.String(), ".eE") {
			return f
		}
	}
	return v
}

func toList(elem Type, v any) (any, *wrong) {
	items, ok := v.([]any)
	if !ok {
		w := must("a list", v)
		w.hint = "write [a, b], or one item a line, each after \"- \""
		return nil, w
	}
	list := make([]any, len(items))
	for i, item := range items {
		converted, w := convert(elem, Any, item)
		if w != nil {
			w.path = "[" + strconv.Itoa(i+1) + "]" + w.path
			return nil, w
		}
		list[i] = converted
	}
	return list, nil
}

func toMap(elem Type, v any) (any, *wrong) {
	entries, ok := v.(map[string]any)
	if !ok {
		return nil, must("a mapping", v)
	}
	m := make(map[string]any, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		converted, w := convert(elem, Any, entries[key])
		if w != nil {
			w.path = "[" + key + "]" + w.path
			return nil, w
		}
		m[key] = converted
	}
	return m, nil
}

// toAny gives a new tree of plain values.
func toAny(v any) (any, *wrong) {
	switch v := reveal(v).(type) {
	case Scalar:
		return v.Value, nil
	case []any:
		return toList(Any, v)
	case map[string]any:
		return toMap(Any, v)
	case int:
		return int64(v), nil
	case nil, bool, int64, float64, json.Number, string:
		return v, nil
	default:
		return nil, must("a plain value", v)
	}
}

// clone copies the lists and mappings of a default.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		c := make([]any, len(v))
		for i := range v {
			c[i] = clone(v[i])
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(v))
		for k := range v {
			c[k] = clone(v[k])
		}
		return c
	}
	return v
}
