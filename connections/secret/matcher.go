package secret

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// matcher finds all forms in a text in one pass. It is immutable.
//
// A table of three-byte windows says how far the search may jump, as in the
// algorithm of Wu and Manber; where it may not, a binary search among the sorted
// forms finds the longest one that starts there. That keeps one string per form:
// a trie of the same forms takes twenty times the memory and the time to build,
// which long keys make felt.
type matcher struct {
	forms  []form    // sorted by text
	parent []int     // for each form the longest other one that it starts with, or -1
	jump   []uint8   // by slot of a window
	edge   [256]bool // the bytes that are a left edge of some form
}

// maxJump is how far a window of three bytes moves at most within the first
// minMaskable bytes of a form.
const maxJump = minMaskable - 3 + 1

func newMatcher(forms []form) *matcher {
	forms = slices.Clone(forms)
	slices.SortFunc(forms, func(a, b form) int { return strings.Compare(a.text, b.text) })
	m := &matcher{forms: mergeEqual(forms)}
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
		if p >= 0 {
			m.forms[i].left += m.forms[p].left
		}
	}
}

func (m *matcher) fillJumps() {
	size := 1 << 10
	for size < 64*len(m.forms) && size < 1<<18 {
		size *= 2
	}
	m.jump = bytes.Repeat([]byte{maxJump}, size)
	for _, f := range m.forms {
		for at := range maxJump {
			slot := &m.jump[m.slot(f.text[at], f.text[at+1], f.text[at+2])]
			*slot = min(*slot, uint8(maxJump-1-at))
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
