package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxValue is the longest text, number or locator that a client may send.
const maxValue = 64 << 20

// reader decodes the stream of bytes that data packets carry. Its first error
// sticks: everything read afterwards is zero, and the caller looks at err once.
type reader struct {
	next      func() ([]byte, error) // the payload of the next data packet
	buf       []byte
	bigChunks bool // lengths of chunks are universal integers
	err       error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.buf = nil
	}
}

// peek waits until n bytes are there, and gives them without taking them.
func (r *reader) peek(n int) []byte {
	if n < 0 || n > maxValue {
		r.fail(fmt.Errorf("%d bytes announced", n))
	}
	for r.err == nil && len(r.buf) < n {
		more, err := r.next()
		if err != nil {
			r.fail(err)
			break
		}
		r.buf = append(r.buf, more...)
	}
	if r.err != nil {
		return make([]byte, min(max(n, 0), 64))
	}
	return r.buf[:n]
}

func (r *reader) bytes(n int) []byte {
	b := r.peek(n)
	if r.err != nil {
		return b[:0]
	}
	r.buf = r.buf[n:]
	return b
}

func (r *reader) u8() byte {
	b := r.peek(1)[0]
	if r.err != nil {
		return 0
	}
	r.buf = r.buf[1:]
	return b
}

func (r *reader) u16() int {
	b := r.bytes(2)
	if r.err != nil {
		return 0
	}
	return int(binary.BigEndian.Uint16(b))
}

func (r *reader) u16le() int {
	v := r.u16()
	return v>>8 | v&0xFF<<8
}

// ub reads a universal integer: a length, then so many bytes.
func (r *reader) ub() int {
	n := r.u8()
	negative := n&0x80 != 0
	n &= 0x7F
	if n > 8 {
		r.fail(fmt.Errorf("a universal integer of %d bytes", n))
		return 0
	}
	var v uint64
	for range n {
		v = v<<8 | uint64(r.u8())
	}
	if v > math.MaxInt64 {
		r.fail(errors.New("a universal integer over 63 bits"))
		return 0
	}
	if negative {
		return -int(v)
	}
	return int(v)
}

// count reads a universal integer that says how many things follow.
func (r *reader) count(limit int) int {
	n := r.ub()
	if n < 0 || n > limit {
		r.fail(fmt.Errorf("%d things announced where %d are the most", n, limit))
		return 0
	}
	return n
}

// clr reads bytes that are preceded by their length, or come in chunks; nil is
// NULL.
func (r *reader) clr() []byte {
	n := r.u8()
	switch n {
	case 0, 0xFF, 0xFD:
		return nil
	case 0xFE:
		return r.chunks()
	}
	return append([]byte{}, r.bytes(int(n))...)
}

func (r *reader) chunks() []byte {
	value := []byte{}
	for r.err == nil {
		n := 0
		if r.bigChunks {
			n = r.count(maxValue)
		} else {
			n = int(r.u8())
		}
		if n == 0 {
			break
		}
		if len(value)+n > maxValue {
			r.fail(fmt.Errorf("a value of more than %d bytes", maxValue))
			break
		}
		value = append(value, r.bytes(n)...)
	}
	return value
}

// dlc reads a universal length and, unless it is 0, bytes as clr does.
func (r *reader) dlc() []byte {
	if r.ub() == 0 {
		return nil
	}
	return r.clr()
}

// keyValues reads n pairs of key and value with their flags.
func (r *reader) keyValues(n int) map[string]string {
	pairs := map[string]string{}
	for i := 0; i < n && r.err == nil; i++ {
		key, value := r.dlc(), r.dlc()
		r.ub()
		pairs[string(key)] = string(value)
	}
	return pairs
}

// until reads up to and including a zero byte.
func (r *reader) until() []byte {
	var text []byte
	for r.err == nil && len(text) < 1<<16 {
		c := r.u8()
		if c == 0 {
			break
		}
		text = append(text, c)
	}
	return text
}

// ended tells a connection's end from garbage.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, errGone)
}

// writer collects a message.
type writer struct {
	b         []byte
	bigChunks bool
}

func (w *writer) raw(b ...byte) { w.b = append(w.b, b...) }

func (w *writer) u16(v int) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) } //nolint:gosec // a field of the format

func (w *writer) u32(v int) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) } //nolint:gosec // a field of the format

// ub writes universal integers.
func (w *writer) ub(values ...int) {
	for _, v := range values {
		w.universal(v)
	}
}

func (w *writer) universal(v int) {
	var sign byte
	if v < 0 {
		sign, v = 0x80, -v
	}
	var digits [8]byte
	binary.BigEndian.PutUint64(digits[:], uint64(v)) //nolint:gosec // not negative
	skip := 0
	for skip < 8 && digits[skip] == 0 {
		skip++
	}
	w.raw(sign | byte(8-skip))
	w.raw(digits[skip:]...)
}

// clr writes bytes after their length; nil and empty are NULL.
func (w *writer) clr(value []byte) {
	if len(value) <= 0xFC {
		w.raw(byte(len(value)))
		w.raw(value...)
		return
	}
	size := 0x40
	if w.bigChunks {
		size = 0x7FFF
	}
	w.raw(0xFE)
	for len(value) > 0 {
		chunk := value[:min(size, len(value))]
		value = value[len(chunk):]
		if w.bigChunks {
			w.ub(len(chunk))
		} else {
			w.raw(byte(len(chunk)))
		}
		w.raw(chunk...)
	}
	w.raw(0)
}

func (w *writer) dlc(text string) {
	w.ub(len(text))
	if text != "" {
		w.clr([]byte(text))
	}
}

func (w *writer) keyValue(key, value string, flag int) {
	w.dlc(key)
	w.dlc(value)
	w.ub(flag)
}
