package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-engine/weir/engine"
)

// version is of the encoding. An event of a higher one is refused by name.
const version = 1

// ErrNewer is the error of an event that a newer weir wrote.
var ErrNewer = errors.New("written by a newer weir")

// ErrDamaged is the error of bytes that are no event.
var ErrDamaged = errors.New("damaged")

// Encode gives an event as bytes: the version, the type of event, and its fields,
// each a number, a length and that many bytes. Fields with a zero value are left
// out, and a reader passes over those that it does not know.
func Encode(event Event) []byte {
	to := &encoder{bytes: make([]byte, 0, 256)}
	to.bytes = append(to.bytes, version, event.code())
	event.encode(to)
	return to.bytes
}

// Decode reads what [Encode] wrote. Its error is [ErrNewer] or [ErrDamaged],
// wrapped.
func Decode(data []byte) (Event, error) {
	if len(data) < 2 {
		return nil, fmt.Errorf("%w: %d bytes", ErrDamaged, len(data))
	}
	event := newEvent(data[1])
	if data[0] > version || (event == nil && data[0] == version) {
		return nil, fmt.Errorf("%w: version %d, event type %d", ErrNewer, data[0], data[1])
	}
	if data[0] == 0 || event == nil {
		return nil, fmt.Errorf("%w: version %d, event type %d", ErrDamaged, data[0], data[1])
	}
	d := &decoder{rest: data[2:]}
	if !d.fields(event.decode) {
		return nil, fmt.Errorf("%w: event type %d", ErrDamaged, data[1])
	}
	return event, nil
}

// EncodeValue gives a tree of values as bytes, which [DecodeValue] reads.
func EncodeValue(tree any) []byte {
	to := &encoder{}
	to.bytes = append(to.bytes, version)
	to.put(tree)
	return to.bytes
}

// DecodeValue reads what [EncodeValue] wrote.
func DecodeValue(data []byte) (any, error) {
	if len(data) > 0 && data[0] > version {
		return nil, fmt.Errorf("%w: version %d", ErrNewer, data[0])
	}
	if len(data) < 2 || data[0] == 0 {
		return nil, fmt.Errorf("%w: no value", ErrDamaged)
	}
	d := &decoder{rest: data[1:]}
	tree := d.get(0)
	if d.bad || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: no value", ErrDamaged)
	}
	return tree, nil
}

// encoder collects fields.
type encoder struct{ bytes []byte }

// field writes a field whose bytes the function appends.
func (to *encoder) field(number byte, write func()) {
	to.bytes = append(to.bytes, number)
	start := len(to.bytes)
	write()
	length := len(to.bytes) - start
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(length)) //nolint:gosec // it is not negative
	to.bytes = append(to.bytes, head[:n]...)
	copy(to.bytes[start+n:], to.bytes[start:start+length])
	copy(to.bytes[start:], head[:n])
}

func (to *encoder) text(number byte, text string) {
	if text == "" {
		return
	}
	to.bytes = append(to.bytes, number)
	to.string(text)
}

// string writes a length and a text.
func (to *encoder) string(text string) {
	to.bytes = binary.AppendUvarint(to.bytes, uint64(len(text)))
	to.bytes = append(to.bytes, text...)
}

func (to *encoder) int(number byte, n int64) {
	if n == 0 {
		return
	}
	var text [binary.MaxVarintLen64]byte
	length := binary.PutVarint(text[:], n)
	to.bytes = append(to.bytes, number, byte(length)) //nolint:gosec // at most ten
	to.bytes = append(to.bytes, text[:length]...)
}

func (to *encoder) bool(number byte, b bool) {
	if b {
		to.int(number, 1)
	}
}

// time keeps microseconds, in UTC.
func (to *encoder) time(number byte, t time.Time) {
	if !t.IsZero() {
		to.int(number, t.UnixMicro())
	}
}

// tree writes an object; nil is left out.
func (to *encoder) tree(number byte, tree map[string]any) {
	if tree != nil {
		to.field(number, func() { to.put(tree) })
	}
}

// value writes a tree of values; nil is left out.
func (to *encoder) value(number byte, tree any) {
	if tree != nil {
		to.field(number, func() { to.put(tree) })
	}
}

func (to *encoder) address(number byte, a Address) {
	to.field(number, func() {
		to.text(1, a.Branch)
		to.int(2, int64(a.Number))
	})
}

func (to *encoder) identity(number byte, i Identity) {
	to.field(number, func() {
		to.text(1, string(i.Kind))
		to.text(2, i.Name)
		to.int(3, int64(i.Digest)) //nolint:gosec // the bits are kept
	})
}

func (to *encoder) fault(number byte, e *engine.Error) {
	if e == nil {
		return
	}
	to.field(number, func() {
		to.text(1, string(e.Kind))
		to.text(2, e.Message)
		to.text(3, e.Hint)
		to.text(4, e.Where)
		to.text(5, string(e.Execution))
		to.text(6, e.Traceback)
		to.fault(7, e.Cause)
		to.value(8, e.Value)
	})
}

func (to *encoder) uses(number byte, u engine.Uses) {
	if u.Connection == "" && u.Revision == 0 && len(u.Secrets) == 0 {
		return
	}
	to.field(number, func() {
		to.text(1, u.Connection)
		to.int(2, u.Revision)
		for _, s := range u.Secrets {
			to.field(3, func() {
				to.text(1, s.Path)
				to.int(2, int64(s.Version))
				to.time(3, s.Created)
				for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
					to.field(4, func() {
						to.text(1, key)
						to.text(2, s.Metadata[key])
					})
				}
			})
		}
	})
}

// decoder reads fields. What is wrong with the bytes sets bad, after which it
// gives zero values.
type decoder struct {
	rest []byte // of the field, or of the message
	bad  bool
}

// fields reads all fields of a message, each by the function, and tells whether
// they were whole.
func (d *decoder) fields(read func(field byte, d *decoder)) bool {
	for len(d.rest) > 0 && !d.bad {
		number := d.rest[0]
		d.rest = d.rest[1:]
		inner := &decoder{rest: d.bytes()}
		if d.bad {
			break
		}
		read(number, inner)
		d.bad = inner.bad
	}
	return !d.bad
}

// bytes reads a length and as many bytes.
func (d *decoder) bytes() []byte {
	length, n := binary.Uvarint(d.rest)
	if n <= 0 || length > uint64(len(d.rest)-n) { //nolint:gosec // it is not negative
		d.bad = true
		return nil
	}
	read := d.rest[n : n+int(length)] //nolint:gosec // it is at most the length of rest
	d.rest = d.rest[n+int(length):]   //nolint:gosec // the same
	return read
}

func (d *decoder) text() string { return string(d.rest) }

func (d *decoder) int() int64 {
	n, length := binary.Varint(d.rest)
	if length <= 0 || length != len(d.rest) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) bool() bool { return d.int() != 0 }

func (d *decoder) time() time.Time { return time.UnixMicro(d.int()).UTC() }

func (d *decoder) value() any {
	tree := d.get(0)
	d.bad = d.bad || len(d.rest) > 0
	return tree
}

func (d *decoder) object() map[string]any {
	object, ok := d.value().(map[string]any)
	d.bad = d.bad || !ok
	return object
}

func (d *decoder) address() (a Address) {
	d.fields(func(field byte, d *decoder) {
		switch field {
		case 1:
			a.Branch = d.text()
		case 2:
			a.Number = int(d.int())
		}
	})
	return a
}

func (d *decoder) identity() (i Identity) {
	d.fields(func(field byte, d *decoder) {
		switch field {
		case 1:
			i.Kind = engine.CallKind(d.text())
		case 2:
			i.Name = d.text()
		case 3:
			i.Digest = uint64(d.int()) //nolint:gosec // the bits are kept
		}
	})
	return i
}

func (d *decoder) fault() *engine.Error {
	e := &engine.Error{}
	d.fields(func(field byte, d *decoder) {
		switch field {
		case 1:
			e.Kind = engine.Kind(d.text())
		case 2:
			e.Message = d.text()
		case 3:
			e.Hint = d.text()
		case 4:
			e.Where = d.text()
		case 5:
			e.Execution = engine.ID(d.text())
		case 6:
			e.Traceback = d.text()
		case 7:
			e.Cause = d.fault()
		case 8:
			e.Value = d.value()
		}
	})
	return e
}

func (d *decoder) uses() (u engine.Uses) {
	d.fields(func(field byte, d *decoder) {
		switch field {
		case 1:
			u.Connection = d.text()
		case 2:
			u.Revision = d.int()
		case 3:
			var s engine.SecretUse
			d.fields(func(field byte, d *decoder) {
				switch field {
				case 1:
					s.Path = d.text()
				case 2:
					s.Version = int(d.int())
				case 3:
					s.Created = d.time()
				case 4:
					key, value := d.pair()
					if s.Metadata == nil {
						s.Metadata = map[string]string{}
					}
					s.Metadata[key] = value
				}
			})
			u.Secrets = append(u.Secrets, s)
		}
	})
	return u
}

// pair reads a text and the text that goes with it.
func (d *decoder) pair() (key, value string) {
	d.fields(func(field byte, d *decoder) {
		switch field {
		case 1:
			key = d.text()
		case 2:
			value = d.text()
		}
	})
	return key, value
}
