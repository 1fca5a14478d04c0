package secret

import (
	"slices"
	"strings"
)

// stream is where the masking of a text stands between two parts of it.
type stream struct {
	// masked counts the bytes at the start of the rest that belong to the mask
	// which was shown last; -1 if a mask was not the last thing shown. At 0 the
	// rest touches that mask, and what is masked there needs no new one.
	masked int
	found  bool // anything was masked
}

func newStream() stream { return stream{masked: -1} }

// mask appends the text with its secrets masked to out. Unless the text is final,
// it stops where a secret may start that the text does not show to its end; rest
// is how much it dealt with: the next text must start with what follows.
func (m *matcher) mask(out, text []byte, s *stream, final bool) (_ []byte, rest int) {
	end := s.masked      // of the last mask
	shown := max(end, 0) // all before it is in out, plain or as a mask
	rest = len(text)
	traced := m.traced(text, final)
	next := func(i int) int { return min(m.next(text, i, final), traced.next(i)) }
	for i := next(0); i < len(text); i = next(i + 1) {
		from, to, open := m.occurrence(text, i, &traced)
		if open && !final {
			rest = i
			break
		}
		if from == to {
			continue
		}
		if from > end {
			out = append(append(out, text[shown:from]...), Mask...)
			s.found = true
		}
		end = max(end, to)
		shown = end
	}
	// The last character may turn out to be the left edge of what comes next.
	if !final && rest > shown && m.edge[text[rest-1]] {
		rest--
	}
	if rest > shown {
		s.masked = -1
		return append(out, text[shown:rest]...), rest
	}
	s.masked = max(end-rest, -1)
	return out, rest
}

// next gives the first place from i on where a form may start, or len(text). In
// a text that is not final, that includes places with only a start of one.
func (m *matcher) next(text []byte, i int, final bool) int {
	if len(m.forms) == 0 {
		return len(text)
	}
	for end := i + m.window; end <= len(text); end = i + m.window {
		jump := m.jump[m.slot(text[end-3], text[end-2], text[end-1])]
		if jump == 0 {
			return i
		}
		i += int(jump)
	}
	if final {
		return len(text)
	}
	for ; i+3 <= len(text); i++ {
		if int(m.jump[m.slot(text[i], text[i+1], text[i+2])]) < m.window-2 {
			break // the trigram is in some form
		}
	}
	return i
}

// traced gives what is found by traces, and where more text may have more found.
func (m *matcher) traced(text []byte, final bool) findings {
	all := findings{open: len(text)}
	for _, t := range m.tracers {
		t.find(&all, text, final)
	}
	slices.SortFunc(all.found, func(a, b finding) int { return a.at - b.at })
	return all
}

// occurrence gives what to mask because of the longest form that starts at i;
// nothing if from equals to. open tells that more text may give another answer.
func (m *matcher) occurrence(text []byte, i int, traced *findings) (from, to int, open bool) {
	f, open := m.at(text[i:])
	open = open || i >= traced.open
	var length int
	var left, right bool
	add := func(n int, leftEdge string, rightEdge bool) {
		left = left || i > 0 && strings.IndexByte(leftEdge, text[i-1]) >= 0
		switch {
		case n > length:
			length, right = n, rightEdge
		case n == length:
			right = right || rightEdge
		}
	}
	if f != nil {
		add(len(f.text), f.left, f.right)
	}
	for _, t := range traced.found {
		if t.at != i {
			break
		}
		add(t.length, t.left, t.right)
	}
	from, to = i, i+length
	if left {
		from--
	}
	if right {
		var openEnd bool
		to, openEnd = rightEdge(text, to)
		open = open || openEnd
	}
	return from, to, open
}

// all masks a whole text. found tells whether there was anything to mask.
func (m *matcher) all(text []byte) (out []byte, found bool) {
	s := newStream()
	out, _ = m.mask(nil, text, &s, true)
	return out, s.found
}
