package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// form is one spelling of a secret that is looked for.
type form struct {
	text string // at least minMaskable bytes
	// Inside longer base64 text the first and the last character depend on the
	// neighbours too, so text is without them, and they are masked beside it.
	left  string // the characters of which one may stand before it; "" for none
	right bool   // there is one more character after it, and maybe padding
}

// starts tells whether the text starts with the form.
func (f *form) starts(text []byte) bool {
	return len(text) >= len(f.text) && string(text[:len(f.text)]) == f.text
}

// continues tells whether the form starts with the text and goes on after it.
func (f *form) continues(text []byte) bool {
	return len(text) < len(f.text) && f.text[:len(text)] == string(text)
}

// rightEdge gives where the right edge ends of a form that ends there. open tells that
// it may end later with more text.
func rightEdge(text []byte, end int) (_ int, open bool) {
	if end < len(text) {
		if !isBase64(text[end]) {
			return end, false
		}
		end++
	}
	for padding := 0; padding < 2; padding++ {
		if end == len(text) {
			return end, true
		}
		if text[end] != '=' {
			break
		}
		end++
	}
	return end, false
}

// appendForms appends every form of a secret of at least minMaskable bytes. White
// space around it may show, which lets it be found without that as well.
func appendForms(forms []form, text string) []form {
	if trimmed := strings.TrimSpace(text); len(trimmed) >= minMaskable {
		text = trimmed
	}
	forms = appendEncodings(appendEscapes(forms, text), text)
	for line := range lines(text) {
		forms = appendEscapes(forms, line)
	}
	return forms
}

// lines gives the lines of a text with several lines, without those that are too short.
func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !strings.ContainsAny(text, "\r\n") {
			return
		}
		for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if line = strings.TrimSpace(line); len(line) >= minMaskable && !yield(line) {
				return
			}
		}
	}
}

// appendEscapes appends the text plain and as URLs, JSON and Go quote it.
func appendEscapes(forms []form, text string) []form {
	forms = append(forms, form{text: text})
	if isUnreserved(text) {
		return forms
	}
	add := func(escaped string) {
		if escaped != text {
			forms = append(forms, form{text: escaped})
		}
	}
	query := url.QueryEscape(text)
	_, userinfo, _ := strings.Cut(url.UserPassword("", text).String(), ":")
	for _, escaped := range []string{query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(text), userinfo} {
		add(escaped)
		add(lowerPercent(escaped))
	}
	for _, html := range []bool{true, false} {
		quoted := jsonQuote(text, html)
		add(quoted)
		add(strings.ReplaceAll(quoted, "/", `\/`))
	}
	for _, quoted := range []string{strconv.Quote(text), strconv.QuoteToASCII(text)} {
		add(quoted[1 : len(quoted)-1])
	}
	return forms
}

// isUnreserved tells whether no escaping changes the text.
func isUnreserved(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isBase64(c) && c != '.' || c == '+' || c == '/' {
			return false
		}
	}
	return true
}

// lowerPercent gives URL-escaped text with its hex digits in lower case.
func lowerPercent(escaped string) string {
	if !strings.Contains(escaped, "%") {
		return escaped
	}
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:], bytes.ToLower(b[i:i+3]))
		}
	}
	return string(b)
}

// jsonQuote gives the text as inside a JSON string.
func jsonQuote(text string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(text) // a string always encodes
	return b.String()[1 : b.Len()-len("\"\n")]
}

// appendEncodings appends the text in hex and in base64.
func appendEncodings(forms []form, text string) []form {
	lower := hex.EncodeToString([]byte(text))
	forms = append(forms, form{text: lower}, form{text: strings.ToUpper(lower)})
	for before := range 3 {
		std := base64Inside(base64.RawStdEncoding, text, before)
		forms = append(forms, std)
		if url := base64Inside(base64.RawURLEncoding, text, before); url != std {
			forms = append(forms, url)
		}
	}
	return forms
}

// base64Inside gives what base64 text shows of a text that has so many bytes (0
// to 2) before it in its group of three: all characters that depend on nothing else.
func base64Inside(enc *base64.Encoding, text string, before int) form {
	group := append(make([]byte, before, before+len(text)), text...)
	encoded := enc.EncodeToString(group)
	first, last := (8*before+5)/6, 8*len(group)/6
	return form{text: encoded[first:last], left: leftEdge(enc, group[:before+1]), right: last < len(encoded)}
}

// leftEdge gives the characters that the last byte of a group shares with the
// byte before it, whatever that one is.
func leftEdge(enc *base64.Encoding, group []byte) string {
	before := len(group) - 1
	if before == 0 {
		return ""
	}
	var edge, encoded [16]byte
	choices := 1 << (2 * before) // of the bits of the byte before that are in the character
	for x := range choices {
		group[before-1] = byte(x)
		enc.Encode(encoded[:], group)
		edge[x] = encoded[before]
	}
	return string(edge[:choices])
}

// isBase64 tells whether base64 text, standard or for URLs, may hold the byte.
func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '+' || c == '/' || c == '-' || c == '_'
}
