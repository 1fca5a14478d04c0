package sqloracle

import (
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"github.com/weir-engine/weir/tasks"
)

// inlineText is the longest text, in bytes, that is sent as such: a longer one
// becomes a temporary CLOB.
const inlineText = 32767

// out is an OUT parameter.
type out struct {
	name  string // as the user calls it
	as    string
	value func() (any, error) // what came back
	rows  *goora.RefCursor    // of a cursor
}

// binding is what a statement is executed with.
type binding struct {
	args []driver.NamedValue
	outs []out
}

// bind fits params to the placeholders of a statement.
func (s *session) bind(st statement, params any) (binding, error) {
	values, names, err := s.arrange(st, params)
	if err != nil {
		return binding{}, err
	}
	var b binding
	for i, v := range values {
		arg, o, err := s.argument(v)
		if err != nil {
			return binding{}, invalid("params", fmt.Sprintf("params: %s: %v", names[i], err), "")
		}
		if o != nil {
			if st.kind != block && st.kind != change {
				return binding{}, invalid("params", fmt.Sprintf("params: %s is an OUT parameter, and this statement gives none back", names[i]), "")
			}
			o.name = names[i]
			b.outs = append(b.outs, *o)
		}
		if st.kind != block && sortOf(arg) == sortTable {
			return binding{}, invalid("params", fmt.Sprintf("params: %s is an array, which only a PL/SQL block takes", names[i]), "use `call`, or `batch` for many rows")
		}
		b.args = append(b.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return b, nil
}

// arrange gives the values in the order of the placeholders, and what to call them.
func (s *session) arrange(st statement, params any) (values []any, names []string, err error) {
	switch p := params.(type) {
	case nil:
		if len(st.names) > 0 {
			return nil, nil, invalid("params", "the statement has the placeholder :"+st.names[0]+", and there are no params", "")
		}
		return nil, nil, nil
	case []any:
		if len(p) != len(st.names) {
			return nil, nil, invalid("params", fmt.Sprintf("the statement has %d placeholders, and params has %d values", len(st.names), len(p)),
				"in SQL a placeholder counts each time that it appears; give a mapping to name them")
		}
		for i := range p {
			names = append(names, strconv.Itoa(i+1))
		}
		return p, names, nil
	case map[string]any:
		return byName(st, p)
	}
	return nil, nil, invalid("params", "params is neither a list nor a mapping", "")
}

func byName(st statement, params map[string]any) (values []any, names []string, err error) {
	given := map[string]string{} // placeholder to key
	for key := range params {
		given[strings.ToUpper(strings.TrimPrefix(key, ":"))] = key
	}
	for _, name := range st.names {
		key, ok := given[strings.ToUpper(name)]
		if !ok {
			return nil, nil, invalid("params", "params has no value for the placeholder :"+name, "")
		}
		values = append(values, params[key])
		names = append(names, key)
	}
	for key := range params {
		if !slices.Contains(names, key) {
			return nil, nil, invalid("params", fmt.Sprintf("params has %q, and the statement has no such placeholder", key), "")
		}
	}
	return values, names, nil
}

func invalid(input, message, hint string) *tasks.Error {
	return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: message, Hint: hint}
}

// argument makes what go-ora sends for a value.
func (s *session) argument(v any) (arg any, o *out, err error) {
	m, ok := v.(map[string]any)
	if !ok {
		arg, err = plain(v)
		return arg, nil, err
	}
	for key := range m {
		if !slices.Contains([]string{"type", "value", "file", "out", "size", "array"}, key) {
			return nil, nil, fmt.Errorf("%q is none of type, value, file, out, size, array", key)
		}
	}
	as, _ := m["type"].(string)
	if given, ok := m["out"]; ok {
		if as = fmt.Sprint(given); m["array"] != nil {
			return s.outTable(as, m)
		}
		return s.outArgument(as, m)
	}
	if list, ok := m["value"].([]any); ok {
		arg, err = s.tableArgument(as, list)
		return arg, nil, err
	}
	arg, err = s.typed(as, m)
	return arg, nil, err
}

// plain makes the argument of a value without a type of its own.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if len(v) > inlineText {
			return goora.Clob{String: v, Valid: true}, nil
		}
		return v, nil
	case bool:
		if v {
			return number("1")
		}
		return number("0")
	case json.Number:
		return number(v.String())
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is no number that Oracle has", v)
		}
		return number(strconv.FormatFloat(v, 'g', -1, 64))
	case int64:
		return number(strconv.FormatInt(v, 10))
	}
	return nil, fmt.Errorf("a value of this kind (%T) cannot be sent", v)
}

// number makes an exact NUMBER of a decimal text.
func number(text string) (*goora.Number, error) {
	const most = 38
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(strings.TrimSpace(text)), "e")
	shift := 0
	var err error
	if scientific {
		if shift, err = strconv.Atoi(exponent); err != nil {
			return nil, fmt.Errorf("%q is no number", text)
		}
	}
	mantissa, negative := strings.CutPrefix(strings.TrimPrefix(mantissa, "+"), "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, fmt.Errorf("%q is no number", text)
	}
	shift -= len(fraction)
	digits = strings.TrimLeft(digits, "0")
	short := strings.TrimRight(digits, "0")
	shift += len(digits) - len(short)
	switch {
	case short == "":
		return goora.NewNumberFromFloat(0)
	case len(short) > most:
		return nil, fmt.Errorf("a number of %d digits: Oracle keeps %d", len(short), most)
	case len(short)+shift > 126 || len(short)+shift < -126:
		return nil, fmt.Errorf("%s is out of the range of Oracle's numbers", text)
	}
	if negative {
		short = "-" + short
	}
	return goora.NewNumberFromString(short + "e" + strconv.Itoa(shift))
}

// typed makes the argument of a mapping with a type.
func (s *session) typed(as string, m map[string]any) (any, error) {
	data, err := s.data(as, m)
	if err != nil || data == nil {
		return data, err
	}
	switch as {
	case "number":
		return number(fmt.Sprint(data))
	case "string":
		return fmt.Sprint(data), nil
	case "date", "timestamp":
		t, err := localTime(fmt.Sprint(data))
		return goora.TimeStamp(t), err
	case "timestamp_tz":
		t, err := time.Parse(time.RFC3339Nano, fmt.Sprint(data))
		if err != nil {
			return nil, fmt.Errorf("write a time as 2026-01-31T08:00:00+01:00")
		}
		return goora.TimeStampTZ(t), nil
	case "raw":
		return data, nil
	case "clob":
		return goora.Clob{String: fmt.Sprint(data), Valid: true}, nil
	case "blob":
		b, _ := data.([]byte)
		return goora.Blob{Data: b, Valid: true}, nil
	}
	return nil, fmt.Errorf("%q is none of the types number, string, date, timestamp, timestamp_tz, raw, clob, blob", as)
}

// data gives the value of a mapping: bytes for raw and blob, nil for NULL.
func (s *session) data(as string, m map[string]any) (any, error) {
	name, fromFile := m["file"].(string)
	v := m["value"]
	if fromFile {
		b, err := s.readFile(name)
		if err != nil || as == "blob" || as == "raw" {
			return b, err
		}
		return string(b), nil
	}
	text, isText := v.(string)
	if v == nil || isText && text == "" {
		return nil, nil
	}
	switch as {
	case "raw":
		b, err := hex.DecodeString(text)
		if err != nil || !isText {
			return nil, fmt.Errorf("a raw value is a text of hex digits")
		}
		return b, nil
	case "blob":
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !isText {
			return nil, fmt.Errorf("the value of a blob is a text in base64")
		}
		return b, nil
	}
	return v, nil
}

// readFile reads a value from the files directory, up to max_lob_size.
func (s *session) readFile(name string) ([]byte, error) {
	f, err := s.env.Files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the file %q cannot be opened in the files directory", name)
	}
	defer f.Close() //nolint:errcheck // it was only read
	limit := s.in.Int("max_lob_size")
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the file %q: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("the file %q has more than %d bytes: raise max_lob_size", name, limit)
	}
	return b, nil
}

// localTime reads a date or a time without a zone.
func localTime(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("write a date as 2026-01-31 or 2026-01-31T08:00:00; one with a zone is a timestamp_tz")
}

// outArgument makes an OUT or IN OUT parameter.
func (s *session) outArgument(as string, m map[string]any) (any, *out, error) {
	const room = 4000
	size := room
	if n, ok := m["size"]; ok {
		var err error
		if size, err = strconv.Atoi(fmt.Sprint(n)); err != nil || size < 1 || size > inlineText {
			return nil, nil, fmt.Errorf("size is a whole number from 1 to %d", inlineText)
		}
	}
	o := &out{as: as}
	_, given := m["value"]
	_, inFile := m["file"]
	var in any
	if given || inFile {
		var err error
		if in, err = s.typed(as, m); err != nil {
			return nil, nil, err
		}
	}
	dest, err := o.destination(in)
	if err != nil {
		return nil, nil, err
	}
	return goora.Out{Dest: dest, Size: size, In: in != nil}, o, nil
}

// destination gives a pointer for go-ora to write to, which holds in at first.
func (o *out) destination(in any) (any, error) {
	switch o.as {
	case "number":
		d := &numeric{}
		if n, ok := in.(*goora.Number); ok {
			d.in = n
		}
		o.value = func() (any, error) { return exact(d.text) }
		return d, nil
	case "string":
		text, ok := in.(string)
		d := &sql.NullString{String: text, Valid: ok}
		o.value = func() (any, error) { return textOrNil(d.String), nil }
		return d, nil
	case "date", "timestamp":
		d := &goora.NullTimeStamp{}
		if t, ok := in.(goora.TimeStamp); ok {
			d.TimeStamp, d.Valid = t, true
		}
		o.value = func() (any, error) {
			return timeOrNil(time.Time(d.TimeStamp), d.Valid, localLayout), nil
		}
		return d, nil
	case "timestamp_tz":
		d := &goora.NullTimeStampTZ{}
		if t, ok := in.(goora.TimeStampTZ); ok {
			d.TimeStampTZ, d.Valid = t, true
		}
		o.value = func() (any, error) {
			return timeOrNil(time.Time(d.TimeStampTZ), d.Valid, time.RFC3339Nano), nil
		}
		return d, nil
	case "raw":
		b, _ := in.([]byte)
		d := &b
		o.value = func() (any, error) { return bytesOrNil(*d, upperHex), nil }
		return d, nil
	case "clob":
		d := &goora.Clob{}
		if c, ok := in.(goora.Clob); ok {
			*d = c
		}
		o.value = func() (any, error) { return textOrNil(d.String), nil }
		return d, nil
	case "blob":
		d := &goora.Blob{}
		if b, ok := in.(goora.Blob); ok {
			*d = b
		}
		o.value = func() (any, error) { return base64OrNil(d.Data), nil }
		return d, nil
	case "cursor":
		o.rows = &goora.RefCursor{}
		return o.rows, nil
	}
	return nil, fmt.Errorf("%q is none of the types number, string, date, timestamp, timestamp_tz, raw, clob, blob, cursor", o.as)
}

func textOrNil(text string) any {
	if text == "" {
		return nil // as Oracle has it
	}
	return text
}

func bytesOrNil(b []byte, write func([]byte) string) any {
	if len(b) == 0 {
		return nil
	}
	return write(b)
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// numeric is an OUT parameter of type NUMBER, which keeps all digits.
type numeric struct {
	in   *goora.Number
	text string
}

// Value is what go-ora sends; it never is nil, so that the type is known.
func (n numeric) Value() (driver.Value, error) {
	if n.in != nil {
		return n.in, nil
	}
	return goora.NewNumberFromInt64(0)
}

// Scan takes what comes back.
func (n *numeric) Scan(v any) error {
	n.text, _ = v.(string)
	return nil
}
