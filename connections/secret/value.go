package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// Mask stands for a secret wherever one would be shown.
const Mask = "***"

// minMaskable is the number of bytes from which on a text is looked for in what
// is shown: shorter ones would mask half of every log.
const minMaskable = 6

// Value is a secret JSON scalar. It holds a pointer to the text, so that no
// formatting verb, encoder or logger that walks it by reflection finds anything.
// The zero Value is absent: it reveals "" and prints as "***" all the same.
//
// A Value is immutable and safe for concurrent use. Compare with Equal: == tells
// only whether two Values are copies of one another.
type Value struct{ p *payload }

// payload keeps the scalar in a closure. A pointer already stops fmt, encoding
// and slog; the closure stops printers that follow pointers as well.
type payload struct {
	reveal func() any // string, json.Number, bool, int64, float64 or nil
}

// New gives the secret text.
func New(text string) Value { return keep(text) }

// Of gives the secret JSON scalar v: a string, json.Number, bool, number or nil.
// A Value is given back as it is. Anything else, such as a list, is a defect of
// the caller and panics, naming the type only.
func Of(v any) Value {
	switch v := v.(type) {
	case Value:
		return v
	case nil, string, json.Number, bool, int64, float64:
		return keep(v)
	case int:
		return keep(int64(v))
	case int32:
		return keep(int64(v))
	case uint64:
		return keep(json.Number(strconv.FormatUint(v, 10)))
	}
	panic(fmt.Sprintf("secret: Of(%T)", v))
}

func keep(v any) Value { return Value{&payload{func() any { return v }}} }

// Reveal gives the secret as text: numbers and booleans as JSON writes them,
// null and the absent Value as "". Only task drivers, the Vault client and the
// decoder of inputs may call it.
func (v Value) Reveal() string {
	switch s := v.RevealAny().(type) {
	case string:
		return s
	case json.Number:
		return s.String()
	case bool:
		return strconv.FormatBool(s)
	case int64:
		return strconv.FormatInt(s, 10)
	case float64:
		return strconv.FormatFloat(s, 'f', -1, 64)
	}
	return ""
}

// RevealAny gives the secret as it was made: a string, json.Number, bool, int64,
// float64 or nil. It is as restricted as Reveal.
func (v Value) RevealAny() any {
	if v.p == nil {
		return nil
	}
	return v.p.reveal()
}

// IsZero tells whether the Value is absent. A secret null and a secret "" are not.
func (v Value) IsZero() bool { return v.p == nil }

// Maskable tells whether a [Redactor] looks for the secret's text: it does from
// six bytes on.
func (v Value) Maskable() bool { return len(v.Reveal()) >= minMaskable }

// Equal tells whether both reveal the same text, in a time that depends on their
// lengths alone. An absent Value equals only an absent one.
func (v Value) Equal(w Value) bool {
	if v.IsZero() || w.IsZero() {
		return v.IsZero() && w.IsZero()
	}
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// String gives "***".
func (v Value) String() string { return Mask }

// GoString gives "***".
func (v Value) GoString() string { return Mask }

// Format writes "***" for every verb and flag.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// MarshalJSON gives the JSON string "***".
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalText gives "***".
func (v Value) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// LogValue gives "***".
func (v Value) LogValue() slog.Value { return slog.StringValue(Mask) }
