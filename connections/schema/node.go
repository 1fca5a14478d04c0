package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Kind is the kind of a Node.
type Kind int

// The kinds of nodes.
const (
	ScalarNode Kind = iota
	ListNode
	MapNode
)

// String gives "text or number", "list" or "mapping", as people are told it.
func (k Kind) String() string {
	switch k {
	case ListNode:
		return "list"
	case MapNode:
		return "mapping"
	}
	return "single value"
}

// Node is one value of a YAML document with its place. Aliases are resolved.
type Node struct {
	Kind    Kind
	Pos     Pos
	Scalar  Scalar  // of a ScalarNode
	Items   []Node  // of a ListNode
	Entries []Entry // of a MapNode, in their order; keys are unique
}

// Entry is one key of a MapNode.
type Entry struct {
	Key   string
	Pos   Pos // of the key
	Value Node
}

// Get gives the value of a key of a MapNode.
func (n Node) Get(key string) (Node, bool) {
	for i := range n.Entries {
		if n.Entries[i].Key == key {
			return n.Entries[i].Value, true
		}
	}
	return Node{}, false
}

// Clone gives a copy that shares nothing with n.
func (n Node) Clone() Node {
	n.Items = slices.Clone(n.Items)
	for i := range n.Items {
		if n.Items[i].Kind != ScalarNode {
			n.Items[i] = n.Items[i].Clone()
		}
	}
	n.Entries = slices.Clone(n.Entries)
	for i := range n.Entries {
		if n.Entries[i].Value.Kind != ScalarNode {
			n.Entries[i].Value = n.Entries[i].Value.Clone()
		}
	}
	return n
}

// Tree gives the value as a new tree of Scalar, []any and map[string]any.
func (n Node) Tree() any {
	return n.tree(func(s Scalar) any { return s })
}

// Plain gives the value as a new tree of plain Go values: nil, bool, int64,
// float64, json.Number, string, []any and map[string]any.
func (n Node) Plain() any {
	return n.tree(func(s Scalar) any { return s.Value })
}

func (n Node) tree(leaf func(Scalar) any) any {
	switch n.Kind {
	case ListNode:
		list := make([]any, len(n.Items))
		for i := range n.Items {
			list[i] = n.Items[i].tree(leaf)
		}
		return list
	case MapNode:
		m := make(map[string]any, len(n.Entries))
		for i := range n.Entries {
			m[n.Entries[i].Key] = n.Entries[i].Value.tree(leaf)
		}
		return m
	}
	return leaf(n.Scalar)
}

// NodeOf gives a plain tree as a Node without places, keys sorted. It fails for
// a leaf that is no plain value, such as a secret.Value.
func NodeOf(v any) (Node, error) {
	switch v := v.(type) {
	case []any:
		n := Node{Kind: ListNode, Items: make([]Node, len(v))}
		for i, item := range v {
			child, err := NodeOf(item)
			if err != nil {
				return Node{}, err
			}
			n.Items[i] = child
		}
		return n, nil
	case map[string]any:
		n := Node{Kind: MapNode, Entries: make([]Entry, 0, len(v))}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			child, err := NodeOf(v[key])
			if err != nil {
				return Node{}, err
			}
			n.Entries = append(n.Entries, Entry{Key: key, Value: child})
		}
		return n, nil
	case Scalar:
		return Node{Scalar: v, Pos: v.Pos}, nil
	}
	text, ok := scalarText(v)
	if !ok {
		return Node{}, fmt.Errorf("a %T is no plain value", v)
	}
	if i, isInt := v.(int); isInt {
		v = int64(i)
	}
	return Node{Scalar: Scalar{Text: text, Value: v}}, nil
}

// scalarText gives the YAML text of a plain scalar.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "null", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return formatFloat(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// formatFloat writes whole numbers without exponent as far as float64 is exact,
// because that is how people typed them.
func formatFloat(v float64) string {
	const exact = 1 << 53
	if v == float64(int64(v)) && v > -exact && v < exact {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
