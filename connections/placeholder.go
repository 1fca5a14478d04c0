package connections

import (
	"strings"

	"github.com/weir-engine/weir/connections/secret"
)

// A placeholder in the value of a connection stands for a key of a secret:
//
//	vault.secret(key)               a key of the attached secrets, last attached wins;
//	                                also one that its list of keys does not select
//	vault.secret(path.key)          a key of the secret at path; its newest version,
//	                                unless a secret attached from there is pinned
//	vault.secret(config:path.key)   the same at a named Vault configuration
//
// A path holds at least one slash; what follows the last dot behind it is the
// key. So an argument without a slash before its last dot is a key, dots
// included. A key that does not fit is put in quotes: vault.secret("a/b.c"),
// vault.secret(secret/app."tls.key"). Where the very text "vault.secret(" is
// meant, a backslash goes before the parenthesis: vault.secret\( .
type placeholder struct {
	ref secret.Ref // of a placeholder that names its secret; else zero
	key string
}

func (p placeholder) named() bool { return p.ref.Path != "" }

// String gives the placeholder as one writes it. It names, and holds no secret.
func (p placeholder) String() string {
	if p.named() {
		return "vault.secret(" + p.ref.String() + "." + p.key + ")"
	}
	return "vault.secret(" + p.key + ")"
}

// piece is a stretch of text, or a placeholder.
type piece struct {
	text string
	hold *placeholder
}

const (
	opening = "vault.secret"

	faultOpen  = `a placeholder "vault.secret(" is not closed`
	faultEmpty = `a placeholder "vault.secret(...)" names no key`
	hintEscape = `write vault.secret\( where this very text is meant`
)

// cutPlaceholders cuts a text into pieces, escapes taken away. Nil means that the
// text stands for itself. fault says what is wrong with a placeholder.
func cutPlaceholders(text string) (pieces []piece, fault string) {
	if !strings.Contains(text, opening) {
		return nil, ""
	}
	var literal strings.Builder
	found := false
	for {
		before, rest, ok := strings.Cut(text, opening)
		literal.WriteString(before)
		if !ok {
			break
		}
		bare := strings.TrimLeft(rest, `\`)
		escapes := len(rest) - len(bare)
		if !strings.HasPrefix(bare, "(") {
			literal.WriteString(opening)
			text = rest
			continue
		}
		found = true
		if escapes > 0 {
			literal.WriteString(opening + rest[1:escapes] + "(")
			text = bare[1:]
			continue
		}
		argument, after, ok := cutArgument(bare[1:])
		if !ok {
			return nil, faultOpen
		}
		hold, ok := parseArgument(argument)
		if !ok {
			return nil, faultEmpty
		}
		if literal.Len() > 0 {
			pieces = append(pieces, piece{text: literal.String()})
			literal.Reset()
		}
		pieces = append(pieces, piece{hold: &hold})
		text = after
	}
	if !found {
		return nil, ""
	}
	if literal.Len() > 0 {
		pieces = append(pieces, piece{text: literal.String()})
	}
	return pieces, ""
}

// cutArgument cuts at the closing parenthesis, which may stand in quotes.
func cutArgument(text string) (argument, after string, ok bool) {
	quote := byte(0)
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '\n':
			return "", "", false
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ')':
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

func parseArgument(argument string) (placeholder, bool) {
	argument = strings.TrimSpace(argument)
	path, key := "", argument
	if before, quoted, ok := cutQuoted(argument); ok {
		path, key = before, quoted
		if path != "" {
			if path, ok = strings.CutSuffix(path, "."); !ok {
				return placeholder{}, false
			}
		}
	} else if dot := strings.LastIndexByte(argument, '.'); dot >= 0 && strings.Contains(argument[:dot], "/") {
		path, key = argument[:dot], argument[dot+1:]
	}
	p := placeholder{key: key}
	if path != "" {
		p.ref.Path = path
		if colon := strings.IndexByte(path, ':'); colon > 0 && colon < strings.IndexByte(path+"/", '/') {
			p.ref.Vault, p.ref.Path = path[:colon], path[colon+1:]
		}
	}
	p.ref = normalRef(p.ref)
	return p, key != "" && (path == "" || p.ref.Path != "")
}

// cutQuoted cuts a quoted key off the end of an argument.
func cutQuoted(argument string) (before, quoted string, ok bool) {
	if len(argument) < 2 {
		return "", "", false
	}
	end := len(argument) - 1
	quote := argument[end]
	if quote != '"' && quote != '\'' {
		return "", "", false
	}
	start := strings.LastIndexByte(argument[:end], quote)
	if start < 0 {
		return "", "", false
	}
	return argument[:start], argument[start+1 : end], true
}

// normalRef gives equal references for what is the same secret by its spelling.
func normalRef(r secret.Ref) secret.Ref {
	r.Path = strings.Trim(r.Path, "/")
	if r.Vault == "default" {
		r.Vault = ""
	}
	return r
}
