package schema

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"
)

// TextOf gives the YAML text of a value of this document as a document of its
// own: as it was typed where that is possible, comments included, else written
// anew with what its aliases stand for.
func (d Document) TextOf(n Node) string {
	if y := d.find(d.root, n); y != nil {
		if text, ok := d.slice(y); ok && reads(text, n) {
			return text
		}
		if text, err := marshal(y); err == nil && reads(string(text), n) {
			return string(text)
		}
	}
	text, err := EncodeNode(n)
	if err != nil {
		return "" // a parsed node holds nothing that cannot be written
	}
	return string(text)
}

// find gives the parser's node at the place of n.
func (d Document) find(y *yaml.Node, n Node) *yaml.Node {
	kinds := map[Kind]yaml.Kind{ScalarNode: yaml.ScalarNode, ListNode: yaml.SequenceNode, MapNode: yaml.MappingNode}
	if y == nil || y.Kind == kinds[n.Kind] && y.Line+d.skip == n.Pos.Line && y.Column == n.Pos.Col {
		return y
	}
	for _, child := range y.Content {
		if found := d.find(child, n); found != nil {
			return found
		}
	}
	return nil
}

// slice cuts the lines of a block mapping or list out of the document, with the
// comments before and after that belong to it, and takes its indentation away.
func (d Document) slice(y *yaml.Node) (string, bool) {
	const written = yaml.FlowStyle | yaml.TaggedStyle
	if y.Kind == yaml.ScalarNode || y.Style&written != 0 || y.Anchor != "" || len(y.Content) == 0 {
		return "", false
	}
	lines := strings.SplitAfter(d.source, "\n")
	first, indent := y.Line-1, y.Column-1
	// It may start behind something else, such as "- "; and to the parser some
	// characters end a line that do not elsewhere.
	if first >= len(lines) || depthOf(lines[first]) != indent {
		return "", false
	}
	end := first + 1
	for i := end; i < len(lines); i++ {
		switch {
		case isBlank(lines[i]):
		case isComment(lines[i]) && depthOf(lines[i]) < indent: // the block may go on behind it
		case !within(lines[i], indent, y.Kind == yaml.SequenceNode):
			i = len(lines)
		default:
			end = i + 1
		}
	}
	for first > 0 && (isBlank(lines[first-1]) || isComment(lines[first-1])) {
		first--
	}
	for isBlank(lines[first]) {
		first++
	}
	var text strings.Builder
	for _, line := range lines[first:end] {
		text.WriteString(line[min(indent, depthOf(line)):])
	}
	return strings.TrimSuffix(text.String(), "\n") + "\n", true
}

// within tells whether a line belongs to a block that is indented so far.
func within(line string, indent int, list bool) bool {
	if indent == 0 && (isMarker([]byte(line), "---") || isMarker([]byte(line), "...")) {
		return false
	}
	if depthOf(line) == indent && list && !isComment(line) {
		return line[indent] == '-'
	}
	return depthOf(line) >= indent
}

// depthOf gives the number of spaces that a line starts with.
func depthOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }

// reads tells whether a text gives the value n again.
func reads(text string, n Node) bool {
	documents, problems := Parse("", []byte(text))
	return len(problems) == 0 && len(documents) == 1 && sameValue(documents[0].Node, n)
}

// sameValue compares two values and the order of their keys, but no places.
func sameValue(a, b Node) bool {
	if a.Kind != b.Kind || len(a.Items) != len(b.Items) || len(a.Entries) != len(b.Entries) {
		return false
	}
	if a.Kind == ScalarNode {
		return a.Scalar.Text == b.Scalar.Text && a.Scalar.Value == b.Scalar.Value
	}
	for i := range a.Items {
		if !sameValue(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Entries {
		if a.Entries[i].Key != b.Entries[i].Key || !sameValue(a.Entries[i].Value, b.Entries[i].Value) {
			return false
		}
	}
	return true
}

func marshal(y *yaml.Node) (text []byte, err error) {
	// As in decodeYAML: the emitter's own defects must not stop the program.
	defer func() {
		if r := recover(); r != nil {
			text, err = nil, errEmitter
		}
	}()
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(y); err != nil {
		return nil, err
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
