package secret

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// matcher finds all forms in a text, those of which it has the text in one pass. It is
// immutable.
//
// A table of trigrams says how far the search may jump, as in the algorithm of Wu
// and Manber; where it may not, a binary search among the sorted forms finds the
// longest one that starts there. That keeps one string per form; the trie of an
// Aho-Corasick automaton would keep a node per byte, which long keys make felt.
type matcher struct {
	forms  []form    // sorted by text
	parent []int     // for each form the longest other one that it starts with, or -1
	jump   []uint8   // by slot of a trigram, see next
	window int       // length of the shortest form, at most maxWindow
	edge   [256]bool // the bytes that are a left edge of some form

	tracers []*tracer // of the forms of which only traces are known
}

// maxWindow bounds how much of each form the table of trigrams is made from.
const maxWindow = 12

func newMatcher(forms []form, tracers []*tracer) *matcher {
	m := &matcher{tracers: tracers}
	for _, t := range tracers {
		for c := range m.edge {
			m.edge[c] = m.edge[c] || t.edges && isBase64(byte(c)) // which ones it can't tell
		}
	}
	if len(forms) == 0 {
		return m
	}
	forms = slices.Clone(forms)
	slices.SortFunc(forms, func(a, b form) int { return strings.Compare(a.text, b.text) })
	m.forms = mergeEqual(forms)
	m.link()
	m.fillJumps()
	for _, f := range m.forms {
		for i := range len(f.left) {
			m.edge[f.left[i]] = true
		}
	}
	return m
}

// mergeEqual makes one form of those with the same text.
func mergeEqual(sorted []form) []form {
	merged := sorted[:0]
	for _, f := range sorted {
		if last := len(merged) - 1; last >= 0 && merged[last].text == f.text {
			merged[last].left += f.left
			merged[last].right = merged[last].right || f.right
			continue
		}
		merged = append(merged, f)
	}
	return merged
}

// link finds the parents. A form's left edge is its children's too: where they
// are found, it is found.
func (m *matcher) link() {
	m.parent = make([]int, len(m.forms))
	for i := range m.forms {
		p := i - 1
		for p >= 0 && !strings.HasPrefix(m.forms[i].text, m.forms[p].text) {
			p = m.parent[p]
		}
		m.parent[i] = p
		if p >= 0 && !strings.Contains(m.forms[i].left, m.forms[p].left) {
			m.forms[i].left += m.forms[p].left
		}
	}
}

// fillJumps says for each trigram how far the search may move on when it stands
// at the end of the window: to where the trigram is in the window of some form.
func (m *matcher) fillJumps() {
	window := uint8(maxWindow)
	for _, f := range m.forms {
		for len(f.text) < int(window) {
			window--
		}
	}
	m.window = int(window)
	size := 1 << 12
	for size < 32*m.window*len(m.forms) && size < 1<<18 {
		size *= 2
	}
	last := window - 3
	m.jump = bytes.Repeat([]byte{last + 1}, size)
	for _, f := range m.forms {
		for at := range last + 1 {
			slot := m.slot(f.text[at], f.text[at+1], f.text[at+2])
			m.jump[slot] = min(m.jump[slot], last-at)
		}
	}
}

func (m *matcher) slot(a, b, c byte) int {
	return int((uint32(a)|uint32(b)<<8|uint32(c)<<16)*2654435761>>12) & (len(m.jump) - 1)
}

// at gives the longest form that the text starts with, or nil. open tells that
// more text after it may give a longer one.
func (m *matcher) at(text []byte) (f *form, open bool) {
	next := sort.Search(len(m.forms), func(i int) bool { return m.forms[i].text > string(text) })
	open = next < len(m.forms) && m.forms[next].continues(text)
	i := next - 1
	for i >= 0 && !m.forms[i].starts(text) {
		i = m.parent[i]
	}
	if i < 0 {
		return nil, open
	}
	return &m.forms[i], open
}
