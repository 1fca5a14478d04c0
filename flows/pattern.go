package flows

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxCaptures     = 32
	maxPatternDepth = 200 // nested tries of one match

	captureOpen     = -1
	capturePosition = -2
)

// matcher matches one Lua pattern. The library's own matcher cannot be stopped: a
// pattern such as ".-.-.-b" takes minutes on half a kilobyte. This one counts each
// step on the meter of the run.
type matcher struct {
	run      *runtime
	L        *lua.LState
	src, pat string
	depth    int
	level    int // captures, open ones included
	captures [maxCaptures]struct{ start, length int }
}

// at matches the pattern from its position p against the text from position s on.
// It gives the end of the match, or -1.
func (m *matcher) at(s, p int) int {
	if m.depth++; m.depth > maxPatternDepth {
		m.run.fail(m.L, "the pattern is too complex")
	}
	defer func() { m.depth-- }()
	for p < len(m.pat) {
		m.step()
		switch c := m.pat[p]; {
		case c == '(' && p+1 < len(m.pat) && m.pat[p+1] == ')':
			return m.open(s, p+2, capturePosition)
		case c == '(':
			return m.open(s, p+1, captureOpen)
		case c == ')':
			return m.close(s, p+1)
		case c == '$' && p+1 == len(m.pat):
			if s == len(m.src) {
				return s
			}
			return -1
		case c == '%' && p+1 < len(m.pat) && strings.IndexByte("bf0123456789", m.pat[p+1]) >= 0:
			if s, p = m.special(s, p); s < 0 {
				return -1
			}
		default:
			end, done := m.item(s, p, &s, &p)
			if done {
				return end
			}
		}
	}
	return s
}

func (m *matcher) step() {
	if !m.run.meter.step() {
		m.run.die(m.L)
	}
}

// item matches one character class with what may follow it (* + - ?). It either
// knows the result or moves on to the next item.
func (m *matcher) item(s, p int, nextS, nextP *int) (end int, done bool) {
	e := m.classEnd(p)
	repeat := byte(0)
	if e < len(m.pat) {
		repeat = m.pat[e]
	}
	switch repeat {
	case '?':
		if m.single(s, p, e) {
			if end := m.at(s+1, e+1); end >= 0 {
				return end, true
			}
		}
		*nextP = e + 1
		return 0, false
	case '*':
		return m.longest(s, p, e), true
	case '+':
		if !m.single(s, p, e) {
			return -1, true
		}
		return m.longest(s+1, p, e), true
	case '-':
		return m.shortest(s, p, e), true
	}
	if !m.single(s, p, e) {
		return -1, true
	}
	*nextS, *nextP = s+1, e
	return 0, false
}

func (m *matcher) longest(s, p, e int) int {
	n := 0
	for m.single(s+n, p, e) {
		m.step()
		n++
	}
	for ; n >= 0; n-- {
		if end := m.at(s+n, e+1); end >= 0 {
			return end
		}
		m.step()
	}
	return -1
}

func (m *matcher) shortest(s, p, e int) int {
	for {
		if end := m.at(s, e+1); end >= 0 {
			return end
		}
		if !m.single(s, p, e) {
			return -1
		}
		m.step()
		s++
	}
}

// special matches %b, %f and %1; it gives the next positions, s -1 for no match.
func (m *matcher) special(s, p int) (int, int) {
	switch c := m.pat[p+1]; c {
	case 'b':
		return m.balanced(s, p+2), p + 4
	case 'f':
		p += 2
		if p >= len(m.pat) || m.pat[p] != '[' {
			m.malformed("missing '[' after '%f'")
		}
		e := m.classEnd(p)
		before, here := byte(0), byte(0)
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			here = m.src[s]
		}
		if m.inSet(before, p, e-1) || !m.inSet(here, p, e-1) {
			return -1, p
		}
		return s, e
	default:
		i := int(c) - '1'
		if i < 0 || i >= m.level || m.captures[i].length == captureOpen {
			m.malformed("invalid capture index")
		}
		text := m.capture(i)
		m.run.meter.work(len(text))
		if !strings.HasPrefix(m.src[s:], text) {
			return -1, p
		}
		return s + len(text), p + 2
	}
}

func (m *matcher) balanced(s, p int) int {
	if p+1 >= len(m.pat) {
		m.malformed("missing arguments to '%b'")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case m.pat[p+1]:
			if depth--; depth == 0 {
				return i + 1
			}
		case m.pat[p]:
			depth++
		}
	}
	return -1
}

func (m *matcher) open(s, p, kind int) int {
	if m.level >= maxCaptures {
		m.malformed("too many captures")
	}
	m.captures[m.level].start, m.captures[m.level].length = s, kind
	m.level++
	end := m.at(s, p)
	if end < 0 {
		m.level--
	}
	return end
}

func (m *matcher) close(s, p int) int {
	i := m.level - 1
	for ; i >= 0 && m.captures[i].length != captureOpen; i-- {
	}
	if i < 0 {
		m.malformed("invalid pattern capture")
	}
	m.captures[i].length = s - m.captures[i].start
	end := m.at(s, p)
	if end < 0 {
		m.captures[i].length = captureOpen
	}
	return end
}

// classEnd gives the position after the class that starts at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.malformed("it ends with '%'")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; ; first = false {
			if p >= len(m.pat) {
				m.malformed("missing ']'")
			}
			c := m.pat[p]
			p++
			if c == '%' {
				p++
			} else if c == ']' && !first {
				return p
			}
		}
	}
	return p
}

// single tells whether the character at s is in the class from p to e.
func (m *matcher) single(s, p, e int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, e-1)
	}
	return m.pat[p] == c
}

// inSet tells whether c is in the set whose brackets are at p and last.
func (m *matcher) inSet(c byte, p, last int) bool {
	in := true
	if p++; m.pat[p] == '^' {
		in = false
		p++
	}
	for ; p < last; p++ {
		switch {
		case m.pat[p] == '%':
			p++
			if inClass(c, m.pat[p]) {
				return in
			}
		case p+2 < last && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return in
			}
			p += 2
		case m.pat[p] == c:
			return in
		}
	}
	return !in
}

// inClass tells whether c is in %class. Upper case means all others.
func inClass(c, class byte) bool {
	ranges := classRanges(class | 0x20)
	upper := 'A' <= class && class <= 'Z'
	if ranges == "" || !upper && (class < 'a' || class > 'z') {
		return class == c
	}
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i] <= c && c <= ranges[i+1] {
			return !upper
		}
	}
	return upper
}

// classRanges gives the first and the last character of each range of a class.
func classRanges(class byte) string {
	switch class {
	case 'a':
		return "AZaz"
	case 'c':
		return "\x00\x1f\x7f\x7f"
	case 'd':
		return "09"
	case 'l':
		return "az"
	case 'p':
		return "!/:@[`{~"
	case 's':
		return "\t\r  "
	case 'u':
		return "AZ"
	case 'w':
		return "09AZaz"
	case 'x':
		return "09AFaf"
	case 'z':
		return "\x00\x00"
	}
	return ""
}

func (m *matcher) malformed(problem string) {
	m.run.fail(m.L, "malformed pattern (%s)", problem)
}

func (m *matcher) capture(i int) string {
	c := m.captures[i]
	if c.length < 0 {
		return ""
	}
	return m.src[c.start : c.start+c.length]
}

// value gives capture i, or the whole match where there are no captures.
func (m *matcher) value(i, start, end int) lua.LValue {
	if i >= m.level {
		if i > 0 {
			m.malformed("invalid capture index")
		}
		return m.run.piece(m.L, m.src, start, end)
	}
	switch c := m.captures[i]; c.length {
	case captureOpen:
		m.malformed("unfinished capture")
	case capturePosition:
		return lua.LNumber(c.start + 1)
	default:
		return m.run.piece(m.L, m.src, c.start, c.start+c.length)
	}
	return lua.LNil
}

// pushCaptures gives all captures, or the whole match if there are none and it is
// asked for.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.L.Push(m.value(i, start, end))
	}
	return n
}

// search finds the first match from position init on.
func (m *matcher) search(init int) (start, end int) {
	p := 0
	anchored := strings.HasPrefix(m.pat, "^")
	if anchored {
		p = 1
	}
	for s := init; s <= len(m.src); s++ {
		m.step()
		m.level = 0
		if end := m.at(s, p); end >= 0 {
			return s, end
		}
		if anchored {
			break
		}
	}
	return -1, -1
}

// piece is a part of a text as a value. It is a copy, since a part would keep all
// of the text alive.
func (r *runtime) piece(L *lua.LState, s string, from, to int) lua.LValue {
	if from == 0 && to == len(s) {
		return lua.LString(s)
	}
	r.take(L, to-from+stringBytes)
	r.meter.work(to - from)
	return lua.LString(strings.Clone(s[from:to]))
}
