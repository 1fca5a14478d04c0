package secret

import (
	"cmp"
	"crypto/hmac"
	"slices"
	"sync"
)

// alphabet is a set of bytes. That a form has only bytes of a narrow alphabet saves
// looking for it where a text has no run of them that is as long: hex and base64 are
// looked for in very little of what people and programs write.
type alphabet uint8

// From narrow to wide, each part of the next but for hexUpper, which is none of hexLower.
const (
	hexLower alphabet = iota
	hexUpper
	base64Any // standard or for URLs
	urlText   // what URLs are made of, and many passwords
	line      // all but line breaks
	anyByte
)

// alphabets gives for each byte a bit for each alphabet that has it.
func alphabets() (of [256]uint8) {
	for c := range of {
		of[c] = 1<<line | 1<<anyByte
		if isBase64(byte(c)) {
			of[c] |= 1<<base64Any | 1<<urlText
		}
	}
	add := func(a alphabet, bytes string) {
		for i := range len(bytes) {
			of[bytes[i]] |= 1 << a
		}
	}
	add(hexLower, "0123456789abcdef")
	add(hexUpper, "0123456789ABCDEF")
	add(urlText, "!$%&'()*,.:;=@~")
	of['\r'], of['\n'] = 1<<anyByte, 1<<anyByte
	return of
}

// tracer finds in a text all forms of secrets that are known by their traces. It is
// immutable.
type tracer struct {
	hash      *traceHash
	alphabets []*alphabetTracer
	anchored  []traceForm
	edges     bool      // some form has a left edge
	prefixes  sync.Pool // of *[]uint64
}

// alphabetTracer is for the forms in one alphabet, but for those with an anchor.
type alphabetTracer struct {
	hash     *traceHash
	alphabet uint8           // its bit in hash.alphabets
	lengths  []*lengthTracer // from short to long
}

func (a *alphabetTracer) has(c byte) bool { return a.hash.alphabets[c]&a.alphabet != 0 }

// lengthTracer is for the forms of one length among them.
type lengthTracer struct {
	length int
	power  uint64     // base to the power of length
	filter [64]uint64 // a bit for the first 12 bits of each form's tag
	forms  []traceForm
}

func newTracer(hash *traceHash, forms []traceForm) *tracer {
	slices.SortFunc(forms, func(a, b traceForm) int {
		return cmp.Or(cmp.Compare(a.alphabet, b.alphabet), cmp.Compare(a.length, b.length), cmp.Compare(a.tag, b.tag),
			slices.Compare(a.mac[:], b.mac[:]), cmp.Compare(a.left, b.left))
	})
	t := &tracer{hash: hash}
	var a *alphabetTracer
	var l *lengthTracer
	last := traceForm{length: -1}
	for _, f := range slices.Compact(forms) {
		t.edges = t.edges || f.left != ""
		if f.anchorLength > 0 {
			t.anchored = append(t.anchored, f)
			continue
		}
		if a == nil || f.alphabet != last.alphabet {
			a = &alphabetTracer{hash: hash, alphabet: 1 << f.alphabet}
			t.alphabets = append(t.alphabets, a)
			l = nil
		}
		if l == nil || f.length != last.length {
			l = &lengthTracer{length: f.length, power: hash.power(f.length)}
			a.lengths = append(a.lengths, l)
		}
		l.filter[f.tag>>10] |= 1 << (f.tag >> 4 & 63)
		l.forms = append(l.forms, f)
		last = f
	}
	return t
}

// finding is a form that was found in a text.
type finding struct {
	at, length int
	left       string
	right      bool
}

// findings are those of one text, by the place where they start, and the first place
// where a form may start that the text does not show to its end.
type findings struct {
	found []finding
	open  int
}

// next gives the first place from i on where there is something to look at.
func (f *findings) next(i int) int {
	for len(f.found) > 0 && f.found[0].at < i {
		f.found = f.found[1:]
	}
	if len(f.found) > 0 {
		return min(f.found[0].at, f.open)
	}
	return f.open
}

// find adds what the text holds to the findings, which it leaves unsorted. A final
// text leaves nothing open.
func (t *tracer) find(all *findings, text []byte, final bool) {
	before := len(all.found)
	for _, a := range t.alphabets {
		for from, to := a.run(text, 0); from < to; from, to = a.run(text, to) {
			t.scan(all, text, from, to, a.lengths)
		}
		if !final {
			all.open = min(all.open, a.open(text))
		}
	}
	found := all.found[before:]
	for i := range t.anchored {
		t.findAnchored(all, found, text, &t.anchored[i], final)
	}
}

// run gives the first run of bytes of the alphabet from i on which is long enough for
// some form; from is to if there is none.
func (a *alphabetTracer) run(text []byte, i int) (from, to int) {
	shortest := a.lengths[0].length
	for i+shortest <= len(text) {
		last := i + shortest - 1
		for last >= i && a.has(text[last]) {
			last--
		}
		if last < i {
			to = i + shortest
			for to < len(text) && a.has(text[to]) {
				to++
			}
			return i, to
		}
		i = last + 1
	}
	return len(text), len(text)
}

// open gives the first place where a form may start and go on after the text.
func (a *alphabetTracer) open(text []byte) int {
	longest := a.lengths[len(a.lengths)-1].length
	i := len(text)
	for i > 0 && len(text)-i < longest-1 && a.has(text[i-1]) {
		i--
	}
	return i
}

// scanBlock is how many places scan looks at before it goes on to the next.
const scanBlock = 4096

// scan looks for forms of these lengths in a run. The hash of any part of it is the
// difference of the hashes of two prefixes.
func (t *tracer) scan(all *findings, text []byte, from, to int, lengths []*lengthTracer) {
	buffer, _ := t.prefixes.Get().(*[]uint64)
	if buffer == nil {
		buffer = new([]uint64)
	}
	longest := lengths[len(lengths)-1].length
	for ; from+lengths[0].length <= to; from += scanBlock {
		*buffer = t.hash.prefixes((*buffer)[:0], text[from:min(to, from+scanBlock+longest)])
		for _, l := range lengths {
			places := min(scanBlock, to-from-l.length+1)
			if places <= 0 {
				break
			}
			t.scanLength(all, text, from, l, (*buffer)[:places+l.length])
		}
	}
	t.prefixes.Put(buffer)
}

// prefixes appends the hashes of all prefixes of the text, from the empty one on.
func (h *traceHash) prefixes(hashes []uint64, text []byte) []uint64 {
	hashes = slices.Grow(hashes, len(text)+1)[:len(text)+1]
	var rolling uint64
	hashes[0] = 0
	for i, c := range text {
		rolling = rolling*h.base + h.numbers[c]
		hashes[i+1] = rolling
	}
	return hashes
}

// scanLength looks for forms of one length in the text from a place on, whose prefixes
// have these hashes.
func (t *tracer) scanLength(all *findings, text []byte, from int, l *lengthTracer, hashes []uint64) {
	ends := hashes[l.length:]
	mixer, power := t.hash.mixer, l.power
	for i, start := range hashes[:len(ends)] {
		rolling := ends[i] - start*power
		mixed := (rolling ^ rolling>>32) * mixer
		if l.filter[mixed>>58]>>(mixed>>52&63)&1 != 0 {
			t.verify(all, text, from+i, l, uint16(mixed>>48))
		}
	}
}

// verify adds the forms that are at the place indeed.
func (t *tracer) verify(all *findings, text []byte, at int, l *lengthTracer, tag uint16) {
	i, ok := slices.BinarySearchFunc(l.forms, tag, func(f traceForm, tag uint16) int { return cmp.Compare(f.tag, tag) })
	if !ok {
		return
	}
	sum := t.hash.mac(macForm, text[at:at+l.length])
	for ; i < len(l.forms) && l.forms[i].tag == tag; i++ {
		f := &l.forms[i]
		if hmac.Equal(f.mac[:], sum[:macSize]) {
			all.found = append(all.found, finding{at: at, length: f.length, left: seal(f.left, sum), right: f.right})
		}
	}
}

// findAnchored adds where the form is, given where its lines may be.
func (t *tracer) findAnchored(all *findings, found []finding, text []byte, f *traceForm, final bool) {
	for _, l := range found {
		at := l.at - f.anchorAt
		if l.length != f.anchorLength || at < 0 {
			continue
		}
		if at+f.length > len(text) {
			if !final {
				all.open = min(all.open, at)
			}
			continue
		}
		if sum := t.hash.mac(macForm, text[at:at+f.length]); hmac.Equal(f.mac[:], sum[:macSize]) {
			all.found = append(all.found, finding{at: at, length: f.length})
		}
	}
	if final {
		return
	}
	i := len(text) // where the anchor may start and go on after the text
	for i > 0 && len(text)-i < f.anchorLength-1 && t.hash.alphabets[text[i-1]]&(1<<line) != 0 {
		i--
	}
	all.open = min(all.open, max(0, i-f.anchorAt))
}
