package schema

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// A complaint of the parser, and what people are told instead. The parser says
// where a parser's complaint (not a scanner's) happened with a line too few.
type complaint struct {
	says    string
	late    bool
	message string
	hint    string
}

func complaints() []complaint {
	const align = "keys of one mapping, and items of one list, start in the same column"
	return []complaint{
		{"mapping values are not allowed", false, `": " cannot stand here`,
			"check the indentation, or put a text that holds \": \" in quotes"},
		{"could not find expected ':'", false, "this is no \"key: value\" line",
			"a space must follow the colon; check also that every quote is closed"},
		{"did not find expected key", true, "the indentation does not fit the lines before", align},
		{"did not find expected '-'", true, "the indentation does not fit the lines before", align},
		{"block sequence entries are not allowed", false, "a list item cannot stand here", align},
		{"mapping keys are not allowed", false, "a key cannot stand here", align},
		{"did not find expected ',' or ']'", true, "a list in [ ] is not closed, or lacks a comma", ""},
		{"did not find expected ',' or '}'", true, "a mapping in { } is not closed, or lacks a comma", ""},
		{"did not find expected node content", true, "a value is missing or cannot start like this", ""},
		{"did not find expected <document start>", true, "something follows the end of the value", ""},
		{"cannot start any token", false, "a text cannot start like this",
			"put a text that starts with @, % or ` in quotes"},
		{"alphabetic or numeric character", false, "an anchor or alias has no name",
			"put a text that starts with & or * in quotes"},
		{"unknown anchor", false, "an alias has no anchor of its name before it",
			"put a text that starts with * in quotes"},
		{"found unexpected end of stream", false, "a quote is not closed", ""},
		{"found unexpected document indicator", false, "a quote is not closed before the next document", ""},
		{"unknown escape character", false, "unknown escape after \\ in a text in double quotes",
			"write \\\\ for a backslash, or use single quotes"},
		{"hexdecimal number", false, "wrong \\x, \\u or \\U escape in a text in double quotes", ""},
		{"invalid Unicode character", false, "wrong \\u or \\U escape in a text in double quotes", ""},
		{"control characters are not allowed", false, "the text holds a control character",
			"write it as an escape in double quotes, such as \"\\x07\""},
		{"exceeded max depth", false, "lists and mappings are nested too deeply", ""},
		{"tag", false, "wrong tag", "put a text that starts with ! in quotes"},
		{"directive", false, "wrong directive", "put a text that starts with % in quotes"},
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
		if c.late {
			line++
		}
		if name, ok := unknownAnchor(says); ok {
			line = lineOf(text, "*"+name)
		}
		return Problem{Pos: at(min(line, lineCount(text))), Message: c.message, Hint: c.hint}
	}
	return Problem{Pos: at(min(line, lineCount(text))), Message: "the text is not valid YAML"}
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
