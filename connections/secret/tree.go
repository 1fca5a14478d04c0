package secret

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Tree gives a copy of a JSON tree with every secret masked: in strings, in the
// keys of maps, and numbers whose text is or holds a secret; a [Value] becomes
// "***". Lists come back as []any and maps as map[string]any. What is no JSON
// value becomes its masked text.
func (r *Redactor) Tree(tree any) any {
	switch t := tree.(type) {
	case nil, bool:
		return t
	case Value:
		return Mask
	case string:
		return r.String(t)
	case []byte:
		return r.String(string(t))
	case json.Number:
		return r.number(t)
	case []any:
		list := make([]any, len(t))
		for i, v := range t {
			list[i] = r.Tree(v)
		}
		return list
	case map[string]any:
		return r.treeMap(t)
	case encoding.TextMarshaler:
		if text, err := t.MarshalText(); err == nil {
			return r.String(string(text))
		}
	}
	return r.treeOther(reflect.ValueOf(tree))
}

// number gives the number, or its masked text.
func (r *Redactor) number(n any) any {
	text := fmt.Sprint(n)
	if f, ok := n.(float64); ok {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	if masked := r.String(text); masked != text {
		return masked
	}
	return n
}

// treeMap masks keys in their order, so that keys which become equal are told
// apart by a number in the same way every time.
func (r *Redactor) treeMap(tree map[string]any) map[string]any {
	masked := make(map[string]any, len(tree))
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		name := r.String(key)
		for n := 2; name != key; n++ {
			_, given := tree[name]
			if _, used := masked[name]; !used && !given {
				break
			}
			name = r.String(key) + " (" + strconv.Itoa(n) + ")"
		}
		masked[name] = r.Tree(tree[key])
	}
	return masked
}

func (r *Redactor) treeOther(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return r.number(v.Interface())
	case reflect.String:
		return r.String(v.String())
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = r.Tree(v.Index(i).Interface())
		}
		return list
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		tree := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			tree[key.String()] = value.Interface()
		}
		return r.treeMap(tree)
	}
	return r.String(fmt.Sprint(v.Interface()))
}
