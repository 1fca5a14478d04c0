package sqloracle

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-engine/weir/tasks"
)

// kind is what sort of statement a text is.
type kind int

const (
	other kind = iota
	query
	change // INSERT, UPDATE, DELETE, MERGE
	block  // PL/SQL
)

// statement is a statement as it is sent. Every byte of it stands where it stood in
// the text that the user wrote, so that positions in errors fit.
type statement struct {
	input string // which input it came from
	given string // as the user wrote it
	text  string
	kind  kind
	// names are the placeholders in order of appearance, in upper case unless
	// quoted. In a block, each name is there once.
	names []string
}

var firstWord = regexp.MustCompile(`^[\s(]*([A-Za-z]+)`)

// parse reads as much of a statement as is needed to bind its values.
func parse(input, given string) (statement, error) {
	s := statement{input: input, given: given}
	text, names := scan(given)
	word := ""
	if m := firstWord.FindStringSubmatch(text); m != nil {
		word = strings.ToUpper(m[1])
	}
	switch word {
	case "":
		return s, &tasks.Error{Kind: tasks.Invalid, Input: input, Message: "there is no statement in it"}
	case "SELECT", "WITH":
		s.kind = query
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		s.kind = change
	case "BEGIN", "DECLARE":
		s.kind = block
	case "CREATE", "ALTER":
		names = nil // :new and :old of a trigger are none
	}
	if strings.ContainsAny(given, "\x00") {
		return s, &tasks.Error{Kind: tasks.Invalid, Input: input, Message: "the statement holds a zero byte"}
	}
	s.text = trimEnd(text, s.kind == block || word == "CREATE")
	if s.kind == block {
		names = once(names)
	}
	if s.kind == change {
		// go-ora knows RETURNING ... INTO in one line only.
		s.text = strings.NewReplacer("\n", " ", "\r", " ").Replace(s.text)
	}
	s.names = names
	return s, nil
}

// trimEnd takes off what SQL*Plus wants and the server does not: a semicolon, or
// behind PL/SQL a slash on a line of its own.
func trimEnd(text string, program bool) string {
	text = strings.TrimRight(text, " \t\r\n")
	if !program {
		return strings.TrimRight(text, "; \t\r\n")
	}
	if before, ok := strings.CutSuffix(text, "/"); ok && strings.HasSuffix(strings.TrimRight(before, " \t\r"), "\n") {
		return strings.TrimRight(before, " \t\r\n")
	}
	return text
}

func once(names []string) []string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// scan finds placeholders outside of texts, quoted names and comments. It gives
// the text with comments blanked out, but for hints.
func scan(text string) (blanked string, names []string) {
	b := []byte(text)
	for i := 0; i < len(b); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "--") && !strings.HasPrefix(rest, "--+"):
			i = blank(b, i, end(rest, 2, "\n"))
		case strings.HasPrefix(rest, "/*") && !strings.HasPrefix(rest, "/*+"):
			i = blank(b, i, end(rest, 2, "*/"))
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "/*"):
			i += 2
		case isQuoting(text, i):
			i += quoted(rest)
		case b[i] == '\'':
			i += end(rest, 1, "'")
		case b[i] == '"':
			i += end(rest, 1, `"`)
		case b[i] == ':' && (i == 0 || b[i-1] != ':'):
			name, length := placeholder(rest)
			if length > 0 {
				names = append(names, name)
			}
			i += max(length, 1)
		default:
			i++
		}
	}
	return string(b), names
}

// end gives where what begins at the start of rest is over.
func end(rest string, skip int, closing string) int {
	at := strings.Index(rest[skip:], closing)
	if at < 0 {
		return len(rest)
	}
	return skip + at + len(closing)
}

// blank overwrites a comment, and keeps its line breaks.
func blank(b []byte, from, length int) int {
	for i := from; i < from+length; i++ {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
	return from + length
}

// isQuoting tells whether a text as q'[it's]' begins at i.
func isQuoting(text string, i int) bool {
	if i+2 >= len(text) || (text[i] != 'q' && text[i] != 'Q') || text[i+1] != '\'' {
		return false
	}
	if i == 0 || !isName(text[i-1]) {
		return true
	}
	return (text[i-1] == 'n' || text[i-1] == 'N') && (i == 1 || !isName(text[i-2]))
}

func quoted(rest string) int {
	closing := rest[2:3]
	if pair := strings.Index("[{(<", closing); pair >= 0 {
		closing = "]})>"[pair : pair+1]
	}
	return end(rest, 3, closing+"'")
}

func isName(c byte) bool {
	return c == '_' || c == '$' || c == '#' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// placeholder reads one from its colon on; a length of 0 means that it is none.
func placeholder(rest string) (name string, length int) {
	if len(rest) > 2 && rest[1] == '"' {
		n := end(rest, 2, `"`)
		if name = strings.Trim(rest[1:n], `"`); name == "" {
			return "", 0
		}
		return name, n
	}
	n := 1
	for n < len(rest) && isName(rest[n]) {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return strings.ToUpper(rest[1:n]), n
}

// wantQuery refuses what is no query.
func (s statement) wantQuery() error {
	if s.kind == query {
		return nil
	}
	return &tasks.Error{
		Kind: tasks.Invalid, Input: s.input,
		Message: fmt.Sprintf("%s is for queries, and this is none", s.input),
		Hint:    "use `execute` for statements that change something, and `call` for PL/SQL",
	}
}

// harmless statements leave a session as it was for the next task.
func (s statement) harmless() bool { return s.kind == query || s.kind == change }

// at shows a position in the statement: its line and column, and what stands there.
func (s statement) at(pos int) string {
	const around = 24
	if pos < 0 || pos > len(s.given) {
		return ""
	}
	before := s.given[:pos]
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
	start, stop := max(pos-around, 0), min(pos+around, len(s.given))
	excerpt := strings.ToValidUTF8(s.given[start:pos], "") + "▸" + strings.ToValidUTF8(s.given[pos:stop], "")
	excerpt = strings.Join(strings.Fields(excerpt), " ")
	if start > 0 {
		excerpt = "…" + excerpt
	}
	if stop < len(s.given) {
		excerpt += "…"
	}
	return fmt.Sprintf("line %d, column %d: %s", line, column, excerpt)
}
