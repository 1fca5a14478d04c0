package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The bounds of one document. They keep a mistaken or hostile text from taking
// more than a moment and a few megabytes.
const (
	MaxText  = 1 << 20 // bytes of text
	MaxDepth = 64      // lists and mappings within one another
	MaxNodes = 100_000 // values, after aliases are expanded
)

// Document is one document of a YAML text.
type Document struct {
	Node Node
	// Text is the document as it was typed, without the lines that separate it
	// from others, and with plain line feeds.
	Text string

	root   *yaml.Node
	source string // with its markers
	skip   int    // lines of the file before source
}

// Parse gives the documents of a YAML text; empty ones are left out. file names
// the text in places and may be empty. A document that is at fault is left out
// and does not hide the others; each thing wrong with it is a Problem, none of
// which quotes the text.
func Parse(file string, text []byte) ([]Document, []Problem) {
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if bytes.IndexByte(text, '\r') >= 0 {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	}
	var (
		documents []Document
		problems  []Problem
	)
	for _, part := range split(text) {
		d, faults := parseOne(file, part)
		problems = append(problems, faults...)
		if len(faults) == 0 && d.root != nil {
			documents = append(documents, d)
		}
	}
	return documents, problems
}

// part is the text of one document, which starts after skip lines of its file.
type part struct {
	text []byte
	skip int
}

// split cuts a stream at its document markers, so that each document is parsed
// on its own. A line that starts with a marker is one wherever it stands: YAML
// allows no scalar to hold it.
func split(text []byte) []part {
	var parts []part
	start, startLine, line := 0, 0, 0
	cut := func(end, nextLine int) {
		if end > start {
			parts = append(parts, part{text[start:end], startLine})
		}
		start, startLine = end, nextLine
	}
	for at := 0; at < len(text); {
		next := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		switch {
		case isMarker(text[at:next], "---") && !isPreamble(text[start:at]):
			cut(at, line)
		case isMarker(text[at:next], "..."):
			cut(next, line+1)
		}
		at = next
		line++
	}
	cut(len(text), line)
	return parts
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n')
}

// isPreamble tells whether text holds only what may stand before a document's
// marker and belongs to that document: comments and directives.
func isPreamble(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

func parseOne(file string, p part) (Document, []Problem) {
	at := func(line int) Pos { return Pos{File: file, Line: p.skip + line, Col: 1} }
	if len(p.text) > MaxText {
		return Document{}, []Problem{{
			Pos:     at(1),
			Message: fmt.Sprintf("the document has %d bytes; at most %d (1 MiB) are allowed", len(p.text), MaxText),
			Hint:    "keep large data in a file of its own and name that file",
		}}
	}
	if line, ok := firstInvalid(p.text); !ok {
		return Document{}, []Problem{{Pos: at(line), Message: "the text is not valid UTF-8"}}
	}
	p.text = ignoreVersion(p.text)
	root, err := decodeYAML(p.text)
	if err != nil {
		return Document{}, []Problem{syntaxProblem(at, p.text, err)}
	}
	if root == nil {
		return Document{}, nil
	}
	b := builder{file: file, skip: p.skip}
	node := b.node(root, 0)
	if len(b.problems) > 0 {
		return Document{}, b.problems
	}
	source := string(p.text)
	return Document{Node: node, Text: documentText(source), root: root, source: source, skip: p.skip}, nil
}

// ignoreVersion makes a comment of a leading %YAML directive: what differs between
// the versions is decided in this package, and the parser knows 1.1 only.
func ignoreVersion(text []byte) []byte {
	at := bytes.Index(text, []byte("%YAML"))
	if at < 0 || !isPreamble(text[:at]) {
		return text
	}
	text = bytes.Clone(text)
	text[at] = '#'
	return text
}

// firstInvalid gives the line of the first byte that is not UTF-8.
func firstInvalid(text []byte) (line int, ok bool) {
	if utf8.Valid(text) {
		return 0, true
	}
	for l := range bytes.Lines(text) {
		line++
		if !utf8.Valid(l) {
			break
		}
	}
	return line, false
}

var errTrailing = errors.New("text after the end of the document")

// decodeYAML gives the one value of the text, nil if there is none.
func decodeYAML(text []byte) (root *yaml.Node, err error) {
	// The parser panics on its own defects; a bad file must not stop the program.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, errors.New("yaml: the parser cannot read this text")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, rest yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	// What follows a complete value is only seen by asking for the next document.
	if err := decoder.Decode(&rest); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errTrailing
		}
		return nil, err
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 {
		return nil, nil // only comments, or nothing after a marker
	}
	return root, nil
}

// documentText drops the lines that mark where a document begins and ends.
func documentText(text string) string {
	lines := strings.SplitAfter(text, "\n")
	kept := lines[:0]
	for _, line := range lines {
		bare := strings.TrimRight(line, " \t\n")
		if bare == "---" || bare == "..." || strings.HasPrefix(line, "#YAML ") {
			continue
		}
		kept = append(kept, strings.TrimPrefix(line, "--- "))
	}
	return strings.Join(kept, "")
}
