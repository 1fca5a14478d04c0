package connections

import (
	"encoding/json"
	"strconv"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// copyTree copies the lists and mappings of a tree.
func copyTree(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = copyTree(v[i])
		}
		return list
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key := range v {
			tree[key] = copyTree(v[key])
		}
		return tree
	}
	return v
}

// leaves visits the leaves of a tree.
func leaves(v any, visit func(any)) {
	switch v := v.(type) {
	case []any:
		for i := range v {
			leaves(v[i], visit)
		}
	case map[string]any:
		for key := range v {
			leaves(v[key], visit)
		}
	default:
		visit(v)
	}
}

func holdsSecret(v any) bool {
	found := false
	leaves(v, func(leaf any) {
		_, is := leaf.(secret.Value)
		found = found || is
	})
	return found
}

// seal gives a copy of a tree with only secrets as leaves. Their text is the one
// that was typed.
func seal(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = seal(v[i])
		}
		return list
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key := range v {
			tree[key] = seal(v[key])
		}
		return tree
	case schema.Scalar:
		return secret.New(v.Text)
	case string, bool, int, int64, json.Number:
		return secret.Of(v)
	case float64:
		// Flows know one type of number: 1234567 must not become 1.234567e+06.
		return secret.New(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return v
}
