package schema

import (
	"bytes"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// complaint is what the parser says, and what people are told instead.
type complaint struct {
	says    string
	line    whereLine
	message string
	hint    string
}

// whereLine says how to come from the line that the parser names to the one that
// is wrong.
type whereLine int

const (
	said     whereLine = iota
	next               // the parser names the line before
	searched           // the parser names the start of the block
)

func complaints() []complaint {
	const align = "keys of one mapping, and items of one list, start in the same column"
	return []complaint{
		{"mapping values are not allowed", said, `": " cannot stand here`,
			"check the indentation, or put a text that holds \": \" in quotes"},
		{"could not find expected ':'", said, "this is no \"key: value\" line",
			"a space must follow the colon; check also that every quote is closed"},
		{"did not find expected key", searched, "the indentation does not fit the lines before", align},
		{"did not find expected '-'", searched, "the indentation does not fit the lines before", align},
		{"block sequence entries are not allowed", said, "a list item cannot stand here", align},
		{"mapping keys are not allowed", said, "a key cannot stand here", align},
		{"did not find expected ',' or ']'", next, "a list in [ ] is not closed, or lacks a comma", ""},
		{"did not find expected ',' or '}'", next, "a mapping in { } is not closed, or lacks a comma", ""},
		{"did not find expected node content", next, "a value is missing or cannot start like this", ""},
		{"did not find expected <document start>", next, "something follows the end of the value", ""},
		{"cannot start any token", said, "a text cannot start like this",
			"put a text that starts with @, % or ` in quotes"},
		{"alphabetic or numeric character", said, "an anchor or alias has no name",
			"put a text that starts with & or * in quotes"},
		{"unknown anchor", said, "an alias has no anchor of its name before it",
			"put a text that starts with * in quotes"},
		{"found unexpected end of stream", said, "a quote is not closed", ""},
		{"found unexpected document indicator", said, "a quote is not closed before the next document", ""},
		{"unknown escape character", said, "unknown escape after \\ in a text in double quotes",
			"write \\\\ for a backslash, or use single quotes"},
		{"hexdecimal number", said, "wrong \\x, \\u or \\U escape in a text in double quotes", ""},
		{"invalid Unicode character", said, "wrong \\u or \\U escape in a text in double quotes", ""},
		{"control characters are not allowed", said, "the text holds a control character",
			"write it as an escape in double quotes, such as \"\\x07\""},
		{"exceeded max depth", said, "lists and mappings are nested too deeply", ""},
		{"tag", said, "wrong tag", "put a text that starts with ! in quotes"},
		{"directive", said, "wrong directive", "put a text that starts with % in quotes"},
	}
}

// syntaxProblem says in people's words what the parser complained about. It
// never repeats the parser's words: they may quote the text.
func syntaxProblem(at func(line int) Pos, text []byte, err error) Problem {
	if line, ok := tabIndented(text); ok {
		return Problem{Pos: at(line), Message: "the line is indented with a tab", Hint: "use spaces: YAML allows no tabs there"}
	}
	says := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(says); m != nil {
		line, _ = strconv.Atoi(m[1])
		says = says[len(m[0]):]
	}
	for _, c := range complaints() {
		if !strings.Contains(says, c.says) {
			continue
		}
		switch name, ok := unknownAnchor(says); {
		case ok:
			line = lineOf(text, "*"+name)
		case c.line == searched:
			line = firstFailing(text, says)
		case c.line == next:
			line++
		}
		return Problem{Pos: at(min(line, lineCount(text))), Message: c.message, Hint: c.hint}
	}
	return Problem{Pos: at(min(line, lineCount(text))), Message: "the text is not valid YAML"}
}

// firstFailing gives the number of lines after which the text goes wrong in this
// way: every start of a block is a whole block itself.
func firstFailing(text []byte, says string) int {
	ends := []int{}
	for i, c := range text {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	words := says[strings.LastIndex(says, ": ")+1:]
	return 1 + sort.Search(len(ends), func(i int) bool {
		_, err := decodeYAML(text[:ends[i]])
		return err != nil && strings.HasSuffix(err.Error(), words)
	})
}

// tabIndented gives the first line whose indentation holds a tab.
func tabIndented(text []byte) (int, bool) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		rest := bytes.TrimLeft(line, " \t")
		indent := line[:len(line)-len(rest)]
		if bytes.IndexByte(indent, '\t') >= 0 && len(bytes.TrimSpace(rest)) > 0 && rest[0] != '#' {
			return n, true
		}
	}
	return 0, false
}

func unknownAnchor(says string) (string, bool) {
	name, ok := strings.CutPrefix(says, "unknown anchor '")
	if !ok {
		return "", false
	}
	return strings.TrimSuffix(name, "' referenced"), true
}

func lineOf(text []byte, find string) int {
	i := bytes.Index(text, []byte(find))
	return 1 + bytes.Count(text[:max(i, 0)], []byte("\n"))
}

func lineCount(text []byte) int {
	return max(1, bytes.Count(text, []byte("\n"))+1-bytes.Count(text[max(0, len(text)-1):], []byte("\n")))
}
