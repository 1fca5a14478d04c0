package schema

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

var errEmitter = errors.New("the value cannot be written as YAML")

// Encode gives the YAML text of a tree of plain values (and Scalars), the keys
// of mappings sorted. Parse reads the same values back, whole float64s as int64.
// It fails for anything
// else, such as a secret.Value, and for texts that are not UTF-8.
func Encode(v any) ([]byte, error) {
	n, err := NodeOf(v)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return EncodeNode(n)
}

// EncodeNode gives the YAML text of a value, its keys in their order.
func EncodeNode(n Node) ([]byte, error) {
	y, err := n.yaml()
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	text, err := marshal(y)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return text, nil
}

func (n Node) yaml() (*yaml.Node, error) {
	switch n.Kind {
	case ListNode:
		y := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range n.Items {
			child, err := n.Items[i].yaml()
			if err != nil {
				return nil, err
			}
			y.Content = append(y.Content, child)
		}
		return y, nil
	case MapNode:
		y := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for i := range n.Entries {
			key, err := textNode(n.Entries[i].Key)
			if err != nil {
				return nil, err
			}
			value, err := n.Entries[i].Value.yaml()
			if err != nil {
				return nil, err
			}
			y.Content = append(y.Content, key, value)
		}
		return y, nil
	}
	if text, ok := n.Scalar.Value.(string); ok {
		return textNode(text)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: n.Scalar.Text}, nil
}

// textNode writes a text so that it is read as one again, and lines as lines
// where that is safe.
func textNode(text string) (*yaml.Node, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("a text is not valid UTF-8")
	}
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	_, isText := resolvePlain(text).(string)
	switch {
	case strings.Contains(text, "\n") && readable(text):
		y.Style = yaml.LiteralStyle
	case !isText || text == "<<" || !printable(text):
		y.Style = yaml.DoubleQuotedStyle
	}
	return y, nil
}

// readable tells whether a text of several lines can be written line by line:
// the emitter is known to lose odd spaces.
func readable(text string) bool {
	if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\n") || strings.HasSuffix(text, "\n\n") {
		return false
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if !printable(line) || strings.TrimRight(line, " ") != line {
			return false
		}
	}
	return true
}

func printable(text string) bool {
	for _, r := range text {
		if !unicode.IsGraphic(r) || r == '\uFEFF' || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
