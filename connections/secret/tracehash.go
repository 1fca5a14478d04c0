package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"sync"
)

// traceForm is what a trace keeps of one form of a secret.
type traceForm struct {
	alphabet alphabet
	length   int
	tag      uint16 // of the rolling hash
	mac      [macSize]byte
	left     string // see form; sealed, because it tells bits of the secret's first byte
	right    bool   // see form
	// A form of several lines is looked for only where the first line that is a form
	// too was found: anchorLength bytes at anchorAt. No anchor has length 0.
	anchorAt, anchorLength int
}

const (
	traceVersion = 1
	macSize      = 16
	checkSize    = 8
	traceHeader  = 1 + checkSize // version, then a MAC of the rest
	maxLeft      = 16            // bytes of traceForm.left
)

// What is authenticated says first what it is.
const (
	macForm  = 0
	macTrace = 1
)

// traceHash is what traces are made with. The bytes of a text are the coefficients of a
// polynomial, each replaced by a secret random number; its value at the secret base, modulo
// 2^64, is the rolling hash that says where a form may be, and the MAC proves it.
//
// A trace holds 16 bits of the hash after mixing, never the hash: whole hashes of a few
// forms are linear equations, from which one who has the key could solve for a secret
// that is far too long to be guessed, and one who knows a secret for the base.
type traceHash struct {
	id        [16]byte // tells keys apart
	numbers   [256]uint64
	base      uint64
	mixer     uint64
	macs      sync.Pool  // of *macer
	alphabets [256]uint8 // see alphabets
}

func newTraceHash(key [32]byte) *traceHash {
	var stream [16 + 32 + 8*(256+2)]byte
	block, _ := aes.NewCipher(key[:])                                                    // errs for other lengths of key only
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(stream[:], stream[:]) //nolint:gosec // the key is for this one stream
	h := &traceHash{id: [16]byte(stream[:]), alphabets: alphabets()}
	macKey, rest := stream[16:48], stream[48:]
	next := func() uint64 {
		n := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		return n
	}
	for i := range h.numbers {
		h.numbers[i] = next()
	}
	h.base, h.mixer = next()|1, next()|1
	h.macs.New = func() any { return &macer{hash: hmac.New(sha256.New, macKey)} }
	return h
}

type macer struct {
	hash hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// mac gives the MAC of a text of a kind. For a form, its first macSize bytes are part of
// the trace and the others seal the left edge.
func (h *traceHash) mac(kind byte, text []byte) [sha256.Size]byte {
	m := h.macs.Get().(*macer)
	m.text = append(append(m.text[:0], kind), text...) // lest text escape, and be copied whole
	m.hash.Reset()
	_, _ = m.hash.Write(m.text) // a hash never fails
	m.hash.Sum(m.sum[:0])
	sum := m.sum
	h.macs.Put(m)
	return sum
}

// tag gives the bits of a rolling hash that a trace may hold.
func (h *traceHash) tag(rolling uint64) uint16 {
	return uint16((rolling ^ rolling>>32) * h.mixer >> 48)
}

// power gives the base to the power of n.
func (h *traceHash) power(n int) uint64 {
	power := uint64(1)
	for square := h.base; n > 0; n >>= 1 {
		if n&1 != 0 {
			power *= square
		}
		square *= square
	}
	return power
}

// trace gives the trace of a secret. It lists the forms in the order in which they are
// made, as any other order would tell how their texts compare.
func (h *traceHash) trace(secret string) []byte {
	forms := appendForms(nil, secret)
	trace := make([]byte, traceHeader, traceHeader+32*len(forms))
	trace[0] = traceVersion
	known := make(map[form]bool, len(forms))
	for _, f := range forms {
		if !known[f] {
			known[f] = true
			trace = h.appendForm(trace, f)
		}
	}
	check := h.mac(macTrace, trace[traceHeader:])
	copy(trace[1:traceHeader], check[:])
	return trace
}

// appendForm appends flags, length, anchor if it may have one, tag, MAC, left edge.
func (h *traceHash) appendForm(trace []byte, f form) []byte {
	var rolling uint64
	fitting := ^uint8(0)
	for i := range len(f.text) {
		rolling = rolling*h.base + h.numbers[f.text[i]]
		fitting &= h.alphabets[f.text[i]]
	}
	narrowest := hexLower
	for fitting&(1<<narrowest) == 0 {
		narrowest++
	}
	flags := uint64(narrowest) | uint64(len(f.left)/4)<<4
	if f.right {
		flags |= 8
	}
	trace = binary.AppendUvarint(trace, flags) // one byte
	trace = binary.AppendUvarint(trace, uint64(len(f.text)))
	if narrowest == anyByte {
		before, line := anchor(f.text)
		trace = binary.AppendUvarint(trace, uint64(len(before)))
		trace = binary.AppendUvarint(trace, uint64(len(line)))
	}
	trace = binary.LittleEndian.AppendUint16(trace, h.tag(rolling))
	sum := h.mac(macForm, []byte(f.text))
	trace = append(trace, sum[:macSize]...)
	return append(trace, seal(f.left, sum)...)
}

// seal hides a left edge from all who don't know the form, and shows it again.
func seal(left string, sum [sha256.Size]byte) string {
	sealed := []byte(left)
	subtle.XORBytes(sealed, sealed, sum[macSize:])
	return string(sealed)
}

// anchor gives the first line that is a form too, and what is before it; nothing if none is.
func anchor(text string) (before, line string) {
	for line := range lines(text) {
		before, _, _ = strings.Cut(text, line)
		return before, line
	}
	return "", ""
}

var (
	errTraceVersion = errors.New("it was made by a later version")
	errTraceDamaged = errors.New("it was made with another key, or is damaged")
)

// parse gives the forms of a trace.
func (h *traceHash) parse(trace []byte) ([]traceForm, error) {
	if len(trace) < traceHeader {
		return nil, errTraceDamaged
	}
	if trace[0] > traceVersion {
		return nil, errTraceVersion
	}
	check := h.mac(macTrace, trace[traceHeader:])
	if trace[0] != traceVersion || !hmac.Equal(check[:checkSize], trace[1:traceHeader]) {
		return nil, errTraceDamaged
	}
	forms := make([]traceForm, 0, len(trace)/(macSize+4))
	for d := (traceDecoder{rest: trace[traceHeader:]}); len(d.rest) > 0; {
		f := d.form()
		if d.bad {
			return nil, errTraceDamaged
		}
		forms = append(forms, f)
	}
	return forms, nil
}

// traceDecoder takes apart what appendForm put together.
type traceDecoder struct {
	rest []byte
	bad  bool
}

func (d *traceDecoder) form() traceForm {
	flags := d.bytes(1)[0]
	f := traceForm{alphabet: alphabet(flags & 7), right: flags&8 != 0, length: d.number()}
	if f.alphabet == anyByte {
		f.anchorAt, f.anchorLength = d.number(), d.number()
	}
	f.tag = binary.LittleEndian.Uint16(d.bytes(2))
	f.mac = [macSize]byte(d.bytes(macSize))
	f.left = string(d.bytes(min(int(flags>>4)*4, maxLeft)))
	d.bad = d.bad || f.alphabet > anyByte || f.length < minMaskable || f.anchorAt+f.anchorLength > f.length
	return f
}

// bytes gives so many bytes, at most macSize, whatever there is.
func (d *traceDecoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.bad, d.rest = true, nil
		return make([]byte, macSize)[:n]
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// number gives a length.
func (d *traceDecoder) number() int {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > 1<<40 {
		d.bad, size = true, len(d.rest)
		n = 0
	}
	d.rest = d.rest[size:]
	return int(n)
}
