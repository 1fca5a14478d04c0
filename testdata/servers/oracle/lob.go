package oracle

import (
	"encoding/binary"
	"fmt"
)

// The operations on LOBs.
const (
	lobLength = 0x1
	lobRead   = 0x2
	lobTrim   = 0x20
	lobWrite  = 0x40
	lobChunk  = 0x4000
	lobOpen   = 0x8000
	lobClose  = 0x10000
	lobIsOpen = 0x11000
	lobCreate = 0x110
	lobFree   = 0x111

	locatorSize = 40
	chunkSize   = 8132
)

// lob is a large value that the client has a locator of.
type lob struct {
	text bool
	data []byte // of a text: UTF-16
}

// newLOB keeps a value and gives its locator.
func (s *session) newLOB(l *lob, temporary bool) []byte {
	s.ids++
	b := make([]byte, locatorSize)
	b[1] = locatorSize - 2
	b[3] = 2
	if l.text {
		b[6] = 0x80 // of characters of 2 bytes
	}
	if temporary {
		b[7] = 1
	}
	binary.BigEndian.PutUint32(b[12:], uint32(s.ids)) //nolint:gosec // a counter
	s.lobs[string(b[12:16])] = l
	return b
}

func (s *session) lobAt(locator []byte) *lob {
	if len(locator) < 16 {
		return nil
	}
	return s.lobs[string(locator[12:16])]
}

// content gives what a LOB bind holds.
func (s *session) content(locator []byte) any {
	l := s.lobAt(locator)
	switch {
	case l == nil:
		return nil
	case l.text:
		return narrow(l.data)
	}
	return append([]byte{}, l.data...)
}

// locator writes a LOB of a row, or of an OUT bind.
func (s *session) locator(w *writer, c Column, define *descriptor, v any) error {
	const withSizes = 0x2000000
	l := &lob{text: c.Type == Clob}
	switch v := v.(type) {
	case nil:
		w.ub(0)
		return nil
	case string:
		l.data = wide(v)
	case []byte:
		l.data = v
	default:
		return fmt.Errorf("column %s: a LOB of type %T", c.Name, v)
	}
	w.ub(locatorSize)
	if define != nil && define.cont&withSizes != 0 {
		w.ub(l.length(), chunkSize)
	}
	w.clr(s.newLOB(l, false))
	return nil
}

// length is in characters or bytes.
func (l *lob) length() int {
	if l.text {
		return len(l.data) / 2
	}
	return len(l.data)
}

// part gives so many characters or bytes from a position, which starts at 1; 0 is
// all.
func (l *lob) part(from, n int) []byte {
	unit := 1
	if l.text {
		unit = 2
	}
	start := min(max(from-1, 0)*unit, len(l.data))
	if n <= 0 {
		return l.data[start:]
	}
	return l.data[start:min(start+n*unit, len(l.data))]
}

func (l *lob) write(from int, b []byte) {
	unit := 1
	if l.text {
		unit = 2
	}
	start := max(from-1, 0) * unit
	if start > maxValue {
		return
	}
	for len(l.data) < start+len(b) {
		l.data = append(l.data, 0)
	}
	copy(l.data[start:], b)
}

// lobRequest is a call for a LOB.
type lobRequest struct {
	op      int
	locator []byte
	dest    []byte
	charset bool
	flag    bool
	from    int
	to      int // of a new LOB: its type
	amount  int
	sized   bool
}

func (s *session) readLOBCall() lobRequest {
	in := &s.in
	var r lobRequest
	hasSource := in.u8() != 0
	length := in.count(maxValue)
	hasDest := in.u8() != 0
	destLength := in.count(maxValue)
	in.ub()
	in.ub()
	r.charset = in.u8() != 0
	in.u8()
	r.flag = in.u8() != 0
	r.op = in.ub()
	in.u8()
	scn := in.count(16)
	r.from, r.to = in.ub(), in.ub()
	r.sized = in.u8() != 0
	in.bytes(6)
	if hasSource {
		r.locator = append([]byte{}, in.bytes(length)...)
	}
	if hasDest {
		r.dest = append([]byte{}, in.bytes(destLength)...)
	}
	if r.charset {
		in.ub()
	}
	for range scn {
		in.ub()
	}
	return r
}

// lobCall answers function 0x60.
func (s *session) lobCall() error {
	r := s.readLOBCall()
	var data []byte
	if r.op == lobWrite {
		// One client sends the amount before the data, the other behind it.
		if s.in.peek(1)[0] != 14 && r.sized {
			r.amount = s.in.ub()
			r.sized = false
		}
		if kind := s.in.u8(); s.in.err == nil && kind != 14 {
			return fmt.Errorf("a message of type %d instead of a LOB's data", kind)
		}
		data = s.in.clr()
		if r.sized {
			s.in.ub()
		}
	} else if r.sized {
		r.amount = s.in.ub()
	}
	if s.in.err != nil {
		return s.in.err
	}
	s.server.record(Call{Session: s.number, Op: "lob", Rows: r.op, User: s.user})
	w := s.writer()
	if err := s.lobOperation(w, &r, data); err != nil {
		return s.failed(err, false, 0)
	}
	w.raw(8)
	w.raw(r.locator...)
	w.raw(r.dest...)
	if r.charset {
		w.ub(charset)
	}
	if r.sized || r.op == lobWrite && r.amount > 0 {
		w.ub(r.amount)
	}
	if r.flag {
		w.raw(0)
	}
	s.errorBlock(w, outcome{})
	return s.send(w)
}

// lobOperation performs the call, and leaves in r what the answer repeats.
func (s *session) lobOperation(w *writer, r *lobRequest, data []byte) *Error {
	if r.op == lobCreate {
		r.locator = s.newLOB(&lob{text: Type(r.to) == Clob}, true) //nolint:gosec // a type has a byte
		return nil
	}
	l := s.lobAt(r.locator)
	if l == nil {
		return &Error{Code: 22275, Text: "invalid LOB locator specified"}
	}
	switch r.op {
	case lobLength:
		r.amount = l.length()
	case lobRead:
		b := l.part(r.from, r.amount)
		r.amount = len(b)
		if l.text {
			r.amount /= 2
		}
		if len(b) > 0 {
			w.raw(14)
			w.clr(b)
		}
	case lobWrite:
		l.write(r.from, data)
	case lobTrim:
		l.data = l.part(1, r.amount)
	case lobChunk:
		r.amount = chunkSize
	case lobOpen, lobClose, lobIsOpen:
	case lobFree:
		delete(s.lobs, string(r.locator[12:16]))
	default:
		return &Error{Code: 3115, Text: fmt.Sprintf("the LOB operation %#x is not known", r.op)}
	}
	return nil
}

// freeLOBs takes the piggyback that frees temporary LOBs.
func (s *session) freeLOBs() error {
	in := &s.in
	in.u8()
	total := in.count(maxValue)
	in.bytes(7)
	in.ub()
	in.bytes(11)
	for total > 0 && in.err == nil {
		locator := in.bytes(min(locatorSize, total))
		total -= locatorSize
		if len(locator) >= 16 {
			delete(s.lobs, string(locator[12:16]))
		}
	}
	return in.err
}
