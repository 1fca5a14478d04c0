package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// valueText is a connection's value as YAML text beside what it holds. Its edits
// keep the comments and the order of what they leave alone, as far as the text is
// written line by line; else it is written anew.
type valueText struct {
	node schema.Node
	text string
}

// newValueText reads the text of a value. Texts of stored connections parse.
func newValueText(text string) valueText {
	documents, problems := schema.Parse("", []byte(text))
	if len(problems) > 0 || len(documents) != 1 || documents[0].Node.Kind != schema.MapNode {
		return valueText{node: schema.Node{Kind: schema.MapNode}}
	}
	return valueText{node: documents[0].Node, text: documents[0].Text}
}

// set gives the value with the entries replaced; new ones are added at the end.
// An entry's text is taken over as typed where lines are given for it.
func (v valueText) set(entries []schema.Entry, lines map[string]string) valueText {
	want := overlaid(v.node, entries)
	if text, ok := v.splice(entries, lines); ok {
		if done := newValueText(text); sameNodes(done.node, want) {
			return done
		}
	}
	return encoded(want)
}

// overlaid gives a copy of a mapping with the entries replaced or added.
func overlaid(n schema.Node, entries []schema.Entry) schema.Node {
	n = n.Clone()
	n.Kind = schema.MapNode
	for _, e := range entries {
		at := slices.IndexFunc(n.Entries, func(old schema.Entry) bool { return old.Key == e.Key })
		if at < 0 {
			n.Entries = append(n.Entries, e)
		} else {
			n.Entries[at] = e
		}
	}
	return n
}

// splice replaces the lines of the entries, and tells whether the text is written
// so that this can be done.
func (v valueText) splice(entries []schema.Entry, lines map[string]string) (string, bool) {
	text := strings.SplitAfter(v.text, "\n")
	for _, e := range slices.Backward(v.sorted(entries)) {
		written, ok := lines[e.Key]
		if !ok {
			written = encoded(schema.Node{Kind: schema.MapNode, Entries: []schema.Entry{e}}).text
		}
		at := v.index(e.Key)
		if at < 0 {
			text = appendLines(text, written)
			continue
		}
		first, end, ok := v.span(at)
		if !ok {
			return "", false
		}
		text = slices.Replace(text, first, end, indent(written, v.node.Entries[at].Pos.Col-1)...)
	}
	return strings.Join(text, ""), true
}

// sorted gives the entries in the order in which they stand in the text, new ones
// first: they are spliced from the last to the first.
func (v valueText) sorted(entries []schema.Entry) []schema.Entry {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b schema.Entry) int { return v.index(a.Key) - v.index(b.Key) })
	// New ones are appended in reverse like the others are spliced.
	fresh := slices.IndexFunc(sorted, func(e schema.Entry) bool { return v.index(e.Key) >= 0 })
	if fresh < 0 {
		fresh = len(sorted)
	}
	slices.Reverse(sorted[:fresh])
	return sorted
}

func appendLines(text []string, written string) []string {
	if n := len(text); n > 0 && text[n-1] != "" && !strings.HasSuffix(text[n-1], "\n") {
		text[n-1] += "\n"
	}
	return append(text, written)
}

func (v valueText) index(key string) int {
	return slices.IndexFunc(v.node.Entries, func(e schema.Entry) bool { return e.Key == key })
}

// lines gives the lines of an entry as they were typed.
func (v valueText) lines(key string) (string, bool) {
	at := v.index(key)
	if at < 0 {
		return "", false
	}
	first, end, ok := v.span(at)
	if !ok {
		return "", false
	}
	var b strings.Builder
	margin := strings.Repeat(" ", v.node.Entries[at].Pos.Col-1)
	for _, line := range strings.SplitAfter(v.text, "\n")[first:end] {
		b.WriteString(strings.TrimPrefix(line, margin))
	}
	return strings.TrimSuffix(b.String(), "\n") + "\n", true
}

// span gives the lines from first up to end that hold an entry and nothing else.
func (v valueText) span(at int) (first, end int, ok bool) {
	entry := v.node.Entries[at]
	text := strings.SplitAfter(v.text, "\n")
	first, end = entry.Pos.Line-1, len(text)
	if at+1 < len(v.node.Entries) {
		end = v.node.Entries[at+1].Pos.Line - 1
	}
	if first < 0 || first >= end {
		return 0, 0, false
	}
	margin := entry.Pos.Col - 1
	for end > first+1 && isRemark(text[end-1], margin) {
		end--
	}
	alone := newValueText(strings.Join(text[first:end], ""))
	single := schema.Node{Kind: schema.MapNode, Entries: v.node.Entries[at : at+1]}
	return first, end, sameNodes(alone.node, single)
}

// isRemark tells whether a line is blank, or a comment that is indented no deeper
// than the keys and so belongs to what follows.
func isRemark(line string, margin int) bool {
	bare := strings.TrimSpace(line)
	depth := len(line) - len(strings.TrimLeft(line, " "))
	return bare == "" || bare[0] == '#' && depth <= margin
}

func indent(text string, margin int) []string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		if strings.TrimSpace(line) != "" {
			lines[i] = strings.Repeat(" ", margin) + line
		}
	}
	return lines
}

// sameNodes compares two values and the order of their keys, but no places.
func sameNodes(a, b schema.Node) bool {
	x, errX := schema.EncodeNode(a)
	y, errY := schema.EncodeNode(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// without gives the value without the entries of these keys, and with "***" for
// what they held where a comment repeats it.
func (v valueText) without(keys []string) valueText {
	clean := v.masked(keys)
	want := clean.node.Clone()
	gone := func(e schema.Entry) bool { return slices.Contains(keys, e.Key) }
	want.Entries = slices.DeleteFunc(want.Entries, gone)
	text := strings.SplitAfter(clean.text, "\n")
	for at, e := range slices.Backward(clean.node.Entries) {
		if !gone(e) {
			continue
		}
		first, end, ok := clean.span(at)
		if !ok {
			return encoded(want)
		}
		text = slices.Delete(text, first, end)
	}
	if done := newValueText(strings.Join(text, "")); sameNodes(done.node, want) {
		return done
	}
	return encoded(want)
}

// encoded gives a value written anew.
func encoded(n schema.Node) valueText {
	text, err := schema.EncodeNode(n)
	if err != nil {
		return valueText{node: n} // a parsed node holds nothing that cannot be written
	}
	return newValueText(string(text))
}

// masked gives the value with "***" for the literals under the keys, also where
// the comments repeat one or hold a line that was such an entry.
func (v valueText) masked(keys []string) valueText {
	if len(keys) == 0 {
		return v
	}
	redactor := secret.NewRedactor()
	entries := make([]schema.Entry, 0, len(keys))
	for _, key := range keys {
		value, _ := v.node.Get(key)
		eachScalar(value, func(s schema.Scalar) { redactor.Add(secret.New(s.Text)) })
		entries = append(entries, schema.Entry{Key: key, Value: maskNode()})
	}
	done := v.set(entries, nil)
	clean := newValueText(redactor.String(done.text))
	if sameNodes(clean.node, done.node) {
		return clean
	}
	// Another input holds the same text: it is not known to be secret, but the
	// comments may be.
	return encoded(done.node)
}

// maskComments masks what follows the name of a sensitive input in a comment.
func (v valueText) maskComments(names []string) valueText {
	if len(names) == 0 || !strings.Contains(v.text, "#") {
		return v
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	pattern := regexp.MustCompile(`(?m)(#.*?\b(?:` + strings.Join(quoted, "|") + `)["']?[ \t]*[:=][ \t]*)(\S.*)$`)
	clean := newValueText(pattern.ReplaceAllString(v.text, "${1}"+secret.Mask))
	if sameNodes(clean.node, v.node) {
		return clean
	}
	return v
}

func maskNode() schema.Node {
	return schema.Node{Scalar: schema.Scalar{Text: secret.Mask, Value: secret.Mask}}
}

// isMask tells whether a value is the mask that stands for a secret.
func isMask(n schema.Node) bool {
	return n.Kind == schema.ScalarNode && n.Scalar.Text == secret.Mask
}

func eachScalar(n schema.Node, use func(schema.Scalar)) {
	if n.Kind == schema.ScalarNode {
		use(n.Scalar)
	}
	for _, item := range n.Items {
		eachScalar(item, use)
	}
	for _, entry := range n.Entries {
		eachScalar(entry.Value, use)
	}
}
