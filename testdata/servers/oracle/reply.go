package oracle

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf16"
)

// outcome is what the block at the end of an answer says.
type outcome struct {
	cursor  int
	rows    int
	err     *Error
	rowErrs map[int]Error
	open    bool // a transaction is open
}

// errorBlock ends an answer.
func (s *session) errorBlock(w *writer, o outcome) {
	code, pos := 0, 0
	if o.err != nil {
		code, pos = o.err.Code, o.err.Pos
	}
	status := 0
	if o.open {
		status = 2
	}
	w.raw(4)
	w.ub(status, 0, o.rows, code, 0, 0, o.cursor, pos)
	w.raw(0, 0, 0, 0, 0, 0)
	w.ub(0, 0)
	w.raw(0)
	w.ub(0, 0)
	w.ub(0)
	w.raw(0, 0)
	w.ub(0, 0)
	w.ub(0) // no logical rowid
	s.rowErrors(w, o.rowErrs)
	w.ub(code, o.rows)
	if s.field >= 14 {
		w.ub(0, 0)
	}
	if code != 0 {
		w.clr([]byte(o.err.message()))
	}
}

// rowErrors lists the errors of an array bind.
func (s *session) rowErrors(w *writer, errs map[int]Error) {
	rows := slices.Sorted(maps.Keys(errs))
	w.ub(len(rows))
	if len(rows) > 0 {
		w.raw(1)
	}
	for _, row := range rows {
		w.ub(errs[row].Code)
	}
	w.ub(len(rows))
	if len(rows) > 0 {
		w.raw(1)
	}
	for _, row := range rows {
		w.ub(row)
	}
	w.ub(len(rows))
	if len(rows) > 0 {
		w.raw(1)
	}
	for _, row := range rows {
		text := []byte(errs[row].message())
		w.ub(len(text))
		w.clr(text)
		w.raw(0, 0)
	}
}

// parameters is the part that clients skip, but for the counts of an array bind.
func (s *session) parameters(w *writer, counts []int, counted bool) {
	w.raw(8)
	w.ub(6, 1, 0, 0, 0, 0, 0)
	w.ub(0, 0, 0)
	if counted {
		w.ub(len(counts))
		w.ub(counts...)
	}
}

// describe lists the columns of a query.
func (s *session) describe(w *writer, columns []Column) {
	const perRow = 4000
	w.ub(perRow*max(len(columns), 1), len(columns))
	if len(columns) > 0 {
		w.raw(1)
	}
	for i, c := range columns {
		s.column(w, i, c)
	}
	w.ub(0)
	w.ub(0, 0, 0, 0)
	w.ub(0)
}

func (s *session) column(w *writer, at int, c Column) {
	size, form, charsetID, chars := c.dimensions()
	w.raw(byte(c.Type), 0, byte(c.Precision))
	s.scale(w, c)
	w.ub(size, 0, 0)
	w.ub(0) // object id
	w.ub(0, charsetID)
	w.raw(form)
	w.ub(chars)
	if s.field >= 8 {
		w.ub(0)
	}
	nullable := byte(1)
	if c.NotNull {
		nullable = 0
	}
	w.raw(nullable, byte(len(c.Name)))
	w.dlc(c.Name)
	w.ub(0, 0) // schema, type
	w.ub(at+1, 0)
	if s.field >= 17 {
		w.ub(0, 0)
	}
	if s.field >= 20 {
		w.ub(0)
	}
	if s.field >= 24 {
		w.ub(0)
		w.raw(0, 0)
	}
}

// scale is written in the way that the client asked for.
func (s *session) scale(w *writer, c Column) {
	scale := c.Scale
	switch {
	case c.Type == Number && c.Precision == 0 && c.Scale == 0:
		scale = -127
	case (c.Type == Timestamp || c.Type == TimestampTZ || c.Type == TimestampLTZ) && scale == 0:
		scale = 6
	}
	if !s.universalScale || c.Type != Number && c.Type != Timestamp && c.Type != TimestampTZ && c.Type != TimestampLTZ {
		w.raw(byte(scale))
		return
	}
	w.ub(scale)
}

// dimensions gives the size of a column's values in bytes, and for texts their
// charset and length in characters.
func (c Column) dimensions() (size int, form byte, charsetID, chars int) {
	size = c.Size
	if size == 0 {
		size = 4000
	}
	switch c.Type {
	case Varchar2, Char, Long, Clob:
		form, charsetID, chars = 1, charset, size
		if c.National {
			form, charsetID = 2, nationalCharset
		}
		if c.Type == Long || c.Type == Clob {
			chars = 0
		}
		if c.Type == Long {
			size = 0x7FFFFFFF
		}
	case Raw, LongRaw, Blob:
	case Number:
		size = 22
	case Date:
		size = 7
	case Timestamp, TimestampLTZ:
		size = 11
	case TimestampTZ:
		size = 13
	case BinaryFloat:
		size = 4
	case BinaryDouble:
		size = 8
	}
	return size, form, charsetID, chars
}

// rowHeader comes before rows.
func (s *session) rowHeader(w *writer, columns, rows int) {
	w.raw(6, 0)
	w.ub(columns&0xFF, columns>>8, rows, 0, 0, 0)
}

// value writes one value of a row, or of an OUT bind.
func (s *session) value(w *writer, c Column, define *descriptor, v any) error {
	if c.Type == Cursor {
		return s.cursorValue(w, v)
	}
	as := c.Type
	if define != nil && define.kind.isLong() {
		as = define.kind
	}
	if as.isLOB() {
		return s.locator(w, c, define, v)
	}
	b, err := encode(c, v)
	if err != nil {
		return fmt.Errorf("column %s: %w", c.Name, err)
	}
	w.clr(b)
	if as.isLong() {
		if len(b) == 0 {
			w.ub(-1, 1405)
		} else {
			w.ub(0, 0)
		}
	}
	return nil
}

// encode gives the bytes of a value; none are NULL.
func encode(c Column, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case string:
		switch {
		case c.Type == Number:
			return encodeNumber(v)
		case c.National && c.Type != Clob:
			return wide(v), nil
		}
		return []byte(v), nil
	case int:
		return encodeNumber(fmt.Sprint(v))
	case float64:
		switch c.Type {
		case BinaryFloat:
			return encodeFloat(v, 4), nil
		case BinaryDouble:
			return encodeFloat(v, 8), nil
		}
		return encodeNumber(fmt.Sprint(v))
	case time.Time:
		switch c.Type {
		case Date:
			return encodeDate(v), nil
		case TimestampTZ:
			return encodeTimestampTZ(v), nil
		case TimestampLTZ:
			return encodeTimestamp(v.UTC()), nil
		}
		return encodeTimestamp(v), nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}

// wide gives a text in UTF-16, as national texts and CLOBs are.
func wide(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit>>8), byte(unit))
	}
	return b
}

func narrow(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}
