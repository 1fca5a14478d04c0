package schema

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// maxProblems bounds what is told about one document.
const maxProblems = 50

// builder turns the parser's nodes into ours: it expands aliases within bounds,
// and finds what the parser lets pass.
type builder struct {
	file     string
	skip     int // lines of the file before the document
	nodes    int
	open     []*yaml.Node // anchored nodes being expanded
	stopped  bool
	problems []Problem
}

func (b *builder) pos(y *yaml.Node) Pos {
	return Pos{File: b.file, Line: b.skip + y.Line, Col: y.Column}
}

func (b *builder) fault(y *yaml.Node, message, hint string) {
	if b.stopped = b.stopped || len(b.problems) == maxProblems; b.stopped {
		return
	}
	b.problems = append(b.problems, Problem{Pos: b.pos(y), Message: message, Hint: hint})
}

// stop reports a bound that was crossed; nothing more is looked at.
func (b *builder) stop(y *yaml.Node, message string) Node {
	b.fault(y, message, "")
	b.stopped = true
	return Node{}
}

func (b *builder) node(y *yaml.Node, depth int) Node {
	b.nodes++
	switch {
	case b.stopped:
		return Node{}
	case b.nodes > MaxNodes:
		return b.stop(y, fmt.Sprintf("the document has more than %d values, aliases counted each time", MaxNodes))
	case depth > MaxDepth:
		return b.stop(y, fmt.Sprintf("lists and mappings are nested more than %d deep", MaxDepth))
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, depth)
	case yaml.SequenceNode:
		b.collectionTag(y, "!!seq")
		n := Node{Kind: ListNode, Pos: b.pos(y), Items: make([]Node, 0, len(y.Content))}
		for _, item := range y.Content {
			n.Items = append(n.Items, b.node(item, depth+1))
		}
		return n
	case yaml.MappingNode:
		b.collectionTag(y, "!!map")
		return b.mapping(y, depth)
	}
	return b.scalar(y)
}

func (b *builder) alias(y *yaml.Node, depth int) Node {
	for _, open := range b.open {
		if open == y.Alias {
			return b.stop(y, "the alias stands inside of its own anchor")
		}
	}
	b.open = append(b.open, y.Alias)
	n := b.node(y.Alias, depth)
	b.open = b.open[:len(b.open)-1]
	return n
}

func (b *builder) mapping(y *yaml.Node, depth int) Node {
	n := Node{Kind: MapNode, Pos: b.pos(y), Entries: make([]Entry, 0, len(y.Content)/2)}
	seen := make(map[string]int, len(y.Content)/2) // line of each key
	var merged []Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if isMerge(key) {
			merged = append(merged, b.merged(value, depth)...)
			continue
		}
		name, ok := b.key(key)
		if !ok {
			continue
		}
		child := b.node(value, depth+1)
		line := b.skip + key.Line
		if first, dup := seen[name]; dup {
			b.fault(key, fmt.Sprintf("the key %q stands twice, on lines %d and %d", name, first, line), "keep one of them")
			continue
		}
		seen[name] = line
		n.Entries = append(n.Entries, Entry{Key: name, Pos: b.pos(key), Value: child})
	}
	for _, m := range merged {
		for _, e := range m.Entries {
			if _, own := seen[e.Key]; !own {
				seen[e.Key] = e.Pos.Line
				n.Entries = append(n.Entries, e)
			}
		}
	}
	return n
}

// key gives the text of a mapping's key, which must be text.
func (b *builder) key(y *yaml.Node) (string, bool) {
	if y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	if y.Kind != yaml.ScalarNode {
		b.fault(y, "a key is a list or a mapping; keys are texts", "")
		return "", false
	}
	n := b.scalar(y)
	if _, isText := n.Scalar.Value.(string); !isText {
		b.fault(y, "a key is a number, a truth value or empty; keys are texts", "put the key in quotes")
		return "", false
	}
	return n.Scalar.Text, true
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0
}

// merged gives the mappings that a merge key "<<" brings in, first wins.
func (b *builder) merged(y *yaml.Node, depth int) []Node {
	n := b.node(y, depth)
	nodes := []Node{n}
	if n.Kind == ListNode {
		nodes = n.Items
	}
	for _, m := range nodes {
		if m.Kind != MapNode && !b.stopped {
			b.fault(y, "the merge key << needs a mapping, or a list of mappings", "")
			return nil
		}
	}
	return nodes
}

func (b *builder) collectionTag(y *yaml.Node, want string) {
	if y.Style&yaml.TaggedStyle != 0 && y.ShortTag() != want {
		b.tagFault(y)
	}
}

func (b *builder) tagFault(y *yaml.Node) {
	b.fault(y, "YAML tags (!name) other than !!str, !!int, !!float, !!bool, !!null, !!seq and !!map are not supported",
		"put a text that starts with ! in quotes")
}

func (b *builder) scalar(y *yaml.Node) Node {
	n := Node{Pos: b.pos(y), Scalar: Scalar{Text: y.Value, Value: y.Value, Pos: b.pos(y)}}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if y.Style&yaml.TaggedStyle == 0 {
		if y.Style&quoted == 0 {
			n.Scalar.Value = resolvePlain(y.Value)
		}
		return n
	}
	value := resolvePlain(y.Value)
	ok := false
	switch y.ShortTag() {
	case "!!str":
		return n
	case "!!int":
		_, ok = value.(int64)
	case "!!float":
		if i, isInt := value.(int64); isInt {
			value = float64(i)
		}
		_, ok = value.(float64)
	case "!!bool":
		_, ok = value.(bool)
	case "!!null":
		ok = value == nil
	default:
		b.tagFault(y)
		return n
	}
	if !ok {
		b.fault(y, "the value does not fit its tag "+y.ShortTag(), "")
	}
	n.Scalar.Value = value
	return n
}
